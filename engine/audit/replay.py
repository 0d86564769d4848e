"""Every decision of a shard again, in the order of the numbers, held against the state that the acts had put by then.

P1  a unit given twice, or above the stock of that moment
P4  a unit below the highest that nobody was given
P6  a claim outside the window of its wave, or while an act had shut it
P7  a number that is missing, given twice, or out of order
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from engine.audit.names import Names, place
from engine.domain.decisions import LogEntry, WaveState
from engine.domain.outcome import Claim
from engine.domain.verdict import Faults

Place = tuple[int, int]
"""(wave_no, offer_no)."""

UNITS_MAX = 10_000_000
"""Above any stock there is. A unit beyond it is a fault by itself and is not marked, so that it costs no memory."""


class Units:
    """Which units of one offer in one wave were given."""

    def __init__(self) -> None:
        self.claims = 0
        self._given = bytearray()

    def use_up(self, unit: int) -> None:
        """Mark a unit as given to a claim that was taken back; where another one has it, that one keeps it."""
        if 1 <= unit <= UNITS_MAX and self._mark(unit):
            self.claims += 1

    def give(self, unit: int) -> bool:
        """Mark a unit as given; False where it was given before."""
        self.claims += 1
        return self._mark(unit)

    def _mark(self, unit: int) -> bool:
        if len(self._given) < unit:
            self._given.extend(bytes(unit - len(self._given)))
        if self._given[unit - 1]:
            return False
        self._given[unit - 1] = 1
        return True

    @property
    def stranded(self) -> int:
        """Units below the highest that nobody was given."""
        return self._given.count(0)

    @property
    def given(self) -> int:
        """Different units that were given."""
        return self._given.count(1)


class Replay:
    """Takes claims and acts in order of (epoch, sequence).

    `judged` says whether a wave is looked at. `counts_at` has, for each of `marks` (epoch, last), the claims
    of each offer up to there.
    """

    def __init__(
        self, names: Names, faults: Faults, judged: Callable[[int], bool], marks: Sequence[tuple[int, int]] = ()
    ) -> None:
        self._names = names
        self._faults = faults
        self._judged = judged
        self._marks = marks
        self.counts_at: list[Counter[Place]] = [Counter() for _ in marks]
        self._waves: dict[int, WaveState] = {}
        self._stopped = False
        self.units: defaultdict[Place, Units] = defaultdict(Units)
        self.epoch = 0
        self.last = 0
        self.claims = 0
        self.acts = 0
        self.shutting_acts = 0

    def act(self, entry: LogEntry) -> None:
        """The next decision is this act."""
        self._number(entry.epoch, entry.last)
        self.acts += 1
        act = entry.act
        if act is None:
            return
        if act.state is not None:
            self._waves[act.wave_no] = act.state
            self.shutting_acts += act.state.state != "live"
        elif act.kind in ("stop", "start"):
            self._stopped = act.kind == "stop"
            self.shutting_acts += self._stopped

    def claim(self, claim: Claim, *, voided: bool = False) -> None:
        """The next decision is this claim; one that was voided since holds no unit, but has used one up."""
        self._number(claim.epoch, claim.sequence)
        self.claims += 1
        for mark, counts in zip(self._marks, self.counts_at, strict=True):
            if (claim.epoch, claim.sequence) <= mark:
                counts[claim.wave_no, claim.offer_no] += 1
        if self._judged(claim.wave_no):
            self._window(claim)
        if voided:
            self.units[claim.wave_no, claim.offer_no].use_up(claim.unit)
        else:
            self._unit(claim)

    def _number(self, epoch: int, sequence: int) -> None:
        expected = self.last + 1 if epoch == self.epoch else 1
        if (epoch, sequence) <= (self.epoch, self.last):
            self._faults.add("P7", "numbers given twice or out of order", place(epoch, sequence))
            return
        if sequence != expected:
            gap = f"{place(epoch, expected)} to {place(epoch, sequence - 1)}"
            self._faults.add("P7", "numbers missing", gap, sequence - expected)
        self.epoch, self.last = epoch, sequence

    def _window(self, claim: Claim) -> None:
        wave = self._waves.get(claim.wave_no)
        if wave is None:
            self._faults.add("P6", "claims in a wave that had not been put", self._names.claim(claim))
            return
        if claim.claimed_at_ms < wave.opens_ms:
            early_ms = wave.opens_ms - claim.claimed_at_ms
            self._faults.add("P6", "claims before the opening", f"{self._names.claim(claim)}, {early_ms:,} ms early")
        if claim.claimed_at_ms >= wave.closes_ms:
            late_ms = claim.claimed_at_ms - wave.closes_ms
            self._faults.add("P6", "claims after the close", f"{self._names.claim(claim)}, {late_ms:,} ms late")
        if self._stopped:
            self._faults.add("P6", "claims while the campaign was stopped", self._names.claim(claim))
        if wave.state != "live":
            self._faults.add("P6", f"claims while the wave was {wave.state}", self._names.claim(claim))

    def _unit(self, claim: Claim) -> None:
        offer_place = (claim.wave_no, claim.offer_no)
        wave = self._waves.get(claim.wave_no)
        offer = wave.offers.get(str(claim.offer_no)) if wave else None
        total = offer.total if offer else 0
        judged = self._judged(claim.wave_no)
        if not 1 <= claim.unit <= total and judged:
            self._faults.add("P1", "units outside the stock of the moment", self._unit_of(claim, total))
        if not 1 <= claim.unit <= UNITS_MAX:
            self.units[offer_place].claims += 1
        elif not self.units[offer_place].give(claim.unit) and judged:
            self._faults.add("P1", "units given twice", self._unit_of(claim, total))

    def _unit_of(self, claim: Claim, total: int) -> str:
        return f"unit {claim.unit:,} of {total:,}, claim {self._names.claim(claim)}"
