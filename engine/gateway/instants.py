"""Instants as text: RFC 3339 in a campaign's zone, to the millisecond."""

from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo


@lru_cache(maxsize=1_024)  # whoever comes too late is told the same one
def rfc3339(at_ms: int, timezone: str) -> str:
    """Unix milliseconds as `2021-09-17T20:00:00.125+08:00`."""
    second, millisecond = divmod(at_ms, 1000)
    head, offset = _second(second, timezone)
    return f"{head}.{millisecond:03d}{offset}"


def wall_clock(at_ms: int, timezone: str) -> str:
    """As a clock on the wall there shows it: `2021-09-24 00:00`, seconds where there are any."""
    text = rfc3339(at_ms, timezone)
    return f"{text[:10]} {text[11:19].removesuffix(':00')}"


@lru_cache(maxsize=4_096)  # the claims of a drop fall into a few seconds
def _second(second: int, timezone: str) -> tuple[str, str]:
    text = datetime.fromtimestamp(second, ZoneInfo(timezone)).isoformat()
    return text[:19], text[19:]
