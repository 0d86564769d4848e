"""What users were told that cannot all be true: counted by kind, with some examples of each."""

from collections.abc import Iterator
from typing import Final, NamedTuple

EXAMPLES_MAX: Final = 5


class Kind(NamedTuple):
    """A way in which answers contradict a promise; `words` are in the plural."""

    promise: str
    words: str


ABOVE_STOCK: Final = Kind("P1", "claims told above the stock of their offer")
SHARED_CODE: Final = Kind("P1", "codes that two users were given")
GRANTED_TWICE: Final = Kind("P2", "users who were told of two different claims for one request")
LOST: Final = Kind("P3", "acknowledged claims that the user's own claims do not show")
OTHERWISE: Final = Kind("P3", "acknowledged claims that the user's own claims show otherwise")
NOT_COUNTED: Final = Kind("P3", "acknowledged claims that the installation does not count")
NEW_TWICE: Final = Kind("P5", "requests that were granted as new more than once")
REFUSED_AFTERWARDS: Final = Kind("P5", "granted requests that were refused when repeated")
REPEATED_AT_FIRST: Final = Kind("P5", "first requests that were answered as repeats")
OUTSIDE: Final = Kind("P6", "claims told with an instant outside the wave's time")
NOT_ASKED_FOR: Final = Kind("P9", "claims told for another wave or offer than was asked for")
HELD_ALL_THE_SAME: Final = Kind("P9", "users who were refused for good and hold a claim")
HELD_BY_NOBODY: Final = Kind("P9", "users who were told that they had claimed and hold nothing")
LEFT_OVER: Final = Kind("P9", "answers `sold_out` while units were left")

USED_TWICE: Final = Kind("P8", "vouchers that were redeemed twice")
TAKEN_BY_NOBODY: Final = Kind("P8", "vouchers at many tills at once that none of them took")
NOT_TAKEN: Final = Kind("P8", "vouchers that a till refused though they could be used")
OTHER_TERMS: Final = Kind("P8", "redemptions by other terms than the claim's")
OTHER_DISCOUNT: Final = Kind("P8", "redemptions with another discount than was promised")
CARD_TERMS: Final = Kind("P8", "cards that show other terms than the claim's")
NOT_REFUNDED: Final = Kind("P8", "redemptions that could not be refunded")
OTHER_REFUND: Final = Kind("P8", "refunds that are not as asked for")
NOT_BOOKED: Final = Kind("P8", "redemptions and refunds told that the statement does not have")
BOOKED_UNTOLD: Final = Kind("P8", "redemptions and refunds of the statement that no till was told of")
OTHER_SUMS: Final = Kind("P8", "minor units by which the statement differs from what tills were told")
DONE_TWICE: Final = Kind("P5", "requests of tills that were done as new more than once")
TOLD_OTHERWISE: Final = Kind("P5", "redemptions that were told otherwise when asked for again")
OTHER_REASON: Final = Kind("P9", "tills that got another answer than the true one")
ANOTHER_PAYMENT: Final = Kind("P9", "redemptions told for another payment than was asked for")
CARD_STATE: Final = Kind("P9", "cards that contradict what tills were told")
QUOTED_OTHERWISE: Final = Kind("P9", "quotes that do not name a voucher that can be used, or its discount")
MALFORMED: Final = Kind("P9", "answers to tills that cannot be read")


class Contradictions:
    """All of them counted, a few examples kept."""

    def __init__(self) -> None:
        self.counts: dict[Kind, int] = {}
        self._examples: dict[Kind, list[str]] = {}

    def add(self, kind: Kind, example: str, count: int = 1) -> None:
        """That many more; the example names an account of the run, never a code."""
        self.counts[kind] = self.counts.get(kind, 0) + count
        examples = self._examples.setdefault(kind, [])
        if len(examples) < EXAMPLES_MAX:
            examples.append(example)

    def __bool__(self) -> bool:
        return bool(self.counts)

    def lines(self) -> Iterator[str]:
        """In words, by promise."""
        for kind, count in sorted(self.counts.items()):
            yield f"{kind.promise} {count:,} {kind.words}: {'; '.join(self._examples[kind])}"

    def as_rows(self) -> list[list[str | int | list[str]]]:
        """For the way from a worker to its master."""
        return [[kind.promise, kind.words, count, self._examples[kind]] for kind, count in self.counts.items()]

    def add_rows(self, rows: list[tuple[str, str, int, list[str]]]) -> None:
        """What `as_rows` gave elsewhere."""
        for promise, words, count, examples in rows:
            kind = Kind(promise, words)
            self.counts[kind] = self.counts.get(kind, 0) + count
            kept = self._examples.setdefault(kind, [])
            kept += examples[: EXAMPLES_MAX - len(kept)]
