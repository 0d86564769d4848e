"""Connections to Redis, what a failed call means, and what the server's own settings promise.

The client's own retries are off: a call that was sent twice by a library would be two calls to reason
about. What may be repeated is repeated by whoever knows that it may (the desk, the steward).
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import structlog
from hiredis import ReplyError

from engine.errors import (
    AckImpossible,
    CannotRun,
    HotStoreError,
    HotStoreUnavailable,
    ReplyLost,
    WritesRefused,
)
from engine.hotstore.connections import Connections
from engine.hotstore.promises import broken_promise, check_assertions
from engine.hotstore.wire import Argument, NotSent, Wire, pack
from engine.settings import Settings
from engine.telemetry import HOT_STORE_FAILURES

log = structlog.get_logger(__name__)

VERSION_MIN = (6, 2)

_NO_WRITES = ("OOM ", "READONLY ", "MISCONF ", "NOREPLICAS ")
_NOTHING_DONE = ("MASTERDOWN ", "LOADING ", "BUSY ", "NOAUTH ", "NOPERM ")
"""Errors that Redis gives before a command has done anything; inside a script they come from its first
write, which every script here makes its log entry."""
_UNKNOWN_SCRIPT = "NOSCRIPT "


class HotStore:
    """One Redis, as this process reaches it."""

    def __init__(self, url: str, settings: Settings) -> None:
        self._connections = Connections(url, settings, self._greet)
        self._settings = settings
        self._wait_s = settings.redis_timeout_ms / 1000
        self._broken_promise = ""
        """What the last new connection found wrong with the server's settings."""

    @classmethod
    async def connect(cls, url: str, settings: Settings) -> "HotStore":
        """Connect, and check version and settings.

        Raises HotStoreUnavailable, CannotRun, AckImpossible, SettingsError.
        """
        check_assertions(settings)
        store = cls(url, settings)
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
        await self._connections.close()

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
        wire = await self._wire()
        try:
            yield Line(wire, self._wait_s)
        finally:
            self._connections.give_back(wire)

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

    async def _wire(self) -> Wire:
        try:
            return await self._connections.take()
        except (OSError, ReplyError, UnicodeError) as error:  # UnicodeError: a name that no host can have
            HOT_STORE_FAILURES.labels("connect").inc()
            raise HotStoreUnavailable(f"Redis is not reachable: {str(error) or 'not in time'}") from error

    async def _greet(self, wire: Wire) -> None:
        """Runs on each new connection: a Redis that came back with other settings must not be trusted."""
        self._broken_promise = await broken_promise(partial(wire.ask, wait_s=self._wait_s), self._settings)
        if self._broken_promise:
            log.error("redis settings cannot keep ack", why=self._broken_promise)
            raise ConnectionRefusedError(self._broken_promise)

    async def _check_version(self) -> None:
        info = (await self.call("INFO", "server")).decode()
        version = next(line.partition(":")[2] for line in info.splitlines() if line.startswith("redis_version:"))
        if tuple(int(part) for part in version.split(".")[:2]) < VERSION_MIN:
            raise CannotRun(f"Redis is {version}; Dropwave needs 6.2 or newer (Valkey will do)")


class Line:
    """One connection to Redis, for the time of a block (`HotStore.line`)."""

    def __init__(self, wire: Wire, wait_s: float) -> None:
        self._wire = wire
        self._wait_s = wait_s

    @property
    def is_open(self) -> bool:
        """Whether it can be asked, as far as is known here. What has ended is not made anew within the block."""
        return self._wire.is_open

    async def exchange(self, commands: Sequence[Sequence[Argument]], wait_s: float | None = None) -> list[Any]:
        """Send these in one go and return their answers. Raises as `HotStore.call` does, for the first that failed."""
        packed = b"".join([pack(each) for each in commands])
        try:
            answers = await self._wire.exchange(packed, len(commands), self._wait_s if wait_s is None else wait_s)
        except OSError as error:
            raise _failure_of(error) from error
        for answer in answers:
            if isinstance(answer, ReplyError):
                raise _failure_of(answer) from answer
        return answers

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
        try:
            return int((await self.exchange([["WAIT", count, wait_ms]]))[0])
        except HotStoreError as error:
            raise ReplyLost(f"not known which replicas have it: {error}") from error

    async def broken_promise(self, settings: Settings) -> str:
        """Why the server cannot keep `ack`; empty where it can. Raises as `HotStore.call` does."""
        try:
            return await broken_promise(partial(self._wire.ask, wait_s=self._wait_s), settings)
        except (OSError, ReplyError) as error:
            raise _failure_of(error) from error


def _is_unknown_script(error: HotStoreError) -> bool:
    return isinstance(error.__cause__, ReplyError) and str(error.__cause__).startswith(_UNKNOWN_SCRIPT)


def _failure_of(error: OSError | ReplyError) -> HotStoreError:
    """What an error means; counted, but for NOSCRIPT, which only asks for the script's text."""
    if isinstance(error, NotSent):
        HOT_STORE_FAILURES.labels("connect").inc()
        return HotStoreUnavailable(f"Redis was not asked: {error}")
    if isinstance(error, OSError):
        HOT_STORE_FAILURES.labels("lost").inc()
        return ReplyLost(f"Redis did not answer: {error}")
    failure = _meaning_of(str(error))
    if not str(error).startswith(_UNKNOWN_SCRIPT):
        HOT_STORE_FAILURES.labels("refused" if isinstance(failure, HotStoreUnavailable) else "error").inc()
    return failure


def _meaning_of(text: str) -> HotStoreError:
    """What an error answer means. A script's errors carry the error of the command that failed in it."""
    if any(sign in text for sign in _NO_WRITES):
        return WritesRefused(f"Redis takes no writes: {text}")
    if text.startswith(_UNKNOWN_SCRIPT) or any(sign in text for sign in _NOTHING_DONE):
        return HotStoreUnavailable(f"Redis refused: {text}")
    return HotStoreError(f"Redis answered with an error: {text}")
