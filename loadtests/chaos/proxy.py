"""A TCP proxy that fails on demand: between a client and a real server, for what networks do to both.

    async with Proxy("127.0.0.1", redis_port) as proxy:
        trap = proxy.trap(b"EVALSHA", Fault.CUT_AFTER)   # the next request that contains these bytes
        …                                                # the client talks to proxy.port
        await trap.springs()

It runs in the event loop of who made it; client and server may be processes of their own. The tests have it through
`tests/support/proxy.py`.
"""

import asyncio
from collections.abc import Callable, Coroutine
from enum import Enum
from types import TracebackType

LOOPBACK = "127.0.0.1"
_CHUNK_BYTES = 65_536
_NOTHING_COMES_S = 20.0


class Fault(Enum):
    """What happens to a request. Its connection is of no use afterwards, unless it says otherwise."""

    CUT_BEFORE = "cut before"
    """The server never sees it; the client finds the connection closed."""
    CUT_AFTER = "cut after"
    """The server has done it and has answered; the answer is dropped, and the client finds the connection closed."""
    SWALLOW = "swallow"
    """The server has done it; its answer, and all that follow, never arrive. The connection stays open."""
    HOLD = "hold"
    """It lies on the way until `release`, even when the client has given up and gone; its answer is dropped."""
    DELAY = "delay"
    """It lies on the way until `release`, then everything goes on as if nothing had been."""


class Way(Enum):
    """Of a line: what goes to the server, what comes back, or both."""

    REQUESTS = "requests"
    ANSWERS = "answers"
    BOTH = "both"


class Trap:
    """Waits for requests that contain some bytes, and does the same to each of them."""

    def __init__(self, marker: bytes, fault: Fault, times: int) -> None:
        self.marker = marker
        self.fault = fault
        self.left = times
        self.sprung = asyncio.Event()
        """Set at the first request that was caught; for CUT_AFTER and SWALLOW once the server has answered it."""
        self.answered = asyncio.Event()
        """Set once the server has answered a request that was caught, whether or not anybody heard it."""
        self.released = asyncio.Event()

    async def springs(self) -> None:
        """Wait until it has caught something; TimeoutError where nothing comes."""
        async with asyncio.timeout(_NOTHING_COMES_S):
            await self.sprung.wait()

    async def is_answered(self) -> None:
        """Wait until the server has answered what was caught; TimeoutError where it does not."""
        async with asyncio.timeout(_NOTHING_COMES_S):
            await self.answered.wait()

    def release(self) -> None:
        """Let go what was held or delayed."""
        self.released.set()


class _Link:
    """One connection of a client, and the proxy's own to the server."""

    def __init__(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.from_client, self.to_client = client
        self.from_server, self.to_server = server
        self.trap: Trap | None = None

    def cut(self) -> None:
        for writer in (self.to_client, self.to_server):
            writer.transport.abort()


class Proxy:
    """Listens on a free port of its own and passes everything on, until it is told to fail."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._server_port = port
        self._listener: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._traps: list[Trap] = []
        self._passing = {way: asyncio.Event() for way in (Way.REQUESTS, Way.ANSWERS)}
        self.resume()
        self.delay_s = 0.0
        """Each piece lies this long on the way, in each direction."""
        self.port = 0
        self.connections = 0
        """How many clients have connected so far."""

    async def __aenter__(self) -> "Proxy":
        await self.accept()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refuse()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def url_of(self, url: str) -> str:
        """The same address, through this proxy. It has to name the host and port that the proxy was given."""
        direct = f"{self._host}:{self._server_port}"
        assert direct in url, f"{direct} is not where this address leads"
        return url.replace(direct, f"{LOOPBACK}:{self.port}")

    # What can be told to it

    def trap(self, marker: bytes, fault: Fault, times: int = 1) -> Trap:
        """Do this to the next `times` requests that contain these bytes (within what arrives at once)."""
        trap = Trap(marker, fault, times)
        self._traps.append(trap)
        return trap

    def disarm(self) -> None:
        """Take away every trap that has not caught all it could."""
        self._traps.clear()

    def cut(self) -> None:
        """Every connection there is ends now, at both sides. New ones are taken."""
        for link in list(self._links):
            link.cut()

    async def refuse(self) -> None:
        """Nobody is here any more: connections end, new ones are refused."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        self.cut()

    async def accept(self) -> None:
        """Take connections, on the port as before."""
        if self._listener is None:
            self._listener = await asyncio.start_server(self._take, LOOPBACK, self.port)
            self.port = self._listener.sockets[0].getsockname()[1]

    def stall(self, way: Way = Way.BOTH) -> None:
        """The line is dead, and neither side is told (half open): nothing passes, nothing closes, connecting works.

        One way alone: requests arrive and are done, and no answer comes back; or the other way round.
        """
        for each, passing in self._passing.items():
            if way in (each, Way.BOTH):
                passing.clear()

    def resume(self) -> None:
        """The line is back, and with it what was on its way, as a network that retransmits would have it."""
        for passing in self._passing.values():
            passing.set()

    def lead_to(self, port: int) -> None:
        """New connections go to the server on that port; those that there are stay where they are."""
        self._server_port = port

    # What it does

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._connected(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server = await asyncio.open_connection(self._host, self._server_port)
        except OSError:
            writer.transport.abort()
            return
        link = _Link((reader, writer), server)
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._carry(link, Way.REQUESTS, self._requests, link.to_server))
                pumps.create_task(self._carry(link, Way.ANSWERS, self._answers, link.to_client))
        finally:
            self._links.discard(link)
            link.cut()

    async def _carry(
        self, link: _Link, way: Way, pump: Callable[[_Link], Coroutine[None, None, None]], to: asyncio.StreamWriter
    ) -> None:
        """One direction. Where its source ends, so does its target, once everything before has been passed on."""
        try:
            await pump(link)
            await self._passes(way)
            to.close()
        except OSError:
            link.cut()

    async def _passes(self, way: Way) -> None:
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        await self._passing[way].wait()

    async def _requests(self, link: _Link) -> None:
        while data := await link.from_client.read(_CHUNK_BYTES):
            await self._passes(Way.REQUESTS)
            trap = self._caught(data)
            if trap is not None:
                link.trap = trap
                if trap.fault is Fault.CUT_BEFORE:
                    trap.sprung.set()
                    link.cut()
                    return
                if trap.fault in (Fault.HOLD, Fault.DELAY):
                    trap.sprung.set()
                    await trap.released.wait()
            if not await _passed_on(data, link.to_server):
                return
            if trap is not None and trap.fault is Fault.HOLD:
                await trap.answered.wait()  # its client may be gone: closing now could outrun what was just sent

    async def _answers(self, link: _Link) -> None:
        while data := await link.from_server.read(_CHUNK_BYTES):
            await self._passes(Way.ANSWERS)
            trap = link.trap
            if trap is not None:
                trap.answered.set()
            if trap is None or trap.fault is Fault.DELAY:
                if not await _passed_on(data, link.to_client):
                    return
                continue
            trap.sprung.set()
            if trap.fault is Fault.CUT_AFTER:
                link.cut()
                return

    def _caught(self, data: bytes) -> Trap | None:
        for trap in self._traps:
            if trap.left and trap.marker in data:
                trap.left -= 1
                return trap
        return None


async def _passed_on(data: bytes, to: asyncio.StreamWriter) -> bool:
    """False where the line was cut while this was on its way; uvloop would call that a mistake of ours."""
    if to.is_closing():
        return False
    to.write(data)
    await to.drain()
    return True
