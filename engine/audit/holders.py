"""What the hot store says is held, against the ledger and the log.

Claims are decided while this reads. Every claim that the books or the log told of was decided before the
reading began and has to turn up; one that is newer than the log as it was read says nothing either way.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set

from engine.audit.names import Names
from engine.audit.prints import Prints
from engine.domain.campaign import CLAIMS_PER_CLAIMANT_MAX, Limit
from engine.domain.decisions import WaveState
from engine.domain.outcome import Claim
from engine.domain.verdict import EXAMPLES_MAX, Faults

Place = tuple[int, int]
"""(wave_no, offer_no)."""


class HeldClaims:
    """Takes the holder records of a shard, in any order and some of them twice."""

    def __init__(
        self,
        books: Prints,
        tail: Prints,
        newest: tuple[int, int],
        names: Names,
        faults: Faults,
        judged: Callable[[int], bool],
        voided: Set[tuple[int, int]] = frozenset(),
    ) -> None:
        """`books`: claims of the ledger; `tail`: of the log beyond it; `newest`: (epoch, last) where the log ended.

        `voided`: claims of the ledger that were taken back. They need not turn up, and may until the hot store is told.
        """
        self._books = books
        self._tail = tail
        self._newest = newest
        self._names = names
        self._faults = faults
        self._judged = judged
        self._voided = voided
        self.unforgotten: set[tuple[int, int]] = set()
        self._strays: set[tuple[int, int]] = set()
        self.counts: Counter[Place] = Counter()
        self.newer: set[tuple[int, int]] = set()

    async def read(
        self,
        records: AsyncIterator[tuple[str, list[Claim]]],
        limits: Sequence[Limit],
        waves: Mapping[int, WaveState],
    ) -> None:
        """Look at every record, then at what no record told of."""
        async for _, claims in records:
            for claim in claims:
                self._see(claim)
            if len(claims) > 1 or any(limit.max < 1 for limit in limits):
                self._check_limits(claims, limits, waves)
        for at in self._voided - self.unforgotten:
            self._books.see(*at)
        for prints, where in ((self._books, "in the ledger"), (self._tail, "in the log")):
            count, first = prints.unseen(EXAMPLES_MAX)
            self._faults.add_many("P3", f"claims {where} that the hot store does not hold", count, first)

    def _see(self, claim: Claim) -> None:
        at = (claim.epoch, claim.sequence)
        prints = self._books if self._books.holds(*at) else self._tail
        if not prints.holds(*at):
            self._see_unknown(claim, at)
        else:
            if prints.see(*at):
                self.counts[claim.wave_no, claim.offer_no] += 1
            if at in self._voided:
                self.unforgotten.add(at)
            # A number that was seen may come again: the scan repeats itself, or somebody else holds it too.
            if not prints.matches(claim) and self._judged(claim.wave_no):
                where = "ledger" if prints is self._books else "log"
                self._faults.add("P3", f"claims that differ between hot store and {where}", self._names.claim(claim))

    def _see_unknown(self, claim: Claim, at: tuple[int, int]) -> None:
        known = self.newer if at > self._newest else self._strays
        if at in known:
            return
        known.add(at)
        self.counts[claim.wave_no, claim.offer_no] += 1
        if known is self._strays and self._judged(claim.wave_no):
            self._faults.add("P3", "claims held that neither ledger nor log has", self._names.claim(claim))

    def _check_limits(self, claims: list[Claim], limits: Sequence[Limit], waves: Mapping[int, WaveState]) -> None:
        example = f"claimant of {self._names.claim(claims[0])}"
        if len(claims) > CLAIMS_PER_CLAIMANT_MAX:
            self._faults.add("P2", f"claimants with more than {CLAIMS_PER_CLAIMANT_MAX} claims held", example)
        for limit in limits:
            held = Counter(label(claim.wave_no, limit, waves) for claim in claims)
            if max(held.values()) > limit.max:
                what = f"claimants held above the limit of {limit.max} per {limit.per}"
                self._faults.add("P2", what, f"{example}: {max(held.values())}")


def label(wave_no: int, limit: Limit, waves: Mapping[int, WaveState]) -> str:
    """What claims have to share to be counted together by that limit."""
    wave = waves.get(wave_no)
    if limit.per == "campaign":
        return ""
    if limit.per == "wave" or wave is None:
        return str(wave_no)
    return wave.round if limit.per == "round" else wave.day
