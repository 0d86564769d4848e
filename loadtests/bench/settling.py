"""How fast a log becomes rows: `python -m loadtests.bench.settling [--version NAME=TREE]…`.

Compares versions of the engine (trees made by `git worktree add`), or one version under different settings
(`--version small=.,DROPWAVE_LOG_ENTRIES_MAX=8`). Each has servers of its own, the configuration of its own deploy/,
and its real writer; they take turns, A B A B, so that what the machine does meanwhile meets all of them.
Prints the median of each figure and its spread, and the ratio to the first version.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

STAGE = Path(__file__).with_name("settling_stage.py")
Figures = Mapping[str, float]


class Version:
    """A version of the engine that waits for orders."""

    def __init__(self, text: str, options: argparse.Namespace) -> None:
        self.name, _, rest = text.partition("=")
        tree, *settings = (rest or ".").split(",")
        arguments = ["--claims", str(options.claims), "--entry-claims", str(options.entry_claims)]
        arguments += ["--folder", options.folder] if options.folder else []
        arguments += [part for setting in settings for part in ("--set", setting)]
        environment = {**os.environ, "PYTHONPATH": str(Path(tree).resolve()), "PYTHONSAFEPATH": "1"}
        self._process = subprocess.Popen(
            [sys.executable, STAGE, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def answer(self) -> dict[str, float]:
        """The next line of figures. SystemExit where there is none: what went wrong is on standard error by then."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(3)
        figures: dict[str, float] = json.loads(line)
        return figures

    def obey(self, **order: Any) -> dict[str, float]:
        """One run."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self.answer()

    def close(self) -> None:
        """Let it stop its servers."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


def table(runs: Mapping[str, Sequence[Figures]]) -> str:
    """Medians, spread, and the ratio to the first version, a figure a line."""
    first = next(iter(runs.values()))
    lines = ["| | " + " | ".join(runs) + " |", "|---|" + "---|" * len(runs)]
    for figure in first[0]:
        base = statistics.median(run[figure] for run in first)
        cells = []
        for version in runs.values():
            values = [run[figure] for run in version if figure in run]
            median = statistics.median(values) if values else 0.0
            ratio = "" if version is first or not base else f" ×{median / base:.2f}"
            cells.append(f"{median:,.4g} ({min(values):,.4g}–{max(values):,.4g}){ratio}" if values else "")
        lines.append(f"| {figure} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; the exit status."""
    parser = argparse.ArgumentParser(prog="loadtests.bench.settling", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--version", action="append", help="NAME=TREE[,DROPWAVE_…=value]…; the first is the base")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--claims", type=int, default=500_000, help="in the log that is drained")
    parser.add_argument("--entry-claims", type=int, default=64, help="claims of one log entry")
    parser.add_argument("--rate", type=int, default=20_000, help="claims a second of the paced runs")
    parser.add_argument("--seconds", type=float, default=8.0, help="of one paced run")
    parser.add_argument("--only", choices=("drain", "paced"), help="leave the other out")
    parser.add_argument("--folder", help="where servers keep their data: a disk whose fsync counts (default: TMPDIR)")
    parser.add_argument("--json", help="a file for the figures of every run")
    options = parser.parse_args(arguments)
    versions = [Version(text, options) for text in options.version or ["this=."]]
    runs: dict[str, dict[str, list[Figures]]] = {}
    try:
        for version in versions:
            version.answer()
        for _ in range(options.rounds):
            for version in versions:
                if options.only != "paced":
                    runs.setdefault("drain", {}).setdefault(version.name, []).append(version.obey(do="drain"))
                if options.only != "drain":
                    order = {"do": "paced", "rate": options.rate, "seconds": options.seconds}
                    runs.setdefault("paced", {}).setdefault(version.name, []).append(version.obey(**order))
    finally:
        for version in versions:
            version.close()
    for kind, of_kind in runs.items():
        about = f"{options.claims:,} claims" if kind == "drain" else f"{options.rate:,} claims/s"
        sys.stdout.write(f"\n{kind}: {about}, {options.entry_claims} an entry\n\n{table(of_kind)}\n")
    if options.json:
        Path(options.json).write_text(json.dumps(runs, indent=1), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
