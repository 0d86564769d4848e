"""The baselines as sides: their Redis, their waves in it, their users."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

from engine.embedded.files import private_folder
from engine.errors import CannotRun
from loadtests.baselines.fastapi import FastApi
from loadtests.baselines.nginx import Nginx
from loadtests.baselines.redis import BenchRedis
from loadtests.bench.sides import OFFER, WaveAt, account

_LOOK_S: Final = 0.05
_LOOKS: Final = 40


class Server(Protocol):
    """What answers HTTP in a baseline."""

    port: int

    async def start(self) -> None:
        """Start it."""
        ...

    async def stop(self) -> None:
        """End it."""
        ...

    def pid(self) -> int:
        """Of the process whose children the rest are."""
        ...


class BaselineSide:
    """A server in front of a Redis in which a wave is a few keys (loadtests/baselines/claim.lua)."""

    body = b'{"offer":"%s"}' % OFFER.encode()
    has_ledger = False
    does = (
        "no login check; one EVALSHA a request: one claim per user, exact stock, a line in a stream; number and code in"
        " the answer; no ledger"
    )

    def __init__(self, folder: Path, name: str, redis: str) -> None:
        self.name = name
        self.redis = BenchRedis(folder / "redis")
        self.server: Server
        self._redis_settings = redis
        self._folder = folder
        self._waves = 0

    @property
    def port(self) -> int:
        """Where it answers."""
        return self.server.port

    async def start(self) -> None:
        """Redis, then the server."""
        private_folder(self._folder)
        await self.redis.start_with(self._redis_settings)
        await self.server.start()

    async def stop(self) -> None:
        """The other way round."""
        await self.server.stop()
        await self.redis.stop()

    def rest(self) -> None:
        """Nothing runs by itself here."""

    def wake(self) -> None:
        """As it was."""

    @asynccontextmanager
    async def measured(self, wave: WaveAt) -> AsyncIterator[None]:  # noqa: ARG002 - of any wave
        """It leaves nothing for later."""
        yield

    async def open_wave(self, stock: int, opens_in_s: float) -> WaveAt:
        """Two keys; servers read them at the first request."""
        self._waves += 1
        wave = WaveAt(f"bench-{self._waves}", stock)
        opens_s = time.time() + opens_in_s
        await self.redis.command("MSET", f"{{{wave.id}}}:stock", stock, f"{{{wave.id}}}:opens", f"{opens_s:.3f}")
        return wave

    def users(self, wave: WaveAt, prefix: str, count: int) -> Iterator[str]:  # noqa: ARG002 - of any wave
        """Nothing is checked: a name is enough."""
        for number in range(count):
            yield f"X-User: {account(prefix, number)}"

    async def given(self, wave: WaveAt) -> int:
        """Holders."""
        return int(await self.redis.command("HLEN", f"{{{wave.id}}}:holders"))

    async def settled(self, wave: WaveAt) -> float:
        """Nothing settles here; but what wrk left under way may still end. CannotRun where the stream lacks a claim."""
        for _ in range(_LOOKS):
            if await self.redis.command("XLEN", f"{{{wave.id}}}:log") == await self.given(wave):
                return 0.0
            await asyncio.sleep(_LOOK_S)
        raise CannotRun(f"{self.name}: the stream does not hold what the holders do")

    async def verdict(self) -> tuple[bool, str]:
        """Its stream was held against its holders in every round; there is no more."""
        return True, ""

    def names(self) -> dict[int, str]:
        """The server with its workers, and Redis."""
        return {self.server.pid(): "gateway", self.redis.child.pid: "redis"}


def nginx_side(folder: Path, redis: str, workers: int, name: str = "nginx + Lua") -> BaselineSide:
    """nginx with Lua."""
    side = BaselineSide(folder, name, redis)
    side.server = Nginx(folder / "nginx", side.redis, workers)
    return side


def fastapi_side(folder: Path, redis: str, workers: int, name: str = "FastAPI + redis-py") -> BaselineSide:
    """FastAPI with redis-py."""
    side = BaselineSide(folder, name, redis)
    side.server = FastApi(folder / "fastapi", side.redis, workers)
    return side
