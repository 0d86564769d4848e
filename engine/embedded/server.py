"""What embedded Redis and embedded Postgres have in common: a folder, a lock, a port, a child, and an end."""

import asyncio
import time
from abc import ABC, abstractmethod
from pathlib import Path

from engine.embedded.child import Child
from engine.embedded.files import disk_full, tells_of_full_disk
from engine.embedded.lock import FolderLock
from engine.embedded.ports import LOOPBACK, free_port
from engine.errors import CannotRun

_PORTS_TRIED_MAX = 5
"""Ports drawn before giving up: each is lost only where another program takes it within milliseconds."""
_SILENCE_MAX_S = 60.0
"""A server that neither answers nor says that it is loading for so long is given up."""
_LOADING_MAX_S = 900.0
"""A log of tens of gigabytes loads within this; longer is a fault."""
_LOOK_S = 0.02


class EmbeddedServer(ABC):
    """A server of our own in `folder`. Start and stop it from the main thread (see `child`)."""

    role: str
    """Which server it is, in one word."""
    title: str
    """What people call it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.port = 0
        self.child = self._new_child()
        self._lock = FolderLock(self.folder)

    @property
    @abstractmethod
    def url(self) -> str:
        """How to connect, password included."""

    @property
    def where(self) -> str:
        """What it is and how to find it, for people: no password."""
        return f"{self.title} at {LOOPBACK}:{self.port}, data in {self.folder}"

    async def start(self) -> str:
        """Start it, wait until it answers, and give its `url`. CannotRun with the way out where that is impossible."""
        await self._lock.take()
        try:
            await self._prepare()
            await self._launch_on_a_free_port()
        except BaseException:
            self.hurry()
            await self.stop()
            raise
        return self.url

    async def restart(self) -> None:
        """Start it again after it has ended by itself: on the same data and under the same `url`, which others know.

        Waits until nothing of the one before works on the data any more. CannotRun, and nothing runs, where it fails.
        """
        await self._lock.retake()
        await self._prepare()
        self._launch(self._lock.descriptor)
        try:
            answers = await self._answers()
        except CannotRun:
            self.hurry()
            await self.child.stop()
            raise
        if not answers:
            raise CannotRun(self.trouble("did not start again"))

    async def _launch_on_a_free_port(self) -> None:
        for _ in range(_PORTS_TRIED_MAX):
            self.port = free_port(self.folder / "port")
            self._launch(self._lock.descriptor)
            if await self._answers():
                return
            if "Address already in use" not in self.child.tail():
                raise CannotRun(self.trouble("did not start"))
        raise CannotRun(f"{self.title}: {_PORTS_TRIED_MAX} free ports in turn were taken by others; try again")

    async def stop(self) -> None:
        """End it in order, within seconds. Stopping twice, or what never started, does nothing."""
        await self.child.stop()
        self._lock.release()

    def hurry(self) -> None:
        """Cut short the stop that is under way or comes next."""
        self.child.hurry()

    def trouble(self, what: str) -> str:
        """One clear line on why the child ended, and where the rest is."""
        tail = self.child.tail()
        if tells_of_full_disk(tail):
            return f"{self.title} {what}: {disk_full(self.folder)}"
        return f"{self.title} {what}: {self.child.reason(self._telling_line(tail))} (log: {self.child.log_path})"

    @abstractmethod
    def _new_child(self) -> Child:
        """The child, with its way to be stopped."""

    @abstractmethod
    async def _prepare(self) -> None:
        """Make what has to be there before the first start."""

    @abstractmethod
    def _launch(self, lock_descriptor: int) -> None:
        """Write the configuration for `port` and start the child."""

    @abstractmethod
    async def _state(self) -> str:
        """`ready`, `loading`, or empty for no answer yet."""

    @abstractmethod
    def _telling_line(self, tail: str) -> str:
        """What its log says of why it ended: one line, without number and time."""

    async def _answers(self) -> bool:
        """Wait until it is ready. False where it ended instead."""
        silent_since = began = time.monotonic()
        while self.child.runs:
            state = await self._state()
            now = time.monotonic()
            if state == "ready":
                return True
            if state == "loading":
                silent_since = now
            if now - silent_since > _SILENCE_MAX_S or now - began > _LOADING_MAX_S:
                raise CannotRun(f"{self.title} does not answer (log: {self.child.log_path})")
            await asyncio.sleep(_LOOK_S)
        return False
