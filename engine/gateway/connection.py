"""One client's connection: aiohttp's protocol, taught to name problems in our words, and to drain.

Caught here is what happens below the application: bytes that are no HTTP request or exceed its limits, answers
that aiohttp gives by itself (404, 405), and failures of a handler. Each becomes a problem like all others.
"""

import asyncio
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.http import HttpRequestParser
from aiohttp.http_exceptions import LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import MAX_MSG_QUEUE_SIZE, _ErrInfo

from engine.claiming.presence import Presence
from engine.gateway.answer import Heading, Words
from engine.gateway.aside import failure_of_ours
from engine.gateway.connections import Connections, Cut, Watch
from engine.gateway.framing import NO_HTTP, Framing, Malformed, flaw_of
from engine.gateway.refusals import Problem, refuse
from engine.gateway.request_ids import request_id_of
from engine.gateway.requests import TIMEOUT, heading_of, response_of
from engine.gateway.sending import Sender

_HEADERS_TOO_LARGE: Final = Problem("headers_too_large", close=True)
_FULL: Final = Problem(
    "busy",
    Words("as many clients are connected as can be served", "连接数已达上限"),
    wait_ms=1_000,
    jitter_ms=3_000,
    close=True,
)
_TOO_MANY: Final = Problem(
    "too_many_requests",
    Words("too many connections come from this address", "该地址的连接过多"),
    close=True,
)
_BY_STATUS: Final = {
    404: Problem("not_found"),
    405: Problem("method_not_allowed"),
    413: Problem("too_large", close=True),
}


class Connection(web.RequestHandler):
    """The protocol of one connection."""

    __slots__ = ("_all", "_answered", "_body", "_framing", "_lost", "_sender", "_watch", "presence")

    def __init__(self, server: web.Server, connections: Connections, sender: Sender, **limits: Any) -> None:
        super().__init__(server, **limits)
        self._all = connections
        self._sender = sender
        self._answered = 0
        self._framing = Framing()
        self._watch = Watch(connections, self._cut)
        self._body: StreamReader | None = None
        """The body that is still to come."""
        self._lost: asyncio.Future[None] | None = None
        """Whoever waits for the client to hang up."""
        self.presence = Presence()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        refusal = self._watch.opened(cast(asyncio.Transport, transport))
        if refusal:  # aiohttp does not hear of it: no task, no timer
            self._turn_away(_TOO_MANY if refusal == "address" else _FULL)
        else:
            super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection has ended, from whichever side."""
        self._watch.lost()
        self.presence.leave()
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes came. aiohttp parses them; noted is what the client owes us after that."""
        before = self._request_count
        self._parse(data)
        if self._close:
            return
        if self._request_count != before:
            body = self._messages[-1][1]
            self._body = None if body.is_eof() else body
            self._watch.asked(whole=self._body is None)
        elif self._body is not None:
            if self._body.is_eof():
                self._body = None
                self._note_whole()
        elif data and not self._close and not self._watch.heard(len(data)):
            self._turn_away(_HEADERS_TOO_LARGE)

    def _process_keepalive(self) -> None:
        """aiohttp's own timer, which knows of its own requests only: `Connections` looks after those that idle."""
        self._keepalive_handle = None

    def _parse(self, data: bytes) -> None:
        """Hand on what came, one head or body at a time, for as long as it is HTTP and there is room for requests."""
        framing = self._framing
        if framing.is_lost:
            return
        data, framing.kept, start = framing.kept + data, b"", 0
        while True:
            stop, before = framing.end_of_piece(data, start), self._request_count
            super().data_received(data if stop - start == len(data) else data[start:stop])
            if self._request_count != before:
                self._look_at_head()
            if self._upgraded:  # nobody here speaks WebSocket: the wish is ignored (RFC 9110, 7.8), HTTP goes on
                assert self._parser is not None
                self._upgraded = False
                self._parser.set_upgraded(False)
            if framing.is_chunked_body_over():
                self._parser = self._fresh_parser()
            if stop == len(data) or framing.is_lost:
                return
            if self._reading_paused or len(self._messages) >= MAX_MSG_QUEUE_SIZE:
                framing.kept = data[stop:]
                return
            start = stop

    def _look_at_head(self) -> None:
        """A request has been parsed, or what came is none: it is the last of the messages."""
        message, body = self._messages[-1]
        flaw = None if isinstance(message, _ErrInfo) else flaw_of(message)
        if flaw is not None:
            message, body = _ErrInfo(400, Malformed(flaw), flaw.code), EMPTY_PAYLOAD
            self._messages[-1] = message, body
        if not isinstance(message, _ErrInfo):
            self._framing.begin(message, body)
        elif self._framing.lose() and self._answered == self._request_count - 1:
            self._messages.clear()  # whose body it was has had its answer: there is nobody to tell
            if self._watch.transport is not None:
                self._half_close(self._watch.transport)

    def _fresh_parser(self) -> HttpRequestParser:
        """Like the one that aiohttp makes for a connection."""
        return HttpRequestParser(
            self,
            self._loop,
            self._read_bufsize,
            max_line_size=self.max_line_size,
            max_field_size=self.max_field_size,
            max_headers=self.max_headers,
            payload_exception=web.RequestPayloadError,
            auto_decompress=False,
            max_msg_queue_size=MAX_MSG_QUEUE_SIZE,
        )

    def _note_whole(self) -> None:
        """All of the last request has come: we owe an answer, or it was given before the end of the body."""
        if self._request_count > self._answered:
            self._watch.asked(whole=True)
        else:
            self._watch.answered()

    def _cut(self, reason: Cut) -> None:
        """The time of this connection is up. Answered is a request that has begun and could not be read."""
        transport = self._watch.transport
        if transport is None or reason in (Cut.UNREAD, Cut.HANG_UP) or transport.get_write_buffer_size():
            if transport is not None:
                transport.abort()
        elif reason is Cut.HEADERS:
            self._turn_away(TIMEOUT)
        else:
            transport.close()

    def _turn_away(self, problem: Problem) -> None:
        """Answer what is no request yet, and wait for the client to hang up."""
        transport = self._watch.transport
        if transport is None or transport.is_closing():
            return
        heading = Heading(address=str((transport.get_extra_info("peername") or ("",))[0]), request_id=request_id_of(""))
        self.close()
        transport.write(self._sender.complete_bytes("connection", heading, refuse(problem, ""), is_last=True))
        self._half_close(transport)

    def _half_close(self, transport: asyncio.Transport) -> None:
        """Nothing more comes from us. What still comes from the client is read and thrown away; see LINGER_S."""
        self.close()
        transport.resume_reading()
        transport.write_eof()
        self._watch.leaving()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; one that aiohttp made becomes a problem, and while draining it is the last one."""
        if isinstance(resp, web.HTTPException):
            allow = resp.headers.get("Allow", "")
            resp = self._preflight(request, allow) or self._respond(
                _BY_STATUS.get(resp.status, NO_HTTP), request, allow
            )
        # Behind a request with a broken body stands only the error, which its own answer tells.
        if self._all.draining or (self._framing.is_body_broken and self._answered == self._request_count - 2):
            resp.force_close()
        sent = await super().finish_response(request, resp, start_time)
        self._answered += 1
        transport = self.transport
        if transport is None or transport.is_closing():
            return sent
        if not resp.keep_alive:
            self._half_close(transport)
            self._lost = self._loop.create_future()
            await self._lost
        elif self._body is None:
            self._note_whole()
        if self._messages:
            await self._all.hold_up()
        return sent

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what could not be read (400), or to a failure of a handler (500, 504), which is logged."""
        if isinstance(exc, ConnectionError):
            raise exc  # the client has gone: nobody to answer
        if request.writer.output_size > 0:
            raise ConnectionError("part of an answer was sent already")
        if isinstance(exc, Malformed):
            return self._respond(exc.problem, request)
        if status == 400:
            too_large = isinstance(exc, LineTooLong) or (message or "").startswith("Too many headers")
            return self._respond(_HEADERS_TOO_LARGE if too_large else NO_HTTP, request)
        heading = heading_of(request)
        return response_of(self._sender.complete("connection", heading, failure_of_ours(exc, heading)))

    def _preflight(self, request: web.BaseRequest, allow: str) -> web.Response | None:
        """The answer to a browser's question whether a page may ask at all; no route takes OPTIONS by itself."""
        if request.method != "OPTIONS" or not allow:
            return None
        method = request.headers.get("Access-Control-Request-Method", "")
        answer = self._sender.preflight(request.path, heading_of(request), method, allow)
        return None if answer is None else response_of(answer)

    def _respond(self, problem: Problem, request: web.BaseRequest, allow: str = "") -> web.Response:
        """The problem as a response."""
        heading = heading_of(request)
        answer = self._sender.complete("connection", heading, refuse(problem, heading.accept_language))
        response = response_of(answer)
        if allow:
            response.headers["Allow"] = allow
        return response
