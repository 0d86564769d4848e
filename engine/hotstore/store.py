"""Connections to Redis, what a failed call means, and what the server's own settings promise.

The client's own retries are off: a call that was sent twice by a library would be two calls to reason
about. What may be repeated is repeated by whoever knows that it may (the desk, the steward).
"""

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import redis.asyncio as redis
import redis.exceptions as failures
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from engine.domain.outcome import Ack
from engine.errors import AckImpossible, CannotRun, HotStoreError, HotStoreUnavailable, ReplyLost
from engine.settings import Settings
from engine.telemetry import HOT_STORE_FAILURES

log = structlog.get_logger(__name__)

Argument = str | bytes | int

CONNECTIONS_MAX = 32
"""Of one process. A desk uses one; the others are for reads. A read takes some 0.2 ms, so a herd that asks what it
holds is served 32 at a time, and waits for its turn at most as long as for an answer."""

VERSION_MIN = (6, 2)

NEEDED_FOR_LOGGED = {
    "appendonly": "yes",
    "appendfsync": "always",
    "no-appendfsync-on-rewrite": "no",
}
"""Without these a reply can be sent before its claim is on disk (DESIGN 4)."""

NEEDED_ALWAYS = {"maxmemory-policy": "noeviction"}
"""Any other policy throws holders away: limits would be forgotten."""

_NOTHING_DONE = (
    "OOM ",
    "READONLY ",
    "MISCONF ",
    "NOREPLICAS ",
    "MASTERDOWN ",
    "LOADING ",
    "BUSY ",
    "NOAUTH ",
    "NOPERM ",
)
"""Errors that Redis gives before a command has done anything; inside a script they come from its first
write, which every script here makes its log entry."""


class HotStore:
    """One Redis, as this process reaches it."""

    def __init__(self, pool: redis.BlockingConnectionPool, ack: Ack) -> None:
        self._pool = pool
        self._ack = ack
        self._broken_ack = ""

    @classmethod
    async def connect(cls, url: str, settings: Settings) -> "HotStore":
        """Connect, and check version and settings. Raises HotStoreUnavailable, CannotRun, AckImpossible."""
        pool = redis.BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS_MAX,
            timeout=settings.redis_timeout_ms / 1000,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=settings.redis_timeout_ms / 1000,
            socket_connect_timeout=settings.redis_connect_timeout_ms / 1000,
        )
        store = cls(pool, settings.ack)
        pool.connection_kwargs["redis_connect_func"] = store._greet
        try:
            await store._check_version()
        except BaseException as error:
            await store.close()
            if store._broken_ack:
                raise AckImpossible(store._broken_ack) from error
            raise
        return store

    async def close(self) -> None:
        """Close every connection. Safe to call more than once."""
        await self._pool.disconnect()

    async def call(self, *command: Argument, wait_s: float | None = None) -> Any:
        """Send one command and return its answer; `wait_s` replaces the usual wait for it.

        Raises HotStoreUnavailable (surely nothing done), ReplyLost (not known) or HotStoreError.
        """
        return (await self._exchange([command], wait_s))[0]

    async def call_many(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        """Send several commands in one go and return their answers. Raises as `call` does."""
        return await self._exchange(commands, None)

    async def call_script(
        self, sha: str, source: str, keys: Sequence[str | bytes], arguments: Sequence[Argument]
    ) -> Any:
        """Run a script by its hash; where Redis has forgotten it, once more with its text."""
        try:
            return await self.call("EVALSHA", sha, len(keys), *keys, *arguments)
        except HotStoreError as error:
            if not isinstance(error.__cause__, failures.NoScriptError):
                raise
        return await self.call("EVAL", source, len(keys), *keys, *arguments)

    async def time_ms(self) -> int:
        """The store's clock."""
        seconds, microseconds = await self.call("TIME")
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def incarnation(self) -> str:
        """`master_replid` of the server: new on every restart and promotion."""
        info: str = (await self.call("INFO", "replication")).decode()
        return next(line.partition(":")[2] for line in info.splitlines() if line.startswith("master_replid:"))

    async def _exchange(self, commands: Sequence[Sequence[Argument]], wait_s: float | None) -> list[Any]:
        connection = await self._connection()
        # Connections are cut without waiting for the other end: one that has fallen silent would not say goodbye.
        try:
            packed = connection.pack_commands(commands) if len(commands) > 1 else connection.pack_command(*commands[0])
            await connection.send_packed_command(packed, check_health=False)
            return [await _answer(connection, wait_s) for _ in commands]
        except failures.ResponseError as error:
            if len(commands) > 1:  # answers of the commands behind it are still on their way
                await connection.disconnect(nowait=True)
            failure = _failure_of(error)
            if not isinstance(error, failures.NoScriptError):  # which only asks for the script's text
                HOT_STORE_FAILURES.labels("refused" if isinstance(failure, HotStoreUnavailable) else "error").inc()
            raise failure from error
        except failures.BusyLoadingError as error:
            await connection.disconnect(nowait=True)
            HOT_STORE_FAILURES.labels("refused").inc()
            raise HotStoreUnavailable(f"Redis is loading its data: {error}") from error
        except (failures.RedisError, OSError, TimeoutError) as error:
            await connection.disconnect(nowait=True)
            HOT_STORE_FAILURES.labels("lost").inc()
            raise ReplyLost(f"Redis did not answer: {error}") from error
        except asyncio.CancelledError:
            await connection.disconnect(nowait=True)
            raise
        finally:
            await self._pool.release(connection)

    async def _connection(self) -> Any:
        try:
            return await self._pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py leaves it bare
        except (failures.RedisError, OSError, TimeoutError) as error:
            HOT_STORE_FAILURES.labels("connect").inc()
            raise HotStoreUnavailable(f"Redis is not reachable: {error}") from error

    async def _greet(self, connection: Any) -> None:
        """Runs on each new connection: a Redis that came back with other settings must not be trusted."""
        await connection.on_connect()

        async def ask(*command: str) -> Any:
            await connection.send_command(*command, check_health=False)
            return await connection.read_response()

        wrong = await self._wrong_settings(ask)
        if wrong:
            self._broken_ack = f"Redis cannot keep ack={self._ack}: " + "; ".join(wrong)
            log.error("redis settings cannot keep ack", ack=self._ack, wrong=wrong)
            raise failures.ConnectionError(self._broken_ack)

    async def _wrong_settings(self, ask: Any) -> list[str]:
        found = _pairs(await ask("CONFIG", "GET", "*append*")) | _pairs(await ask("CONFIG", "GET", "maxmemory-policy"))
        needed = NEEDED_ALWAYS | (NEEDED_FOR_LOGGED if self._ack in ("logged", "settled") else {})
        return [
            f"{name} is {found.get(name, 'unknown')}, needs {value}"
            for name, value in needed.items()
            if found.get(name) != value
        ]

    async def _check_version(self) -> None:
        info = (await self.call("INFO", "server")).decode()
        version = next(line.partition(":")[2] for line in info.splitlines() if line.startswith("redis_version:"))
        if tuple(int(part) for part in version.split(".")[:2]) < VERSION_MIN:
            raise CannotRun(f"Redis is {version}; Dropwave needs 6.2 or newer (Valkey will do)")


async def _answer(connection: Any, wait_s: float | None) -> Any:
    """One answer. With a timeout of its own, read_response would say None and leave the answer on its way, for the
    next command on this connection to be taken for its own."""
    if wait_s is None:
        return await connection.read_response()
    async with asyncio.timeout(wait_s):
        return await connection.read_response(timeout=math.inf)


def _pairs(answer: list[bytes]) -> dict[str, str]:
    texts = [part.decode() for part in answer]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _failure_of(error: failures.ResponseError) -> HotStoreError:
    """What an error answer means. A script's errors carry the error of the command that failed in it."""
    text = f"{type(error).__name__}: {error}"
    nothing_done = isinstance(error, failures.ReadOnlyError | failures.OutOfMemoryError | failures.NoScriptError)
    if nothing_done or any(sign in str(error) for sign in _NOTHING_DONE):
        return HotStoreUnavailable(f"Redis refused: {text}")
    return HotStoreError(f"Redis answered with an error: {text}")
