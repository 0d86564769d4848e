"""The gateway as a service: listens, serves, and goes without breaking an answer.

Going, in this order:
1. `/readyz` says no, and every answer from now on says that its connection ends;
2. connections that the kernel has accepted already are taken over, then the listening socket closes: new ones
   go to the other processes on the port, or are refused at once;
3. for a moment idle connections are kept, for the request that may be on its way on them;
4. idle connections are closed; requests under way, and those whose bodies are still coming, get their answers, each
   followed by the client's hanging up;
5. after `drain_ms` in all, what is left is cut.
"""

import asyncio
import errno
import socket
import time
from typing import Final

import structlog
from aiohttp import web

from engine.errors import CannotRun
from engine.gateway.access_log import AccessLog
from engine.gateway.app import build_app
from engine.gateway.connection import Connection
from engine.gateway.connections import LINGER_S, TURNED_AWAY_MAX, Connections
from engine.gateway.cors import Cors
from engine.gateway.descriptors import allowed_connections
from engine.gateway.load import Load
from engine.gateway.parts import GatewayParts
from engine.gateway.rates import Rates
from engine.gateway.sending import Sender
from engine.service import Loop
from engine.settings import Settings
from engine.telemetry import BOARD_AGE

log = structlog.get_logger(__name__)

BACKLOG: Final = 4_096
"""Connections that wait to be accepted. A crowd connects within the same second; the kernel cuts this down to
net.core.somaxconn, which is 4,096 since Linux 5.4."""
RECEIVED_BYTES_MAX: Final = 65_536
SENT_BYTES_MAX: Final = 16_384
"""What the kernel keeps of each connection's requests and answers (it takes this twice). Left alone it would grow to
megabytes. Every answer that fits in there is work for a client that asks and asks and never reads: with 64 kB, a
hundred such clients kept a process busy for four seconds each time they came. An answer has a few kB, so 32 kB on
their way at a time slow nobody down; an operator's megabytes come at 600 kB a second over a line of 100 ms."""
CUT_S: Final = 0.2
"""What is cut at the end of a drain gets this long to notice."""
_GAUGES_S: Final = 1.0


class Gateway:
    """A service: one HTTP server over the parts, on `settings.host` and `settings.port` (0: any free one)."""

    def __init__(self, parts: GatewayParts) -> None:
        self._settings = parts.settings
        self._board = parts.board
        allowed = allowed_connections(self._settings.connections_max, TURNED_AWAY_MAX)
        self.connections = Connections(self._settings, allowed)
        self.load = Load(self._settings.requests_in_flight_max)
        self._look = Loop("connections", self.connections.look, self.connections.look_s)
        self._sender = Sender(AccessLog.of(parts.settings), Cors(parts.settings.cors_origins))
        self._rates = Rates(parts.settings)
        app = build_app(parts, self._sender, self._rates, self.load, is_draining=lambda: self.connections.draining)
        self._runner = web.AppRunner(app, shutdown_timeout=CUT_S)
        self._gauges = Loop("gateway gauges", self._set_gauges, _GAUGES_S)
        # aiohttp's own timer does not know of a request that is just coming in; ours does, and is always earlier.
        self._keep_alive_s = 1.0 + (self._settings.keep_alive_ms + self._settings.header_deadline_ms) / 1000
        self._listener: socket.socket | None = None
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port that it listens on; that of the settings while it does not."""
        return self._settings.port if self._listener is None else int(self._listener.getsockname()[1])

    async def start(self) -> None:
        """Listen. Raises CannotRun where the address cannot be had."""
        if self._server is not None:
            return
        listener = listen(self._settings)
        await self._runner.setup()
        # The loop gets a second handle of the socket: closing that one leaves the queue of accepted ones alive.
        self._server = await asyncio.get_running_loop().create_server(
            self._connection, sock=listener.dup(), backlog=BACKLOG
        )
        self._listener = listener
        await self._gauges.start()
        await self._look.start()
        log.info("listening", host=self._settings.host, port=self.port)

    async def stop(self) -> None:
        """Stop listening, answer what is under way, let go of all connections."""
        server, self._server = self._server, None
        listener, self._listener = self._listener, None
        if server is None or listener is None:
            return
        drained_s = time.monotonic() + self._settings.drain_ms / 1000
        self.connections.draining = True
        server.close()
        await self._take_over_accepted(listener)
        await self.connections.wait_none_left(self._settings.drain_idle_ms / 1000)
        self.connections.dismiss_idle()
        if not await self.connections.wait_none_left(max(0.0, drained_s - time.monotonic())):
            log.warning("drain is over", connections_cut=len(self.connections))
            self.connections.cut_all()
        await self._runner.cleanup()
        await self._look.stop()
        await self._gauges.stop()

    def _connection(self) -> Connection:
        server = self._runner.server
        assert server is not None, "the runner is set up before the socket listens"
        return Connection(
            server,
            self.connections,
            self._sender,
            loop=asyncio.get_running_loop(),
            access_log=None,
            keepalive_timeout=self._keep_alive_s,
            max_line_size=self._settings.header_bytes_max,
            max_field_size=self._settings.header_bytes_max,
            max_headers=self._settings.headers_max,
            lingering_time=LINGER_S,
            auto_decompress=False,  # a compressed body is refused, not unpacked
        )

    async def _take_over_accepted(self, listener: socket.socket) -> None:
        """Serve what waits in the socket's queue, then close it; the kernel would reset those connections."""
        loop, waiting = asyncio.get_running_loop(), list[socket.socket]()
        while len(waiting) < BACKLOG:
            try:
                waiting.append(listener.accept()[0])
            except OSError:  # nothing more (BlockingIOError), or a client that has gone again
                break
        listener.close()
        for client in waiting:
            client.setblocking(False)
            await loop.connect_accepted_socket(self._connection, client)

    async def _set_gauges(self) -> None:
        BOARD_AGE.set(self._board.age_ms() / 1000)
        self.load.look(_GAUGES_S)
        self._rates.tell()


def listen(settings: Settings) -> socket.socket:
    """A socket bound to the settings' address, shared with other gateways of this user (SO_REUSEPORT).

    Raises CannotRun with the way out.
    """
    host, port = settings.host, settings.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise CannotRun(f"cannot listen on {host}: {error.strerror}; set another address with --host") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Connections inherit these, where they are set before the socket listens.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_BYTES_MAX)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENT_BYTES_MAX)
        listener.bind(address)
        listener.setblocking(False)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotRun(_why_not(error, host, port)) from error
    return listener


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken: end what listens there, or choose another with --port"
    if error.errno == errno.EACCES:
        return f"port {port} is for root only: choose one above 1023 with --port"
    return f"cannot listen on {host} port {port}: {error.strerror}"
