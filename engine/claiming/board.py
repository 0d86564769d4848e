"""The board: what is on offer, as gateways show it. Read again several times a second.

The board never decides a claim. It turns the id of a wave into numbers, answers status pages, and says
whether this process could serve. What is not on it is looked for again before a caller is refused.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence, Set
from typing import Protocol

import structlog
from msgspec import Struct

from engine.claiming.clock import StoreClock
from engine.claiming.elsewhere import Allowance, Elsewhere, Seen
from engine.domain.campaign import Catalogue, CatalogueWave
from engine.domain.decisions import WaveState, WaveStatus
from engine.errors import HotStoreError
from engine.hotstore.store import HotStore
from engine.hotstore.view import ShardView, loaded_campaigns, read_shard
from engine.service import Loop
from engine.settings import Settings

log = structlog.get_logger(__name__)

WAVES_KEPT_MAX = 1_000
"""Waves of the ledger that are kept at hand; oldest out. A wave takes a few kilobytes."""
CAMPAIGNS_KEPT_MAX = 64
"""Campaigns of the ledger that are kept at hand. One with lists of accounts takes megabytes."""
STALE_AFTER_REFRESHES = 8
"""A board that missed this many refreshes is not ready: its picture is seconds old."""


class LiveWave(Struct, frozen=True):
    """A wave as the board knows it. `left` and `sold_out_ms` are keyed by offer number.

    `loaded` is False for a wave whose campaign is not in the hot store: the ledger answers for it.
    """

    catalogue: Catalogue
    wave: CatalogueWave
    state: WaveState
    left: dict[int, int]
    sold_out_ms: dict[int, int]
    read_ms: int
    loaded: bool = True
    stopped: str = ""
    """The reason why nobody may claim in the whole campaign; empty where it goes on."""

    def status(self, now_ms: int) -> WaveStatus:
        """What the wave is doing at that instant of the store's clock."""
        return self.state.status(now_ms, is_stopped=bool(self.stopped), is_anything_left=any(self.left.values()))


class LiveCampaign(Struct, frozen=True):
    """A campaign as the board knows it, with those of its waves that were put; or as the ledger has it, with all."""

    catalogue: Catalogue
    waves: tuple[LiveWave, ...]


class ArchivePart(Protocol):
    """What the ledger knows of campaigns that are not in the hot store (`claiming.archive.Archive`)."""

    async def find_wave(self, wave: str, /) -> LiveWave | None:
        """That wave, or None where there is none. Raises LedgerError."""

    async def find_campaign(self, campaign: str, /) -> LiveCampaign | None:
        """That campaign, or None where there is none. Raises LedgerError."""


class Board:
    """All waves that this process can serve. A service."""

    def __init__(
        self,
        store: HotStore,
        clock: StoreClock,
        archive: ArchivePart,
        settings: Settings,
    ) -> None:
        self._store = store
        self._clock = clock
        self._archive = archive
        self._settings = settings
        self._loop = Loop("board", self.refresh, settings.board_refresh_ms / 1000)
        self._refreshing = asyncio.Lock()
        self._shards: dict[str, ShardView] = {}
        self._waves: dict[str, LiveWave] = {}
        allowance = Allowance()
        self._other_waves = Elsewhere(self._look_for_wave, allowance, WAVES_KEPT_MAX)
        self._other_campaigns = Elsewhere(self._look_for_campaign, allowance, CAMPAIGNS_KEPT_MAX)
        self._all_readable = False
        self._read_s = float("-inf")
        self.watchers: list[Callable[[Sequence[ShardView]], Awaitable[None]]] = []
        """Told of every refresh: the desks learn campaigns and epochs from it."""

    async def start(self) -> None:
        """Read once, then keep reading."""
        try:
            await self.refresh()
        except HotStoreError as error:  # the loop goes on trying; until then this process is not ready
            log.warning("board is empty for now", error=str(error))
        await self._loop.start()

    async def stop(self) -> None:
        """End reading."""
        await self._loop.stop()
        await self._other_waves.stop()
        await self._other_campaigns.stop()

    @property
    def ready(self) -> bool:
        """Whether a claim would be decided: the picture is fresh and every shard is bound."""
        fresh = self.age_ms() < STALE_AFTER_REFRESHES * self._settings.board_refresh_ms
        return fresh and self._all_readable and all(shard.bound for shard in self._shards.values())

    @property
    def sees_all(self) -> bool:
        """Whether every campaign that is in the hot store, or was and should be, could be read."""
        return self._all_readable

    def age_ms(self) -> int:
        """How old the picture is; a large number before the first one."""
        return min(int((time.monotonic() - self._read_s) * 1000), 10**9) if self._read_s > 0 else 10**9

    def store_time_ms(self) -> int:
        """The hot store's clock, as this process estimates it."""
        return self._clock.now_ms()

    def campaigns(self) -> list[Catalogue]:
        """Every campaign in the hot store, by id."""
        return [shard.catalogue for shard in self._shards.values()]

    def campaign(self, campaign: str) -> Catalogue | None:
        """That campaign, where it is in the hot store."""
        shard = self._shards.get(campaign)
        return shard.catalogue if shard else None

    def expects(self, catalogue: Catalogue) -> bool:
        """Whether that campaign should be in the hot store now; where it is not, it is being loaded."""
        return catalogue.belongs_in_hot_store(self.store_time_ms(), self._settings.unload_after_ms)

    @property
    def unload_after_ms(self) -> int:
        """How long a campaign stays in the hot store after its last close."""
        return self._settings.unload_after_ms

    def epoch(self, campaign: str) -> int | None:
        """The epoch in which that campaign was last seen."""
        shard = self._shards.get(campaign)
        return shard.epoch if shard else None

    def waves(self) -> list[LiveWave]:
        """Every wave of every campaign in the hot store."""
        return list(self._waves.values())

    def wave(self, wave: str) -> LiveWave | None:
        """That wave, where it is on the board."""
        return self._waves.get(wave)

    async def find_wave(self, wave: str) -> LiveWave | None:
        """That wave; looks again in hot store and ledger before it says None. Such looks are bounded.

        Raises HotStoreError or LedgerError where it cannot be known now whether there is such a wave.
        """
        return self._waves.get(wave) or await self._other_waves.find(wave)

    async def find_campaign(self, campaign: str) -> LiveCampaign | None:
        """That campaign, found as `find_wave` finds a wave. Raises like it."""
        return self._live_campaign(campaign) or await self._other_campaigns.find(campaign)

    def _live_campaign(self, campaign: str) -> LiveCampaign | None:
        shard = self._shards.get(campaign)
        if shard is None:
            return None
        waves = tuple(live for live in self._waves.values() if live.catalogue.id == campaign)
        return LiveCampaign(shard.catalogue, waves)

    async def _look_for_wave(self, wave: str) -> Seen[LiveWave]:
        await self.refresh()
        if wave in self._waves:
            return Seen(self._waves[wave], lasts=False)
        found = await self._archive.find_wave(wave)
        # Where the hot store should have it, it is only for the moment that it lacks it.
        return Seen(found, lasts=found is not None and not self.expects(found.catalogue))

    async def _look_for_campaign(self, campaign: str) -> Seen[LiveCampaign]:
        await self.refresh()
        live = self._live_campaign(campaign)
        if live is not None:
            return Seen(live, lasts=False)
        found = await self._archive.find_campaign(campaign)
        return Seen(found, lasts=found is not None and not self.expects(found.catalogue))

    async def refresh(self) -> None:
        """Read everything again. Callers at the same time share one reading."""
        if self._refreshing.locked():
            async with self._refreshing:
                return
        async with self._refreshing:
            shards = {
                campaign: await read_shard(self._store, campaign) for campaign in await loaded_campaigns(self._store)
            }
            readable = {campaign: shard for campaign, shard in shards.items() if shard is not None}
            self._shards = self._still_known(shards.keys()) | readable
            self._all_readable = readable.keys() == self._shards.keys() | shards.keys()
            self._waves = {live.wave.id: live for shard in self._shards.values() for live in live_waves(shard)}
            self._other_waves.forget(self._waves)
            self._other_campaigns.forget(self._shards)
            self._read_s = time.monotonic()
            if readable:
                self._clock.heard(max(shard.now_ms for shard in readable.values()))
            else:
                self._clock.heard(await self._store.time_ms())
            for watcher in self.watchers:
                await watcher(list(readable.values()))

    def _still_known(self, listed: Set[str]) -> dict[str, ShardView]:
        """What was known of shards that are listed, or should be: one that cannot be read is being recovered."""
        return {
            campaign: shard
            for campaign, shard in self._shards.items()
            if campaign in listed or self.expects(shard.catalogue)
        }


def live_waves(shard: ShardView) -> list[LiveWave]:
    """Every wave that was put into that shard."""
    return [
        LiveWave(
            catalogue=shard.catalogue,
            wave=wave,
            state=shard.waves[wave.no],
            left={offer_no: left for (wave_no, offer_no), left in shard.left.items() if wave_no == wave.no},
            sold_out_ms={offer_no: ms for (wave_no, offer_no), ms in shard.sold_out_ms.items() if wave_no == wave.no},
            read_ms=shard.now_ms,
            stopped=shard.rules.stopped,
        )
        for wave in shard.catalogue.waves
        if wave.no in shard.waves
    ]
