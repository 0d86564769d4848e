"""wrk, for throughput: one thread, a fixed number of connections, each with one request under way at any time."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from engine.embedded.ports import LOOPBACK
from engine.errors import CannotRun

INSTALL: Final = "apt-get install --no-install-recommends wrk"
_SCRIPT: Final = Path(__file__).with_name("wrk.lua")
_PATIENCE_S: Final = 15.0
"""Over its time: reading a file of users takes a second or two."""


class Pulled(Struct, frozen=True):
    """What wrk says of a run. Answers that were under way at its end are not counted: up to one a connection."""

    requests: int
    duration_us: int
    bytes: int
    claims_sent: int
    other_status: int
    """Answers that are neither 2xx nor 3xx."""
    broken: int
    """Connections that failed, and answers that took longer than two seconds."""
    p50_us: int
    p99_us: int
    p999_us: int
    longest_us: int

    @property
    def per_second(self) -> float:
        """Answers."""
        return self.requests / self.duration_us * 1e6


class Pull(Struct, frozen=True):
    """What wrk is to do."""

    path: str
    body: bytes
    seconds: int
    connections: int = 256
    repeats: int = 1
    page: str = "/"
    polls: int = 0


def missing() -> str:
    """What is not installed, and the command that installs it; empty where it is there."""
    return "" if shutil.which("wrk") else f"wrk is not installed: {INSTALL}"


def write_users(path: Path, lines: Iterable[str]) -> int:
    """The file of users; how many there are."""
    count = 0
    with path.open("w", encoding="ascii") as file:
        for line in lines:
            file.write(line + "\n")
            count += 1
    return count


async def pull(port: int, users: Path, wish: Pull) -> Pulled:
    """Run it. CannotRun with its words where it fails."""
    arguments = [str(users), wish.path, wish.body.decode(), str(wish.repeats), wish.page, str(wish.polls)]
    process = await asyncio.create_subprocess_exec(
        "wrk", "-t1", f"-c{wish.connections}", f"-d{wish.seconds}s", "--timeout", "2s", "-s", _SCRIPT,
        f"http://{LOOPBACK}:{port}", "--", *arguments,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={"PATH": os.environ.get("PATH", os.defpath)},
    )  # fmt: skip
    try:
        async with asyncio.timeout(wish.seconds + _PATIENCE_S):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    last = said.decode("utf-8", "replace").splitlines()[-1:]
    try:
        return msgspec.json.decode(last[0] if last else "", type=Pulled)
    except msgspec.DecodeError as error:
        raise CannotRun(f"wrk failed: {said.decode('utf-8', 'replace')[-500:]}") from error
