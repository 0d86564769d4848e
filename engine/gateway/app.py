"""The aiohttp application: routes, and thin handlers that turn a Request into plain values and an Answer back.

There is no middleware, but where addresses are counted (`address_gate`). What else would be one for each request
(problems for what aiohttp refuses by itself, the end of a connection while draining) is done by the protocol
(`connection`), which also sees requests that never become one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps

from aiohttp import web

from engine.gateway.address_gate import address_gates
from engine.gateway.answer import BARE, PRIVATE, Answer
from engine.gateway.connection import Connection
from engine.gateway.endpoints import Endpoints
from engine.gateway.load import Load
from engine.gateway.merchant_routes import add_merchant_routes
from engine.gateway.openapi.serving import docs_page, openapi_json
from engine.gateway.ops_routes import add_ops_routes
from engine.gateway.parts import GatewayParts
from engine.gateway.problem_pages import problem_index, problem_page
from engine.gateway.rates import Rates
from engine.gateway.refusals import Problem, refuse
from engine.gateway.requests import TOO_LARGE, announces_more, expect_within, heading_of, read_body, response_of
from engine.gateway.sending import Sender
from engine.telemetry import METRICS_TYPE, metrics_text

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build_app(
    parts: GatewayParts,
    endpoints: Endpoints,
    sender: Sender,
    rates: Rates,
    load: Load,
    is_draining: Callable[[], bool] = lambda: False,
) -> web.Application:
    """The application over these parts. `is_draining` turns `/readyz` to no."""
    gates = address_gates(parts.settings, rates, sender)
    app = web.Application(client_max_size=parts.settings.body_bytes_max, middlewares=gates)
    handlers = _Handlers(parts, endpoints, sender, load, is_draining)
    expect = expect_within(parts.settings.body_bytes_max, sender)
    for method, path, handler in (
        ("POST", "/v1/waves/{wave}/claims", handlers.claim),
        ("POST", "/v1/waves/{wave}/tickets", handlers.in_turn("ticket", handlers.ticket)),
        ("GET", "/v1/waves/{wave}/claims", handlers.in_turn("own", handlers.claims_in_wave)),
        ("GET", "/v1/waves/{wave}", handlers.in_turn("status", handlers.wave)),
        ("GET", "/v1/waves", handlers.in_turn("status", handlers.waves)),
        ("GET", "/v1/campaigns/{campaign}", handlers.in_turn("status", handlers.campaign)),
        ("GET", "/v1/time", handlers.time),
        ("GET", "/v1/me/claims", handlers.in_turn("own", handlers.my_claims)),
        ("GET", "/v1/me/vouchers", handlers.in_turn("own", handlers.my_vouchers)),
        ("GET", "/v1/me/vouchers/{code}", handlers.in_turn("own", handlers.my_voucher)),
        ("DELETE", "/v1/me/vouchers/{code}", handlers.in_turn("own", handlers.delete_voucher)),
        ("GET", "/v1/me/vouchers/{code}/qr.svg", handlers.in_turn("own", handlers.my_qr_code)),
        ("PUT", "/v1/me/vouchers/{code}/code-page", handlers.in_turn("own", handlers.open_code_page)),
        ("DELETE", "/v1/me/vouchers/{code}/code-page", handlers.in_turn("own", handlers.close_code_page)),
        ("GET", "/problems", handlers.problems),
        ("GET", "/problems/{slug}", handlers.problem),
        ("GET", "/openapi.json", handlers.openapi),
        ("GET", "/docs", handlers.docs),
        ("GET", "/healthz", handlers.health),
        ("GET", "/readyz", handlers.ready),
        *(() if parts.settings.metrics_port else (("GET", "/metrics", handlers.metrics),)),  # else on that port alone
    ):
        if method == "GET":
            app.router.add_get(path, handler, expect_handler=expect)
        else:
            app.router.add_route(method, path, handler, expect_handler=expect)
    add_merchant_routes(app, parts, endpoints.doorkeeper, endpoints.tills, sender, load)
    add_ops_routes(app, parts, endpoints.doorkeeper, sender)
    return app


class _Handlers:
    """One short function for each route."""

    def __init__(
        self, parts: GatewayParts, endpoints: Endpoints, sender: Sender, load: Load, is_draining: Callable[[], bool]
    ) -> None:
        self._settings = parts.settings
        self._board = parts.board
        self._can_acknowledge = parts.can_acknowledge
        self._is_draining = is_draining
        self._claims = endpoints.claims
        self._tickets = endpoints.tickets
        self._own = endpoints.own
        self._cards = endpoints.cards
        self._pages = endpoints.pages
        self._sender = sender
        self._load = load

    def _respond(self, endpoint: str, request: web.Request, answer: Answer) -> web.Response:
        return response_of(self._sender.complete(endpoint, heading_of(request), answer))

    def in_turn(self, endpoint: str, handler: Handler) -> Handler:
        """The handler as the crowd gets it: `busy` where too many are being answered."""

        @wraps(handler)
        async def in_turn(request: web.Request) -> web.StreamResponse:
            refusal = self._load.enter()
            if refusal is not None:
                return self._respond(endpoint, request, refuse(refusal, heading_of(request).accept_language))
            try:
                return await handler(request)
            finally:
                self._load.leave()

        return in_turn

    async def claim(self, request: web.Request) -> web.Response:
        heading = heading_of(request)
        body = await self._body(request)
        refusal = self._load.enter()  # not before: a body that trickles is no load, and takes nobody's place
        if refusal is not None:
            return self._respond("claim", request, refuse(refusal, heading.accept_language))
        try:
            presence = request.protocol.presence if isinstance(request.protocol, Connection) else None
            answer = await self._claims.answer(request.match_info["wave"], heading, body, presence)
        finally:
            self._load.leave()
        return self._respond("claim", request, answer)

    async def ticket(self, request: web.Request) -> web.Response:
        heading = heading_of(request)
        if announces_more(request, self._settings.body_bytes_max):
            return self._respond("ticket", request, refuse(TOO_LARGE, heading.accept_language))
        return self._respond("ticket", request, await self._tickets.answer(request.match_info["wave"], heading))

    async def claims_in_wave(self, request: web.Request) -> web.Response:
        return self._respond("own", request, await self._own.in_wave(request.match_info["wave"], heading_of(request)))

    async def my_claims(self, request: web.Request) -> web.Response:
        return self._respond("own", request, await self._own.claims(heading_of(request)))

    async def my_vouchers(self, request: web.Request) -> web.Response:
        return self._respond("own", request, await self._cards.cards(request.query, heading_of(request)))

    async def my_voucher(self, request: web.Request) -> web.Response:
        return self._respond("own", request, await self._cards.card(request.match_info["code"], heading_of(request)))

    async def my_qr_code(self, request: web.Request) -> web.Response:
        return self._respond("own", request, await self._cards.qr_code(request.match_info["code"], heading_of(request)))

    async def delete_voucher(self, request: web.Request) -> web.Response:
        return self._respond("own", request, await self._cards.delete(request.match_info["code"], heading_of(request)))

    async def open_code_page(self, request: web.Request) -> web.Response:
        heading = heading_of(request)
        if announces_more(request, self._settings.body_bytes_max):
            return self._respond("own", request, refuse(TOO_LARGE, heading.accept_language))
        return self._respond("own", request, await self._cards.open_page(request.match_info["code"], heading))

    async def close_code_page(self, request: web.Request) -> web.Response:
        answer = await self._cards.close_page(request.match_info["code"], heading_of(request))
        return self._respond("own", request, answer)

    async def wave(self, request: web.Request) -> web.Response:
        return self._respond("status", request, await self._pages.wave(request.match_info["wave"], heading_of(request)))

    async def waves(self, request: web.Request) -> web.Response:
        return self._respond("status", request, self._pages.waves(heading_of(request)))

    async def campaign(self, request: web.Request) -> web.Response:
        answer = await self._pages.campaign(request.match_info["campaign"], heading_of(request))
        return self._respond("status", request, answer)

    async def time(self, request: web.Request) -> web.Response:
        return self._respond("time", request, self._pages.time(heading_of(request)))

    async def problem(self, request: web.Request) -> web.Response:
        return self._respond("problem", request, problem_page(request.match_info["slug"], heading_of(request)))

    async def problems(self, request: web.Request) -> web.Response:
        return self._respond("problem", request, problem_index(heading_of(request)))

    async def openapi(self, request: web.Request) -> web.Response:
        return self._respond("docs", request, openapi_json(heading_of(request)))

    async def docs(self, request: web.Request) -> web.Response:
        return self._respond("docs", request, docs_page(heading_of(request)))

    async def health(self, request: web.Request) -> web.Response:
        """This process answers."""
        return self._respond("health", request, Answer(200, "ok", PRIVATE, b'{"status":"ok"}'))

    async def ready(self, request: web.Request) -> web.Response:
        """A claim would be decided here, and acknowledged."""
        if self._is_draining():
            return self._respond("ready", request, Answer(503, "draining", PRIVATE, b'{"status":"draining"}'))
        if not (self._board.ready and self._can_acknowledge()):
            return self._respond("ready", request, Answer(503, "not_ready", PRIVATE, b'{"status":"not_ready"}'))
        return self._respond("ready", request, Answer(200, "ok", PRIVATE, b'{"status":"ready"}'))

    async def metrics(self, request: web.Request) -> web.Response:
        self._sender.tell()
        text = await asyncio.to_thread(metrics_text)  # with several workers it reads their files
        headers = (*BARE, ("Content-Type", METRICS_TYPE), ("Cache-Control", "no-store"))
        return self._respond("metrics", request, Answer(200, "ok", headers, text))

    async def _body(self, request: web.Request) -> bytes | Problem:
        return await read_body(request, self._settings.body_bytes_max, self._settings.body_deadline_ms / 1000)
