"""`scripts/load SHAPE [options of locust]`: locust with the files of a shape, headless unless --web is an option.

Without --host it starts an installation of its own in a temporary folder, and ends it behind the run. locust itself is
another process, since it changes the standard library for all that runs beside it.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from engine.embedded.role import PROGRAM
from engine.embedded.running import find_running
from engine.embedded.up import environment_of
from engine.errors import CannotRun, DropwaveError, UsageError
from engine.settings import load_settings

READY_S: Final = 60.0
STOP_S: Final = 60.0
"""`up` drains its gateways and settles what is left."""
_ROOT: Final = Path(__file__).parents[2]
_SHAPES: Final = sorted(path.stem for path in (_ROOT / "loadtests" / "shapes").glob("[a-z]*.py"))
_LOOPBACK: Final = "127.0.0.1"


def command(shape: str, options: Sequence[str], host: str) -> list[str]:
    """The command line of locust. Nothing of it is open to other machines, unless the options say so."""
    if shape not in _SHAPES:
        raise UsageError(f"{shape or 'nothing'} is no shape: name one of {', '.join(_SHAPES)}")
    files = ",".join(str(_ROOT / "loadtests" / name) for name in ("locustfile.py", f"shapes/{shape}.py"))
    rest = [option for option in options if option != "--web"]
    is_headless = len(rest) == len(options) and "--worker" not in rest
    given = {option.partition("=")[0] for option in rest}
    line = [sys.executable, "-m", "locust", "-f", files]
    line += ["--headless", "--only-summary"] if is_headless else []
    line += ["--host", host] if host else []
    for name in ("--web-host", "--master-bind-host"):
        line += [] if name in given or "--worker" in rest else [name, _LOOPBACK]
    return line + rest


@asynccontextmanager
async def own_installation() -> AsyncIterator[tuple[str, dict[str, str]]]:
    """Its address, and the environment in which its secret is known."""
    with tempfile.TemporaryDirectory(prefix="dropwave-load-") as data:
        secret = secrets.token_hex(32)
        settings = load_settings({}, data=data, port=0, log_level="warning", secret=secret)
        silent = asyncio.subprocess.DEVNULL
        up = await asyncio.create_subprocess_exec(
            *PROGRAM, "up", env=environment_of(settings), cwd=_ROOT, stdout=silent, stderr=silent
        )
        try:
            ends_s = time.monotonic() + READY_S
            while (running := find_running(settings.data_folder)) is None:
                if up.returncode is not None or time.monotonic() > ends_s:
                    raise CannotRun("`dropwave up` did not start: see `scripts/demo`, which says what is missing")
                await asyncio.sleep(0.1)  # another process writes the file
            yield running.url, {"DROPWAVE_SECRET": secret}
        finally:
            with contextlib.suppress(ProcessLookupError):
                up.terminate()
            await asyncio.wait_for(up.wait(), STOP_S)


async def run(shape: str, options: Sequence[str]) -> int:
    """The exit status of locust."""
    needs_none = {"--help", "-h", "--version", "-V", "--list", "-l", "--worker"}
    is_named = any(option.split("=")[0] in ("--host", "-H") for option in options)
    if is_named or needs_none & set(options):
        return await _locust(command(shape, options, ""), {})
    line = command(shape, options, "placeholder")  # what is wrong with it is said before anything is started
    async with own_installation() as (url, environment):
        line[line.index("placeholder")] = url
        return await _locust(line, environment)


async def _locust(line: list[str], environment: dict[str, str]) -> int:
    """Ctrl-C reaches it too, since it shares our terminal: it judges and ends, and so we wait for it."""
    process = await asyncio.create_subprocess_exec(*line, env=os.environ | environment)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    loop.add_signal_handler(signal.SIGTERM, process.terminate)
    return await process.wait()


def main(arguments: Sequence[str]) -> int:
    """Run; the exit status."""
    try:
        return asyncio.run(run(arguments[0] if arguments else "", arguments[1:]))
    except (DropwaveError, OSError) as error:
        sys.stderr.write(f"load: {error}\n")
        return error.exit_status if isinstance(error, DropwaveError) else CannotRun.exit_status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
