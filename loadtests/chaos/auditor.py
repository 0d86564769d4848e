"""Holds the book of a drop against the ledger: each answer is predicted, or bounded, by claim id.

    answer                  what it says of the claim in the end
    claimed, replayed       it is there, with this code: acknowledged
    a refusal, busy         this request has made none
    outcome_unknown, none   it is there or not, but once, and asking again has told which

What may be lost is told by the faults: a level of `ack` that does not survive one may lose what was acknowledged after
the point to which that fault went back, and nothing else. A gateway that a fault has left behind at a store which is
gone afterwards speaks for that store alone: it may tell of what is lost, and refuse what others have granted.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from loadtests.chaos.book import CLAIMED, FINAL, NOT_DECIDED, PASSING, UNKNOWN, Book, Entry, Held, Key
from loadtests.chaos.faults.registry import ACKS
from loadtests.chaos.ledger import Ledger, Settled
from loadtests.chaos.workload import PROBE, Plan

_SLACK_S: Final = 0.25
"""Clocks of this process and of the store are of one machine; a request takes its time on the way."""


@dataclass(frozen=True)
class Loss:
    """What a fault may cost: what was acknowledged since then and asked for until then, under levels below the one that
    survives it. What is asked for later meets a store that has lost nothing yet."""

    fault: str
    survives: str
    since_s: float
    until_s: float


@dataclass(frozen=True)
class Apart:
    """A gateway that spoke to another store than the rest, from when to when."""

    gateway: str
    since_s: float
    until_s: float


@dataclass(frozen=True)
class Contradiction:
    """Something that cannot be, with the account whose story shows it (empty: nobody's)."""

    promise: str
    what: str
    account: str = ""


@dataclass
class Judgement:
    """What came of a drop."""

    contradictions: list[Contradiction] = field(default_factory=list)
    acknowledged: int = 0
    lost: int = 0
    """Acknowledged and not in the ledger."""
    lost_in_breach: int = 0
    """Of those, what the level promises to keep."""
    twice: int = 0
    stranded: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    """Keys with an answer that was not known, by how they ended."""

    def wrong(self, promise: str, what: str, account: str = "") -> None:
        """Note a contradiction."""
        self.contradictions.append(Contradiction(promise, what, account))


class Auditor:
    """Judges one drop."""

    def __init__(
        self,
        plan: Plan,
        book: Book,
        ledger: Ledger,
        ack: str,
        losses: Sequence[Loss],
        opens_s: float,
        *,
        clocks_agree: bool,
        apart: Sequence[Apart] = (),
    ) -> None:
        """`opens_s`: the first opening, on the clock of the book."""
        self._apart = apart
        self._plan = plan
        self._book = book
        self._ledger = ledger
        self._losses = [loss for loss in losses if ACKS.index(ack) < ACKS.index(loss.survives)]
        self._went_back = bool(losses)
        """Refusals and lists wait for no `ack`: what they told of may have gone with the store."""
        self._ack = ack
        self._opens_s = opens_s
        self._clocks_agree = clocks_agree
        self._of_key: dict[Key, list[Entry]] = defaultdict(list)
        for entry in book.entries:
            self._of_key[entry.request.key].append(entry)
        self._settled: dict[Key, list[Settled]] = defaultdict(list)
        for claim in ledger.claims:
            self._settled[Key(claim.account, claim.wave, claim.request_no)].append(claim)
        self._codes = {claim.code for claim in ledger.claims}
        self._lost: set[str] = set()
        """Codes that were acknowledged, are not in the ledger, and may be missing there."""
        self.judgement = Judgement()

    def judge(self) -> Judgement:
        """All of it."""
        self._acknowledged()
        for key, entries in self._of_key.items():
            self._one_key(key, entries)
        for entry in self._book.entries:
            self._refusal(entry)
        self._strangers()
        self._stock()
        self._limits()
        self._lists()
        self._pauses()
        self._endings()
        return self.judgement

    # P3: what was acknowledged is there

    def _acknowledged(self) -> None:
        first: dict[str, Entry] = {}
        for entry in self._book.entries:
            if entry.answer.is_acknowledged and entry.answer.claim is not None:
                known = first.setdefault(entry.answer.claim.code, entry)
                if known.answered_s > entry.answered_s:
                    first[entry.answer.claim.code] = entry
        self.judgement.acknowledged = len(first)
        for code, entry in first.items():
            key, held = entry.request.key, entry.answer.claim
            assert held is not None
            if code not in self._codes:
                self.judgement.lost += 1
                if any(loss.since_s <= entry.answered_s and entry.sent_s <= loss.until_s for loss in self._losses):
                    self._lost.add(code)
                else:
                    self.judgement.lost_in_breach += 1
                    self.judgement.wrong("P3", f"{held.id} was acknowledged and is not in the ledger", key.account)
                continue
            if not any(_is_same(claim, key, held) for claim in self._settled.get(key, [])):
                self.judgement.wrong("P3", f"{held.id} is another claim in the ledger than it was", key.account)
            if entry.answer.ack != self._ack:
                self.judgement.wrong("P3", f"{held.id} was answered with ack {entry.answer.ack}", key.account)

    # P5 and P9: one request, however often it is asked

    def _one_key(self, key: Key, entries: list[Entry]) -> None:
        settled = self._settled.get(key, [])
        may_exist = any(entry.answer.is_acknowledged or entry.answer.is_unknown for entry in entries)
        if len(settled) > 1:
            self.judgement.twice += 1
            self.judgement.wrong("P5", f"{key.wave} no {key.request_no} was granted {len(settled)} times", key.account)
        if settled and not may_exist:
            self.judgement.wrong("P9", f"{key.wave} no {key.request_no}: surely not decided, and granted", key.account)
        if settled and self._clocks_agree:
            sent_s = min(entry.sent_s for entry in entries) - self._opens_s
            claimed_s = settled[0].claimed_at_s - self._opens_wall_s
            if claimed_s < sent_s - _SLACK_S:
                self.judgement.wrong("P9", f"{key.wave}: claimed before it was asked for", key.account)
        fresh = Counter(e.answer.claim.id for e in entries if e.answer.code == "claimed" and e.answer.claim)
        for claim_id, times in fresh.items():
            if times > 1:
                self.judgement.wrong("P5", f"{claim_id} was new {times} times", key.account)
        self._answers_agree(key, entries)

    _opens_wall_s: float = 0.0

    def set_wall_clock(self, opens_wall_s: float) -> None:
        """The first opening as Unix time: claims in the ledger are dated by it."""
        self._opens_wall_s = opens_wall_s

    def _answers_agree(self, key: Key, entries: list[Entry]) -> None:
        """After an acknowledgement every later request gets that claim, or no decision."""
        held = [entry for entry in entries if entry.answer.is_acknowledged and entry.answer.claim is not None]
        for entry in entries:
            before = [one for one in held if one.answered_s < entry.sent_s]
            kept = [one.answer.claim for one in before if one.answer.claim and one.answer.claim.code not in self._lost]
            if not kept:
                continue
            code, claim = entry.answer.code, entry.answer.claim
            is_apart = self._was_apart(entry.request.gateway, entry.sent_s, entry.answered_s)
            if code in NOT_DECIDED or code in UNKNOWN:
                continue
            if code not in CLAIMED:
                if kept[-1] and kept[-1].offer in entry.request.offers and not is_apart:
                    self.judgement.wrong("P5", f"{kept[-1].id} was held, and {code} was answered", key.account)
            elif is_apart and claim is not None and claim.code in self._lost:
                continue
            elif claim is None or claim.code != kept[-1].code or claim.id != kept[-1].id:
                self.judgement.wrong("P5", f"{kept[-1].id} was held, and another one was answered", key.account)

    def _was_apart(self, gateway: str, sent_s: float, answered_s: float) -> bool:
        """Whether that gateway may have answered this from a store of its own."""
        return any(
            each.gateway == gateway and each.since_s <= answered_s and sent_s <= each.until_s for each in self._apart
        )

    # P9: refusals are true

    def _refusal(self, entry: Entry) -> None:
        code, key = entry.answer.code, entry.request.key
        if code in CLAIMED or code in NOT_DECIDED or code in UNKNOWN - {"internal"}:
            return
        if code not in FINAL and code not in PASSING:
            self.judgement.wrong("P9", f"refused with {code} {entry.answer.detail}".rstrip(), key.account)
        elif code in ("already_claimed", "limit_reached"):
            if not self._claims_of(entry.request.person, key.account) and not self._went_back:
                self.judgement.wrong("P9", f"{code}, and nothing is held", key.account)
        elif code == "sold_out":
            self._sold_out(entry)
        elif code == "paused":
            if not any(act.kind == "pause" and act.sent_s < entry.answered_s for act in self._book.acts):
                self.judgement.wrong("P9", "paused before anybody paused it", key.account)
        elif self._clocks_agree:
            self._window(entry)

    def _sold_out(self, entry: Entry) -> None:
        wave = entry.request.key.wave
        for offer in entry.request.offers:
            stock = dict(dict(self._plan.stocks)[wave])[offer]
            given = sum(1 for claim in self._ledger.claims if (claim.wave, claim.offer) == (wave, offer))
            if given < stock and not self._went_back:
                self.judgement.wrong("P9", f"{offer} sold out with {given} of {stock} given", entry.request.key.account)

    def _window(self, entry: Entry) -> None:
        code, wave = entry.answer.code, entry.request.key.wave
        moved_s = max((act.shift_s for act in self._plan.acts if act.kind == "move" and act.wave == wave), default=0.0)
        opens_s = self._opens_s + self._plan.opens_after_s(wave) + max(moved_s, 0.0)
        closes_s = self._opens_s + self._plan.closes_after_s(wave)
        if code == "not_open" and entry.sent_s > opens_s + _SLACK_S:
            self.judgement.wrong("P6", "not open, after the opening", entry.request.key.account)
        if code in ("closed", "cancelled") and entry.answered_s < closes_s - _SLACK_S:
            self.judgement.wrong("P6", f"{code}, before the close", entry.request.key.account)

    # P1, P2, P4, and the rest of the ledger

    def _strangers(self) -> None:
        """Nobody is given anything who has not asked for it."""
        for key, claims in self._settled.items():
            if key not in self._of_key:
                self.judgement.wrong(
                    "P9", f"{key.wave} no {key.request_no} was granted to nobody who asked", key.account
                )
            elif not any(claims[0].offer in entry.request.offers for entry in self._of_key[key]):
                self.judgement.wrong("P9", f"{claims[0].offer} was granted and not asked for", key.account)

    def _stock(self) -> None:
        given = Counter((claim.wave, claim.offer) for claim in self._ledger.claims)
        for place, stock in self._ledger.stocks.items():
            wave, offer = place
            if given[place] > stock:
                self.judgement.twice += given[place] - stock
                self.judgement.wrong("P1", f"{given[place]} claims on {stock} units of {offer} in {wave}")
            if offer != PROBE and wave != self._plan.waves[2] and given[place] < stock:
                self.judgement.stranded += stock - given[place]
                self.judgement.wrong("P4", f"{stock - given[place]} of {stock} units of {offer} in {wave} to nobody")

    def _limits(self) -> None:
        holders = Counter[tuple[str, str]]()
        for claim in self._ledger.claims:
            holders[claim.claimant, ""] += 1
            holders[claim.claimant, claim.wave] += 1
        for most, per in self._plan.limits:
            for (claimant, wave), count in holders.items():
                if (per == "wave") is bool(wave) and count > most:
                    self.judgement.twice += 1
                    self.judgement.wrong("P2", f"{count} claims of {claimant}, {most} per {per} are allowed")

    def _lists(self) -> None:
        for listed in self._book.listed:
            codes = {claim.code for claim in listed.claims}
            is_apart = self._was_apart(listed.gateway, listed.sent_s, listed.sent_s)
            for entry in self._book.of[listed.account]:
                claim = entry.answer.claim
                if is_apart or not entry.answer.is_acknowledged or claim is None or entry.answered_s >= listed.sent_s:
                    continue
                if claim.code not in codes | self._lost:
                    self.judgement.wrong("P3", f"{claim.id} is missing on the list of one's own", listed.account)
            for claim in listed.claims:
                if claim.code not in self._codes | self._lost and not self._went_back:
                    self.judgement.wrong("P3", f"{claim.id} was listed and is not in the ledger", listed.account)

    def _pauses(self) -> None:
        """Between the numbers of a pause and of the resume behind it nothing is granted."""
        for wave in self._plan.waves:
            for begins, ends in self._paused_numbers(wave):
                for claim in self._ledger.claims:
                    if claim.wave == wave and begins < (claim.epoch, claim.sequence) < ends:
                        self.judgement.wrong("P6", f"#{claim.sequence} was granted in a pause", claim.account)

    def _paused_numbers(self, wave: str) -> Iterator[tuple[tuple[int, int], tuple[float, float]]]:
        began = None
        for act in self._ledger.acts:
            if act.wave == wave and act.kind == "pause" and began is None:
                began = (act.epoch, act.sequence)
            elif act.wave == wave and act.kind == "resume" and began is not None:
                yield began, (act.epoch, act.sequence)
                began = None
        if began is not None:
            yield began, (float("inf"), 0)

    def _endings(self) -> None:
        for key, entries in self._of_key.items():
            if not any(entry.answer.is_unknown for entry in entries):
                continue
            codes = {entry.answer.code for entry in entries}
            if self._settled.get(key):
                self.judgement.unknown["granted" if codes & CLAIMED else "granted, never told"] += 1
            else:
                self.judgement.unknown["refused" if codes & FINAL else "not granted"] += 1

    def _claims_of(self, person: str, account: str) -> bool:
        claimant = person if self._plan.by == "person" else account
        return any(claim.claimant == claimant or claim.account == account for claim in self._ledger.claims)


def _is_same(claim: Settled, key: Key, held: Held) -> bool:
    return (claim.code, claim.offer, claim.wave, claim.sequence) == (
        held.code,
        held.offer,
        held.wave,
        held.sequence,
    ) and claim.account == key.account
