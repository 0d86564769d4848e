"""A connection with a lane: aiohttp's protocol, and the lane in front of it.

Bytes go to the lane where nothing of aiohttp's is under way: no request without its answer, no begun head, nothing
kept back. What the lane does not take goes to aiohttp as it came, and so does all that follows until aiohttp has
answered. What comes while the lane has a request under way is held until that has its answer, so answers go out in the
order of the requests, whoever gives them.
"""

import asyncio
from typing import Any, Final, cast

from aiohttp import web

from engine.gateway.answer import Answer, Heading
from engine.gateway.connection import Connection
from engine.gateway.connections import Connections, Phase
from engine.gateway.lane.lane import Lane
from engine.gateway.lane.plain import Plain
from engine.gateway.lane.round import Round
from engine.gateway.load import Load
from engine.gateway.sending import Sender

HELD_BYTES_MAX: Final = 65_536
"""Of requests that a client sends ahead while the lane has one of it under way; then its socket is not read."""


class LaneConnection(Connection):
    """The protocol of one connection."""

    __slots__ = ("_endpoint", "_going_on", "_heading", "_held", "_is_quiet", "_lane", "_load", "_round", "address")

    def __init__(
        self,
        server: web.Server,
        connections: Connections,
        sender: Sender,
        lane: Lane,
        this_round: Round,
        **limits: Any,
    ) -> None:
        """`this_round` is that of all connections of the event loop."""
        super().__init__(server, connections, sender, **limits)
        self._lane = lane
        self._round = this_round
        self._is_quiet = False
        """Whether aiohttp has seen nothing since it was found to have nothing under way."""
        self._heading: Heading | None = None
        """Of the request that the lane has under way; what its head says, until the lane has looked at the rest."""
        self._endpoint = ""
        self._load: Load | None = None
        self._held = b""
        self._going_on: asyncio.Task[None] | None = None
        self.address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self.address = str((transport.get_extra_info("peername") or ("",))[0])
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._heading is not None:
            self._hold(data)
            return
        if (self._is_quiet or self._has_fallen_quiet()) and not (self._paused or self._all.draining):
            plain = self._lane.read(data)
            if plain is not None:
                self._heading = plain[0].heading
                self._round.add(self, data, plain)
                return
            self._is_quiet = False
        super().data_received(data)

    def go_on(self, data: bytes, plain: Plain) -> None:
        """The lane can take it, or leave it to aiohttp, together with what has come meanwhile."""
        transport, held = self._watch.transport, self._held
        if transport is None or transport.is_closing():  # it was cut, or has broken, since this came
            self._end()
        elif not self._lane.take(self, plain):
            self._end()
            self._is_quiet = False
            transport.resume_reading()
            super().data_received(data + held)

    def failed(self, error: Exception) -> None:
        """It could not go on: nobody knows what the client would be told next."""
        self._loop.call_exception_handler({"message": "a connection failed", "exception": error, "protocol": self})
        if self._watch.transport is not None:
            self._watch.transport.abort()

    def _has_fallen_quiet(self) -> bool:
        """Whether aiohttp has answered all that it was given, and the connection goes on."""
        phase = self._watch.phase
        if (phase is Phase.IDLE or phase is Phase.FRESH) and self._framing.is_between and not self._close:
            self._is_quiet = True
        return self._is_quiet

    def _hold(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > HELD_BYTES_MAX:
            cast(asyncio.Transport, self._watch.transport).pause_reading()

    # What the lane says.

    def begun(self, endpoint: str, heading: Heading, load: Load | None) -> None:
        """It has taken a request, which `load` counts, if any."""
        self._endpoint, self._heading, self._load = endpoint, heading, load
        self._watch.busy()

    def left(self) -> None:
        """It has given a request back, or the client is gone."""
        self._end()
        if self._watch.transport is not None:
            self._watch.idle()

    def answered(self, answer: Answer) -> None:
        """It has an answer."""
        heading, transport = self._heading, self._watch.transport
        if heading is None:
            return
        is_last = answer.close or self._all.draining
        try:
            data = self._sender.complete_bytes(self._endpoint, heading, answer, is_last=is_last)
        except Exception:  # the disk of the access log is full, say: nothing can be sent, and nothing is held up by it
            self._end()
            if transport is not None:
                transport.abort()
            raise
        if transport is None or transport.is_closing():
            self._end()
            return
        transport.write(data)
        if is_last:
            self._end()
            self._is_quiet = False
            self._half_close(transport)
        elif self._held:
            self._going_on = self._loop.create_task(self._go_on())
        else:
            self._end()
            self._watch.idle()

    def _end(self) -> None:
        self._heading, self._held = None, b""
        if self._load is not None:
            self._load.leave()
            self._load = None

    async def _go_on(self) -> None:
        """With what the client has sent ahead, as long as that is held up elsewhere, too."""
        if self._load is not None:
            self._load.leave()
            self._load = None
        await self._all.hold_up()
        held = self._held
        self._end()
        transport = self._watch.transport
        if transport is not None and not transport.is_closing():
            self._watch.idle()
            transport.resume_reading()
            self.data_received(held)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection has ended; a claim under way hears of it by `presence`."""
        super().connection_lost(exc)
        self._held = b""
