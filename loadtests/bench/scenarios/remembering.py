"""What a gateway keeps of the requests that it has answered: its resident memory, after millions of them."""

from collections.abc import Sequence
from typing import Final

from loadtests.bench.bench import Bench
from loadtests.bench.line_up import engine
from loadtests.bench.processes import resident_mb
from loadtests.bench.pulling import Wish, pulled_round
from loadtests.bench.samples import Result, Sample
from loadtests.bench.sides import Side, WaveAt

_GOAL_MB: Final = 20
_KINDS: Final = {
    "claims": Wish(warms_up=False),
    "retries": Wish(warms_up=False, repeats=3),
    "early": Wish(warms_up=False, expects="refused", opens_in_s=86_400.0),
    "pages": Wish(warms_up=False, polls=9),
    "tickets": Wish(warms_up=False, expects="tickets"),
}
"""A round has some seconds of each: claims of new users; claims that everybody sends three times, two of them
replays; claims before the opening; nine looks at the status page for each claim; tickets for new tokens."""


async def memory(bench: Bench) -> Result:
    """Resident memory of a gateway at its start and later on."""
    wanted = bench.options.requests
    result = Result(
        "memory",
        "Memory of a gateway",
        f"One gateway, rounds of {len(_KINDS)} times {bench.options.seconds} s by wrk: {', '.join(_KINDS)}; each user"
        f" another one. The goal is {_GOAL_MB} MB above its start after ten million requests.",
        ("resident_mb", "grown_mb", "answers", *(f"{kind}_answers" for kind in _KINDS)),
        (),
        reference=None,
    )
    side = engine(bench, workers=1)
    waves: dict[str, WaveAt] = {}
    counts = dict.fromkeys(_KINDS, 0.0)
    samples: list[Sample] = []

    async def open_waves(_: Side) -> None:
        for kind, wish in _KINDS.items():
            waves[kind] = await side.open_wave(wish.stock, wish.opens_in_s)

    async def act(_: Side, number: int) -> Sample:
        if not samples:
            start_mb = resident_mb(side.gateways()[0])
            samples.append(Sample("at its start", 1, {"resident_mb": start_mb, "grown_mb": 0.0, "answers": 0.0}))
        wrong: list[str] = []
        for kind, wish in _KINDS.items():
            pulled = await pulled_round(bench, side, number, wish, waves[kind])
            counts[kind] += pulled.figures["answers"]
            wrong += pulled.wrong
        now_mb = resident_mb(side.gateways()[0])
        answers = sum(counts.values())
        figures = {
            "resident_mb": now_mb,
            "grown_mb": now_mb - samples[0].figures["resident_mb"],
            "answers": answers,
            **{f"{kind}_answers": count for kind, count in counts.items()},
        }
        samples.append(Sample(f"after {answers:,.0f}", 1, figures, tuple(wrong)))
        return Sample(side.name, number, figures, tuple(wrong))

    def enough(_: Sequence[Sample]) -> bool:
        return sum(counts.values()) >= wanted

    told = await bench.in_turns(result, [side], act, steps=(open_waves,), enough=enough if wanted else None)
    return Result(
        result.scenario, result.title, result.how, result.shown, tuple(samples), notes=told.notes, reference=None
    )
