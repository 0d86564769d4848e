"""The Redis of a baseline: the engine's program and configuration, so that both sides keep the same promise."""

from types import MappingProxyType
from typing import Any, Final

import redis.asyncio

from engine.embedded.redis import EmbeddedRedis

SETTINGS: Final = MappingProxyType(
    {
        "logged": {"appendonly": "yes", "appendfsync": "always"},
        "memory": {"appendonly": "no"},
    }
)
"""What `--redis` names: every write fsynced before its reply, as deploy/redis.conf has it; or no file at all."""


class BenchRedis(EmbeddedRedis):
    """A Redis on a free port, to be asked and set from outside."""

    _client: redis.asyncio.Redis | None = None

    async def start_with(self, settings: str) -> None:
        """Start it under one of SETTINGS."""
        await self.start()
        self._client = redis.asyncio.Redis.from_url(self.url, socket_timeout=30.0)
        for name, value in SETTINGS[settings].items():
            await self.command("CONFIG", "SET", name, value)

    async def command(self, *command: str | int | bytes) -> Any:
        """Send it a command."""
        assert self._client is not None, "start it first"
        return await self._client.execute_command(*command)  # type: ignore[no-untyped-call]

    async def load_script(self, source: str) -> str:
        """The hash under which it now knows a script."""
        loaded = await self.command("SCRIPT", "LOAD", source)
        return loaded.decode() if isinstance(loaded, bytes) else str(loaded)

    @property
    def password(self) -> str:
        """For a client that speaks the protocol itself."""
        return self._password

    async def stop(self) -> None:
        """End it; more than once is allowed."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()
        await super().stop()
