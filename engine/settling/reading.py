"""Reading the logs: what stands behind the cursors, piece by piece until a batch is full, and the next batch ahead.

While Postgres takes one batch in, the next one is read. It is only good for a cursor that has got exactly as far as it
was expected to: what was read ahead for any other is dropped.
"""

import asyncio
from collections.abc import Mapping

from msgspec import Struct

from engine.domain.decisions import LogEntry
from engine.errors import ShardBroken
from engine.hotstore.log import Place, wait_log
from engine.hotstore.store import HotStore
from engine.settings import Settings


class Found(Struct, frozen=True):
    """Entries by campaign, of those that have any; each list comes right behind the campaign's place in `behind`.

    `more`: it is a full batch, and the log goes on.
    """

    behind: Mapping[str, Place] = {}
    entries: Mapping[str, list[LogEntry]] = {}
    more: bool = False

    @property
    def ends(self) -> dict[str, Place]:
        """How far each log was read."""
        read = {campaign: (entries[-1].epoch, entries[-1].last) for campaign, entries in self.entries.items()}
        return {**self.behind, **read}


class LogReader:
    """Reads for one writer; holds at most the batch that was read ahead."""

    def __init__(self, store: HotStore, settings: Settings) -> None:
        self._store = store
        self._entries_max = settings.log_entries_max
        self._decisions_max = settings.settle_decisions_max
        self._ahead: asyncio.Task[Found] | None = None

    async def read(self, after: Mapping[str, Place], wait_ms: int) -> Found:
        """Entries behind each campaign's place; waits up to `wait_ms` where none has any.

        Raises ShardBroken where the first of them cannot be read, or what the store raises.
        """
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            found = await ahead
            fitting = {name: each for name, each in found.entries.items() if after.get(name) == found.behind[name]}
            if fitting:
                return Found(after, fitting, found.more)  # behind all of them: what follows is read of the others, too
        return await self._read(after, wait_ms)

    def read_ahead(self, found: Found) -> None:
        """Begin to read what comes behind a full batch, which is about to be settled."""
        if found.more:
            self._ahead = asyncio.create_task(self._read(found.ends, 0), name="log ahead")

    async def forget(self) -> None:
        """Drop what was read ahead."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.cancel()
            await asyncio.wait({ahead})
            if not ahead.cancelled():
                ahead.exception()  # what it failed of is met again by whoever reads next

    async def _read(self, after: Mapping[str, Place], wait_ms: int) -> Found:
        found = await self._piece(after, wait_ms)
        while found.more and sum(_decisions(entries) for entries in found.entries.values()) < self._decisions_max:
            try:
                piece = await self._piece(found.ends, 0)
            except ShardBroken:  # settled is what stands before it; the next call begins with it
                return Found(found.behind, found.entries)
            entries = dict(found.entries)
            for campaign, behind in piece.entries.items():
                entries[campaign] = entries.get(campaign, []) + behind
            found = Found(found.behind, entries, piece.more)
        return found

    async def _piece(self, after: Mapping[str, Place], wait_ms: int) -> Found:
        entries = await wait_log(self._store, after, wait_ms, self._entries_max)
        return Found(after, entries, any(len(each) == self._entries_max for each in entries.values()))


def _decisions(entries: list[LogEntry]) -> int:
    return sum(len(entry.claims) or 1 for entry in entries)
