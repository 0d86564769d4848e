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
import time
from typing import Any, Final

import structlog
from aiohttp import web

from engine.gateway.accepting import Acceptor, listen
from engine.gateway.access_log import AccessLog
from engine.gateway.app import build_app
from engine.gateway.connection import Connection
from engine.gateway.connections import LINGER_S, TURNED_AWAY_MAX, Connections
from engine.gateway.cors import Cors
from engine.gateway.descriptors import allowed_connections
from engine.gateway.endpoints import Endpoints
from engine.gateway.lane.connection import LaneConnection
from engine.gateway.lane.lane import Lane
from engine.gateway.lane.round import Round
from engine.gateway.load import Load
from engine.gateway.parts import GatewayParts
from engine.gateway.rates import Rates
from engine.gateway.sending import Sender
from engine.service import Loop
from engine.telemetry import BOARD_AGE

log = structlog.get_logger(__name__)

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
        endpoints = Endpoints(parts, self._rates)
        app = build_app(
            parts, endpoints, self._sender, self._rates, self.load, is_draining=lambda: self.connections.draining
        )
        self._lane = Lane(parts, endpoints, self._rates, self.load) if self._settings.claim_lane else None
        self._round = Round()
        self._runner = web.AppRunner(app, shutdown_timeout=CUT_S)
        self._gauges = Loop("gateway gauges", self._set_gauges, _GAUGES_S)
        # aiohttp's own timer does not know of a request that is just coming in; ours does, and is always earlier.
        self._keep_alive_s = 1.0 + (self._settings.keep_alive_ms + self._settings.header_deadline_ms) / 1000
        self._acceptor: Acceptor | None = None

    @property
    def port(self) -> int:
        """The port that it listens on; that of the settings while it does not."""
        return self._settings.port if self._acceptor is None else self._acceptor.port

    async def start(self) -> None:
        """Listen. Raises CannotRun where the address cannot be had."""
        if self._acceptor is not None:
            return
        listener = listen(self._settings)
        await self._runner.setup()
        self._acceptor = Acceptor(listener, self._connection)
        await self._gauges.start()
        await self._look.start()
        log.info("listening", host=self._settings.host, port=self.port)

    async def stop(self) -> None:
        """Stop listening, answer what is under way, let go of all connections."""
        acceptor, self._acceptor = self._acceptor, None
        if acceptor is None:
            return
        drained_s = time.monotonic() + self._settings.drain_ms / 1000
        self.connections.draining = True
        await acceptor.close()
        await self.connections.wait_none_left(self._settings.drain_idle_ms / 1000)
        self.connections.dismiss_idle()
        if not await self.connections.wait_none_left(max(0.0, drained_s - time.monotonic())):
            log.warning("drain is over", connections_cut=len(self.connections))
            self.connections.cut_all()
        await self._runner.cleanup()
        await self._look.stop()
        await self._gauges.stop()
        self._sender.tell()

    def _connection(self) -> Connection:
        server = self._runner.server
        assert server is not None, "the runner is set up before the socket listens"
        limits: dict[str, Any] = {
            "loop": asyncio.get_running_loop(),
            "access_log": None,
            "keepalive_timeout": self._keep_alive_s,
            "max_line_size": self._settings.header_bytes_max,
            "max_field_size": self._settings.header_bytes_max,
            "max_headers": self._settings.headers_max,
            "lingering_time": LINGER_S,
            "auto_decompress": False,  # a compressed body is refused, not unpacked
        }
        if self._lane is None:
            return Connection(server, self.connections, self._sender, **limits)
        return LaneConnection(server, self.connections, self._sender, self._lane, self._round, **limits)

    async def _set_gauges(self) -> None:
        BOARD_AGE.set(self._board.age_ms() / 1000)
        self.load.look(_GAUGES_S)
        self._rates.tell()
