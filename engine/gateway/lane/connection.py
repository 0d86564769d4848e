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
from engine.gateway.load import Load
from engine.gateway.sending import Sender

HELD_BYTES_MAX: Final = 65_536
"""Of requests that a client sends ahead while the lane has one of it under way; then its socket is not read."""


class LaneConnection(Connection):
    """The protocol of one connection."""

    __slots__ = ("_asked", "_going_on", "_held", "_lane", "_load", "address")

    def __init__(self, server: web.Server, connections: Connections, sender: Sender, lane: Lane, **limits: Any) -> None:
        super().__init__(server, connections, sender, **limits)
        self._lane = lane
        self._asked: tuple[str, Heading] | None = None
        """The request that the lane has under way."""
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
        if self._asked is not None:
            self._hold(data)
        elif not (self._is_for_lane() and self._lane.take(self, data)):
            super().data_received(data)

    def _is_for_lane(self) -> bool:
        """Whether nothing is under way here, and the connection is to go on."""
        phase = self._watch.phase
        return (
            (phase is Phase.IDLE or phase is Phase.FRESH)
            and self._framing.is_between
            and not (self._close or self._paused or self._all.draining)
        )

    def _hold(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > HELD_BYTES_MAX:
            cast(asyncio.Transport, self._watch.transport).pause_reading()

    # What the lane says.

    def begun(self, endpoint: str, heading: Heading, load: Load | None) -> None:
        """It has taken a request."""
        self._asked, self._load = (endpoint, heading), load
        self._watch.asked(whole=True)

    def left(self) -> None:
        """It has given a request back, or the client is gone."""
        self._end()
        if self._watch.transport is not None:
            self._watch.answered()

    def answered(self, answer: Answer) -> None:
        """It has an answer."""
        if self._asked is None:
            return
        transport, is_last = self._watch.transport, answer.close or self._all.draining
        data = self._sender.complete_bytes(*self._asked, answer, is_last=is_last)
        if transport is None or transport.is_closing():
            self._end()
            return
        transport.write(data)
        if is_last:
            self._end()
            self._half_close(transport)
        elif self._held:
            self._going_on = self._loop.create_task(self._go_on())
        else:
            self._end()
            self._watch.answered()

    def _end(self) -> None:
        self._asked, self._held = None, b""
        load, self._load = self._load, None
        if load is not None:
            load.leave()

    async def _go_on(self) -> None:
        """With what the client has sent ahead, as long as that is held up elsewhere, too."""
        load, self._load = self._load, None
        if load is not None:
            load.leave()
        await self._all.hold_up()
        held = self._held
        self._end()
        transport = self._watch.transport
        if transport is not None and not transport.is_closing():
            self._watch.answered()
            transport.resume_reading()
            self.data_received(held)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection has ended; a claim under way hears of it by `presence`."""
        super().connection_lost(exc)
        self._held = b""
