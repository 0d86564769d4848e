"""A Redis for one test alone: to be killed, restarted, reconfigured, turned back in time."""

import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import redis.asyncio

from engine.embedded.redis import EmbeddedRedis
from tests.support.servers import servers_folder
from tests.support.waiting import wait_until

_ENDED_S = 10.0


class OwnRedis:
    """The embedded server with the configuration of deploy/, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = EmbeddedRedis(folder / "redis")

    @property
    def url(self) -> str:
        """Its address: the same before and after a restart."""
        return self._server.url

    @property
    def port(self) -> int:
        """Of 127.0.0.1."""
        return self._server.port

    async def start(self) -> None:
        """Start it, again too, with the data that are there."""
        await self._server.start()

    async def kill(self) -> None:
        """kill -9."""
        os.kill(self._server.child.pid, signal.SIGKILL)
        assert await self._server.child.ended(_ENDED_S)
        await self._server.stop()

    async def restart(self) -> None:
        """kill -9, and up again under its append-only file."""
        await self.kill()
        await self.start()

    async def end(self) -> None:
        """End it, however it is: frozen, dead already, busy with its first append-only file."""
        if self._server.child.runs:
            await self.kill()
        await self._server.stop()

    def freeze(self) -> None:
        """SIGSTOP: it keeps its connections and answers nobody."""
        os.kill(self._server.child.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: it works off what has come in meanwhile."""
        os.kill(self._server.child.pid, signal.SIGCONT)

    async def command(self, *command: str | int, url: str = "") -> object:
        """Send it a command past the engine; `url` where it has another password by now."""
        async with redis.asyncio.Redis.from_url(url or self.url) as client:
            return await client.execute_command(*command)  # type: ignore[no-untyped-call]

    async def follow(self, master: "OwnRedis") -> None:
        """Become its replica; returns once everything it has is here."""
        await self.command("CONFIG", "SET", "masterauth", urlsplit(master.url).password or "")
        await self.command("REPLICAOF", "127.0.0.1", master.port)
        await wait_until(self._is_in_step, what="the replica has caught up")

    async def _is_in_step(self) -> bool:
        info = await self.command("INFO", "replication")
        assert isinstance(info, dict)
        return info["role"] == "slave" and info["master_link_status"] == "up"

    async def lead(self) -> None:
        """Be promoted."""
        await self.command("REPLICAOF", "NO", "ONE")

    def keep_data(self) -> Path:
        """A copy of what is on its disk now."""
        return Path(shutil.copytree(self._server.folder, self._folder / "kept", dirs_exist_ok=True))

    async def go_back(self, kept: Path) -> None:
        """Come up with an earlier copy of the data, as a stale replica or a restored backup would."""
        await self.kill()
        shutil.copy(kept / "appendonly.aof", self._server.folder / "appendonly.aof")
        await self.start()


@asynccontextmanager
async def own_redis() -> AsyncIterator[OwnRedis]:
    """One for the time of the block."""
    folder = servers_folder()
    server = OwnRedis(folder)
    try:
        await server.start()
        yield server
    finally:
        await server.end()
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def own_replicas(count: int = 1) -> AsyncIterator[tuple[OwnRedis, list[OwnRedis]]]:
    """A master that `ack: replicated` takes, and its replicas."""
    async with AsyncExitStack() as stack:
        master = await stack.enter_async_context(own_redis())
        replicas = [await stack.enter_async_context(own_redis()) for _ in range(count)]
        for replica in replicas:
            await replica.follow(master)
        await master.command("CONFIG", "SET", "min-replicas-to-write", count)
        yield master, replicas
