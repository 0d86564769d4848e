"""What the scripts should do, in plain dicts and the words of the promises. Knows nothing of Redis or Lua."""

from collections.abc import Sequence
from typing import Any

from engine.domain.campaign import CLAIMS_PER_CLAIMANT_MAX, Cap, Limit
from engine.domain.decisions import WaveState
from engine.domain.outcome import Ask

STAYS_OPEN_MS = 60_000
"""A wave that was seen open stays open while the clock steps back by up to this."""

Record = dict[str, Any]
"""A claim, by the names of the fields of `Claim`."""
Answer = tuple[Any, ...]
"""What became of an ask: a word, then what belongs to it."""


class Model:
    """One shard. Times are what the store's clock said."""

    def __init__(self, limits: Sequence[Limit], cap: Cap) -> None:
        self.limits = limits
        self.cap = cap
        self.epoch = 0
        self.last = 0
        self.settled = 0
        self.act = 0
        self.stopped = ""
        self.waves: dict[int, WaveState] = {}
        self.latched: set[int] = set()
        self.left: dict[tuple[int, int], int] = {}
        self.sold_out_ms: dict[tuple[int, int], int] = {}
        self.claims: list[Record] = []
        self.value = 0
        self.log: list[Record] = []

    # Claims

    def batch(self, asks: Sequence[tuple[Ask, str]], now_ms: int, not_after_ms: int, lag_max: int) -> list[Answer]:
        """The answers to one call, in order."""
        first = self.last + 1
        room = lag_max - (self.last - self.settled)
        answers: list[Answer] = []
        granted: list[Record] = []
        for ask, code in asks:
            answer = self._decide(ask, code, now_ms, late=now_ms > not_after_ms, room=room - len(granted))
            if answer[0] == "new":
                granted.append(answer[1])
            answers.append(answer)
        if granted:
            self.log.append({"epoch": self.epoch, "first": first, "last": self.last, "at": now_ms, "claims": granted})
        return answers

    def _decide(self, ask: Ask, code: str, now_ms: int, *, late: bool, room: int) -> Answer:
        held = [claim for claim in self.claims if claim["claimant"] == ask.claimant]
        own = [claim for claim in held if claim["account"] == ask.account]
        same = [claim for claim in own if (claim["wave_no"], claim["request_no"]) == (ask.wave_no, ask.request_no)]
        if same and same[0]["offer_no"] in ask.offers:
            return "held", same[0]
        refusal = (
            (("late",) if late else None)
            or self._refused_by_wave(ask, now_ms)
            or self._refused_by_limits(ask.wave_no, held, ask.account)
            or (("limit_reached", same[0]) if same else None)
        )
        if refusal:
            return refusal
        offer_no, refusal = self._choose(ask)
        if refusal:
            return refusal
        return ("busy",) if room <= 0 else self._grant(ask, offer_no, code, len(held) + 1, now_ms)

    def _refused_by_wave(self, ask: Ask, now_ms: int) -> Answer | None:
        wave = self.waves.get(ask.wave_no)
        if wave is None:
            return ("unknown_wave",)
        is_open = self._is_open(ask.wave_no, now_ms)
        if any(str(offer) not in wave.offers for offer in ask.offers):
            return ("unknown_offer",)
        if ask.broken_rule:
            return "not_eligible", ask.broken_rule
        if wave.state == "cancelled":
            return "cancelled", wave.reason
        if wave.state == "closed":
            return "closed", wave.closed_ms
        if now_ms >= wave.closes_ms:
            return "closed", wave.closes_ms
        if not is_open:
            return "not_open", wave.opens_ms
        if self.stopped:
            return "stopped", self.stopped
        return ("paused", wave.reason) if wave.state == "paused" else None

    def _is_open(self, wave_no: int, now_ms: int) -> bool:
        """To be asked at each look at a wave: it is remembered as open from then on."""
        opens_ms = self.waves[wave_no].opens_ms
        if now_ms >= opens_ms:
            self.latched.add(wave_no)
        return now_ms >= opens_ms or (wave_no in self.latched and now_ms >= opens_ms - STAYS_OPEN_MS)

    def _refused_by_limits(self, wave_no: int, held: list[Record], account: str) -> Answer | None:
        for limit in [*self.limits, Limit(CLAIMS_PER_CLAIMANT_MAX, "campaign")]:
            within = [claim for claim in held if self._within(limit, wave_no, claim["wave_no"])]
            if len(within) >= limit.max:
                own = [claim for claim in within if claim["account"] == account]
                return "already_claimed" if limit.max == 1 else "limit_reached", own[0] if own else None
        return None

    def _within(self, limit: Limit, wave_no: int, other_no: int) -> bool:
        wave, other = self.waves[wave_no], self.waves[other_no]
        match limit.per:
            case "campaign":
                return True
            case "wave":
                return wave_no == other_no
            case "round":
                return wave.round == other.round
            case "day":
                return wave.day == other.day

    def _choose(self, ask: Ask) -> tuple[int, Answer | None]:
        if self.cap.claims is not None and len(self.claims) >= self.cap.claims:
            return 0, ("cap_reached",)
        offers = self.waves[ask.wave_no].offers
        within_cap = [
            offer_no
            for offer_no in ask.offers
            if self.cap.value is None or self.value + offers[str(offer_no)].value <= self.cap.value
        ]
        if not within_cap:
            return 0, ("cap_reached",)
        for offer_no in within_cap:
            if self.left[ask.wave_no, offer_no] > 0:
                return offer_no, None
        return 0, ("sold_out", max(self.sold_out_ms.get((ask.wave_no, offer_no), 0) for offer_no in within_cap))

    def _grant(self, ask: Ask, offer_no: int, code: str, nth: int, now_ms: int) -> Answer:
        wave, place = self.waves[ask.wave_no], (ask.wave_no, offer_no)
        offer = wave.offers[str(offer_no)]
        self.last += 1
        claim = {
            "wave_no": ask.wave_no,
            "offer_no": offer_no,
            "request_no": ask.request_no,
            "epoch": self.epoch,
            "sequence": self.last,
            "unit": offer.total - self.left[place] + 1,
            "nth": nth,
            "terms_version": offer.terms,
            "claimed_at_ms": max(now_ms, wave.opens_ms),
            "code": code,
            "claimant": ask.claimant,
            "account": ask.account,
        }
        self.left[place] -= 1
        if self.left[place] == 0:
            self.sold_out_ms[place] = now_ms
        self.value += offer.value
        self.claims.append(claim)
        return "new", claim

    # Acts, settling, recovery

    def claimed(self, wave_no: int, offer_no: int) -> int:
        """Units given."""
        return sum((claim["wave_no"], claim["offer_no"]) == (wave_no, offer_no) for claim in self.claims)

    def fits(self, wave_no: int, state: WaveState) -> bool:
        """Whether this state leaves every unit that was given in the stock."""
        before = self.waves.get(wave_no)
        offers = {int(offer_no) for offer_no in [*state.offers, *(before.offers if before else ())]}
        totals = {
            offer_no: state.offers[str(offer_no)].total if str(offer_no) in state.offers else 0 for offer_no in offers
        }
        return all(self.claimed(wave_no, offer_no) <= total for offer_no, total in totals.items())

    def put(self, wave_no: int, state: WaveState, now_ms: int) -> None:
        """An act that fits."""
        self.last += 1
        self.act += 1
        self.log.append({"epoch": self.epoch, "first": self.last, "last": self.last, "at": now_ms, "wave_no": wave_no})
        self.waves[wave_no] = state
        before = {place: units for place, units in self.left.items() if place[0] == wave_no}
        for place in before:
            del self.left[place]
        for offer_no, offer in state.offers.items():
            place = (wave_no, int(offer_no))
            self.left[place] = offer.total - self.claimed(*place)
            if self.left[place] == 0 and before.get(place, 0) > 0:
                self.sold_out_ms[place] = now_ms
        self.sold_out_ms = {place: ms for place, ms in self.sold_out_ms.items() if self.left.get(place) == 0}

    def stop(self, reason: str, now_ms: int) -> None:
        """An act on the whole campaign; an empty reason undoes it."""
        self.last += 1
        self.act += 1
        self.log.append({"epoch": self.epoch, "first": self.last, "last": self.last, "at": now_ms, "wave_no": 0})
        self.stopped = reason

    def rebound(self, epoch: int) -> None:
        """Nothing was lost; numbers begin again."""
        self.epoch, self.last, self.settled = epoch, 0, 0

    def loaded(self, epoch: int) -> None:
        """Everything was put into a new epoch, from what the ledger knows."""
        self.rebound(epoch)
        self.latched = {claim["wave_no"] for claim in self.claims}
        newest: dict[tuple[int, int], int] = {}
        for claim in self.claims:
            place = claim["wave_no"], claim["offer_no"]
            newest[place] = max(newest.get(place, 0), claim["claimed_at_ms"])
        self.sold_out_ms = {place: newest.get(place, 0) for place, units in self.left.items() if units == 0}
