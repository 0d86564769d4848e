"""The roles of the engine in a drop, as processes that a supervisor keeps running."""

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from engine.embedded.role import RoleProcess
from engine.errors import CannotRun
from loadtests.chaos.stores import ENDED_S, START_TRIES_S
from loadtests.chaos.waiting import happens

ROLES: Final = ("gateway-1", "gateway-2", "writer-1", "writer-2", "steward-1", "steward-2")
GATEWAYS: Final = ROLES[:2]
_LOOK_S: Final = 0.05


class Role:
    """A role that is kept running: whoever ends it sees it come back, unless it is held down."""

    def __init__(self, name: str, logs: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.environment = dict(environment)
        self.is_held = False
        self.is_ready = False
        self.ends = 0
        """How often it ended without being killed here."""
        self._process = RoleProcess(name.partition("-")[0], name, logs, stop_within_s=15.0)
        self._keeper: asyncio.Task[None] | None = None

    def keep(self) -> None:
        """Start it, and again whenever it ends."""
        self._keeper = asyncio.create_task(self._keep(), name=f"keeper of {self.name}")

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.child.pid

    async def ready(self) -> None:
        """Wait until it is."""
        if not await happens(lambda: self.is_ready, START_TRIES_S):
            raise CannotRun(f"{self.name} is not ready after {START_TRIES_S:.0f} s")

    async def kill(self) -> None:
        """kill -9, frozen or not; it stays down until `let_up`."""
        self.is_held, self.is_ready = True, False
        self._signal(signal.SIGKILL)
        await self._process.child.ended(ENDED_S)

    def let_up(self) -> None:
        """It may be started again."""
        self.is_held = False

    def freeze(self) -> None:
        """SIGSTOP."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    async def stop(self) -> None:
        """End it in order."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait({keeper})
        self.thaw()
        self.is_ready = False
        await self._process.stop()

    def _signal(self, number: signal.Signals) -> None:
        if self._process.child.runs:
            os.kill(self._process.child.pid, number)

    async def _keep(self) -> None:
        while True:
            if not self.is_held and not self._process.child.runs:
                self.ends += self.is_ready
                self.is_ready = False
                try:
                    await self._process.start(self.environment)
                    self.is_ready = True
                except CannotRun:
                    self.ends += not self.is_held
                    await asyncio.sleep(0.3)
            await asyncio.sleep(_LOOK_S)
