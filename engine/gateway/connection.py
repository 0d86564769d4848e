"""One client's connection: aiohttp's protocol, taught to name problems in our words, and to drain.

Caught here is what happens below the application: bytes that are no HTTP request or exceed its limits, answers
that aiohttp gives by itself (404, 405), and failures of a handler. Each becomes a problem like all others.
"""

import asyncio
import secrets
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from engine.gateway.answer import Words
from engine.gateway.refusals import Problem, refuse
from engine.gateway.requests import heading_of, response_of
from engine.gateway.sending import Sender
from engine.telemetry import CONNECTIONS

log = structlog.get_logger(__name__)

_NO_HTTP: Final = Problem(
    "invalid_request",
    Words("this is not a well-formed HTTP request", "这不是格式正确的 HTTP 请求"),
    {"at": "request"},
    close=True,
)
_HEADERS_TOO_LARGE: Final = Problem("headers_too_large", close=True)
_BY_STATUS: Final = {
    404: Problem("not_found"),
    405: Problem("method_not_allowed"),
    413: Problem("too_large", close=True),
}


class Connections:
    """All connections of a process: how many are open, and whether they are to end (`draining`)."""

    def __init__(self) -> None:
        self.draining = False
        self._open = 0
        self._none_left = asyncio.Event()
        self._none_left.set()

    def opened(self) -> None:
        """One more."""
        self._open += 1
        self._none_left.clear()
        CONNECTIONS.inc()

    def closed(self) -> None:
        """One less."""
        self._open -= 1
        CONNECTIONS.dec()
        if not self._open:
            self._none_left.set()

    async def wait_none_left(self, timeout_s: float) -> bool:
        """Whether every client has hung up within that time."""
        try:
            await asyncio.wait_for(self._none_left.wait(), timeout_s)
        except TimeoutError:
            return False
        return True


class Connection(web.RequestHandler):
    """The protocol of one connection."""

    __slots__ = ("_all", "_sender")

    def __init__(self, server: web.Server, connections: Connections, sender: Sender, **limits: Any) -> None:
        super().__init__(server, **limits)
        self._all = connections
        self._sender = sender

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._all.opened()
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection has ended, from whichever side."""
        self._all.closed()
        super().connection_lost(exc)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; one that aiohttp made becomes a problem, and while draining it is the last one."""
        if isinstance(resp, web.HTTPException):
            resp = self._respond(_BY_STATUS.get(resp.status, _NO_HTTP), request, allow=resp.headers.get("Allow"))
        if self._all.draining:
            resp.force_close()
        return await super().finish_response(request, resp, start_time)

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
        if status == 400:
            too_large = isinstance(exc, LineTooLong) or (message or "").startswith("Too many headers")
            return self._respond(_HEADERS_TOO_LARGE if too_large else _NO_HTTP, request)
        failure = secrets.token_hex(8)
        log.error("request failed", failure=failure, method=request.method, path=request.path, exc_info=exc)
        return self._respond(Problem("internal", extras={"id": failure}, close=True), request)

    def _respond(self, problem: Problem, request: web.BaseRequest, allow: str | None = None) -> web.Response:
        """The problem as a response."""
        heading = heading_of(request)
        answer = self._sender.complete("connection", heading, refuse(problem, heading.accept_language))
        response = response_of(answer)
        if allow:
            response.headers["Allow"] = allow
        return response
