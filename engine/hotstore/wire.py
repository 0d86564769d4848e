"""One connection to Redis, bytes in and out: a request is written at once, its answers are read as they come.

redis-py's own connection reads through a stream, and sets up a task's timeout for each answer; a claim's call has one
write, one answer and one timer here. The rest follows from a rule: a connection of which it is not certain that no
answer is still to come is cut, so that nobody is ever given the answer to another request.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from hiredis import HiredisError, Reader, ReplyError, pack_command

Argument = str | bytes | int

_NOT_YET: Final = object()


def pack(command: Sequence[Argument]) -> bytes:
    """A command as Redis reads it."""
    packed: bytes = pack_command(tuple(command))  # type: ignore[arg-type]  # its stub takes a tuple of one
    return packed


class NotSent(ConnectionError):
    """The connection had ended before the request was written: surely nothing was done."""


class Wire(asyncio.Protocol):
    """A connection, for one request after the other. It is used up once it `is_open` no longer."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = Reader(notEnoughData=_NOT_YET)
        self._transport: Any = None
        self._ended: OSError | None = None
        self._gone = self._loop.create_future()
        self._asked: asyncio.Future[None] | None = None
        self._answers: list[Any] = []
        self._missing = 0
        """Answers of the request that are still to come."""

    @property
    def is_open(self) -> bool:
        """Whether a request can be written, as far as is known here."""
        return self._ended is None and not self._transport.is_closing()

    async def exchange(self, packed: bytes, count: int, wait_s: float) -> list[Any]:
        """Write a request of `count` commands, and return as many answers; an error among them is a ReplyError.

        Raises NotSent; or OSError where it is not known what was done (TimeoutError: not all answers in `wait_s`).
        Then, and where the caller is cancelled, the connection is cut.
        """
        if self._asked is not None:
            raise RuntimeError("one request at a time: answers come in the order of requests")
        if not self.is_open:
            raise NotSent(str(self._ended or "the connection is closing"))
        self._asked = asked = self._loop.create_future()
        self._answers, self._missing = [], count
        timer = self._loop.call_later(wait_s, self._too_late)
        self._transport.write(packed)
        try:
            await asked
        except asyncio.CancelledError:
            self.cut()
            raise
        finally:
            timer.cancel()
            self._asked = None
        return self._answers

    async def ask(self, *command: str, wait_s: float) -> Any:
        """The answer to one command. Raises ReplyError where that is an error, or as `exchange` does."""
        (answer,) = await self.exchange(pack(command), 1, wait_s)
        if isinstance(answer, ReplyError):
            raise answer
        return answer

    def cut(self) -> None:
        """End it at once, without waiting for the other end: one that has fallen silent would not say goodbye."""
        self._end(ConnectionAbortedError("the connection was cut"))

    async def close(self) -> None:
        """Cut it, and wait until it is."""
        self.cut()
        await asyncio.shield(self._gone)

    def _too_late(self) -> None:
        self._end(TimeoutError("not in time"))

    def _end(self, why: OSError) -> None:
        if self._ended is None:
            self._ended = why
            self._transport.abort()
            if self._asked is not None and not self._asked.done():
                self._asked.set_exception(why)

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """A piece of what Redis says."""
        if self._ended is not None:
            return
        try:
            self._reader.feed(data)
            while (answer := self._reader.gets()) is not _NOT_YET:
                if not self._missing:  # "max number of clients reached" is told like this
                    self._end(ConnectionAbortedError(f"Redis said what nobody had asked: {answer!r}"))
                    return
                self._answers.append(answer)
                self._missing -= 1
        except HiredisError as error:
            self._end(ConnectionAbortedError(f"what came is not Redis' language: {error}"))
            return
        if not self._missing and self._asked is not None and not self._asked.done():
            self._asked.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        """It has ended, whoever ended it."""
        self._end(error if isinstance(error, OSError) else ConnectionResetError("Redis ended the connection"))
        if not self._gone.done():
            self._gone.set_result(None)
