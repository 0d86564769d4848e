"""How this process fares: memory, processor, descriptors, and how long its event loop lets everybody wait.

prometheus_client has such figures of its own, but not where several processes share a folder; these are there always,
and say which role a process has.
"""

import asyncio
import gc
import os
import platform
import resource
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from engine.telemetry.metrics import (
    BUILD_INFO,
    EVENT_LOOP_LAG,
    GC_PAUSE,
    PROCESS_CPU,
    PROCESS_MEMORY,
    PROCESS_OPEN_FILES,
    PROCESS_OPEN_FILES_MAX,
    PROCESS_START,
)

PROBE_S: Final = 0.1
"""Ten wake-ups a second tell a busy loop from an idle one, and cost some 30 µs of it."""
LOOK_EVERY_PROBES: Final = 20
_STATM: Final = Path("/proc/self/statm")
_DESCRIPTORS: Final = Path("/proc/self/fd")


class Vitals:
    """Keeps the figures of one process. A service."""

    def __init__(self, role: str) -> None:
        self._role = role
        self._task: asyncio.Task[None] | None = None
        self._cpu_s = 0.0
        self._gc_began_s = 0.0

    async def start(self) -> None:
        """Begin; a second start does nothing."""
        if self._task is None:
            BUILD_INFO.labels(_version(), platform.python_version()).set(1)
            PROCESS_START.labels(self._role).set(time.time())
            gc.callbacks.append(self._collected)
            self._task = asyncio.create_task(self._watch(), name="vitals")

    async def stop(self) -> None:
        """End."""
        task, self._task = self._task, None
        if task is not None:
            gc.callbacks.remove(self._collected)
            task.cancel()
            await asyncio.wait({task})

    async def _watch(self) -> None:
        lag, loop = EVENT_LOOP_LAG.labels(self._role), asyncio.get_running_loop()
        while True:
            self._look()
            for _ in range(LOOK_EVERY_PROBES):
                began_s = loop.time()
                await asyncio.sleep(PROBE_S)
                lag.observe(max(0.0, loop.time() - began_s - PROBE_S))

    def _look(self) -> None:
        used_s = time.process_time()
        PROCESS_CPU.labels(self._role).inc(used_s - self._cpu_s)
        self._cpu_s = used_s
        PROCESS_OPEN_FILES_MAX.labels(self._role).set(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        if _STATM.exists():  # Linux; elsewhere these two are not there
            pages = int(_STATM.read_text().split()[1])
            PROCESS_MEMORY.labels(self._role).set(pages * resource.getpagesize())
            PROCESS_OPEN_FILES.labels(self._role).set(_open_files())

    def _collected(self, phase: str, about: dict[str, int]) -> None:
        """Called by the collector. Only full collections are long enough to be worth a figure."""
        if about["generation"] < 2:
            return
        if phase == "start":
            self._gc_began_s = time.perf_counter()
        else:
            GC_PAUSE.labels(self._role).observe(time.perf_counter() - self._gc_began_s)


def _open_files() -> int:
    """The kernel says how many there are since Linux 6.2; before that they have to be listed."""
    return _DESCRIPTORS.stat().st_size or len(os.listdir(_DESCRIPTORS))


def _version() -> str:
    try:
        return version("dropwave")
    except PackageNotFoundError:  # run from a checkout
        return "unknown"
