"""Connections to Redis, what a failed call means, and what the server's own settings promise.

The client's own retries are off: a call that was sent twice by a library would be two calls to reason
about. What may be repeated is repeated by whoever knows that it may (the desk, the steward).
"""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio as redis
import redis.exceptions as failures
import structlog
from hiredis import pack_command
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from engine.errors import (
    AckImpossible,
    CannotRun,
    HotStoreError,
    HotStoreUnavailable,
    ReplyLost,
    WritesRefused,
)
from engine.hotstore.promises import Ask, broken_promise, check_assertions
from engine.settings import Settings
from engine.telemetry import HOT_STORE_FAILURES

log = structlog.get_logger(__name__)

Argument = str | bytes | int

CONNECTIONS_MAX = 32
"""Of one process. A desk uses one or two; the others are for reads. A read takes some 0.2 ms, so a herd that asks what
it holds is served 32 at a time, and waits for its turn at most as long as for an answer."""

VERSION_MIN = (6, 2)

_NO_WRITES = ("OOM ", "READONLY ", "MISCONF ", "NOREPLICAS ")
_NOTHING_DONE = ("MASTERDOWN ", "LOADING ", "BUSY ", "NOAUTH ", "NOPERM ")
"""Errors that Redis gives before a command has done anything; inside a script they come from its first
write, which every script here makes its log entry."""


class HotStore:
    """One Redis, as this process reaches it."""

    def __init__(self, pool: redis.BlockingConnectionPool, settings: Settings) -> None:
        self._pool = pool
        self._settings = settings
        self._broken_promise = ""
        """What the last new connection found wrong with the server's settings."""

    @classmethod
    async def connect(cls, url: str, settings: Settings) -> "HotStore":
        """Connect, and check version and settings.

        Raises HotStoreUnavailable, CannotRun, AckImpossible, SettingsError.
        """
        check_assertions(settings)
        pool = redis.BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS_MAX,
            timeout=settings.redis_timeout_ms / 1000,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=settings.redis_timeout_ms / 1000,
            socket_connect_timeout=settings.redis_connect_timeout_ms / 1000,
        )
        store = cls(pool, settings)
        pool.connection_kwargs["redis_connect_func"] = store._greet
        try:
            await store._check_version()
        except BaseException as error:
            await store.close()
            if store._broken_promise:
                raise AckImpossible(store._broken_promise) from error
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
            if not _is_unknown_script(error):
                raise
        return await self.call("EVAL", source, len(keys), *keys, *arguments)

    @asynccontextmanager
    async def line(self) -> "AsyncIterator[Line]":
        """One connection for the time of the block: for what a connection knows of itself, as `Line.replicas`."""
        connection = await self._connection()
        try:
            yield Line(connection)
        finally:
            await self._pool.release(connection)

    async def broken_promise(self) -> str:
        """Why the server as it is set now cannot keep `ack`; empty where it can. Raises HotStoreError."""
        try:
            async with self.line() as line:
                return await line.broken_promise(self._settings)
        except HotStoreUnavailable:
            if self._broken_promise:  # a new connection was made, and has found it out
                return self._broken_promise
            raise

    async def time_ms(self) -> int:
        """The store's clock."""
        seconds, microseconds = await self.call("TIME")
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def incarnation(self) -> str:
        """`master_replid` of the server: new on every restart and promotion."""
        info: str = (await self.call("INFO", "replication")).decode()
        return next(line.partition(":")[2] for line in info.splitlines() if line.startswith("master_replid:"))

    async def _exchange(self, commands: Sequence[Sequence[Argument]], wait_s: float | None) -> list[Any]:
        async with self.line() as line:
            return await line.exchange(commands, wait_s)

    async def _connection(self) -> Any:
        try:
            return await self._pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py leaves it bare
        except (failures.RedisError, OSError, TimeoutError) as error:
            HOT_STORE_FAILURES.labels("connect").inc()
            raise HotStoreUnavailable(f"Redis is not reachable: {error}") from error

    async def _greet(self, connection: Any) -> None:
        """Runs on each new connection: a Redis that came back with other settings must not be trusted."""
        await connection.on_connect()
        self._broken_promise = await broken_promise(_asker(connection), self._settings)
        if self._broken_promise:
            log.error("redis settings cannot keep ack", why=self._broken_promise)
            raise failures.ConnectionError(self._broken_promise)

    async def _check_version(self) -> None:
        info = (await self.call("INFO", "server")).decode()
        version = next(line.partition(":")[2] for line in info.splitlines() if line.startswith("redis_version:"))
        if tuple(int(part) for part in version.split(".")[:2]) < VERSION_MIN:
            raise CannotRun(f"Redis is {version}; Dropwave needs 6.2 or newer (Valkey will do)")


class Line:
    """One connection to Redis, for the time of a block (`HotStore.line`)."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def exchange(self, commands: Sequence[Sequence[Argument]], wait_s: float | None = None) -> list[Any]:
        """Send these in one go and return their answers. Raises as `HotStore.call` does."""
        connection = self._connection
        async with _failures_of(connection, answers=len(commands)):
            # redis-py would do this in Python, value by value: 25 µs of a claim call instead of 3.
            packed = b"".join([pack_command(tuple(each)) for each in commands])  # type: ignore[arg-type]  # stub: a tuple of one
            await connection.send_packed_command(packed, check_health=False)
            return [await _answer(connection, wait_s) for _ in commands]

    async def call_script(
        self, sha: str, source: str, keys: Sequence[str | bytes], arguments: Sequence[Argument]
    ) -> Any:
        """As `HotStore.call_script`."""
        try:
            return (await self.exchange([["EVALSHA", sha, len(keys), *keys, *arguments]]))[0]
        except HotStoreError as error:
            if not _is_unknown_script(error):
                raise
        return (await self.exchange([["EVAL", source, len(keys), *keys, *arguments]]))[0]

    async def replicas(self, count: int, wait_ms: int) -> int:
        """How many replicas have all that Redis had done by this connection's last command; waits for `count` of them.

        WAIT speaks of its own connection alone: on another one it would answer for that one's past. So a connection
        that was lost is not made anew here. Raises ReplyLost, whatever happens: what was done before stays done.
        """
        if not self._connection.is_connected:
            raise ReplyLost("the connection that has to be asked for its replicas is gone")
        try:
            return int((await self.exchange([["WAIT", count, wait_ms]]))[0])
        except HotStoreError as error:
            raise ReplyLost(f"not known which replicas have it: {error}") from error

    async def broken_promise(self, settings: Settings) -> str:
        """Why the server cannot keep `ack`; empty where it can. Raises as `HotStore.call` does."""
        async with _failures_of(self._connection, answers=1):
            return await broken_promise(_asker(self._connection), settings)


@asynccontextmanager
async def _failures_of(connection: Any, answers: int) -> AsyncIterator[None]:
    """What redis and the network raise, as the error tree has it; the connection is cut where answers may come yet.

    It is cut without waiting for the other end: one that has fallen silent would not say goodbye.
    """
    try:
        yield
    except failures.ResponseError as error:
        if answers > 1:  # those of the commands behind it are still on their way
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


async def _answer(connection: Any, wait_s: float | None) -> Any:
    """One answer. With a timeout of its own, read_response would say None and leave the answer on its way, for the
    next command on this connection to be taken for its own."""
    if wait_s is None:
        return await connection.read_response()
    async with asyncio.timeout(wait_s):
        return await connection.read_response(timeout=math.inf)


def _asker(connection: Any) -> Ask:
    async def ask(*command: str) -> Any:
        await connection.send_command(*command, check_health=False)
        return await connection.read_response()

    return ask


def _is_unknown_script(error: HotStoreError) -> bool:
    return isinstance(error.__cause__, failures.NoScriptError)


def _failure_of(error: failures.ResponseError) -> HotStoreError:
    """What an error answer means. A script's errors carry the error of the command that failed in it."""
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, failures.ReadOnlyError | failures.OutOfMemoryError) or _has(error, _NO_WRITES):
        return WritesRefused(f"Redis takes no writes: {text}")
    if isinstance(error, failures.NoScriptError) or _has(error, _NOTHING_DONE):
        return HotStoreUnavailable(f"Redis refused: {text}")
    return HotStoreError(f"Redis answered with an error: {text}")


def _has(error: failures.ResponseError, signs: Sequence[str]) -> bool:
    return any(sign in str(error) for sign in signs)
