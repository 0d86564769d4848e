"""The board: what is on offer, as gateways show it. Read again several times a second.

The board never decides a claim. It turns the id of a wave into numbers, answers status pages, and says
whether this process could serve. What is not on it is looked for again before a caller is refused.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence, Set
from typing import TypeVar

import structlog
from msgspec import Struct

from engine.claiming.clock import StoreClock
from engine.domain.campaign import Catalogue, CatalogueWave
from engine.domain.decisions import WaveState, WaveStatus
from engine.errors import HotStoreError, HotStoreUnavailable
from engine.hotstore.store import HotStore
from engine.hotstore.view import ShardView, loaded_campaigns, read_shard
from engine.service import Loop
from engine.settings import Settings

log = structlog.get_logger(__name__)

Kept = TypeVar("Kept")

LOOKS_PER_SECOND_MAX = 20
"""Looks for a wave that is not on the board, in one process: made-up ids must not become a load on the stores."""
KEPT_MAX = 1_000
"""Waves of the ledger that are kept at hand, and ids known to be unknown; oldest out. A wave takes a few kilobytes."""
UNKNOWN_FOR_S = 1.0
"""How long an id that was looked for in vain is answered without another look."""
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


class Board:
    """All waves that this process can serve. A service."""

    def __init__(
        self,
        store: HotStore,
        clock: StoreClock,
        find_archived: Callable[[str], Awaitable[LiveWave | None]],
        settings: Settings,
    ) -> None:
        self._store = store
        self._clock = clock
        self._find_archived = find_archived
        self._settings = settings
        self._loop = Loop("board", self.refresh, settings.board_refresh_ms / 1000)
        self._refreshing = asyncio.Lock()
        self._shards: dict[str, ShardView] = {}
        self._waves: dict[str, LiveWave] = {}
        self._archived: dict[str, LiveWave] = {}
        self._unknown_until_s: dict[str, float] = {}
        self._all_readable = False
        self._read_s = float("-inf")
        self._looks_left = float(LOOKS_PER_SECOND_MAX)
        self._looked_s = time.monotonic()
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

    @property
    def ready(self) -> bool:
        """Whether a claim would be decided: the picture is fresh and every shard is bound."""
        fresh = self.age_ms() < STALE_AFTER_REFRESHES * self._settings.board_refresh_ms
        return fresh and self._all_readable and all(shard.bound for shard in self._shards.values())

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
        found = self._waves.get(wave) or self._archived.get(wave)
        now_s = time.monotonic()
        if found or self._unknown_until_s.get(wave, 0.0) > now_s:
            return found
        if not self._may_look():
            raise HotStoreUnavailable("too many looks for waves that are not on the board")
        await self.refresh()
        if wave in self._waves:
            return self._waves[wave]
        archived = await self._find_archived(wave)
        if archived is None:
            _keep(self._unknown_until_s, wave, now_s + UNKNOWN_FOR_S)
        elif not self.expects(archived.catalogue):  # else it is only for the moment that the hot store lacks it
            _keep(self._archived, wave, archived)
        return archived

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
            self._all_readable = len(readable) == len(self._shards)
            self._waves = {live.wave.id: live for shard in self._shards.values() for live in live_waves(shard)}
            for wave in self._waves:
                self._archived.pop(wave, None)
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

    def _may_look(self) -> bool:
        now_s = time.monotonic()
        self._looks_left = min(LOOKS_PER_SECOND_MAX, self._looks_left + (now_s - self._looked_s) * LOOKS_PER_SECOND_MAX)
        self._looked_s = now_s
        if self._looks_left < 1:
            return False
        self._looks_left -= 1
        return True


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


def _keep(kept: dict[str, Kept], key: str, value: Kept) -> None:
    while len(kept) >= KEPT_MAX:
        del kept[next(iter(kept))]
    kept[key] = value
