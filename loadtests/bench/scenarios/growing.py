"""What grows with the evening: the cost of a claim with its claimants, a gateway's memory with its requests."""

from collections.abc import Iterator

from loadtests.bench.arrivals import Arrivals, arrivals_round
from loadtests.bench.bench import Bench
from loadtests.bench.line_up import engine
from loadtests.bench.processes import resident_mb
from loadtests.bench.pulling import Wish, pulled_round
from loadtests.bench.samples import Result, Sample
from loadtests.bench.sides import Side

_RATE = 4_000
_SECONDS = 2
_SMALLEST = 1_000
_UNITS_MAX = 10_000_000
"""Stock of one offer."""
_ROOM = 200_000
"""Units kept for the rounds after the filling."""


async def growth(bench: Bench) -> Result:
    """The same load, with a thousand, ten thousand, … claimants in the shard."""
    rate = bench.options.rate or _RATE
    result = Result(
        "growth",
        "Growth",
        f"{rate:,} claims a second for {_SECONDS} s, open loop, in a wave that so many have claimed in already; bytes"
        " are of Redis while it was filled, the log included. The engine alone.",
        (
            "redis_cpu_us_per_claim", "redis_script_us_per_claim", "p50_ms", "p99_ms", "filled_bytes_per_claim",
            "generator_late_p99_ms",
        ),
        (),
    )  # fmt: skip
    side = engine(bench)
    samples: list[Sample] = []
    stock = min(_UNITS_MAX, bench.options.claims_max + _ROOM)

    async def act(_: Side, number: int) -> Sample:
        """All sizes, in one round."""
        for size in _sizes(bench.options.claims_max):
            wave = await side.open_wave(stock, -3_600.0)
            held_bytes = await side.fill(wave, min(size, stock - _ROOM))
            await side.settled(wave)
            wish = Arrivals(rate * _SECONDS, rate, stock, may_be_busy=True)
            sample = await arrivals_round(bench, side, number, wish, wave)
            figures = {**sample.figures, "claimants": float(size), "filled_bytes_per_claim": held_bytes}
            samples.append(Sample(f"{size:,} claimants", number, figures, sample.wrong))
            bench.say(f"growth round {number}: {size:,} claimants, {figures['redis_cpu_us_per_claim']:.1f} µs of Redis")
        return samples[-1]

    await bench.in_turns(result, [side], act)
    return Result(result.scenario, result.title, result.how, result.shown, tuple(samples), reference=samples[0].side)


def _sizes(claims_max: int) -> Iterator[int]:
    size = _SMALLEST
    while size <= claims_max:
        yield size
        size *= 10


async def memory(bench: Bench) -> Result:
    """Resident memory of a gateway at its start and later on."""
    result = Result(
        "memory",
        "Memory of a gateway",
        "Resident memory of the gateway process at its start, and after claims of that many users, each another one.",
        ("resident_mb", "grown_mb", "answers_per_second"),
        (),
    )
    side = engine(bench, workers=1)
    samples: list[Sample] = []

    async def act(_: Side, number: int) -> Sample:
        start_mb = resident_mb(side.gateways()[0])
        if not samples:
            samples.append(Sample("at its start", 1, {"resident_mb": start_mb, "grown_mb": 0.0}))
        first_mb = samples[0].figures["resident_mb"]
        sample = await pulled_round(bench, side, number, Wish())
        now_mb = resident_mb(side.gateways()[0])
        before = samples[-1].figures.get("requests", 0.0)
        requests = before + sample.figures["answers_per_second"] * (bench.options.seconds + bench.options.warm_up_s)
        figures = {**sample.figures, "resident_mb": now_mb, "grown_mb": now_mb - first_mb, "requests": requests}
        samples.append(Sample(f"after {requests:,.0f} requests", 1, figures, sample.wrong))
        return Sample(side.name, number, figures, sample.wrong)

    await bench.in_turns(result, [side], act)
    return Result(result.scenario, result.title, result.how, result.shown, tuple(samples), reference="at its start")
