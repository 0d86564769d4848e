"""What one more Redis shard buys: two campaigns at once, in one Redis and in two."""

import asyncio
from collections.abc import Sequence

from loadtests.bench.bench import Bench
from loadtests.bench.line_up import engine
from loadtests.bench.measuring import Figures
from loadtests.bench.pulling import Wish, pulled_round
from loadtests.bench.samples import Result, Sample
from loadtests.bench.sides import Side

_SUMMED = ("claims_per_second", "answers_per_second")


class Together:
    """A load on each of some sides at once. A side that is there twice gets two loads, in a campaign each."""

    def __init__(self, name: str, sides: Sequence[Side]) -> None:
        self.name = name
        self.does = sides[0].does
        self.loads = sides
        self._sides = list(dict.fromkeys(sides))

    async def start(self) -> None:
        """All of them."""
        for side in self._sides:
            await side.start()

    async def stop(self) -> None:
        """All of them."""
        for side in self._sides:
            await side.stop()

    def rest(self) -> None:
        """All of them."""
        for side in self._sides:
            side.rest()

    def wake(self) -> None:
        """All of them."""
        for side in self._sides:
            side.wake()

    async def verdict(self) -> tuple[bool, str]:
        """Of all of them; in the words of the first that does not hold, or of the last."""
        held, words = True, ""
        for side in self._sides:
            held, words = await side.verdict()
            if not held:
                break
        return held, words

    def together(self, samples: Sequence[Sample]) -> Figures:
        """Figures of loads that ran at once: claims add up, the slowest counts, each side's cores count once."""
        figures: Figures = {}
        for name in samples[0].figures:
            values = [sample.figures[name] for sample in samples if name in sample.figures]
            if name in _SUMMED:
                figures[name] = sum(values)
            elif name.endswith("_ms") or name in ("cpu_idle_cores", "cpu_steal_cores"):
                figures[name] = max(values)
            elif name.startswith("cpu_"):
                of_sides = dict(zip(map(id, self.loads), values, strict=False))
                figures[name] = max(values) if name == "cpu_wrk_cores" else sum(of_sides.values())
        return figures


async def shards(bench: Bench) -> Result:
    """One campaign, two in one Redis, two in two."""
    connections = bench.options.connections
    result = Result(
        "shards",
        "One shard and two",
        f"Sustained claims on {connections} connections in all, two gateway processes in all, on the cores that"
        " everything shares: in one campaign (a shard); in two campaigns of one Redis; in two campaigns, each with a"
        " Redis, a gateway and a ledger of its own.",
        ("claims_per_second", "p50_ms", "p99_ms", "cpu_redis_cores", "cpu_gateway_cores"),
        (),
        reference="one shard",
    )
    both = engine(bench, name="one Redis", workers=2)
    sides = [
        Together("one shard", [engine(bench, name="one shard", workers=2)]),
        Together("two shards, one Redis", [both, both]),
        Together("two shards, two Redis", [engine(bench, name=f"Redis {number}", workers=1) for number in (1, 2)]),
    ]

    async def act(side: Together, number: int) -> Sample:
        wish = Wish(connections=connections // len(side.loads))
        begin = asyncio.Barrier(len(side.loads))
        try:
            parts = await asyncio.gather(*(pulled_round(bench, load, number, wish, begin=begin) for load in side.loads))
        except BaseException:
            await begin.abort()  # the others would wait for ever
            raise
        wrong = [what for part in parts for what in part.wrong]
        return Sample(side.name, number, side.together(parts), tuple(wrong))

    return await bench.in_turns(result, sides, act)
