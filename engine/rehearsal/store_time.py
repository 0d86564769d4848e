"""The store's clock, as the rehearsal reads it between two looks: what promises about time are judged by."""

import time
from collections.abc import Awaitable, Callable

LOOKS = 7


class StoreTime:
    """The store's time as an offset to this process' monotonic clock, with how far it can be off."""

    def __init__(self, read_ms: Callable[[], Awaitable[int]], told_off_by_ms: float = 0.0) -> None:
        self._read_ms = read_ms
        self._told_off_by_ms = told_off_by_ms
        self._offset_ms = 0.0
        self._adjusted_ms: float | None = None
        self.off_by_ms = 0.0
        """Largest error of the offset so far: half of a round trip, and what the store's clock was set by."""

    async def look(self) -> None:
        """Read the store's clock: the quickest of a few round trips says most."""
        best_ms, offset_ms = float("inf"), 0.0
        for _ in range(LOOKS):
            before_ms = time.monotonic() * 1000
            told_ms = await self._read_ms()
            took_ms = time.monotonic() * 1000 - before_ms
            if took_ms < best_ms:
                # The store tells whole milliseconds, cut off: half of one is its middle.
                best_ms, offset_ms = took_ms, told_ms + 0.5 - (before_ms + took_ms / 2)
        if self._adjusted_ms is None:
            self._offset_ms = offset_ms
        self._adjusted_ms = offset_ms
        self.off_by_ms = max(
            self.off_by_ms, best_ms / 2 + 0.5 + self._told_off_by_ms + abs(offset_ms - self._offset_ms)
        )

    def now_ms(self) -> float:
        """The store's time now."""
        return self.at_ms(time.monotonic())

    def at_ms(self, monotonic_s: float) -> float:
        """The store's time when the monotonic clock showed that."""
        return monotonic_s * 1000 + self._offset_ms
