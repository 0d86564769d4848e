"""A role of Dropwave (gateway, writer, steward) as a child process."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from engine.embedded.child import Child, Insistence
from engine.errors import CannotRun
from engine.readiness import READY_VARIABLE

_READY_S = 60.0
"""A role that is not ready by then never will be: it connects within its own time-outs, which are far shorter."""
_LOOK_S = 0.02

PROGRAM = (sys.executable, "-P", "-m", "engine")
"""How this program starts itself as a child, with `up.environment_of`: installed or not, and never a package `engine`
that lies in the working directory, which -P leaves out."""


class RoleProcess:
    """`dropwave ROLE` with its settings in the environment; its output goes to `<logs>/<name>.log`."""

    def __init__(self, role: str, name: str, logs: Path, stop_within_s: float) -> None:
        self.role = role
        self.name = name
        self.connected_to = ""
        """What it connected to, in its own words, once it is ready."""
        self._environment: Mapping[str, str] = {}
        # SIGTERM lets it finish what it has begun. At its parent's death it is killed: that is a crash, which the
        # stores are made for, and a role that went on would work for nobody.
        self.child = Child(name, logs / f"{name}.log", [Insistence(signal.SIGTERM, stop_within_s)])

    async def start(self, environment: Mapping[str, str]) -> None:
        """Start it and wait until it says that it is ready. CannotRun with its own last word where it ends instead."""
        self._environment = environment
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        try:
            try:
                self.child.start(
                    [*PROGRAM, self.role],
                    environment={**environment, READY_VARIABLE: str(writing)},
                    folder=Path.cwd(),
                    descriptors=[writing],
                )
            finally:
                os.close(writing)
            self.connected_to = await self._word(reading)
        finally:
            os.close(reading)

    async def restart(self) -> None:
        """Start it as before. CannotRun, and it does not run, where that fails."""
        try:
            await self.start(self._environment)
        except CannotRun:
            self.hurry()
            await self.stop()
            raise

    async def stop(self) -> None:
        """End it in order; stopping twice is allowed."""
        await self.child.stop()

    def hurry(self) -> None:
        """Cut short the stop that is under way or comes next."""
        self.child.hurry()

    def trouble(self, what: str) -> str:
        """One clear line on why it ended, and where the rest is."""
        last_word = self.child.tail(1).strip().removeprefix("dropwave: ")
        return f"{self.name} {what}: {self.child.reason(last_word)} (log: {self.child.log_path})"

    async def _word(self, reading: int) -> str:
        deadline = time.monotonic() + _READY_S
        word = b""
        while not word.endswith(b"\n"):
            try:
                part = os.read(reading, 4_096)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise CannotRun(self.trouble(f"is not ready after {_READY_S:.0f} s")) from None
                await asyncio.sleep(_LOOK_S)
                continue
            if not part:  # every copy of the writing end is closed: it ended, or will
                await self.child.ended(5.0)
                raise CannotRun(self.trouble("did not start"))
            word += part
        return word.decode("utf-8", "replace").strip()
