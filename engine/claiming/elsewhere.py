"""What is not on the board: looked for, remembered, and never a way to send a crowd to the stores.

A crowd that asks for the same id shares one look. An id that nobody has is remembered for a moment, one that was
found for longer; all the looks of a process together have a rate.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, NamedTuple, TypeVar

import structlog
from msgspec import Struct

from engine.errors import DropwaveError, HotStoreUnavailable
from engine.telemetry import BOARD_LOOKS

log = structlog.get_logger(__name__)

Found = TypeVar("Found")

LOOKS_PER_SECOND_MAX = 20
"""Looks for what is not on the board, in one process: made-up ids must not become a load on the stores."""
UNKNOWN_MAX = 1_000
"""Ids known to be unknown; oldest out."""
UNKNOWN_FOR_S = 1.0
"""How long an id that was looked for in vain is answered without another look."""
FRESH_FOR_S = 60.0
"""How long what was found is answered without another look. Then one is made beside the next answer: campaigns that
are over hardly change, but a title can still be corrected."""


class Allowance:
    """So many looks a second, in one process. The clock is seconds that only go forward."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left = float(LOOKS_PER_SECOND_MAX)
        self._filled_s = clock()

    def take(self) -> bool:
        """Whether one more is allowed."""
        now_s = self._clock()
        self._left = min(LOOKS_PER_SECOND_MAX, self._left + (now_s - self._filled_s) * LOOKS_PER_SECOND_MAX)
        self._filled_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Seen(NamedTuple, Generic[Found]):
    """What a look has seen; `lasts` where it may be remembered."""

    found: Found | None
    lasts: bool


class _Kept(Struct, Generic[Found]):
    found: Found
    fresh_until_s: float


class Elsewhere(Generic[Found]):
    """One kind of thing, by id. `look` raises HotStoreError or LedgerError where it cannot know."""

    def __init__(
        self,
        look: Callable[[str], Awaitable[Seen[Found]]],
        allowance: Allowance,
        kept_max: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look = look
        self._allowance = allowance
        self._kept_max = kept_max
        self._clock = clock
        self._kept: dict[str, _Kept[Found]] = {}
        self._unknown_until_s: dict[str, float] = {}
        self._looking: dict[str, asyncio.Task[Found | None]] = {}

    async def find(self, id: str) -> Found | None:
        """It, or None where it is nowhere. Raises as `look` does, and HotStoreUnavailable for one look too many."""
        kept, now_s = self._kept.get(id), self._clock()
        if kept is not None:
            if kept.fresh_until_s <= now_s and id not in self._looking and self._allowance.take():
                self._begin(id)
            return kept.found
        if self._unknown_until_s.get(id, now_s) > now_s:
            return None
        if id not in self._looking and not self._allowance.take():
            BOARD_LOOKS.labels("refused").inc()
            raise HotStoreUnavailable("too many looks for what is not on the board")
        # Whoever gives up waiting must not end the look for the others.
        return await asyncio.shield(self._looking.get(id) or self._begin(id))

    async def stop(self) -> None:
        """Give up what is being looked for."""
        looking = list(self._looking.values())
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)

    def forget(self, ids: Iterable[str]) -> None:
        """These are on the board: what was kept of them is old by the time they leave it."""
        for id in ids:
            self._kept.pop(id, None)

    def _begin(self, id: str) -> "asyncio.Task[Found | None]":
        """Look for it. The allowance bounds how many looks are under way: a store answers in time, or is given up."""
        task = self._looking[id] = asyncio.create_task(self._find(id), name=f"look for {id}")
        task.add_done_callback(lambda done: self._end(id, done))
        return task

    def _end(self, id: str, task: "asyncio.Task[Found | None]") -> None:
        del self._looking[id]
        if not task.cancelled() and (error := task.exception()) is not None:  # whoever waits for it is told as well
            BOARD_LOOKS.labels("failed").inc()
            if not isinstance(error, DropwaveError):
                log.error("a look beyond the board failed", error=f"{type(error).__name__}: {error}")

    async def _find(self, id: str) -> Found | None:
        seen = await self._look(id)
        now_s = self._clock()
        if seen.found is None:
            BOARD_LOOKS.labels("unknown").inc()
            self._kept.pop(id, None)
            _make_room(self._unknown_until_s, UNKNOWN_MAX)
            self._unknown_until_s[id] = now_s + UNKNOWN_FOR_S
            return None
        BOARD_LOOKS.labels("found").inc()
        self._kept.pop(id, None)
        if seen.lasts:
            _make_room(self._kept, self._kept_max)
            self._kept[id] = _Kept(seen.found, now_s + FRESH_FOR_S)
        return seen.found


def _make_room(kept: "dict[str, Found]", most: int) -> None:
    while len(kept) >= most:
        del kept[next(iter(kept))]
