"""Between aiohttp and plain values: a request's heading and body, an answer as aiohttp sends it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import hdrs, web
from aiohttp.http import HttpVersion11
from multidict import CIMultiDict

from engine.gateway.answer import Answer, Heading, Words
from engine.gateway.refusals import Problem, refuse
from engine.gateway.request_ids import request_id_of
from engine.gateway.sending import Sender
from engine.telemetry import CONNECTIONS_CUT, REQUEST_ID
from engine.telemetry.tracing import trace_request

_HEADING: Final = web.RequestKey("heading", Heading)
TOO_LARGE: Final = Problem("too_large", close=True)
BROKEN: Final = Problem(
    "invalid_request",
    Words("the body is cut or its chunks are wrong", "请求体不完整或分块有误"),
    {"at": "body"},
    close=True,
)
TIMEOUT: Final = Problem("timeout", close=True)
_EXPECT: Final = Problem(
    "invalid_request",
    Words("Expect can only be 100-continue", "Expect 只能是 100-continue"),
    {"at": "Expect"},
    close=True,
)


def heading_of(request: web.BaseRequest) -> Heading:
    """The headers that matter to an answer; read once for each request, which keeps its name that way."""
    heading: Heading | None = request.get(_HEADING)
    if heading is None:
        heading = request[_HEADING] = _read_heading(request)
    return heading


def _read_heading(request: web.BaseRequest) -> Heading:
    began_s, get = time.perf_counter(), request.headers.get
    request_id, traceparent = request_id_of(get("X-Request-Id", "")), get("Traceparent", "")
    REQUEST_ID.set(request_id)  # for the lines that are logged while it is handled; a connection is one task
    return Heading(
        authorization=_all_of(request, hdrs.AUTHORIZATION),
        content_type=get("Content-Type", ""),
        content_encoding=_all_of(request, hdrs.CONTENT_ENCODING),
        accept=get("Accept", ""),
        accept_language=get("Accept-Language", ""),
        if_none_match=get("If-None-Match", ""),
        if_match=_all_of(request, hdrs.IF_MATCH),
        origin=get("Origin", ""),
        traceparent=traceparent,
        address=request.remote or "",
        request_id=request_id,
        method=request.method,
        route=_route_of(request),
        began_s=began_s,
        trace=trace_request(traceparent, began_s),
    )


def _all_of(request: web.BaseRequest, name: str) -> str:
    """A header that says who asks, or what for. Sent twice it is one list: no two readers can each take one of them."""
    if not request.headers:  # bytes that never became a request: aiohttp has a plain dict there
        return ""
    values = request.headers.getall(name, ())
    return values[0] if len(values) == 1 else ", ".join(values)


def _route_of(request: web.BaseRequest) -> str:
    """The route that it took, as it is written; empty where it took none."""
    if not isinstance(request, web.Request) or request._match_info is None:  # bytes that never became a request
        return ""
    resource = request.match_info.route.resource
    return "" if resource is None else resource.canonical


def response_of(answer: Answer) -> web.Response:
    """The answer as aiohttp sends it."""
    response = web.Response(status=answer.status, headers=CIMultiDict(answer.headers), body=answer.body)
    if answer.close:
        response.force_close()
    return response


def announces_more(request: web.Request, bytes_max: int) -> bool:
    """Whether its head says that more than so many bytes of body will come."""
    return (request.content_length or 0) > bytes_max


async def read_body(request: web.Request, bytes_max: int, deadline_s: float) -> bytes | Problem:
    """The body, within its bounds of size and time. It mostly came with the headers and waits for nothing."""
    if announces_more(request, bytes_max):
        return TOO_LARGE
    try:
        if request.content.is_eof():
            return await _read(request, bytes_max)
        async with asyncio.timeout(deadline_s):
            return await _read(request, bytes_max)
    except web.RequestPayloadError:
        return BROKEN
    except TimeoutError:
        CONNECTIONS_CUT.labels("body").inc()
        return TIMEOUT


async def _read(request: web.Request, bytes_max: int) -> bytes | Problem:
    body = bytearray()
    while chunk := await request.content.readany():
        body += chunk
        if len(body) > bytes_max:
            return TOO_LARGE
    return bytes(body)


def expect_within(bytes_max: int, sender: Sender) -> Callable[[web.Request], Awaitable[web.StreamResponse | None]]:
    """What answers `Expect: 100-continue`: yes, unless the body would be refused for its size (RFC 9110, 10.1.1)."""

    def refused(request: web.Request, problem: Problem) -> web.Response:
        heading = heading_of(request)
        return response_of(sender.complete("connection", heading, refuse(problem, heading.accept_language)))

    async def expect(request: web.Request) -> web.StreamResponse | None:
        if announces_more(request, bytes_max):
            return refused(request, TOO_LARGE)
        if request.headers["Expect"].lower() != "100-continue":
            return refused(request, _EXPECT)
        if request.version < HttpVersion11:
            return None  # it knows of no answer before the answer (RFC 9110, 10.1.1)
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # what aiohttp takes for the begin of the answer proper
        return None

    return expect
