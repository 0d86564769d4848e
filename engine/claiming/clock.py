"""The hot store's clock, as this process estimates it between two answers."""

import time
from collections.abc import Callable


class StoreClock:
    """The last time the store told, plus what this process' monotonic clock has counted since.

    The estimate is late by the way of the reply, never early by more than the two clocks drift apart
    between two replies (a few times a second); a wall clock that is set wrong does not matter.
    """

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._told_ms = 0
        self._heard_s = 0.0

    def heard(self, now_ms: int) -> None:
        """Take a time that the store has just told."""
        self._told_ms = now_ms
        self._heard_s = self._monotonic_s()

    def now_ms(self) -> int:
        """The store's time now, Unix milliseconds; 0 before the store was heard for the first time."""
        if not self._told_ms:
            return 0
        return self._told_ms + int((self._monotonic_s() - self._heard_s) * 1000)
