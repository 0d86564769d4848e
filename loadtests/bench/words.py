"""What figures are called in tables and plots. A figure that has no name of its own here is told by its key."""

from types import MappingProxyType
from typing import Final

_NAMES: Final = MappingProxyType(
    {
        "claims_per_second": "claims/s",
        "answers_per_second": "answers/s",
        "answered_per_second": "answered/s",
        "settled_per_second": "settled/s",
        "redis_cpu_us_per_claim": "Redis, µs a claim",
        "redis_script_us_per_claim": "of it the script, µs",
        "redis_memory_bytes_per_claim": "Redis, bytes a claim",
        "gateway_us_per_claim": "gateway, µs a claim",
        "gateway_us_per_answer": "gateway, µs an answer",
        "gateway_us_per_redemption": "gateway, µs a redemption",
        "postgres_us_per_redemption": "Postgres, µs a redemption",
        "redeemed_per_second": "redeemed/s",
        "writer_us_per_claim": "writer, µs a claim",
        "postgres_us_per_claim": "Postgres, µs a claim",
        "holder_bytes_per_claim": "bytes of a claim, log trimmed",
        "writer_us": "writer, µs a claim",
        "postgres_us": "Postgres, µs a claim",
        "generator_late_p99_ms": "generator late, p99 ms",
        "cpu_steal_cores": "taken by other guests, cores",
        "resident_mb": "resident MB",
        "grown_mb": "grown by MB",
        "rebuilt_s": "rebuilt in s",
    }
)


def words(figure: str) -> str:
    """The name of a figure, with its unit."""
    return _NAMES.get(figure) or figure.replace("_per_second", "/s").replace("p999", "p99.9").replace("_", " ")
