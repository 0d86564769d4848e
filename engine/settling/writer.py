"""The writer: carries every campaign's log into the ledger, batch by batch.

One writer works, by a lease; others stand by. The lease only saves work. What keeps it right is the
cursor in the ledger, which each batch moves by compare-and-set: a writer that slept, or two at once,
change nothing twice.

    what went wrong                     what the writer does
    Postgres or Redis away              waits, longer each time up to a bound, then reads the cursors anew
    Redis takes no writes               settles on; what it would write there is owed until it is taken
    the cursor is not where it was      reads it anew and goes on from there
    the log contradicts the ledger      raises the alarm: logs, unbinds the shard, leaves it alone until a
                                        recovery has raised its epoch; the other shards go on
    it is killed                        the log keeps everything; the next writer begins at the cursor
"""

import asyncio
import os
import random
import secrets
import socket
import time
from collections.abc import Mapping

import structlog
from msgspec import Struct

from engine.domain.decisions import LogEntry
from engine.errors import (
    CursorMoved,
    DropwaveError,
    HotStoreError,
    LedgerError,
    LedgerRefused,
    LedgerUnavailable,
    ShardBroken,
)
from engine.hotstore.load import unbind
from engine.hotstore.log import Place, read_log
from engine.hotstore.store import HotStore
from engine.hotstore.view import loaded_campaigns, seen_term
from engine.ledger.cursors import Cursor, all_cursors, read_cursor
from engine.ledger.database import Ledger
from engine.ledger.leases import Lease, free_in_s, release_lease, take_lease
from engine.service import Loop
from engine.settings import Settings
from engine.settling.reading import Found, LogReader
from engine.settling.settler import Settler
from engine.settling.telling import Telling
from engine.telemetry import CURSORS_MOVED, LEADS, SHARD_ALARMS, campaign_label

log = structlog.get_logger(__name__)

ROLE = "writer"

LOOK_AGAIN_MS = 250
"""How often campaigns and cursors are read anew, and the longest wait for an entry: a campaign that was just
loaded, or got a new epoch, waits this long for its writer, long before its first wave opens."""
STAND_BY_MS = 50
"""Pause between two looks whether this writer leads; no store is asked."""
BACK_OFF_MS = 100
BACK_OFF_MAX_MS = 2_000
"""Pause after a failure of a store, doubled each time. At most 2 s: a claim whose `ack` is `settled` waits five."""


class Alarm(Struct):
    """A shard that is left alone while its cursor stays in that epoch; `unbound` once nobody decides in it any more."""

    epoch: int
    reason: str
    unbound: bool = False


class Writer:
    """One candidate for the writer's role. A service."""

    def __init__(self, ledger: Ledger, store: HotStore, settings: Settings, holder: str = "") -> None:
        self._ledger = ledger
        self._store = store
        self._settings = settings
        self._holder = holder or f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._settler = Settler(ledger)
        self._reader = LogReader(store, settings)
        self._telling = Telling(store, settings.log_trim_behind_ms)
        self._gather_ms = 0 if settings.ack == "settled" else settings.settle_gather_ms
        self._lease: Lease | None = None
        self._lease_end_s = 0.0
        self._cursors: dict[str, Cursor] = {}
        self._alarms: dict[str, Alarm] = {}
        self._look_again_s = 0.0
        self._failures = 0
        self._stopping = asyncio.Event()
        self._renew_s = settings.lease_ms / 3000
        # The lease is renewed beside the passes: one commit may take longer than a lease lasts.
        self._leading = Loop("writer lease", self._lead, self._renew_s)
        self._passes = Loop("writer", self._pass, 0.0)

    async def start(self) -> None:
        """Stand for the role and begin."""
        self._stopping.clear()
        await self._leading.start()
        await self._passes.start()

    async def stop(self) -> None:
        """Settle what is in the log by now, for at most `drain_ms`, and let another one lead at once."""
        self._stopping.set()
        await self._passes.stop()
        await self._drain()
        await self._reader.forget()
        await self._leading.stop()
        lease, self._lease = self._lease, None
        LEADS.labels(ROLE).set(0)
        if lease is not None:
            try:
                await release_lease(self._ledger, lease)
            except DropwaveError as error:  # it runs out by itself
                log.info("lease not released", role=ROLE, error=str(error))

    @property
    def leads(self) -> bool:
        """Whether this writer holds the role, as far as it knows."""
        return self._lease is not None and time.monotonic() < self._lease_end_s

    async def _lead(self) -> None:
        before, asked_s = self._lease, time.monotonic()
        self._leading.pause_s = self._renew_s
        try:
            self._lease = await take_lease(self._ledger, ROLE, self._holder, self._settings.lease_ms)
            self._lease_end_s = asked_s + self._settings.lease_ms / 1000
        finally:  # a ledger that is away lets the lease run out
            LEADS.labels(ROLE).set(int(self.leads))
        if self._lease is not None and self._lease != before:
            log.info("leads", role=ROLE, term=self._lease.term)
        if self._lease is None:  # whoever stands by looks again at the moment at which the other's lease runs out
            self._leading.pause_s = min(self._renew_s, await free_in_s(self._ledger, ROLE))

    async def _pass(self) -> None:
        """One look at the logs. A store that fails ends the pass; one shard that fails does not."""
        if not self.leads:
            self._look_again_s = 0.0  # another writer may move the cursors meanwhile
            await self._rest(STAND_BY_MS)
            return
        try:
            await self._look_again()
            found, began_s = await self._read(LOOK_AGAIN_MS), time.monotonic()
            await self._settle_all(found)
            await self._telling.trim(self._cursors)
            self._failures = 0
            if found.entries and not found.more:
                await self._rest(self._gather_ms - round((time.monotonic() - began_s) * 1000))
        except (LedgerError, HotStoreError) as error:
            await self._back_off(error)
        except Exception:  # a mistake of ours: the loop tells of it, but not a thousand times a second
            await self._rest(BACK_OFF_MAX_MS)
            raise

    async def _drain(self) -> None:
        """A planned stop leaves nothing behind. What keeps coming is for the next writer."""
        end_s = time.monotonic() + self._settings.drain_ms / 1000
        self._look_again_s = 0.0
        try:
            while self.leads and time.monotonic() < end_s:
                await self._look_again()
                found = await self._read(wait_ms=1)
                if not found.entries:
                    break
                await self._settle_all(found)
            await self._telling.tell(self._cursors)
        except (LedgerError, HotStoreError) as error:
            log.info("the rest of the log is left to the next writer", error=str(error))

    async def _look_again(self) -> None:
        """Which campaigns are loaded, and where their cursors are; what is still owed to the hot store."""
        if time.monotonic() < self._look_again_s:
            return
        loaded = await loaded_campaigns(self._store)
        cursors = {cursor.campaign: cursor for cursor in await all_cursors(self._ledger)}
        self._cursors = {campaign: cursors[campaign] for campaign in loaded if campaign in cursors}
        for campaign in list(self._alarms):
            if campaign not in self._cursors or self._cursors[campaign].epoch != self._alarms[campaign].epoch:
                del self._alarms[campaign]
        self._telling.forget_others(self._cursors)
        await self._unbind_broken()
        await self._telling.tell(self._cursors)
        self._look_again_s = time.monotonic() + LOOK_AGAIN_MS / 1000

    async def _read(self, wait_ms: int) -> Found:
        """Entries behind the cursors, of every shard that is in order; waits where there are none."""
        after = {
            cursor.campaign: cursor.place for cursor in self._cursors.values() if cursor.campaign not in self._alarms
        }
        if not after:
            await self._rest(wait_ms)
            return Found()
        try:
            return await self._reader.read(after, wait_ms)
        except ShardBroken:
            return Found(after, await self._read_singly(after))

    async def _read_singly(self, after: Mapping[str, Place]) -> Mapping[str, list[LogEntry]]:
        """Some entry of some shard cannot be read. One entry of each: what stands before it is settled still."""
        found = {}
        for campaign, place in after.items():
            try:
                entries = await read_log(self._store, campaign, place, 1)
            except ShardBroken as error:
                await self._alarm(self._cursors[campaign], error)
            else:
                if entries:
                    found[campaign] = entries
        return found

    async def _settle_all(self, found: Found) -> None:
        self._reader.read_ahead(found)  # beside Postgres, which takes longer
        for campaign, entries in found.entries.items():
            await self._settle(self._cursors[campaign], entries)
        await self._telling.tell_soon(self._cursors)

    async def _settle(self, cursor: Cursor, entries: list[LogEntry]) -> None:
        campaign = cursor.campaign
        try:
            after = await self._settler.settle(cursor, entries)
        except (CursorMoved, ShardBroken, LedgerRefused) as error:
            if isinstance(error, CursorMoved):
                CURSORS_MOVED.labels(campaign_label(campaign)).inc()
            # The cursor that was used may be old: another writer, or a recovery, was here. Only what contradicts
            # the ledger as it stands now is an alarm.
            now = await read_cursor(self._ledger, cursor.campaign_no)
            self._cursors[campaign] = now
            if now.place == cursor.place and not isinstance(error, CursorMoved):
                await self._alarm(now, error)
            return
        self._cursors[campaign] = after

    async def _alarm(self, cursor: Cursor, error: DropwaveError) -> None:
        log.error("shard stopped: a person has to look", campaign=cursor.campaign, error=str(error))
        SHARD_ALARMS.labels(campaign_label(cursor.campaign)).inc()
        self._alarms[cursor.campaign] = Alarm(cursor.epoch, str(error))
        await self._unbind_broken()

    async def _unbind_broken(self) -> None:
        """Unbind the shards under alarm; where that fails now, at the next look."""
        for campaign, alarm in self._alarms.items():
            if not alarm.unbound:
                try:
                    await stop_shard(self._store, campaign)
                except DropwaveError as error:
                    log.warning("shard not unbound yet", campaign=campaign, error=f"{type(error).__name__}: {error}")
                else:
                    alarm.unbound = True
                    log.error("shard unbound", campaign=campaign, reason=alarm.reason)

    async def _back_off(self, error: DropwaveError) -> None:
        """A store is away. What was under way may be done or not: the cursors tell."""
        self._failures += 1
        self._look_again_s = 0.0
        bound_ms = min(BACK_OFF_MAX_MS, BACK_OFF_MS * 2 ** min(self._failures - 1, 10))
        pause_ms = round(bound_ms * random.uniform(0.5, 1))  # noqa: S311 - keeps writers apart, keeps no secret
        level = log.warning if self._failures == 1 or isinstance(error, LedgerUnavailable) else log.info
        await self._reader.forget()
        level("writer waits", pause_ms=pause_ms, failures=self._failures, error=f"{type(error).__name__}: {error}")
        await self._rest(pause_ms)

    async def _rest(self, pause_ms: int) -> None:
        """Wait that long, or until the writer is to stop."""
        if pause_ms <= 0:
            return
        try:
            await asyncio.wait_for(self._stopping.wait(), pause_ms / 1000)
        except TimeoutError:
            return


async def stop_shard(store: HotStore, campaign: str) -> None:
    """Unbind a shard without being its steward, in the name of the last one that was there.

    The ledger's lease would not do: a ledger that has gone back in time is one of the reasons to stop, and its
    terms went back with it. Raises LeaseLost where a steward comes in between.
    """
    await unbind(store, campaign, await seen_term(store, campaign))
