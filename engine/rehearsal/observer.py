"""Looks at the drop once a second and has a picture drawn."""

import time

from engine.domain.campaign import Catalogue, CatalogueWave
from engine.errors import HotStoreError, LedgerError
from engine.hotstore.store import HotStore
from engine.hotstore.view import ShardView, read_shard
from engine.ledger.cursors import Cursor, read_cursor
from engine.ledger.database import Ledger
from engine.rehearsal.crowd import Crowd
from engine.rehearsal.picture import Phase, Picture, Screen, Shelf
from engine.rehearsal.record import Record
from engine.rehearsal.store_time import StoreTime
from engine.service import Loop

LOOK_S = 1.0
GRANTS = ("claimed", "replayed", "ok")
"""Outcomes that are no refusals."""


class Observer:
    """A service. `phase` is told by who runs the rehearsal."""

    def __init__(
        self,
        ledger: Ledger,
        store: HotStore,
        catalogue: Catalogue,
        wave: CatalogueWave,
        crowd: Crowd,
        record: Record,
        clock: StoreTime,
        screen: Screen,
        users: int,
    ) -> None:
        self.phase: Phase = "countdown"
        self._ledger = ledger
        self._store = store
        self._catalogue = catalogue
        self._wave = wave
        self._crowd = crowd
        self._record = record
        self._clock = clock
        self._screen = screen
        self._users = users
        self._offers = {offer.no: offer.id for offer in catalogue.offers}
        self._looks = Loop("rehearsal observer", self.look, LOOK_S)
        self._before = (time.monotonic(), 0, 0)

    async def start(self) -> None:
        """Begin to look."""
        await self._looks.start()

    async def stop(self) -> None:
        """End."""
        await self._looks.stop()

    async def look(self) -> None:
        """One picture. Where a store does not answer, this one is left out."""
        try:
            shard = await read_shard(self._store, self._catalogue.id)
            cursor = await read_cursor(self._ledger, self._catalogue.campaign_no)
        except (HotStoreError, LedgerError):
            return
        if shard is not None:
            self._screen.show(self._picture(shard, cursor))

    def _picture(self, shard: ShardView, cursor: Cursor) -> Picture:
        stock = {int(no): offer.total for no, offer in shard.waves[self._wave.no].offers.items()} if shard.waves else {}
        shelves = tuple(
            Shelf(self._offers[no], shard.left[self._wave.no, no], total)
            for no, total in sorted(stock.items())
            if (self._wave.no, no) in shard.left
        )
        claims = sum(shelf.total - shelf.left for shelf in shelves)
        requests = len(self._record.answers)
        before_s, requests_before, claims_before = self._before
        now_s = time.monotonic()
        self._before = (now_s, requests, claims)
        passed_s = max(now_s - before_s, 0.001)
        return Picture(
            phase=self.phase,
            to_opening_ms=int(self._wave.opens_at_ms - self._clock.now_ms()),
            users=self._users,
            arrived=self._crowd.arrived,
            finished=self._crowd.finished,
            requests=requests,
            requests_per_s=(requests - requests_before) / passed_s,
            claims=claims,
            claims_per_s=(claims - claims_before) / passed_s,
            shelves=shelves,
            refusals={code: count for code, count in self._record.outcomes.most_common() if code not in GRANTS},
            lag=max(0, shard.last - cursor.last) if shard.epoch == cursor.epoch else 0,
        )
