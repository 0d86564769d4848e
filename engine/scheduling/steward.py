"""The steward: keeps the hot store as the ledger wants it.

One steward leads by a lease; others stand by. At each pass it looks at every campaign and does the first
thing that is missing:

    a loaded campaign that the ledger does not know         unbind it, and tell
    a campaign that is not bound (new, lost, restarted)   recover it
    a ledger that has less than it had                     recover too: it is refilled from the shard
    a newer revision in the ledger                        put its waves, then the campaign
    a wave past its closing                               close it
    a closed wave with unsold stock and a wave to give it to  roll it over
    a campaign that ended long ago                        take it out

Opening a wave needs nobody: the script compares the clock. A steward that is away delays what it would
have done, and breaks no promise.
"""

import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Set

import structlog

from engine.domain.campaign import Catalogue
from engine.domain.decisions import WaveState
from engine.domain.numbering import is_overtaken
from engine.errors import ActOutrun, ActRefused, DropwaveError, LeaseLost, ShardBroken
from engine.hotstore.forget import forgotten_claims
from engine.hotstore.load import list_campaign, unbind
from engine.hotstore.store import HotStore
from engine.hotstore.view import ShardView, loaded_campaigns, read_shard, seen_term
from engine.ledger.campaigns import all_catalogues
from engine.ledger.catalogues import read_catalogue
from engine.ledger.cursors import Cursor, all_cursors, read_cursor
from engine.ledger.database import Ledger
from engine.ledger.leases import Lease, free_in_s, outdo, release_lease, take_lease
from engine.ledger.quarantine import voided_claims
from engine.scheduling import acts
from engine.scheduling.performing import Actor
from engine.service import Loop
from engine.settings import Settings
from engine.telemetry import LEADS

log = structlog.get_logger(__name__)

ROLE = "steward"

BROKEN_PAUSE_S = 10.0
"""A shard that contradicts the ledger is looked at again this often: a person mends it, in minutes."""


class Steward:
    """One candidate for the stewardship. A service."""

    def __init__(
        self,
        store: HotStore,
        ledger: Ledger,
        recover: Callable[[Catalogue, int], Awaitable[object]],
        retire: Callable[[Catalogue, int], Awaitable[None]],
        settings: Settings,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._recover = recover
        self._retire = retire
        self._settings = settings
        # Containers share host names and process numbers; two of one name would lead at the same time.
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._lease: Lease | None = None
        self._left_alone_until_s: dict[str, float] = {}
        self._cursors: dict[str, Cursor] = {}
        self._renew_s = settings.lease_ms / 3000
        # The lease is renewed beside the passes: loading a million claims takes longer than a lease lasts.
        self._leading = Loop("steward lease", self._lead, self._renew_s)
        self._passes = Loop("steward", self.look_once, settings.steward_pass_ms / 1000)

    async def start(self) -> None:
        """Stand for the stewardship and begin to look."""
        await self._leading.start()
        await self._passes.start()

    async def stop(self) -> None:
        """End, and let another one lead at once."""
        await self._passes.stop()
        await self._leading.stop()
        lease, self._lease = self._lease, None
        LEADS.labels(ROLE).set(0)
        if lease is not None:
            try:
                await release_lease(self._ledger, lease)
            except DropwaveError as error:  # it runs out by itself
                log.info("lease not released", error=str(error))

    async def look_once(self) -> None:
        """One pass over all campaigns. One that fails does not keep the others from being looked at."""
        lease = self._lease
        if lease is None:
            return
        self._cursors = {cursor.campaign: cursor for cursor in await all_cursors(self._ledger)}
        catalogues = {catalogue.id: catalogue for catalogue in await all_catalogues(self._ledger)}
        loaded = set(await loaded_campaigns(self._store))
        now_ms = await self._store.time_ms()
        await self._stop_unknown(loaded - catalogues.keys(), lease)
        for catalogue in catalogues.values():
            if self._is_left_alone(catalogue.id):
                continue
            try:
                if catalogue.belongs_in_hot_store(now_ms, self._settings.unload_after_ms):
                    await self._keep(catalogue, lease, listed=catalogue.id in loaded)
                elif catalogue.id in loaded:
                    await self._retire(catalogue, lease.term)
                    log.info("campaign left the hot store", campaign=catalogue.id)
            except LeaseLost as error:
                await self._lose(lease, catalogue.id, str(error))
                return
            except ShardBroken as error:
                log.error("shard needs a person", campaign=catalogue.id, error=str(error))
                self._left_alone_until_s[catalogue.id] = time.monotonic() + BROKEN_PAUSE_S
            except ActOutrun as error:  # an operator was faster: the next pass sees what came of it
                log.info("steward looks again", campaign=catalogue.id, error=str(error))
            except DropwaveError as error:
                log.warning("steward could not finish", campaign=catalogue.id, error=f"{type(error).__name__}: {error}")

    async def _lead(self) -> None:
        before = self._lease
        self._leading.pause_s = self._renew_s
        held_term = 0 if before is None else before.term
        self._lease = await take_lease(self._ledger, ROLE, self._holder, self._settings.lease_ms, held_term)
        LEADS.labels(ROLE).set(int(self._lease is not None))
        if self._lease is not None and (before is None or before.term != self._lease.term):
            log.info("leads", role=ROLE, term=self._lease.term)
        if self._lease is None:  # whoever stands by looks again at the moment at which the other's lease runs out
            self._leading.pause_s = min(self._renew_s, await free_in_s(self._ledger, ROLE))

    async def _lose(self, lease: Lease, campaign: str, why: str) -> None:
        """The store has seen a later steward. Where the ledger does not know of one, it has gone back in time, and its
        terms with it: then this one goes on under a term above what the store has seen.
        """
        log.warning("another steward leads", term=lease.term, why=why)
        self._lease = None
        LEADS.labels(ROLE).set(0)
        seen = await seen_term(self._store, campaign)
        if seen > lease.term and (above := await outdo(self._ledger, lease, seen)) is not None:
            log.warning("the ledger's leases had gone back in time", term=above.term, seen=seen)
            self._lease = above
            LEADS.labels(ROLE).set(1)

    def _is_left_alone(self, campaign: str) -> bool:
        return self._left_alone_until_s.get(campaign, 0.0) > time.monotonic()

    async def _stop_unknown(self, campaigns: Set[str], lease: Lease) -> None:
        """Nothing that a shard gives can be settled while the ledger does not know its campaign: nobody decides in it.

        So it is after a restore to a moment before the campaign was applied. Applied again it is refilled and goes on.
        """
        for campaign in campaigns:
            if self._is_left_alone(campaign):
                continue
            self._left_alone_until_s[campaign] = time.monotonic() + BROKEN_PAUSE_S
            if await read_catalogue(self._ledger, campaign) is not None:  # applied, and loaded by another one, just now
                continue
            log.error("the ledger does not know a loaded campaign: apply its file again", campaign=campaign)
            try:
                await unbind(self._store, campaign, lease.term)
            except DropwaveError as error:
                log.warning("not unbound yet", campaign=campaign, error=f"{type(error).__name__}: {error}")

    async def _ledger_went_back(self, catalogue: Catalogue, shard: ShardView) -> bool:
        """Whether the ledger has less than it once told the shard to have: decisions, or a void."""
        told = (shard.epoch, shard.settled)
        if told > self._cursors[catalogue.id].place:
            return told > (await read_cursor(self._ledger, catalogue.campaign_no)).place  # as it is by now
        forgotten = await forgotten_claims(self._store, catalogue.id)
        return (
            bool(forgotten)
            and not forgotten.keys() <= (await voided_claims(self._ledger, catalogue.campaign_no)).keys()
        )

    async def _keep(self, catalogue: Catalogue, lease: Lease, *, listed: bool) -> None:
        shard = await read_shard(self._store, catalogue.id)
        if (
            shard is None
            or not shard.bound
            or is_overtaken(shard.catalogue, catalogue)
            or await self._ledger_went_back(catalogue, shard)
        ):
            recovered = await self._recover(catalogue, lease.term)
            log.info("shard bound", campaign=catalogue.id, recovered=str(recovered))
            shard = await read_shard(self._store, catalogue.id)
        if shard is None:
            return
        if not listed:  # struck off by a steward that slept in the middle of a retirement, say
            await list_campaign(self._store, catalogue.id)
        if shard.catalogue.revision < catalogue.revision:
            await self._put(catalogue, shard, lease)
        if not await self._close_what_is_over(shard, lease):  # what was just closed is seen closed by the next pass
            await self._roll_over(catalogue, shard, lease)

    def _settled_act(self, catalogue: Catalogue) -> int:
        """Number of the last settled act, when this pass began."""
        cursor = self._cursors.get(catalogue.id)
        return 0 if cursor is None else cursor.act

    async def _put(self, catalogue: Catalogue, shard: ShardView, lease: Lease) -> None:
        """Waves first: a revision that is there is there whole.

        The catalogue was read after the cursor, so it knows every act up to the cursor's. An act behind that (a
        restock that is not settled yet) would be undone: then the next pass does it.
        """
        actor = Actor(ROLE, f"revision {catalogue.revision}", lease.term)
        last_act = shard.act
        if self._settled_act(catalogue) != last_act:
            return
        for wave in catalogue.waves:
            state = WaveState.of(catalogue, wave)
            last_act += await acts.put_wave(
                self._store,
                catalogue.id,
                wave.no,
                state,
                actor,
                now_ms=shard.now_ms,
                after_act=last_act,
                applied_ms=catalogue.applied_ms,
            )
        await acts.put_campaign(self._store, catalogue, actor, after_act=last_act)
        log.info("campaign put", campaign=catalogue.id, revision=catalogue.revision, waves=len(catalogue.waves))

    async def _roll_over(self, catalogue: Catalogue, shard: ShardView, lease: Lease) -> None:
        """What a closed wave has left goes to the wave that its campaign names, once the close is in the ledger.

        Where that wave is over, the units stay and lapse. Each act is the next one behind what was seen here: an
        operator who cancels the other wave at this moment is seen first.
        """
        numbers = {wave.id: wave.no for wave in catalogue.waves}
        last_act = shard.act
        settled = self._settled_act(catalogue) == last_act
        for wave in catalogue.waves:
            source, target_no = shard.waves.get(wave.no), numbers.get(wave.rollover or "", 0)
            target = shard.waves.get(target_no)
            if source is None or target is None or source.state != "closed":
                continue
            if (
                source.rolled_out == {}
                or str(wave.no) in target.rolled_in
                or (source.rolled_out is None and not settled)
            ):
                continue
            place, actor = (self._store, catalogue.id), Actor(ROLE, f"unsold in {wave.id}", lease.term)
            try:
                if target.state in acts.OVER:
                    lapses = Actor(ROLE, f"unsold in {wave.id}: {target.id} is {target.state}", lease.term)
                    last_act += await acts.lapse(*place, wave.no, lapses, after_act=last_act)
                elif source.rolled_out is None:
                    left = {no: shard.left[wave.no, int(no)] for no in source.offers}
                    last_act += await acts.roll_out(*place, wave.no, left, actor, after_act=last_act)
                else:
                    units = source.rolled_out
                    last_act += await acts.roll_in(*place, target_no, wave.no, units, actor, after_act=last_act)
                    log.info("rolled over", wave=wave.id, to=target.id, units=sum(units.values()))
            except (ActOutrun, LeaseLost):
                raise
            except ActRefused as error:  # the other waves go on
                log.warning("not rolled over", wave=wave.id, to=target.id, error=str(error))

    async def _close_what_is_over(self, shard: ShardView, lease: Lease) -> bool:
        """Close what is past its closing; whether any wave was."""
        actor = Actor(ROLE, "closing time", lease.term)
        closed = False
        for wave_no, wave in shard.waves.items():
            if wave.state in ("live", "paused") and shard.now_ms >= wave.closes_ms:
                try:
                    closed |= await acts.close(
                        self._store, shard.campaign, wave_no, actor, now_ms=shard.now_ms, on_schedule=True
                    )
                except LeaseLost:
                    raise
                except ActRefused as error:  # the store's clock stepped back, or an operator was faster
                    log.info("wave not closed", wave=wave.id, error=str(error))
        return closed
