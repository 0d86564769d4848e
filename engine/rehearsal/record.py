"""The record: every answer that each user got, as the user got it."""

from collections import Counter, defaultdict
from typing import Literal

import msgspec
from msgspec import Struct

from engine.rehearsal.client import Reply


class ToldVoucher(Struct, frozen=True):
    """A voucher in an answer."""

    code: str


class ToldClaim(Struct, frozen=True):
    """A claim as an answer tells of it."""

    id: str
    wave: str
    offer: str
    sequence: int
    claimed_at: str
    vouchers: tuple[ToldVoucher, ...] = ()

    @property
    def code(self) -> str:
        """The voucher code; empty where none was told."""
        return self.vouchers[0].code if self.vouchers else ""


class Told(Struct, frozen=True):
    """What is of interest in a body, whatever it answers; the rest is ignored."""

    code: str = ""
    retry_after_ms: int = 0
    claim: ToldClaim | None = None
    claims: tuple[ToldClaim, ...] = ()
    ticket: str = ""


NOTHING_TOLD = Told()
_TOLD = msgspec.json.Decoder(Told)

Purpose = Literal["claim", "look", "ticket"]


class Answer(Struct, frozen=True):
    """One request and its answer. `sent_ms` and `received_ms` are instants of the store's clock, fractions included.

    `status` 0 says that no answer came, `readable` whether the body was what the service promises.
    """

    user: int
    purpose: Purpose
    offers: tuple[str, ...]
    request_no: int
    sent_ms: float
    received_ms: float
    status: int
    replayed: bool
    told: Told
    readable: bool = True

    @property
    def outcome(self) -> str:
        """`claimed`, `replayed`, the code of the refusal, or `no_answer`."""
        if self.status == 0:
            return "no_answer"
        if self.told.code or not self.readable:
            return self.told.code or "unreadable"
        return {200: "replayed", 201: "claimed"}.get(self.status, str(self.status)) if self.purpose == "claim" else "ok"

    @property
    def granted(self) -> ToldClaim | None:
        """The claim that this answer grants, or grants again."""
        return self.told.claim if self.purpose == "claim" and self.status in (200, 201) else None


class Record:
    """All answers, in the order in which they came."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.of_user: defaultdict[int, list[Answer]] = defaultdict(list)
        self.outcomes: Counter[str] = Counter()
        self.vanished = 0

    def add(
        self,
        user: int,
        purpose: Purpose,
        offers: tuple[str, ...],
        request_no: int,
        times_ms: tuple[float, float],
        reply: Reply,
    ) -> Answer:
        """Keep an answer; `times_ms`: when the request was sent, when the answer was there."""
        told, readable = NOTHING_TOLD, True
        if reply.status:
            try:
                told = _TOLD.decode(reply.body)
            except msgspec.DecodeError:
                readable = False
        answer = Answer(user, purpose, offers, request_no, *times_ms, reply.status, reply.replayed, told, readable)
        self.answers.append(answer)
        self.of_user[user].append(answer)
        self.outcomes[answer.outcome] += 1
        return answer

    def waits_ms(self) -> list[float]:
        """How long each claim waited for its answer, in rising order."""
        return sorted(
            answer.received_ms - answer.sent_ms
            for answer in self.answers
            if answer.purpose == "claim" and answer.status
        )
