"""Backstage with servers of one's own: both stores are read."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from engine.domain.campaign import Catalogue, CatalogueWave
from engine.errors import HotStoreError, LedgerError
from engine.hotstore.store import HotStore
from engine.hotstore.view import read_shard
from engine.ledger.cursors import read_cursor
from engine.ledger.database import Ledger
from engine.rehearsal.backstage import HeldClaim, Sight
from engine.rehearsal.kept import Kept, read_kept
from engine.rehearsal.picture import Shelf

SETTLE_MAX_S = 60.0
SETTLE_LOOK_S = 0.05


class OwnStores:
    """Ledger and hot store of the wave."""

    clock_off_by_ms = 0.0

    def __init__(self, ledger: Ledger, store: HotStore, catalogue: Catalogue, wave: CatalogueWave) -> None:
        self._ledger = ledger
        self._store = store
        self._catalogue = catalogue
        self._wave = wave
        self._offers = {offer.no: offer.id for offer in catalogue.offers}

    async def time_ms(self) -> int:
        """The hot store's clock."""
        return await self._store.time_ms()

    async def sight(self) -> Sight | None:
        """The wave now; None where a store does not answer."""
        try:
            shard = await read_shard(self._store, self._catalogue.id)
            cursor = await read_cursor(self._ledger, self._catalogue.campaign_no)
        except (HotStoreError, LedgerError):
            return None
        if shard is None:
            return None
        no = self._wave.no
        stock = {int(key): offer.total for key, offer in shard.waves[no].offers.items()} if shard.waves else {}
        shelves = tuple(
            Shelf(self._offers[key], shard.left[no, key], total)
            for key, total in sorted(stock.items())
            if (no, key) in shard.left
        )
        return Sight(shelves, max(0, shard.last - cursor.last) if shard.epoch == cursor.epoch else 0)

    async def settled(self) -> None:
        """Until the ledger has all that was decided. What it then lacks is for the verdict to say."""
        deadline_s = time.monotonic() + SETTLE_MAX_S
        shard = await read_shard(self._store, self._catalogue.id)
        while shard is not None and time.monotonic() < deadline_s:
            cursor = await read_cursor(self._ledger, self._catalogue.campaign_no)
            if cursor.place >= (shard.epoch, shard.last):
                return
            await asyncio.sleep(SETTLE_LOOK_S)

    async def kept(self, _ask: Callable[[], Awaitable[Sequence[HeldClaim]]]) -> Kept:
        """What the stores kept; they need nobody to tell them."""
        return await read_kept(self._ledger, self._store, self._catalogue, self._wave.no)
