"""The line of what tills ask for, and the next batch of it.

A batch costs two statements and what goes with them, however many share it: one redemption by itself takes the gateway
five times the work of one among thirty. So where more than one came in the time of the last batch, the desk waits for
others before it begins the next, for `redeem_gather_ms` at the most. A till that is alone waits for nobody.
"""

import asyncio
from collections import deque
from typing import Final

from engine.redeeming.waiting import Waiting
from engine.settings import Settings

ENOUGH: Final = 32
"""So many are not held up for more: of what a batch costs by itself, each has a few microseconds to bear."""


class Line:
    """Of one desk."""

    def __init__(self, settings: Settings) -> None:
        self._queue_max = settings.redeem_queue_max
        self._batch_max = settings.redeem_batch_max
        self._gather_s = settings.redeem_gather_ms / 1000
        self._queue: deque[Waiting] = deque()
        self._are_there = asyncio.Event()
        self._wanted = 1
        """So many have to be in the queue for `_are_there`."""
        self._last_batch = 0
        self._is_closed = False

    def join(self, waiting: Waiting) -> bool:
        """At its end; False where it is full or closed."""
        if self._is_closed or len(self._queue) >= self._queue_max:
            return False
        self._queue.append(waiting)
        if len(self._queue) >= self._wanted:
            self._are_there.set()
        return True

    def put_back(self, waiting: Waiting) -> None:
        """To the front: it has waited longest."""
        self._queue.appendleft(waiting)

    def close(self) -> None:
        """Nobody joins it any more."""
        self._is_closed = True
        self._are_there.set()

    async def next_batch(self) -> list[Waiting]:
        """Those who are next, for whom somebody waits, each voucher and each request once; what repeats one of them
        stays in front. Empty once the line is closed and nobody is left."""
        while self._queue or not self._is_closed:
            await self._wait_for(1)
            if self._last_batch > 1 and self._gather_s:
                await self._wait_for(min(ENOUGH, self._batch_max), self._gather_s)
            batch = self._taken_out()
            if batch:
                self._last_batch = len(batch)
                return batch
        return []

    async def _wait_for(self, count: int, within_s: float | None = None) -> None:
        """Until so many are there, the time is over, or the line is closed."""
        if len(self._queue) >= count or self._is_closed:
            return
        self._wanted = count
        self._are_there.clear()
        over = None if within_s is None else asyncio.get_running_loop().call_later(within_s, self._are_there.set)
        await self._are_there.wait()
        if over is not None:
            over.cancel()

    def _taken_out(self) -> list[Waiting]:
        codes: set[str] = set()
        requests: set[str] = set()
        batch: list[Waiting] = []
        left: list[Waiting] = []
        while self._queue and len(batch) < self._batch_max:
            waiting = self._queue.popleft()
            if waiting.is_over:
                continue
            question = waiting.question
            if question.code in codes or question.request in requests:
                left.append(waiting)
            else:
                codes.add(question.code)
                requests.add(question.request)
                batch.append(waiting)
        self._queue.extendleft(reversed(left))
        return batch
