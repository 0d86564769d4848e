"""FastAPI and redis-py under uvicorn (uvloop, httptools): `fastapi_app.py`, started."""

import asyncio
import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from engine.embedded.child import Child, Insistence
from engine.embedded.files import private_folder
from engine.embedded.ports import LOOPBACK, free_port
from engine.errors import CannotRun
from loadtests.baselines.nginx import OFFER
from loadtests.baselines.redis import BenchRedis

INSTALL: Final = f"{sys.executable} -m pip install fastapi==0.165.0 uvicorn==0.54.0"
_HERE: Final = Path(__file__).parent
_READY_S: Final = 20.0


def missing() -> str:
    """What is not installed, and the command that installs it; empty where everything is there."""
    absent = [name for name in ("fastapi", "uvicorn") if find_spec(name) is None]
    return f"{' and '.join(absent)} are not installed: {INSTALL}" if absent else ""


class FastApi:
    """Runs in `folder`, on a free port, with that many workers."""

    def __init__(self, folder: Path, redis: BenchRedis, workers: int) -> None:
        self._folder = folder
        self._redis = redis
        self._workers = workers
        self.port = 0
        self.child = Child(
            "fastapi", folder / "fastapi.log", [Insistence(signal.SIGTERM, 5.0)], at_parents_death=signal.SIGTERM
        )

    async def start(self) -> None:
        """Start it and wait until it answers. CannotRun with its last words where it does not."""
        private_folder(self._folder)
        self.port = free_port(self._folder / "port")
        self.child.start(
            [
                sys.executable, "-P", "-m", "uvicorn", "loadtests.baselines.fastapi_app:app",
                "--host", LOOPBACK, "--port", str(self.port), "--workers", str(self._workers),
                "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning",
            ],
            environment={
                "PATH": os.environ.get("PATH", os.defpath),
                "PYTHONPATH": str(_HERE.parents[1]),
                "BASELINE_SHA": await self._redis.load_script((_HERE / "claim.lua").read_text("utf-8")),
                "BASELINE_REDIS_URL": self._redis.url,
                "BASELINE_OFFER": OFFER,
            },
            folder=self._folder,
        )  # fmt: skip
        await self._answers()

    async def stop(self) -> None:
        """End it."""
        await self.child.stop()

    def pid(self) -> int:
        """Of the process whose children the workers are."""
        return self.child.pid

    async def _answers(self) -> None:
        """Wait for an answer: with workers, their parent has the port before any of them is there."""
        deadline_s = asyncio.get_running_loop().time() + _READY_S
        while asyncio.get_running_loop().time() < deadline_s and self.child.runs:
            try:
                reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
                writer.write(b"GET /v1/waves/none HTTP/1.0\r\n\r\n")
                async with asyncio.timeout(1.0):
                    answer = await reader.read(12)
                writer.close()
            except (OSError, TimeoutError):
                await asyncio.sleep(0.05)
            else:
                if answer.startswith(b"HTTP/1"):
                    return
        raise CannotRun(f"uvicorn did not start: {self.child.tail(3)}")
