"""Runs spin on docs/model/shard.pml and reads what it found."""

import re
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parents[2] / "docs" / "model"
MEMORY_MB_MAX = 6_000
"""The largest of the runs takes 2 GB."""
SECONDS_MAX = 600
_DEPTH_MAX = 100_000


class Found(NamedTuple):
    """`violated`: the assertion that broke, empty where none did; `states`: how many were looked at."""

    violated: str
    states: int


def runs(kind: str) -> list[dict[str, Any]]:
    """The runs of runs.toml of that kind: `whole` or `guard`."""
    found: list[dict[str, Any]] = tomllib.loads((FOLDER / "runs.toml").read_text("utf-8"))[kind]
    return found


def check(folder: Path, settings: Mapping[str, int], without: str = "") -> Found:
    """Every state that can be reached with these settings, without that guard. `folder` is scratch space.

    Raises RuntimeError where the checker could not look at all of them.
    """
    defined = [f"-D{name}={value}" for name, value in settings.items()]
    if without:
        defined.append(f"-DWITHOUT_{without}")
    _run(folder, "spin", "-a", *defined, str(FOLDER / "shard.pml"))
    options = ["-O2", "-DSAFETY", "-DCOLLAPSE", f"-DMEMLIM={MEMORY_MB_MAX}"]
    _run(folder, "gcc", *options, "-o", "pan", "pan.c")
    said = _run(folder, "./pan", f"-m{_DEPTH_MAX}", "-n")
    violated = re.search(r"pan:\d+: (assertion violated )?(.+?) \(at depth", said)
    states = re.search(r"([\d.e+]+) states, stored", said)
    if "max search depth too small" in said or states is None or (violated is None and "errors: 0" not in said):
        raise RuntimeError(f"the checker did not come to an end:\n{said}")
    return Found(violated[2].strip() if violated else "", round(float(states[1])))


def _run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
