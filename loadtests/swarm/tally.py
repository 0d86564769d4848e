"""The books of all workers, joined: by the master, or by the one process of a run that has no workers."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from loadtests.swarm import contradictions as kinds
from loadtests.swarm.book import Book
from loadtests.swarm.contradictions import Contradictions
from loadtests.swarm.receipts import Sales

CODES_PER_PART: Final = 5_000
"""Of a book in one message to the master: some 200 kB."""


class Checks:
    """How the look at users' own claims went in the end."""

    def __init__(self, shown: int = 0, silent: int = 0) -> None:
        self.shown = shown
        self.silent = silent
        """Could not be asked in the time that was left for it."""


def parts_of(book: Book, checks: Checks) -> Iterator[dict[str, Any]]:
    """A book as messages, the last of them marked."""
    for begin in range(0, len(book.codes), CODES_PER_PART):
        yield {"codes": book.codes[begin : begin + CODES_PER_PART]}
    yield {
        "wrong": book.wrong.as_rows(),
        "answers": dict(book.answers),
        "sold_out": book.sold_out,
        "first": book.first_ms,
        "last": book.last_ms,
        "visits": book.visits,
        "unanswered": book.unanswered,
        "sampled": len(book.winners.kept) + len(book.losers.kept),
        "shown": checks.shown,
        "silent": checks.silent,
        "sales": book.sales.as_row(),
        "ended": True,
    }


class Tally:
    """What all users were told."""

    def __init__(self) -> None:
        self.wrong = Contradictions()
        self.sales = Sales(self.wrong)
        self.given: dict[str, int] = {}
        """Different codes told, by offer."""
        self.answers: Counter[str] = Counter()
        self.sold_out: dict[str, int] = {}
        self.first_ms: tuple[int, str] | None = None
        self.last_ms: tuple[int, str] | None = None
        self.visits = self.unanswered = self.shown = self.sampled = self.silent = 0
        self.handed_in: dict[int, int] = {}
        """Claims told in the book of each worker that has handed it in."""
        self._owner: dict[bytes, str] = {}
        self._under_way: dict[int, int] = {}

    def add(self, worker: int, part: dict[str, Any]) -> None:
        """A part of the book of that worker."""
        self._under_way[worker] = self._under_way.get(worker, 0) + len(part.get("codes", ()))
        for digest, account, offer in part.get("codes", ()):
            if digest not in self._owner:
                self._owner[digest] = account
                self.given[offer] = self.given.get(offer, 0) + 1
            elif self._owner[digest] != account:
                self.wrong.add(kinds.SHARED_CODE, f"{self._owner[digest]} and {account}")
        if part.get("ended"):
            self._end(worker, part)

    def _end(self, worker: int, part: dict[str, Any]) -> None:
        self.handed_in[worker] = self._under_way.pop(worker)
        self.wrong.add_rows(part["wrong"])
        self.answers.update(part["answers"])
        for offers, count in part["sold_out"].items():
            self.sold_out[offers] = self.sold_out.get(offers, 0) + count
        if part["first"] and part["last"]:
            first, last = _moment(part["first"]), _moment(part["last"])
            self.first_ms = min(self.first_ms or first, first)
            self.last_ms = max(self.last_ms or last, last)
        self.visits += part["visits"]
        self.unanswered += part["unanswered"]
        self.shown += part["shown"]
        self.sampled += part["sampled"]
        self.silent += part["silent"]
        self.sales.add_row(part["sales"])


def _moment(row: tuple[int, str]) -> tuple[int, str]:
    """A message makes lists of tuples."""
    return row[0], row[1]
