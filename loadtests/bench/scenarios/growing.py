"""What grows with the evening: what a claim costs, with the claimants who came before."""

from collections.abc import Iterator

from msgspec.structs import replace

from loadtests.bench.arrivals import Arrivals, arrivals_round
from loadtests.bench.bench import Bench
from loadtests.bench.crowded_engine import CrowdedEngine
from loadtests.bench.line_up import crowded
from loadtests.bench.measuring import read, spent
from loadtests.bench.samples import Result, Sample
from loadtests.bench.sides import WaveAt

_RATE = 4_000
_SECONDS = 3
_SMALLEST = 1_000
_UNITS_MAX = 10_000_000
"""Stock of one offer."""
_ROOM = 500_000
"""Units kept for the rounds."""
_BATCH = 64
_BATCHED = 50_000
"""Claims of a round that go past the gateway: what the script takes depends on its batches, so they are all alike."""
_SETTLED = 100_000
"""Claims with which the writer is timed, a second or two."""


async def growth(bench: Bench) -> Result:
    """The same load on shards in which a thousand, ten thousand, … have claimed."""
    rate = bench.options.rate or _RATE
    result = Result(
        "growth",
        "Growth",
        f"Shards in which so many have claimed before. Each round: {_BATCHED:,} claims in batches of {_BATCH}, past"
        f" the gateway (Redis); {_SETTLED:,} claims in the log, and the writer let go (settled); then {rate:,} claims a"
        f" second for {_SECONDS} s through the gateway, open loop. Before the rounds Redis lost everything, and was"
        " rebuilt from the ledger by the steward; bytes are what it then held.",
        (
            "redis_cpu_us_per_claim", "redis_script_us_per_claim", "gateway_us_per_claim", "settled_per_second",
            "p50_ms", "p99_ms", "holder_bytes_per_claim", "rebuilt_s", "generator_late_p99_ms",
        ),
        (),
        reference=None,
    )  # fmt: skip
    sizes = {f"{size:,} claimants": size for size in _sizes(bench.options.claims_max)}
    waves: dict[str, WaveAt] = {}
    found: dict[str, dict[str, float]] = {}

    async def crowd(side: CrowdedEngine) -> None:
        waves[side.name] = await side.open_wave(min(_UNITS_MAX, sizes[side.name] + _ROOM), -3_600.0)
        await side.fill_ledger(waves[side.name], sizes[side.name])

    async def rebuild(side: CrowdedEngine) -> None:
        took_s, held_bytes = await side.rebuild(waves[side.name])
        size = sizes[side.name]
        found[side.name] = {"claimants": size, "rebuilt_s": took_s, "holder_bytes_per_claim": held_bytes / size}
        bench.say(f"growth: {side.name} were put back in {took_s:.1f} s")

    async def act(side: CrowdedEngine, number: int) -> Sample:
        wave = waves[side.name]
        with side.writer_held():
            before = await read(side, wave)
            await side.fill(wave, f"b{number}", _BATCHED, _BATCH)
            batched = spent(before, await read(side, wave))
            await side.fill(wave, f"s{number}", _SETTLED - _BATCHED)
        per_second = await side.settling_speed(wave)
        sample = await arrivals_round(
            bench, side, number, Arrivals(rate * _SECONDS, rate, wave.stock, may_be_busy=True), wave
        )
        own = {name: value for name, value in batched.items() if name.startswith("redis_")}
        return replace(sample, figures={**sample.figures, **own, **found[side.name], "settled_per_second": per_second})

    sides = [crowded(bench, name=name) for name in sizes]
    return await bench.in_turns(result, sides, act, steps=(crowd, rebuild), audits=False)


def _sizes(claims_max: int) -> Iterator[int]:
    """Powers of ten; the last one leaves room for the rounds."""
    size = _SMALLEST
    while size <= claims_max:
        yield min(size, _UNITS_MAX - _ROOM)
        size *= 10
