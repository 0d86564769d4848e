"""A child process that never outlives its parent.

Three things could leave a process behind, and each has its answer here:
- The parent ends in order: it calls `stop`, which asks, waits for a bounded time, and then insists.
- The parent is killed (kill -9, the kernel's out-of-memory killer): nothing of it runs any more, so the kernel has to
  do it. On Linux each child asks for a signal at its parent's death (PR_SET_PDEATHSIG). A supervising process or a pipe
  to watch would do without Linux, but is itself one more process to die, and redis-server watches no pipe. Elsewhere
  a killed parent leaves its servers running, and the folder's lock keeps a second pair from starting beside them.
- Ctrl-C goes to every process of the terminal's group at once, and Redis would be gone before the writer has settled:
  each child has a session of its own, so that only the parent hears it and stops them in order.

The signal is tied to the thread that started the child: start children from the main thread only.
"""

import asyncio
import ctypes
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from engine.embedded.files import storage
from engine.errors import CannotRun

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

_LOOK_S = 0.02
"""Pause between two looks whether a child has ended: far below what a person notices."""
_LAST_CHANCE_S = 0.2
"""What a step of stopping gets where somebody is in a hurry."""
_KILLED_S = 10.0
"""The kernel needs a moment to take a killed process down, longer where it waits for a disk."""
_TAIL_BYTES = 8_192
_LOG_BYTES_MAX = 16 * 2**20
"""A log above this is set aside as `.old` at the next start, so a data folder cannot fill up with logs."""


class Insistence(Struct, frozen=True):
    """One step of stopping: this signal, and so long for the child to end."""

    signal: signal.Signals
    wait_s: float


class Child:
    """One child process; its output goes to a log file. Can be started again after it has ended."""

    def __init__(
        self,
        name: str,
        log_path: Path,
        stopping: Sequence[Insistence],
        at_parents_death: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.name = name
        self.log_path = log_path
        self._stopping = stopping
        self._at_parents_death = at_parents_death
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self._hurried = False

    @property
    def pid(self) -> int:
        """Its number; 0 before the start."""
        return self._process.pid if self._process else 0

    @property
    def exit_status(self) -> int | None:
        """None while it runs or was never started; below zero: the signal that ended it."""
        return self._process.poll() if self._process else None

    @property
    def runs(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def ending(self) -> str:
        """How it ended: the signal that killed it, or its exit status."""
        status = self.exit_status or 0
        return signal.Signals(-status).name if status < 0 else f"exit status {status}"

    def reason(self, last_word: str) -> str:
        """Why it ended: the signal that killed it, else its own last word, else its exit status.

        One that ended as if asked to (status 0) has said nothing of a reason.
        """
        status = self.exit_status or 0
        if status < 0:
            return f"killed by {self.ending}"
        return last_word if status and last_word else self.ending

    def start(
        self,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str],
        folder: Path,
        user: int | None = None,
        group: int | None = None,
        descriptors: Sequence[int] = (),
    ) -> None:
        """Start it. `descriptors` are open files that it inherits. CannotRun where that is not possible."""
        assert not self.runs, f"{self.name} runs already"
        assert threading.current_thread() is threading.main_thread(), "the child would end with this thread"
        self._hurried = False
        with storage(self.log_path.parent), _open_log(self.log_path) as log:
            self._log_start = log.tell()
            try:
                self._process = subprocess.Popen(
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=dict(environment),
                    cwd=folder,
                    umask=0o077,
                    user=user,
                    group=group,
                    extra_groups=None if user is None else [],
                    pass_fds=tuple(descriptors),
                    start_new_session=True,
                    preexec_fn=_leash(os.getpid(), self._at_parents_death),
                )
            except PermissionError as error:
                raise CannotRun(f"{command[0]} may not be run here: {error.strerror}") from error
            except FileNotFoundError as error:
                raise CannotRun(f"{error.filename} is missing: the installation is not whole") from error
            except OSError as error:  # no memory, or no process, to be had
                raise CannotRun(f"{command[0]} cannot be started: {error.strerror}") from error

    async def ended(self, within_s: float) -> bool:
        """Wait until it has ended, for at most that long, or only until `hurry` is called; whether it has."""
        return await self._ends(within_s, lambda: self._hurried)

    async def stop(self) -> None:
        """End it: each step of `stopping` in turn, then SIGKILL for it and its group. Stopping twice is allowed."""
        if self._process is None:
            return
        for step in self._stopping:
            if not self.runs:
                return
            self._process.send_signal(step.signal)
            if not await self.ended(step.wait_s) and self._hurried:
                await self._ends(_LAST_CHANCE_S)
        if self.runs:
            os.killpg(self._process.pid, signal.SIGKILL)
            await self._ends(_KILLED_S)

    def hurry(self) -> None:
        """From now on a stop, the one under way included, gives each of its steps no more than a moment."""
        self._hurried = True

    async def _ends(self, within_s: float, impatient: Callable[[], bool] = lambda: False) -> bool:
        deadline = time.monotonic() + within_s
        while self.runs:
            if impatient() or time.monotonic() >= deadline:
                return False
            await asyncio.sleep(_LOOK_S)
        return True

    def tail(self, lines: int = 12) -> str:
        """The last lines that it wrote since its start."""
        try:
            with self.log_path.open("rb") as log:
                end = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_start, end - _TAIL_BYTES))
                written = log.read().decode("utf-8", "replace")
        except OSError:
            return ""
        return "\n".join(written.splitlines()[-lines:])


def _open_log(path: Path) -> io.FileIO:
    if path.exists() and path.stat().st_size > _LOG_BYTES_MAX:
        path.replace(path.with_suffix(path.suffix + ".old"))
    log = io.FileIO(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "a")
    log.seek(0, os.SEEK_END)
    return log


def _leash(parent: int, last_signal: signal.Signals) -> Callable[[], None]:
    """What the child does between fork and exec: one system call, after its user was set (that would undo it).

    Nothing is imported or allocated that another thread could hold a lock on.
    """

    def in_child() -> None:
        if _LIBC is None:
            return
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(last_signal), 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the call: its death was missed
            os._exit(1)

    return in_child
