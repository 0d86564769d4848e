"""The lock of a data folder: one program at a time.

The lock belongs to an open file (flock), not to a process: the servers inherit that file, so a folder stays locked
until the last of them has ended, even where the program that started them was killed. A lock cannot go stale, and no
process has to be looked up by a number that another one may have by now. The numbers in the file are for people.
"""

import asyncio
import fcntl
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from engine.embedded.files import private_folder, storage
from engine.errors import CannotRun

_ENDING_S = 15.0
"""Servers whose program was killed need this long at most to end: Postgres leaves within five seconds, Redis at once,
but a rewrite of its file that was under way may take longer."""
_NOTICE_S = 1.0
"""What a killed server left behind ends when it notices: at once where it was idle, but only at the end of a statement
or of a file where it was at one. After this it is killed."""
_LOOK_S = 0.05


class FolderLock:
    """Held from `take` to `release`, or to the end of every process that inherited `descriptor`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder.resolve() / "lock"
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int:
        """The open file, for children that shall hold the lock too."""
        assert self._descriptor is not None, "the lock is not held"
        return self._descriptor

    async def take(self) -> None:
        """Take the lock. CannotRun, naming the process, where another program holds it.

        Where only servers are left of a program that was killed, their end is waited for.
        """
        private_folder(self.folder)
        await self._wait(self.holder)

    async def retake(self) -> None:
        """Let go of the lock, and have it again once no process that inherited it is left. CannotRun where one stays.

        A server that was killed may leave processes behind that go on working on its data.
        """
        self.release()
        patience_s = time.monotonic() + _NOTICE_S
        while not self._try():
            if time.monotonic() > patience_s:
                self._kill_heirs()
                await self._wait(lambda: None)
                return
            await asyncio.sleep(_LOOK_S)

    def _kill_heirs(self) -> None:
        """End whoever else has the lock's file open (on Linux; elsewhere their own end has to be waited for)."""
        for files in Path("/proc").glob("[0-9]*/fd"):
            try:
                if int(files.parent.name) != os.getpid() and self._path in {
                    file.readlink() for file in files.iterdir()
                }:
                    os.kill(int(files.parent.name), signal.SIGKILL)
            except OSError:
                continue  # somebody else's, or it has ended meanwhile

    async def _wait(self, holder_of: Callable[[], int | None]) -> None:
        deadline = time.monotonic() + _ENDING_S
        while not self._try():
            holder = holder_of()
            if holder or time.monotonic() > deadline:
                by = f"by process {holder}" if holder else "by a server whose program has ended"
                raise CannotRun(f"{self.folder} is in use {by}: stop that one, or name another folder with --data")
            await asyncio.sleep(_LOOK_S)

    def holder(self) -> int | None:
        """The number of the program that took the lock last, where that process lives."""
        try:
            pid = int(self._path.read_text("ascii").strip() or 0)
        except (OSError, ValueError):
            return None
        return pid if pid and is_alive(pid) else None

    def is_held(self) -> bool:
        """Whether any process holds the lock now."""
        if self._descriptor is not None:
            return True
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError:
            return True  # not ours to open: somebody else's folder
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def release(self) -> None:
        """Let go of it; more than once is allowed. Children that inherited it hold it until they end."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _try(self) -> bool:
        if self._descriptor is not None:
            return False
        with storage(self.folder):
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor
        return True


def is_alive(pid: int) -> bool:
    """Whether a process of that number exists, whoever it belongs to."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
