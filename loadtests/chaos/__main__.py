"""`scripts/chaos`: drops while everything breaks, and a verdict. `--help` names the options.

Exit status 0: every promise held; 1: one broke; 2: wrong usage; 3: could not run.
"""

import argparse
import asyncio
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvloop

from engine.errors import DropwaveError
from engine.telemetry import configure_logging
from loadtests.chaos.drop import CannotJudge
from loadtests.chaos.faults import FAULTS
from loadtests.chaos.faults.clocks import library
from loadtests.chaos.faults.registry import ACKS
from loadtests.chaos.report import table
from loadtests.chaos.run import Run
from loadtests.chaos.servers import knows_ack, may_mount


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@contextmanager
def _folder(named: str | None) -> Iterator[Path]:
    if named:
        yield Path(named)
        return
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own in it, where fsync costs nothing
    parent = memory if memory.is_dir() and shutil.disk_usage(memory).free > 2**31 else None
    with tempfile.TemporaryDirectory(prefix="dropwave-chaos-", dir=parent, ignore_cleanup_errors=True) as made:
        yield Path(made)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=5.0, help="drops begin for so long (default: 5)")
    parser.add_argument("--seed", type=int, help="repeats a run (default: another one each time; it is printed)")
    parser.add_argument("--ack", choices=ACKS, help="one level alone (default: all in turn)")
    parser.add_argument("--fault", choices=sorted(FAULTS), action="append", help="this one alone; may be repeated")
    parser.add_argument("--users", type=int, default=120, help="of one drop (default: 120)")
    parser.add_argument(
        "--rebuild-claims", type=int, default=0, help="measure a rebuild of a shard with so many claims (default: none)"
    )
    parser.add_argument("--data", help="a folder to keep everything in, logs too (default: none is kept)")
    options = parser.parse_args(arguments)
    seed = secrets.randbelow(2**31) if options.seed is None else options.seed
    _say(f"seed {seed} (--seed {seed} repeats it)")
    able = {"": True, "mounts": may_mount(), "faketime": library() is not None}
    faults = options.fault or [name for name, each in FAULTS.items() if able[each.needs]]
    left_out = [name for name, each in FAULTS.items() if not able[each.needs]]
    if left_out and not options.fault:
        _say("left out: " + ", ".join(f"{name} (needs {FAULTS[name].needs})" for name in left_out))
    acks = [ack for ack in ([options.ack] if options.ack else ACKS) if knows_ack(ack)]
    configure_logging("text", "warning")
    run = Run(seed, options.users, _say)
    try:
        with _folder(options.data) as folder, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run.go(folder, options.minutes, acks, faults, options.rebuild_claims))
    except (DropwaveError, OSError) as error:
        _say(f"chaos: {error}")
        return 3
    except CannotJudge as error:
        _say(f"chaos: {error}")
        run.broken = True
    for line in table(run.drops):
        _say(line)
    _say("a promise BROKE" if run.broken else "every promise held")
    return 1 if run.broken else 0


if __name__ == "__main__":
    sys.exit(main())
