"""The book of a drop: every request that was sent, what came back, when, and what was broken at that time.

Times are seconds of one monotonic clock, that of the process that keeps the book.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

UNKNOWN: Final = frozenset({"outcome_unknown", "internal", "no_answer"})
"""Answers after which a claim may exist or not. `no_answer`: the connection broke, or nothing came in time."""
NOT_DECIDED: Final = frozenset({"busy", "recovering", "too_many_requests", "not_sent"})
"""Answers that say that surely nothing was decided: ask again. `not_sent`: there was nobody to connect to."""
PASSING: Final = frozenset({"paused", "stopped", "not_open"})
"""Refusals that pass by themselves."""
FINAL: Final = frozenset({"sold_out", "closed", "cancelled", "already_claimed", "limit_reached", "cap_reached"})
"""Refusals of a claim for good."""
CLAIMED: Final = frozenset({"claimed", "replayed"})


@dataclass(frozen=True, slots=True)
class Key:
    """What makes two requests the same one, whoever of the gateways is asked."""

    account: str
    wave: str
    request_no: int


@dataclass(frozen=True, slots=True)
class Request:
    """A claim as it was asked for."""

    key: Key
    person: str
    offers: tuple[str, ...]
    gateway: str


@dataclass(frozen=True, slots=True)
class Held:
    """A claim as an answer shows it."""

    id: str
    code: str
    wave: str
    offer: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `code`: claimed, replayed, that of a problem, or one of those that stand for no answer."""

    code: str
    claim: Held | None = None
    retry_after_ms: int = 0
    ack: str = ""
    detail: str = ""

    @property
    def is_unknown(self) -> bool:
        """Whether it leaves open what became of the claim."""
        return self.code in UNKNOWN

    @property
    def is_acknowledged(self) -> bool:
        """Whether it promises a claim."""
        return self.code in CLAIMED


@dataclass(slots=True)
class Entry:
    """One request and its answer; `answered_s` is infinite while there is none."""

    request: Request
    sent_s: float
    faults: tuple[str, ...]
    answered_s: float = float("inf")
    answer: Answer = field(default_factory=lambda: Answer("no_answer", detail="the run ended first"))

    def told(self, origin_s: float) -> str:
        """One line for people."""
        request, answer = self.request, self.answer
        claim = answer.claim
        shown = f" {claim.id} {claim.offer} #{claim.sequence}" if claim else ""
        during = f"   during: {', '.join(self.faults)}" if self.faults else ""
        return (
            f"{self.sent_s - origin_s:8.3f} s  {request.key.wave} no {request.key.request_no} "
            f"{'/'.join(request.offers)} at {request.gateway} -> {self.answered_s - origin_s:.3f} s "
            f"{answer.code}{shown} {answer.detail}".rstrip()
            + during
        )


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of one's own claims, as it was answered: what had to be on it is known by when it was asked for."""

    account: str
    sent_s: float
    claims: tuple[Held, ...]
    gateway: str


@dataclass(slots=True)
class ActEntry:
    """What an operator did to a wave."""

    kind: str
    wave: str
    sent_s: float
    answered_s: float = float("inf")
    done: bool = False


class Book:
    """All entries of one drop. `damage` names the faults that are on; each new entry remembers them."""

    def __init__(self) -> None:
        self.began_s = time.monotonic()
        self.entries: list[Entry] = []
        self.of: dict[str, list[Entry]] = defaultdict(list)
        """By account, in the order in which they were sent."""
        self.listed: list[Listed] = []
        self.acts: list[ActEntry] = []
        self.grants: list[tuple[float, float]] = []
        """When each claim that was new was asked for, and answered."""
        self.damage: list[str] = []
        self._ids: set[str] = set()

    def sends(self, request: Request) -> Entry:
        """A request goes out now."""
        entry = Entry(request, time.monotonic(), tuple(self.damage))
        self.entries.append(entry)
        self.of[request.key.account].append(entry)
        return entry

    def answered(self, entry: Entry, answer: Answer) -> None:
        """Its answer has come now."""
        entry.answered_s = time.monotonic()
        entry.answer = answer
        entry.faults = tuple(dict.fromkeys((*entry.faults, *self.damage)))
        if answer.claim is not None and answer.is_acknowledged and answer.claim.id not in self._ids:
            self._ids.add(answer.claim.id)
            self.grants.append((entry.sent_s, entry.answered_s))

    @property
    def granted(self) -> int:
        """Claims that users were told of, each once."""
        return len(self.grants)

    def recovery_s(self, began_s: float, ended_s: float) -> float:
        """From a fault's end to the first claim granted on a request from then on; from its begin, where such a claim
        came while it lasted. Infinite where none came."""
        first_s = next((answered_s for sent_s, answered_s in self.grants if sent_s >= began_s), float("inf"))
        return first_s - (began_s if first_s < ended_s else ended_s)

    def of_key(self, key: Key) -> Iterator[Entry]:
        """Everything that was sent under that key."""
        return (entry for entry in self.of[key.account] if entry.request.key == key)

    def story(self, account: str) -> list[str]:
        """All that one account sent and heard, for people."""
        return [entry.told(self.began_s) for entry in self.of[account]]
