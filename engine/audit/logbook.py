"""The log of a shard against the ledger: what both have is the same, what the ledger lacks follows it without a gap."""

from collections.abc import Callable, Set

from engine.audit.names import Names, place
from engine.audit.prints import Prints
from engine.audit.replay import Replay
from engine.domain.decisions import LogEntry
from engine.domain.outcome import Claim
from engine.domain.verdict import Faults
from engine.hotstore.log import read_log
from engine.hotstore.store import HotStore

ENTRIES_PER_READ = 64
"""Each holds at most 512 claims: some 2 MB an answer."""
CLOCK_STEP_MAX_MS = 60_000
"""An opened wave stays open through a clock that steps back by up to this; such claims count from the opening."""


class Logbook:
    """Reads a log once, from its oldest entry on. Decisions beyond the ledger go on into the replay."""

    def __init__(
        self,
        books: Prints,
        acts: Set[tuple[int, int]],
        settled: tuple[int, int],
        replay: Replay,
        names: Names,
        faults: Faults,
        judged: Callable[[int], bool],
    ) -> None:
        """`books` and `acts`: what the ledger has, up to `settled` (epoch, last)."""
        self._books = books
        self._acts = acts
        self._settled = settled
        self._replay = replay
        self._names = names
        self._faults = faults
        self._judged = judged
        self.tail = Prints()
        self.first: tuple[int, int] | None = None
        self.newest = (0, 0)
        self.decisions = 0
        self.unsettled = 0

    async def read(self, store: HotStore, campaign: str) -> None:
        """Every entry that is there."""
        while entries := await read_log(store, campaign, self.newest, ENTRIES_PER_READ):
            for entry in entries:
                await self._check_chain(store, campaign, entry)
                self._read_entry(entry)
                self.newest = (entry.epoch, entry.last)

    def check_end(self, last: tuple[int, int]) -> None:
        """`last`: (epoch, last) that the shard had given before the log was read."""
        reached = max(self.newest, self._settled)
        if reached < last:
            self._faults.add(
                "P7",
                "decisions of the shard that neither log nor ledger has",
                f"{place(*reached)} is the last one",
                last[1] - (reached[1] if reached[0] == last[0] else 0),
            )

    async def _check_chain(self, store: HotStore, campaign: str, entry: LogEntry) -> None:
        if self.first is None:
            self.first = (entry.epoch, entry.first)
            before = self._settled
            if (entry.epoch, entry.first) <= before:
                return
        else:
            before = self.newest
        expected = before[1] + 1 if entry.epoch == before[0] else 1
        if entry.first == expected:
            return
        if before < self._settled and await self._was_trimmed(store, campaign, entry):
            return
        what = "numbers missing" if entry.first > expected else "numbers given twice"
        self._faults.add(
            "P7",
            f"{what} in the log",
            f"{place(entry.epoch, entry.first)} after {place(*before)}",
            abs(entry.first - expected),
        )

    async def _was_trimmed(self, store: HotStore, campaign: str, entry: LogEntry) -> bool:
        """Whether the writer has trimmed the log up to this entry while we read behind it."""
        oldest = await read_log(store, campaign, (0, 0), 1)
        return bool(oldest) and (oldest[0].epoch, oldest[0].first) >= (entry.epoch, entry.first)

    def _read_entry(self, entry: LogEntry) -> None:
        self.decisions += entry.last - entry.first + 1
        for claim in entry.claims:
            self._read_claim(claim, claim.claimed_at_ms - entry.at_ms)
        if entry.act is None:
            return
        at = (entry.epoch, entry.last)
        if at > self._settled:
            self.unsettled += 1
            self._replay.act(entry)
        elif at not in self._acts:
            self._faults.add("P3", "acts in the log that the ledger lacks", place(*at))

    def _read_claim(self, claim: Claim, late_ms: int) -> None:
        at = (claim.epoch, claim.sequence)
        if not 0 <= late_ms <= CLOCK_STEP_MAX_MS and self._judged(claim.wave_no):
            example = f"{self._names.claim(claim)}, {late_ms:,} ms behind its log entry"
            self._faults.add("P6", "claims that no step of the clock explains", example)
        if at > self._settled:
            self.unsettled += 1
            self.tail.add(claim)
            self._replay.claim(claim)
        elif not self._judged(claim.wave_no):
            return
        elif not self._books.holds(*at):
            self._faults.add("P3", "claims in the log that the ledger lacks", self._names.claim(claim))
        elif not self._books.matches(claim):
            self._faults.add("P3", "claims that differ between log and ledger", self._names.claim(claim))
