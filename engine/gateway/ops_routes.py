"""The routes of operators, and thin handlers for them.

Whoever has no right to ask is refused before the body is read: it may be megabytes. So what the head of a request
tells (its length, its type) is refused before who asks, and what only reading tells (chunks without end, a body that
does not come) behind it.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from engine.gateway.answer import Answer, Heading
from engine.gateway.bodies import check_media_type
from engine.gateway.callers import Doorkeeper
from engine.gateway.ops_acts import ActsEndpoint
from engine.gateway.ops_bodies import check_campaign_type
from engine.gateway.ops_campaigns import CampaignsEndpoint
from engine.gateway.ops_reports import ReportEndpoint
from engine.gateway.ops_vouchers import OpsVouchersEndpoint
from engine.gateway.parts import GatewayParts
from engine.gateway.refusals import Problem, refuse
from engine.gateway.requests import TOO_LARGE, announces_more, expect_within, heading_of, read_body, response_of
from engine.gateway.sending import Sender
from engine.gateway.statements import StatementEndpoint
from engine.ledger.voucher_acts import TRAIL_KINDS, Taking

BODY_DEADLINE_S: Final = 30.0
"""A campaign with its lists over a slow line: 4 MiB in 30 seconds are 140 kB a second."""

WithBody = Callable[[web.Request, Heading, bytes], Awaitable[Answer]]
CheckType = Callable[[str, str], Problem | None]


class _Routes:
    """Adds routes to an application."""

    def __init__(self, app: web.Application, bytes_max: int, doorkeeper: Doorkeeper, sender: Sender) -> None:
        self._router = app.router
        self._bytes_max = bytes_max
        self._doorkeeper = doorkeeper
        self._expect = expect_within(bytes_max, sender)
        self._sender = sender

    def see(self, path: str, answer: Callable[[web.Request], Awaitable[Answer]], *, has_head: bool = True) -> None:
        """A GET."""

        async def handler(request: web.Request) -> web.Response:
            return self._respond(request, await answer(request))

        self._router.add_get(path, handler, expect_handler=self._expect, allow_head=has_head)

    def act(self, method: str, path: str, answer: WithBody, check: CheckType = check_media_type) -> None:
        """What only an operator may do. `check` says which types of body it takes."""

        async def handler(request: web.Request) -> web.Response:
            heading = heading_of(request)
            is_too_large = announces_more(request, self._bytes_max)
            wrong = TOO_LARGE if is_too_large else check(heading.content_type, heading.content_encoding)
            if wrong is not None:
                return self._respond(request, refuse(wrong, heading.accept_language))
            caller = self._doorkeeper.operator(heading.authorization)
            if isinstance(caller, Problem):
                return self._respond(request, refuse(caller, heading.accept_language))
            body = await read_body(request, self._bytes_max, BODY_DEADLINE_S)
            if isinstance(body, Problem):
                return self._respond(request, refuse(body, heading.accept_language))
            return self._respond(request, await answer(request, heading, body))

        self._router.add_route(method, path, handler, expect_handler=self._expect)

    def _respond(self, request: web.Request, answer: Answer) -> web.Response:
        return response_of(self._sender.complete("ops", heading_of(request), answer))


def add_ops_routes(app: web.Application, parts: GatewayParts, doorkeeper: Doorkeeper, sender: Sender) -> None:
    """Add `/v1/ops/…`."""
    routes = _Routes(app, parts.settings.ops_body_bytes_max, doorkeeper, sender)
    acts, campaigns = ActsEndpoint(parts, doorkeeper), CampaignsEndpoint(parts, doorkeeper)
    reports, statements = ReportEndpoint(parts, doorkeeper), StatementEndpoint(parts, doorkeeper)
    see, act = routes.see, routes.act

    def act_on_wave(name: str) -> WithBody:
        return lambda request, heading, body: acts.act(name, request.match_info["wave"], heading, body)

    def act_everywhere(name: str) -> WithBody:
        return lambda _request, heading, body: acts.everywhere(name, heading, body)

    see("/v1/ops/campaigns", lambda request: campaigns.campaigns(heading_of(request)))
    see(
        "/v1/ops/campaigns/{campaign}",
        lambda request: campaigns.campaign(request.match_info["campaign"], heading_of(request)),
    )
    act(
        "PUT",
        "/v1/ops/campaigns/{campaign}",
        lambda request, heading, body: campaigns.put(request.match_info["campaign"], request.query, heading, body),
        check=check_campaign_type,
    )
    see("/v1/ops/waves/{wave}", lambda request: acts.wave(request.match_info["wave"], heading_of(request)))
    see(
        "/v1/ops/waves/{wave}/audit",
        lambda request: acts.audit(request.match_info["wave"], heading_of(request)),
        has_head=False,  # it would take as long, and say nothing
    )
    see(
        "/v1/ops/waves/{wave}/report",
        lambda request: reports.report(request.match_info["wave"], heading_of(request)),
        has_head=False,  # likewise
    )
    see(
        "/v1/ops/statements",
        lambda request: statements.of_all(list(request.query.items()), heading_of(request)),
        has_head=False,  # likewise
    )
    for name in acts.acts:
        act("POST", f"/v1/ops/waves/{{wave}}/{name}", act_on_wave(name))
    _add_voucher_routes(routes, OpsVouchersEndpoint(parts, doorkeeper))
    for name in ("stop-all", "start-all"):
        act("POST", f"/v1/ops/{name}", act_everywhere(name))


def _add_voucher_routes(routes: _Routes, vouchers: OpsVouchersEndpoint) -> None:
    def take_back(kind: Taking) -> WithBody:
        return lambda request, heading, body: vouchers.take_back(kind, request.match_info["code"], heading, body)

    routes.see(
        "/v1/ops/vouchers/{code}",
        lambda request: vouchers.voucher(request.match_info["code"], heading_of(request)),
        has_head=False,  # it may wait for the ledger, and say nothing
    )
    for kind in TRAIL_KINDS:
        routes.act("POST", f"/v1/ops/vouchers/{{code}}/{kind}", take_back(kind))
