"""What a round costs a side: readings of processor and Redis before and after it, and the difference."""

import time
from typing import Any, Final

from msgspec import Struct

from loadtests.baselines.redis import BenchRedis
from loadtests.bench.processes import cpu_by_name, machine_cpu_s
from loadtests.bench.sides import Side, WaveAt

_ROLES: Final = ("gateway", "writer", "postgres")
"""Whose time is told for each claim; that of Redis is told by Redis."""
Figures = dict[str, float]
"""Figures by name; names end in their unit: `_per_second`, `_ms`, `_us`, `_cores`, `_bytes`, `_mb`."""


class Reading(Struct, frozen=True):
    """A side at one instant."""

    at_s: float
    given: int
    cpu_s: dict[str, float]
    redis: dict[str, float]


async def read(side: Side, wave: WaveAt) -> Reading:
    """Now."""
    given, redis = await side.given(wave), await _redis(side.redis, wave)
    return Reading(time.monotonic(), given, {**cpu_by_name(side.names()), **machine_cpu_s()}, redis)


def spent(before: Reading, after: Reading) -> Figures:
    """What the side used in between, and what of it falls to each claim that was given."""
    took_s = after.at_s - before.at_s
    figures = {
        f"cpu_{name}_cores": (after.cpu_s[name] - before.cpu_s[name]) / took_s
        for name in after.cpu_s
        if name in before.cpu_s
    }
    claims = after.given - before.given
    if claims:
        figures |= {
            f"redis_{name}_per_claim": (after.redis[name] - before.redis[name]) / claims for name in after.redis
        }
        figures |= each_us(before, after, claims, "claim")
    return figures


def each_us(before: Reading, after: Reading, count: float, what: str) -> Figures:
    """Processor time of each role, spread over so many claims or answers."""
    return {
        f"{name}_us_per_{what}": 1e6 * (after.cpu_s[name] - before.cpu_s[name]) / count
        for name in _ROLES
        if name in after.cpu_s and name in before.cpu_s
    }


async def wave_bytes(redis: BenchRedis, wave: WaveAt) -> int:
    """What the keys of a wave take, by samples of their fields.

    `used_memory` would not do: buffers of connections come and go by the megabyte, with the load.
    """
    keys = await redis.command("KEYS", f"{{{wave.id}[/}}]*")  # a few keys, however large
    return sum([await redis.command("MEMORY", "USAGE", key) or 0 for key in keys])


async def _redis(redis: BenchRedis, wave: WaveAt) -> dict[str, float]:
    cpu: dict[str, Any] = await redis.command("INFO", "cpu")
    calls: dict[str, Any] = await redis.command("INFO", "commandstats")
    persistence: dict[str, Any] = await redis.command("INFO", "persistence")
    scripts = [calls[name]["usec"] for name in ("cmdstat_evalsha", "cmdstat_eval", "cmdstat_fcall") if name in calls]
    return {
        "cpu_us": 1e6 * (cpu["used_cpu_user"] + cpu["used_cpu_sys"]),
        "script_us": sum(scripts),
        "memory_bytes": await wave_bytes(redis, wave),
        "aof_bytes": persistence.get("aof_current_size", 0),
    }
