"""As many requests as go through: wrk keeps 256 connections busy, every request is another user."""

from loadtests.bench.bench import Bench
from loadtests.bench.line_up import line_up
from loadtests.bench.pulling import Wish, pulled_round
from loadtests.bench.samples import Result, Sample
from loadtests.bench.sides import Side

_CLAIMS = ("claims_per_second", "p50_ms", "p99_ms", "p999_ms", "redis_cpu_us_per_claim", "redis_memory_bytes_per_claim")


async def sustained(bench: Bench) -> Result:
    """Claims, with stock for everybody."""
    result = Result(
        "sustained",
        "Sustained claims",
        "Every request is another user's claim, with a ticket at the engine and without any login at the baselines;"
        " there is stock for everybody. The engine's writer settles meanwhile.",
        _CLAIMS,
        (),
    )

    async def act(side: Side, number: int) -> Sample:
        return await pulled_round(bench, side, number, Wish())

    return await bench.in_turns(result, line_up(bench), act)
