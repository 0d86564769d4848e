"""How fast decisions become rows: `loadtests.bench.settling`, which measures the writer by itself."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from engine.errors import CannotRun
from loadtests.bench.bench import Bench
from loadtests.bench.samples import Result, Sample

_ROOT: Final = Path(__file__).parents[3]
_CLAIMS: Final = 300_000
_RATE: Final = 20_000
_TITLES: Final = {"drain": f"{_CLAIMS:,} in the log", "paced": f"{_RATE:,} claims/s come in"}
_NAMES: Final = {"claims_per_s": "settled_per_second"}


async def settling(bench: Bench) -> Result:
    """A backlog that is drained, and a log that is followed."""
    file = bench.folder / "settling.json"
    arguments = ["--rounds", bench.options.rounds, "--claims", _CLAIMS, "--rate", _RATE, "--folder", bench.folder]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "loadtests.bench.settling", *map(str, arguments), "--json", file,
        "--seconds", str(max(3, bench.options.seconds)),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(_ROOT)},
    )  # fmt: skip
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    if process.returncode:
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
        reference=_TITLES["drain"],
    )  # fmt: skip
