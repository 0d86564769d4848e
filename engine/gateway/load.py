"""How much is being answered in this process, and when that is enough.

Counted are the requests of users, by whatever protocol; health, metrics and operators are not held up by the crowd.
"""

from typing import Final

from engine.gateway.refusals import Problem
from engine.telemetry import REQUESTS_IN_FLIGHT, REQUESTS_SHED

_WEIGHT: Final = 0.5
"""Of the newest second in the average rate."""
_WAIT_MAX_S: Final = 10.0
"""Nobody is sent away for longer."""


class Load:
    """Of one process."""

    def __init__(self, in_flight_max: int) -> None:
        self.in_flight = 0
        self._in_flight_max = in_flight_max
        self._answered = 0
        self._answered_before = 0
        self._per_s = 0.0

    def enter(self) -> Problem | None:
        """One more request, to be followed by `leave`; or the reason to refuse it unread."""
        if self.in_flight >= self._in_flight_max:
            REQUESTS_SHED.inc()
            wait_ms = self._wait_ms()
            return Problem("busy", wait_ms=wait_ms, jitter_ms=wait_ms)
        self.in_flight += 1
        return None

    def leave(self) -> None:
        """It has its answer, or nobody waits for it any more."""
        self.in_flight -= 1
        self._answered += 1

    def look(self, elapsed_s: float) -> None:
        """Take stock; called every second or so, `elapsed_s` after the last time."""
        answered, self._answered_before = self._answered - self._answered_before, self._answered
        self._per_s += _WEIGHT * (answered / elapsed_s - self._per_s)
        REQUESTS_IN_FLIGHT.set(self.in_flight)

    def _wait_ms(self) -> int:
        """Until what is in flight is answered, at the rate of the last seconds."""
        wait_s = self.in_flight / self._per_s if self._per_s else _WAIT_MAX_S
        return round(1000 * min(wait_s, _WAIT_MAX_S))
