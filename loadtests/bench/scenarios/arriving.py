"""Users who come when they come: the open loop, and latency counted from when each of them was due."""

from loadtests.bench.arrivals import Arrivals, arrivals_round
from loadtests.bench.bench import Bench
from loadtests.bench.line_up import line_up
from loadtests.bench.samples import Result, Sample
from loadtests.bench.sides import Side

_RATE = 8_000
"""Below what every side but FastAPI takes, so that latency is not the length of a queue."""
_DROP_RATE = 10_000
_DROP_STOCK = 20_000
_LEAD_S = 3.0
"""From the file to the opening."""


async def latency(bench: Bench) -> Result:
    """Claims at a rate below what the sides can do."""
    rate = bench.options.rate or _RATE
    users = rate * bench.options.seconds
    result = Result(
        "latency",
        "Latency at a fixed rate",
        f"{rate:,} claims a second, each of another user, at fixed times on 1,000 connections that have looked at the"
        " status page before; latency from when each was due.",
        ("p50_ms", "p99_ms", "p999_ms", "longest_ms", "answered_per_second", "other_answers", "generator_late_p99_ms"),
        (),
    )

    async def act(side: Side, number: int) -> Sample:
        return await arrivals_round(bench, side, number, Arrivals(users, rate, users, may_be_busy=True))

    return await bench.in_turns(result, line_up(bench), act)


async def drop(bench: Bench) -> Result:
    """An opening: three times as many users as stock."""
    rate = bench.options.rate or _DROP_RATE
    stock = min(_DROP_STOCK, rate * 2)
    users = 3 * stock
    result = Result(
        "drop",
        "A drop",
        f"{users:,} users at {rate:,} a second from the moment of the opening, for {stock:,} units. Winners were told"
        " 201, losers 409; other answers are `busy` or worse. The last unit cannot be asked for before"
        f" {1000 * stock / rate:,.0f} ms. Settled: the ledger has all (baselines have none).",
        (
            "sold_out_ms", "settled_ms", "winners_p50_ms", "winners_p99_ms", "winners_p999_ms",
            "losers_p50_ms", "losers_p99_ms", "losers_p999_ms", "other_answers",
        ),
        (),
    )  # fmt: skip

    async def act(side: Side, number: int) -> Sample:
        wish = Arrivals(users, rate, stock, opens_in_s=_LEAD_S, may_be_busy=True)
        return await arrivals_round(bench, side, number, wish)

    return await bench.in_turns(result, line_up(bench), act)
