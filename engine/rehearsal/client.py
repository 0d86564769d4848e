"""HTTP for a crowd, cheap enough to share two cores with the servers that it asks.

A bounded pool of connections, each with one request under way; a request is bytes that were put together
before. A general client spends several times as much on each request, which would be the measure of the
rehearsal then.
"""

import asyncio
import ssl
import time
from collections import deque
from typing import NamedTuple, cast
from urllib.parse import urlsplit

import httptools

from engine.errors import UsageError

EXCHANGE_MAX_S = 20.0
"""For one answer: four times what the gateway gives a claim at most. Past it the connection is cut."""
SWEEP_S = 1.0


class Address(NamedTuple):
    """Where an installation listens; `authority` is what the Host header says."""

    host: str
    port: int
    authority: str
    tls: ssl.SSLContext | None = None

    @classmethod
    def of(cls, url: str) -> "Address":
        """The address in `http(s)://host[:port]`; UsageError where the text is anything else."""
        wrong = f"{url!r} is no address of an installation: write http://host:port or https://host"
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise UsageError(wrong) from None
        more = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
        if parts.scheme not in ("http", "https") or not parts.hostname or more or not url.isascii():
            raise UsageError(wrong)
        tls = ssl.create_default_context() if parts.scheme == "https" else None
        return cls(parts.hostname, port or (443 if tls else 80), parts.netloc, tls)


class Reply(NamedTuple):
    """An answer. Status 0: none came, the connection ended before."""

    status: int
    body: bytes = b""
    replayed: bool = False
    """Whether it carries `Idempotent-Replayed: true`."""
    asked_s: float = 0.0
    """When the request was written, by the monotonic clock; 0 where it never was."""


class _Connection(asyncio.Protocol):
    """One connection; its pool knows when it is free."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Reply] | None = None
        self._body = b""
        self._replayed = False
        self.usable = False
        self.asked_s = 0.0

    @property
    def busy(self) -> bool:
        return self._waiting is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one without being a subclass
        self.usable = True

    def connection_lost(self, _: Exception | None) -> None:
        self.usable = False
        self._answer(Reply(0, asked_s=self.asked_s))

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:  # no HTTP: as good as no answer
            self.cut()

    def ask(self, request: bytes) -> "asyncio.Future[Reply]":
        """Send a request; the future gets its answer."""
        assert self._transport is not None
        self._waiting = asyncio.get_running_loop().create_future()
        self._body, self._replayed = b"", False
        self.asked_s = time.monotonic()
        self._transport.write(request)
        return self._waiting

    def cut(self) -> None:
        """End the connection at once; who waits gets no answer."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    # What the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"idempotent-replayed":
            self._replayed = value == b"true"

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self.usable = False
            assert self._transport is not None
            self._transport.close()
        self._answer(Reply(self._parser.get_status_code(), self._body, self._replayed, self.asked_s))

    def _answer(self, reply: Reply) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)


class Pool:
    """Connections to one address. Use inside `async with`."""

    def __init__(self, address: Address, connections_max: int, exchange_max_s: float = EXCHANGE_MAX_S) -> None:
        self._address = address
        self._exchange_max_s = exchange_max_s
        self._connections_max = connections_max
        self._all: set[_Connection] = set()
        self._idle: list[_Connection] = []
        self._in_line: deque[asyncio.Future[_Connection | None]] = deque()
        self._open = 0
        self._sweeping: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> "Pool":
        self._sweep()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in self._all:
            connection.cut()

    async def exchange(self, request: bytes) -> Reply:
        """The answer to a request, as soon as a connection is free for it; status 0 where none came."""
        connection = await self._connection()
        if connection is None:
            return Reply(0)
        try:
            return await connection.ask(request)
        finally:
            self._release(connection)

    async def hang_up(self, request: bytes, after_s: float) -> None:
        """Send a request on a connection of its own and close it that long after, whatever has come back."""
        try:
            connection = await self._dial()
        except OSError:
            return  # refused: then nothing was sent, which is allowed to happen to somebody who vanishes
        connection.ask(request)
        await asyncio.sleep(after_s)
        connection.cut()

    async def _connection(self) -> _Connection | None:
        while True:
            while self._idle:
                connection = self._idle.pop()
                if connection.usable:
                    return connection
                self._forget(connection)
            if self._open < self._connections_max:
                return await self._connect()
            turn: asyncio.Future[_Connection | None] = asyncio.get_running_loop().create_future()
            self._in_line.append(turn)
            connection_of_another = await turn
            if connection_of_another is not None:
                return connection_of_another

    async def _connect(self) -> _Connection | None:
        self._open += 1
        try:
            connection = await self._dial()
        except OSError:
            self._open -= 1
            self._next(None)
            return None
        self._all.add(connection)
        return connection

    async def _dial(self) -> _Connection:
        host, port, _, tls = self._address
        _, connection = await asyncio.get_running_loop().create_connection(_Connection, host, port, ssl=tls)
        return connection

    def _release(self, connection: _Connection) -> None:
        """Pass the connection on to the next in line; where it has ended, the next may open another."""
        usable = connection.usable and not connection.busy
        if not usable:
            connection.cut()
            self._forget(connection)
        if not self._next(connection if usable else None) and usable:
            self._idle.append(connection)

    def _forget(self, connection: _Connection) -> None:
        if connection in self._all:
            self._all.discard(connection)
            self._open -= 1

    def _next(self, connection: _Connection | None) -> bool:
        """Whether somebody was in line."""
        while self._in_line:
            turn = self._in_line.popleft()
            if not turn.done():
                turn.set_result(connection)
                return True
        return False

    def _sweep(self) -> None:
        """Cut what has waited too long for its answer."""
        oldest_s = time.monotonic() - self._exchange_max_s
        for connection in list(self._all):
            if connection.busy and connection.asked_s < oldest_s:
                connection.cut()
        self._sweeping = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)
