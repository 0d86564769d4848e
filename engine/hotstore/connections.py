"""The connections of one process to its Redis: at most CONNECTIONS_MAX, handed out one at a time, taken back."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import redis.asyncio as redis

from engine.hotstore.wire import Wire
from engine.settings import Settings

CONNECTIONS_MAX = 32
"""Of one process. A desk uses one or two; the others are for reads. A read takes some 0.2 ms, so a herd that asks what
it holds is served 32 at a time, and waits for its turn at most as long as for an answer."""

OPENED_AT_ONCE_MAX = 4
"""A new connection is asked for a dozen settings (`promises.py`). Where 32 are opened in the same moment, each waits
for the others, and all of them outlast the time that one may take."""


class Address:
    """Where a Redis is and as whom it is spoken to. redis-py reads the URL, with all that it may say of TLS."""

    def __init__(self, url: str) -> None:
        """Raises ValueError for a bad url."""
        pool = redis.ConnectionPool.from_url(url, protocol=2)
        self._told: Any = pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py leaves it bare

    async def connect(self) -> Wire:
        """A connection there, which nobody has introduced. Raises OSError."""
        told, loop = self._told, asyncio.get_running_loop()
        if isinstance(told, redis.UnixDomainSocketConnection):
            return (await loop.create_unix_connection(Wire, told.path))[1]
        context = told.ssl_context.get() if isinstance(told, redis.SSLConnection) else None
        transport, wire = await loop.create_connection(Wire, told.host, told.port, ssl=context)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # an idle one is not forgotten on its way
        for option, value in told.socket_keepalive_options.items():
            sock.setsockopt(socket.SOL_TCP, option, value)
        return wire

    async def introduce(self, wire: Wire, wait_s: float) -> None:
        """Say who asks, and for which of its databases. Raises ReplyError or OSError."""
        told = self._told
        if told.username or told.password:
            user = [told.username] if told.username else []
            await wire.ask("AUTH", *user, told.password or "", wait_s=wait_s)
        if told.db:
            await wire.ask("SELECT", str(told.db), wait_s=wait_s)
        if told.client_name:
            await wire.ask("CLIENT", "SETNAME", told.client_name, wait_s=wait_s)


class Connections:
    """Made as they are needed; the one that was given back last is handed out next, so that the others rest."""

    def __init__(self, url: str, settings: Settings, greet: Callable[[Wire], Awaitable[None]]) -> None:
        """`greet` is run on each new connection, and may refuse it, by an error. Raises ValueError for a bad url."""
        self._address = Address(url)
        self._greet = greet
        self._wait_s = settings.redis_timeout_ms / 1000
        self._connect_s = settings.redis_connect_timeout_ms / 1000
        self._places = asyncio.Semaphore(CONNECTIONS_MAX)
        self._doors = asyncio.Semaphore(OPENED_AT_ONCE_MAX)
        self._idle: list[Wire] = []
        self._all: set[Wire] = set()

    async def take(self) -> Wire:
        """A connection for its taker alone. Raises OSError (TimeoutError: none in time) or ReplyError."""
        if self._places.locked():
            async with asyncio.timeout(self._wait_s):
                await self._places.acquire()
        else:
            await self._places.acquire()
        try:
            return self._rested() or await self._another()
        except BaseException:
            self._places.release()
            raise

    def give_back(self, wire: Wire) -> None:
        """Its taker is done with it; open or not."""
        if wire.is_open:
            self._idle.append(wire)
        else:
            self._all.discard(wire)
        self._places.release()

    async def close(self) -> None:
        """End all of them, whoever waits for an answer. Safe to call more than once."""
        wires, self._all = self._all, set()
        self._idle.clear()
        for wire in wires:
            await wire.close()

    def _rested(self) -> Wire | None:
        while self._idle:
            wire = self._idle.pop()
            if wire.is_open:
                return wire
            self._all.discard(wire)
        return None

    async def _another(self) -> Wire:
        async with asyncio.timeout(self._connect_s + self._wait_s), self._doors:
            async with asyncio.timeout(self._connect_s):
                wire = await self._address.connect()
            self._all.add(wire)
            try:
                async with asyncio.timeout(self._wait_s):
                    await self._address.introduce(wire, self._wait_s)
                    await self._greet(wire)
            except BaseException:
                wire.cut()
                self._all.discard(wire)
                raise
        return wire
