"""The access log: a line for each answer, or for those that failed; off unless asked for.

A drop has a hundred thousand answers a second, and a line costs more than a claim: so many lines a second are
written, the others are counted, and the next line that fits says how many were left out. A line names the route and
never the address that was asked for (it can hold anything), no account, and the peer only where a setting says so.
"""

import time
from collections.abc import Callable
from typing import Final

import structlog

from engine.gateway.answer import Answer, Heading
from engine.settings import Settings
from engine.telemetry import ACCESS_LINES_LEFT_OUT

log = structlog.get_logger(__name__)

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"})
"""A client may send any word; only these are repeated."""


class AccessLog:
    """Writes lines. `clock_s` is a monotonic clock."""

    def __init__(self, settings: Settings, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._all = settings.access_log == "all"
        self._with_address = settings.access_log_addresses
        self._lines_max = settings.access_log_lines_per_second_max
        self._clock_s = clock_s
        self._second = 0
        self._written = 0
        self._left_out = 0

    @classmethod
    def of(cls, settings: Settings) -> "AccessLog | None":
        """None where it is off."""
        return None if settings.access_log == "off" else cls(settings)

    def note(self, endpoint: str, heading: Heading, answer: Answer) -> None:
        """An answer goes out."""
        if (self._all or answer.status >= 500) and self._has_room():
            log.info("answered", **self._line(endpoint, heading, answer))

    def _line(self, endpoint: str, heading: Heading, answer: Answer) -> dict[str, str | int | float]:
        line: dict[str, str | int | float] = {
            "request_id": heading.request_id,
            "method": method_of(heading),
            "route": heading.route,
            "endpoint": endpoint,
            "status": answer.status,
            "outcome": answer.outcome,
            "duration_ms": round((time.perf_counter() - heading.began_s) * 1000, 3) if heading.began_s else 0.0,
            "bytes": len(answer.body),
        }
        if self._with_address:
            line["address"] = heading.address
        return line

    def _has_room(self) -> bool:
        second = int(self._clock_s())
        if second != self._second:
            if self._left_out:
                log.info("answers without a line", lines=self._left_out)
            self._second, self._written, self._left_out = second, 0, 0
        if self._written >= self._lines_max:
            self._left_out += 1
            ACCESS_LINES_LEFT_OUT.inc()
            return False
        self._written += 1
        return True


def method_of(heading: Heading) -> str:
    """The request's method, where it is one that HTTP knows."""
    return heading.method if heading.method in METHODS else "_OTHER"
