"""`scripts/bench`: the engine beside its baselines. `--help` names the options; see docs/benchmarks.md.

Exit status 0: every round was valid; 1: one was not; 2: wrong usage; 3: could not run.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvloop

from engine.errors import DropwaveError
from engine.telemetry import configure_logging
from loadtests.bench import wrk
from loadtests.bench.bench import Bench, Options
from loadtests.bench.machine import is_compiled
from loadtests.bench.report import write_report
from loadtests.bench.samples import Result
from loadtests.bench.scenarios import SCENARIOS


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@contextmanager
def _folder(named: str | None) -> Iterator[Path]:
    """Where servers keep their data: a real disk, because fsync is part of what is measured."""
    if named:
        Path(named).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="dropwave-bench-", dir=named, ignore_cleanup_errors=True) as made:
        folder = Path(made)
        folder.chmod(0o755)  # Postgres does not run as root
        yield folder


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument(
        "--scenario", action="append", choices=[*SCENARIOS, "all"], help="may be repeated (default: sustained)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="of each side, in turns (default: 3)")
    parser.add_argument("--seconds", type=int, default=5, help="of each round (default: 5)")
    parser.add_argument("--warm-up", type=int, default=1, help="seconds before each round (default: 1; 0: none)")
    parser.add_argument("--connections", type=int, default=256, help="of wrk (default: 256)")
    parser.add_argument("--workers", type=int, default=1, help="gateways of the engine (default: 1)")
    parser.add_argument("--baseline-workers", type=int, default=2, help="of each baseline (default: 2)")
    parser.add_argument("--ack", default="logged", choices=["memory", "logged"], help="of the engine (default: logged)")
    parser.add_argument(
        "--side", action="append", default=[], help="only sides whose name begins so: engine, nginx, FastAPI"
    )
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the engine")
    parser.add_argument(
        "--variant",
        action="append",
        default=[],
        metavar="NAME=VALUE[,…]",
        help="one more engine that takes turns, with these settings",
    )
    parser.add_argument("--rate", type=int, default=0, help="requests a second of the open loop")
    parser.add_argument("--claims-max", type=int, default=1_000_000, help="where growth ends (default: a million)")
    parser.add_argument("--requests", type=int, default=0, help="where memory ends (default: after its rounds)")
    parser.add_argument(
        "--compiled", action="store_true", help="the engine from a compiled wheel, which scripts/bench builds first"
    )
    parser.add_argument("--no-audit", action="store_true", help="leave the audit at the end out")
    parser.add_argument("--out", type=Path, help="folder for results.md, results.json and plots (default: none)")
    parser.add_argument("--data", help="folder for the servers' data (default: TMPDIR); its disk is part of the result")
    parser.add_argument(
        "--lock", action="append", default=[], metavar="FILE",
        help="locked while something is measured, so that benches of one machine do not meet; may be repeated",
    )  # fmt: skip
    wish = parser.parse_args(arguments)
    try:
        wish.set = tuple(map(_pair, wish.set))
        wish.variant = tuple((text, dict(map(_pair, text.split(",")))) for text in wish.variant)
    except ValueError as error:
        parser.error(str(error))
    return wish


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} is no setting: write NAME=VALUE")
    return name.strip().lower(), value.strip()


async def _run(bench: Bench, names: Sequence[str]) -> list[Result]:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):  # Ctrl-C is the runner's: all of them end everything in order
        loop.add_signal_handler(number, task.cancel)
    return [await SCENARIOS[name](bench) for name in names]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; the exit status."""
    wish = _options(arguments)
    names = wish.scenario or ["sustained"]
    names = list(SCENARIOS) if "all" in names else names
    if wrk.missing():
        _say(f"bench: {wrk.missing()}")
        return 3
    if wish.compiled and not is_compiled():
        _say("bench: --compiled is an option of scripts/bench, which builds the compiled wheel and puts it in front")
        return 3
    options = Options(
        rounds=wish.rounds, seconds=wish.seconds, warm_up_s=wish.warm_up, connections=wish.connections,
        workers=wish.workers, baseline_workers=wish.baseline_workers, ack=wish.ack, sides=tuple(wish.side),
        audit=not wish.no_audit, settings=wish.set, variants=wish.variant, claims_max=wish.claims_max, rate=wish.rate,
        requests=wish.requests, locks=tuple(wish.lock),
    )  # fmt: skip
    configure_logging("text", "warning")
    try:
        with _folder(wish.data) as folder, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            bench = Bench(folder, options, _say)
            results = runner.run(_run(bench, names))
            text = write_report(results, bench, wish.out)
    except (DropwaveError, OSError) as error:
        _say(f"bench: {error}")
        return 3
    except (KeyboardInterrupt, asyncio.CancelledError):
        _say("bench: stopped")
        return 3
    _say(text)
    return 1 if any(result.wrong for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
