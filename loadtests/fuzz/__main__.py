"""`scripts/fuzz`: a million malformed requests, and a verdict. `--help` names the options.

Starts an installation of its own in a temporary folder, or visits the one that `--url` names (with its secret in
DROPWAVE_SECRET, or its data folder in `--data`). Exit status 0: all as it has to be; 1: something is wrong;
2: wrong usage; 3: could not run.
"""

import argparse
import asyncio
import contextlib
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import uvloop
from msgspec.structs import replace

from engine.embedded.role import PROGRAM
from engine.embedded.running import find_running
from engine.embedded.up import environment_of
from engine.errors import CannotRun, DropwaveError, UsageError
from engine.settings import Settings, load_settings
from loadtests.fuzz.one_case import show_case
from loadtests.fuzz.report import table
from loadtests.fuzz.session import fuzz
from loadtests.fuzz.stage import Stage

READY_S: Final = 60.0
STOP_S: Final = 60.0
"""`up` drains its gateways and settles what is left."""
CONNECTIONS: Final = 4
"""Each sends two dozen requests ahead: beyond four such clients a gateway holds them up, to have time for others."""
LASTS_S: Final = 3_600
_ROOT: Final = Path(__file__).parents[2]


@asynccontextmanager
async def _installation(options: argparse.Namespace) -> AsyncIterator[tuple[Settings, str, int]]:
    """Settings, address, and the process of an own `up` (0: somebody else's)."""
    if options.url:
        settings = load_settings(data=options.data)
        if not settings.secret:
            settings = replace(settings, secret=(settings.data_folder / "secret").read_text("utf-8").strip())
        yield settings, options.url, 0
        return
    with tempfile.TemporaryDirectory(prefix="dropwave-fuzz-") as data:
        secret = secrets.token_hex(32)
        settings = load_settings({}, data=data, port=0, workers=options.workers, log_level="warning", secret=secret)
        silent = asyncio.subprocess.DEVNULL
        up = await asyncio.create_subprocess_exec(
            *PROGRAM, "up", env=environment_of(settings), cwd=_ROOT, stdout=silent, stderr=silent
        )
        try:
            yield settings, await _url_of(up, settings), up.pid
            if up.returncode is not None:
                raise CannotRun(f"`dropwave up` ended during the run, with status {up.returncode}")
        finally:
            with contextlib.suppress(ProcessLookupError):
                up.terminate()
            await asyncio.wait_for(up.wait(), STOP_S)


async def _url_of(up: asyncio.subprocess.Process, settings: Settings) -> str:
    ends_s = time.monotonic() + READY_S
    while time.monotonic() < ends_s and up.returncode is None:
        running = find_running(settings.data_folder)
        if running is not None:
            return running.url
        await asyncio.sleep(0.1)  # another process writes the file
    raise CannotRun("`dropwave up` did not start: see `scripts/demo`, which says what is missing")


async def _run(options: argparse.Namespace) -> int:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # nothing of ours is left running
    async with _installation(options) as (settings, url, pid):
        parts = urlsplit(url)
        stage = Stage(settings, parts.hostname or "127.0.0.1", parts.port or 80, options.seed)
        await stage.open()
        if options.case is not None:
            return await show_case(stage, options.seed, options.case, _say)
        outcome = await fuzz(stage, options.seed, options.requests, options.connections, options.seconds, pid, _say)
        await stage.close()
    _say(table(outcome))
    return 1 if outcome.wrong else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument(
        "--seed", type=int, default=None, help="repeats a run (default: another one each time; it is printed)"
    )
    parser.add_argument("--requests", type=int, default=1_000_000, help="default: 1,000,000")
    parser.add_argument(
        "--connections", type=int, default=CONNECTIONS, help=f"at the same time (default: {CONNECTIONS})"
    )
    parser.add_argument(
        "--seconds", type=float, default=LASTS_S, help=f"the longest that a run may take (default: {LASTS_S})"
    )
    parser.add_argument("--workers", type=int, default=1, help="gateways of the own installation (default: 1)")
    parser.add_argument("--case", type=int, help="send this one case alone and show everything")
    parser.add_argument("--url", help="an installation that runs already; its campaigns are left alone")
    parser.add_argument("--data", help="its data folder, where DROPWAVE_SECRET is not set")
    options = parser.parse_args(arguments)
    options.seed = secrets.randbelow(2**31) if options.seed is None else options.seed
    _say(f"seed {options.seed} (--seed {options.seed} repeats it)")
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run(options))
    except (asyncio.CancelledError, KeyboardInterrupt):
        _say("fuzz: broken off")
        return 3
    except UsageError as error:
        _say(f"fuzz: {error}")
        return 2
    except (DropwaveError, OSError) as error:
        _say(f"fuzz: {error}")
        return 3


if __name__ == "__main__":
    sys.exit(main())
