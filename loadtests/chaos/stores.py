"""The two servers of a drop, Redis and Postgres, as processes of their own: killed, and started again elsewhere."""

import asyncio
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import redis.asyncio

from engine.embedded.child import Child, Insistence
from engine.embedded.postgres import EmbeddedPostgres
from engine.embedded.redis import EmbeddedRedis
from engine.errors import CannotRun

ENDED_S: Final = 15.0
START_TRIES_S: Final = 120.0


class DisguisedChild(Child):
    """A child with a few more variables in its environment: a clock that is off, say."""

    more: Mapping[str, str] = {}

    def start(self, command: Sequence[str | Path], *, environment: Mapping[str, str], **rest: Any) -> None:
        """As the other, with `more`."""
        super().start(command, environment={**environment, **self.more}, **rest)


class RedisServer(EmbeddedRedis):
    """The embedded Redis, to be killed, and started in other circumstances."""

    child: DisguisedChild
    settings: Mapping[str, int] = {}
    """What is set anew after each start, beside its file."""

    def _new_child(self) -> Child:
        return DisguisedChild("redis", self.folder / "redis.log", [Insistence(signal.SIGTERM, 10.0)])

    async def command(self, *command: str | int) -> Any:
        """Send it a command past everybody."""
        async with redis.asyncio.Redis.from_url(self.url, socket_timeout=5.0) as client:
            return await client.execute_command(*command)  # type: ignore[no-untyped-call]

    async def has_caught_up(self) -> bool:
        """Whether it is a replica that follows its master."""
        info: dict[str, Any] = await self.command("INFO", "replication")
        return info.get("master_link_status") == "up"


class PostgresServer(EmbeddedPostgres):
    """The embedded Postgres."""


Server = RedisServer | PostgresServer


async def kill_server(server: Server) -> None:
    """kill -9."""
    if server.child.runs:
        os.kill(server.child.pid, signal.SIGKILL)
        await server.child.ended(ENDED_S)
    await server.stop()


async def start_server(server: Server) -> None:
    """Start it again. What a kill -9 leaves behind may take a moment to end: it is tried again until it works."""
    deadline_s = time.monotonic() + START_TRIES_S
    while True:
        try:
            await server.start()
        except CannotRun:
            if time.monotonic() > deadline_s:
                raise
            await asyncio.sleep(0.2)
        else:
            break
    if isinstance(server, RedisServer):
        for name, value in server.settings.items():
            await server.command("CONFIG", "SET", name, value)
