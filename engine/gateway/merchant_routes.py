"""The routes of merchants, and thin handlers for them.

As for operators, what the head of a request tells is refused before who asks, and the body is read for merchants only.
Tills count among the requests under way; they are not slowed down by account: one token may serve a whole chain.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

from engine.gateway.answer import Answer, Heading
from engine.gateway.bodies import check_media_type
from engine.gateway.callers import Doorkeeper
from engine.gateway.identity.caller import Caller
from engine.gateway.load import Load
from engine.gateway.parts import GatewayParts
from engine.gateway.redemptions import RedemptionEndpoint
from engine.gateway.refusals import Problem, refuse
from engine.gateway.requests import TOO_LARGE, expect_within, heading_of, read_body, response_of
from engine.gateway.sending import Sender

WithBody = Callable[[web.Request, Caller, Heading, bytes], Awaitable[Answer]]


class _Routes:
    """Adds routes to an application."""

    def __init__(
        self, app: web.Application, parts: GatewayParts, doorkeeper: Doorkeeper, sender: Sender, load: Load
    ) -> None:
        self._router = app.router
        self._bytes_max = parts.settings.body_bytes_max
        self._deadline_s = parts.settings.body_deadline_ms / 1000
        self._doorkeeper = doorkeeper
        self._expect = expect_within(self._bytes_max, sender)
        self._sender = sender
        self._load = load

    def post(self, endpoint: str, path: str, answer: WithBody) -> None:
        """What a merchant may do, with a body in JSON. `endpoint` is what the metrics call it."""

        async def handler(request: web.Request) -> web.Response:
            heading = heading_of(request)
            given = await self._let_in(request, heading, answer)
            return response_of(self._sender.complete(endpoint, heading, given))

        self._router.add_route("POST", path, handler, expect_handler=self._expect)

    async def _let_in(self, request: web.Request, heading: Heading, answer: WithBody) -> Answer:
        is_too_large = (request.content_length or 0) > self._bytes_max
        wrong = TOO_LARGE if is_too_large else check_media_type(heading.content_type, heading.content_encoding)
        caller = wrong or self._doorkeeper.merchant(heading.authorization)
        if isinstance(caller, Problem):
            return refuse(caller, heading.accept_language)
        body = await read_body(request, self._bytes_max, self._deadline_s)
        if isinstance(body, Problem):
            return refuse(body, heading.accept_language)
        refusal = self._load.enter()
        if refusal is not None:
            return refuse(refusal, heading.accept_language)
        try:
            return await answer(request, caller, heading, body)
        finally:
            self._load.leave()


def add_merchant_routes(
    app: web.Application, parts: GatewayParts, doorkeeper: Doorkeeper, sender: Sender, load: Load
) -> None:
    """Add `/v1/merchant/…`."""
    routes = _Routes(app, parts, doorkeeper, sender, load)
    redemptions = RedemptionEndpoint(parts)
    routes.post(
        "redeem",
        "/v1/merchant/redemptions",
        lambda _request, caller, heading, body: redemptions.redeem(caller, heading, body),
    )
