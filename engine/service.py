"""One contract for everything that starts and stops.

A service is started once and stopped at least once; stopping twice, or stopping what never started,
is allowed and does nothing. `stop` returns when the service has let go of everything.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from engine.telemetry import LOOP_FAILURES

log = structlog.get_logger(__name__)


class Service(Protocol):
    """Something with a life."""

    async def start(self) -> None:
        """Begin; raises CannotRun or a store's error where that is not possible."""

    async def stop(self) -> None:
        """End; safe to call at any time and more than once."""


class Loop:
    """A named background task that runs one function again and again until it is stopped.

    An error of the function is logged and the next pass comes after `pause_s`, so one bad pass does not
    end the service; `failures` counts the passes that failed in a row, for whoever watches.
    """

    def __init__(self, name: str, once: Callable[[], Awaitable[None]], pause_s: float) -> None:
        self.name = name
        self.failures = 0
        self.pause_s = pause_s
        """Before the next pass; `once` may set it."""
        self._once = once
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Start the task; a second start of a running loop does nothing."""
        if self._task is None:
            self._stopping.clear()
            self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self, grace_s: float = 5.0) -> None:
        """Let the pass under way end, for at most `grace_s` seconds, then cancel it."""
        task, self._task = self._task, None
        if task is None:
            return
        self._stopping.set()
        _, late = await asyncio.wait({task}, timeout=grace_s)
        if late:
            task.cancel()
            await asyncio.wait({task})

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._once()
                self.failures = 0
            except Exception as error:  # noqa: BLE001 - the loop outlives a bad pass; it is logged and counted
                self.failures += 1
                LOOP_FAILURES.labels(self.name).inc()
                log.warning(
                    "pass failed", loop=self.name, failures=self.failures, error=f"{type(error).__name__}: {error}"
                )
            try:
                await asyncio.wait_for(self._stopping.wait(), self.pause_s)
            except TimeoutError:
                continue
