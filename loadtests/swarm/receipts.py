"""What tills were told: the receipts of one voucher while it is used, and the sums of all, for the statement."""

from collections import Counter
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

from loadtests.swarm import contradictions as kinds
from loadtests.swarm.answers import ToldClaim
from loadtests.swarm.contradictions import Contradictions
from loadtests.swarm.till_answers import AGAIN, ALREADY, Heard, Redemption, Reversal, read_redemption, read_reversal

_COUNTS: Final = ("open", "errands", "crowds", "unusable", "replaced")


Told = TypeVar("Told")


class Sums(NamedTuple):
    """Of redemptions and refunds: how often, and minor units. As tills were told, or as a statement has them."""

    redemptions: int = 0
    discount: int = 0
    given_back: int = 0
    refunded: int = 0
    taken_back: int = 0

    def plus(self, other: "Sums") -> "Sums":
        """Both together."""
        return Sums(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def minus(self, other: "Sums") -> "Sums":
        """What came since the other."""
        return Sums(*(mine - theirs for mine, theirs in zip(self, other, strict=True)))


class Sales:
    """Of all tills of one worker, counted as it is told: a run may end in the middle of an errand."""

    def __init__(self, wrong: Contradictions) -> None:
        self.wrong = wrong
        self.sums = Sums()
        self.replaced = 0
        """Redemptions by terms that had been replaced by then."""
        self.has_new_terms = False
        """Whether the terms have been replaced in this run."""
        self.answers: Counter[str] = Counter()
        """To tills, by kind of request and code."""
        self.open = 0
        """Requests that may have been done, and nobody was told."""
        self.errands = 0
        """Vouchers that were taken to shops."""
        self.crowds = 0
        """Of them: shown at many tills at once."""
        self.unusable = 0
        """Vouchers that cannot be used now, or at no till that there is a token for."""

    def as_row(self) -> dict[str, Any]:
        """For the way from a worker to its master."""
        return {"sums": list(self.sums), "answers": dict(self.answers)} | {
            name: getattr(self, name) for name in _COUNTS
        }

    def add_row(self, row: dict[str, Any]) -> None:
        """What `as_row` gave elsewhere."""
        self.sums = self.sums.plus(Sums(*row["sums"]))
        self.answers.update(row["answers"])
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + row[name])


class Receipts:
    """Of one voucher: nobody else has its code, so what becomes of it is known here."""

    def __init__(self, account: str, claim: ToldClaim, sales: Sales) -> None:
        self.claim = claim
        self.sales = sales
        self.is_open = False
        """Whether something may have been done that nobody was told of: then nothing is expected of the voucher."""
        self._account = account
        self._is_of_old_terms = not sales.has_new_terms
        self._redemptions: dict[str, Redemption] = {}
        self._reversals: dict[str, Reversal] = {}
        self._new: set[str] = set()
        """Requests that were told to be done just now."""
        sales.errands += 1

    @property
    def is_used(self) -> bool:
        """By what was told so far."""
        given_back = sum(each.is_given_back for each in self._reversals.values())
        return len(self._redemptions) > given_back

    def hear_redemption(self, asked: dict[str, Any], discount: int | None, heard: Heard) -> Redemption | None:
        """The answer to a till that has to take the voucher, and this off; None where it took nothing."""
        told = self._read(heard, read_redemption)
        if told is None:
            self._refused(kinds.NOT_TAKEN, heard)
            return None
        self._once(asked["request_no"], heard)
        self._note(told)
        if (told.code, told.store, told.amount, told.request_no) != (
            self.claim.code, asked["store"], asked["amount"], asked["request_no"],
        ):  # fmt: skip
            self.add(kinds.ANOTHER_PAYMENT, told.store)
        if discount not in (None, told.discount) or told.due != told.amount - told.discount:
            self.add(kinds.OTHER_DISCOUNT, f"{told.discount} of {told.amount} instead of {discount}")
        return told

    def hear_reversal(self, asked: dict[str, Any], redemption: Redemption, heard: Heard) -> Reversal | None:
        """The answer to a refund of all of it; None where there was none."""
        told = self._read(heard, read_reversal)
        if told is None:
            self._refused(kinds.NOT_REFUNDED, heard)
            return None
        self._once(asked["request_no"], heard)
        if told.id not in self._reversals:
            self._reversals[told.id] = told
            back = told.is_given_back
            self.sales.sums = self.sales.sums.plus(Sums(0, 0, int(back), int(not back), told.discount))
        is_as_promised = asked["by"] == "merchant" and not asked["completed"]
        found = (told.redemption, told.amount, told.discount, told.is_given_back)
        if found != (redemption.id, redemption.amount, redemption.discount, is_as_promised):
            self.add(kinds.OTHER_REFUND, f"{told.discount} of {told.amount}, given back: {told.is_given_back}")
        return told

    def hear_many(self, answers: list[Heard]) -> Redemption | None:
        """Of tills that asked at once, each under a number of its own: one takes it, the others are told so."""
        taken = [told for heard in answers if (told := self._read(heard, read_redemption)) is not None]
        for each in taken:
            self._note(each)
        for heard in answers:
            if heard.told.code not in AGAIN | {"ok", ALREADY}:
                self.add(kinds.NOT_TAKEN, heard.told.code)
        if not taken and not self.is_open and not any(heard.told.code in AGAIN for heard in answers):
            self.add(kinds.TAKEN_BY_NOBODY, f"{len(answers)} tills")
        return taken[0] if taken else None

    def expect(self, code: str, heard: Heard) -> None:
        """The answer to a till that must not do it, for this reason."""
        redemption = self._read(heard, read_redemption) if "redemption" in heard.members else None
        if redemption is not None:
            self._note(redemption)
        if heard.told.code not in AGAIN | {code} and not self.is_open:
            self.add(kinds.OTHER_REASON, f"{heard.told.code} instead of {code}")

    def add(self, kind: kinds.Kind, more: str = "") -> None:
        """Something is wrong with this voucher."""
        self.sales.wrong.add(kind, f"{self._account} ({more})" if more else self._account)

    def _read(self, heard: Heard, read: Callable[[dict[str, Any]], Told]) -> Told | None:
        """What it tells of; None where it is a refusal, or malformed."""
        if heard.told.code != "ok":
            self.is_open |= heard.had_no_answer and heard.told.code in AGAIN
            return None
        try:
            return read(heard.members)
        except (KeyError, TypeError):
            self.add(kinds.MALFORMED, str(heard.told.status))
            return None

    def _refused(self, kind: kinds.Kind, heard: Heard) -> None:
        if heard.told.code not in AGAIN | {"ok"} and not self.is_open:
            self.add(kind, heard.told.code)

    def _once(self, request_no: str, heard: Heard) -> None:
        """The same request is done once, however often it is sent."""
        if heard.is_new and request_no in self._new:
            self.add(kinds.DONE_TWICE)
        if heard.is_new:
            self._new.add(request_no)

    def _note(self, told: Redemption) -> None:
        """One more, where it is not known yet."""
        if told.id in self._redemptions:
            if self._redemptions[told.id] != told:
                self.add(kinds.TOLD_OTHERWISE)
            return
        if self.is_used:
            self.add(kinds.USED_TWICE)
        self._redemptions[told.id] = told
        self.sales.sums = self.sales.sums.plus(Sums(1, told.discount))
        self.sales.replaced += self._is_of_old_terms and self.sales.has_new_terms
        if told.terms != self.claim.terms:
            self.add(kinds.OTHER_TERMS)
