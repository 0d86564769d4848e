"""How fast decisions become rows: `loadtests.bench.settling`, which measures the writer by itself."""

import json
from typing import Any, Final

from engine.errors import CannotRun
from loadtests.bench.bench import Bench
from loadtests.bench.modules import run_module
from loadtests.bench.samples import Result, Sample

_CLAIMS: Final = 300_000
_RATE: Final = 20_000
_TITLES: Final = {"drain": f"{_CLAIMS:,} in the log", "paced": f"{_RATE:,} claims/s come in"}
_NAMES: Final = {"claims_per_s": "settled_per_second"}


async def settling(bench: Bench) -> Result:
    """A backlog that is drained, and a log that is followed."""
    file = bench.folder / "settling.json"
    arguments: list[object] = [
        "--rounds",
        bench.options.rounds,
        "--claims",
        _CLAIMS,
        "--rate",
        _RATE,
        "--folder",
        bench.folder,
    ]
    arguments += ["--json", file, "--seconds", max(3, bench.options.seconds)]
    status, said = await run_module("loadtests.bench.settling", *arguments)
    if status:
        raise CannotRun(f"the settling bench failed: {said.decode('utf-8', 'replace')[-500:]}")
    runs: dict[str, dict[str, list[dict[str, Any]]]] = json.loads(file.read_text("utf-8"))
    samples = [
        Sample(_TITLES[kind], number, {_NAMES.get(name, name): value for name, value in figures.items()})
        for kind, of_kind in runs.items()
        for number, figures in enumerate(next(iter(of_kind.values())), 1)
    ]
    return Result(
        "settling",
        "Settling",
        f"The writer by itself: {_CLAIMS:,} claims in the log before it starts, and a log that grows by {_RATE:,} a"
        " second.",
        (
            "settled_per_second", "writer_cores", "postgres_cores", "writer_us", "postgres_us", "lag_p50_ms",
            "lag_p99_ms", "claims_per_commit",
        ),
        tuple(samples),
        reference=None,
    )  # fmt: skip
