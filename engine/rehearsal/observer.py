"""Looks at the drop once a second and has a picture drawn."""

import time

from engine.rehearsal.backstage import Backstage, Sight
from engine.rehearsal.crowd import Crowd
from engine.rehearsal.picture import Phase, Picture, Screen
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
        backstage: Backstage,
        opens_ms: int,
        crowd: Crowd,
        record: Record,
        clock: StoreTime,
        screen: Screen,
        users: int,
    ) -> None:
        self.phase: Phase = "countdown"
        self._backstage = backstage
        self._opens_ms = opens_ms
        self._crowd = crowd
        self._record = record
        self._clock = clock
        self._screen = screen
        self._users = users
        self._looks = Loop("rehearsal observer", self.look, LOOK_S)
        self._before = (time.monotonic(), 0, 0)

    async def start(self) -> None:
        """Begin to look."""
        await self._looks.start()

    async def stop(self) -> None:
        """End."""
        await self._looks.stop()

    async def look(self) -> None:
        """One picture. Where nothing is to be seen, this one is left out."""
        sight = await self._backstage.sight()
        if sight is not None:
            self._screen.show(self._picture(sight))

    def _picture(self, sight: Sight) -> Picture:
        claims = sum(shelf.total - shelf.left for shelf in sight.shelves)
        requests = len(self._record.answers)
        before_s, requests_before, claims_before = self._before
        now_s = time.monotonic()
        self._before = (now_s, requests, claims)
        passed_s = max(now_s - before_s, 0.001)
        return Picture(
            phase=self.phase,
            to_opening_ms=int(self._opens_ms - self._clock.now_ms()),
            users=self._users,
            arrived=self._crowd.arrived,
            finished=self._crowd.finished,
            requests=requests,
            requests_per_s=(requests - requests_before) / passed_s,
            claims=claims,
            claims_per_s=(claims - claims_before) / passed_s,
            shelves=sight.shelves,
            refusals={code: count for code, count in self._record.outcomes.most_common() if code not in GRANTS},
            lag=sight.lag,
        )
