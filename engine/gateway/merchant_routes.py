"""The routes of merchants, and thin handlers for them.

As for operators, what the head of a request tells is refused before who asks, and the body is read for merchants only.
Tills count among the requests under way; they are not slowed down by account, since one token may serve a whole chain,
but for what they ask in vain (`guesses`).
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

from engine.gateway.answer import Answer, Heading
from engine.gateway.bodies import check_media_type
from engine.gateway.callers import Doorkeeper
from engine.gateway.guesses import Guessed, Guesses
from engine.gateway.identity.caller import Caller
from engine.gateway.load import Load
from engine.gateway.locks import LockEndpoint
from engine.gateway.parts import GatewayParts
from engine.gateway.quotes import QuoteEndpoint
from engine.gateway.redemptions import RedemptionEndpoint
from engine.gateway.refusals import Problem, refuse
from engine.gateway.requests import TOO_LARGE, expect_within, heading_of, read_body, response_of
from engine.gateway.reversals import ReversalEndpoint
from engine.gateway.sending import Sender
from engine.gateway.statements import StatementEndpoint

WithBody = Callable[[web.Request, Caller, Heading, bytes], Awaitable[Answer]]
WithoutBody = Callable[[web.Request, Caller, Heading], Awaitable[Answer]]


class _Routes:
    """Adds routes to an application."""

    def __init__(
        self, app: web.Application, parts: GatewayParts, doorkeeper: Doorkeeper, sender: Sender, load: Load
    ) -> None:
        self._router = app.router
        self._bytes_max = parts.settings.merchant_body_bytes_max
        self._deadline_s = parts.settings.body_deadline_ms / 1000
        self._doorkeeper = doorkeeper
        self._expect = expect_within(self._bytes_max, sender)
        self._sender = sender
        self._load = load
        self._guesses = Guesses(parts.settings)

    def post(self, endpoint: str, path: str, answer: WithBody, guessed: Guessed | None = "code") -> None:
        """What a merchant may do, with a body in JSON. `endpoint` is what the metrics call it, `guessed` what the body
        names that could be a guess."""

        async def handler(request: web.Request) -> web.Response:
            heading = heading_of(request)
            given = await self._let_in(request, heading, answer, guessed)
            return response_of(self._sender.complete(endpoint, heading, given))

        self._router.add_route("POST", path, handler, expect_handler=self._expect)

    def see(self, endpoint: str, path: str, answer: WithoutBody) -> None:
        """What a merchant may look at."""

        async def handler(request: web.Request) -> web.Response:
            heading = heading_of(request)
            given = await self._show(request, heading, answer)
            return response_of(self._sender.complete(endpoint, heading, given))

        self._router.add_get(path, handler, expect_handler=self._expect, allow_head=False)

    async def _show(self, request: web.Request, heading: Heading, answer: WithoutBody) -> Answer:
        caller = self._doorkeeper.merchant(heading.authorization)
        if isinstance(caller, Problem):
            return refuse(caller, heading.accept_language)
        refusal = self._load.enter()
        if refusal is not None:
            return refuse(refusal, heading.accept_language)
        try:
            return await answer(request, caller, heading)
        finally:
            self._load.leave()

    async def _let_in(
        self, request: web.Request, heading: Heading, answer: WithBody, guessed: Guessed | None
    ) -> Answer:
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
            refusal = None if guessed is None else self._guesses.refusal(guessed, caller)
            if refusal is not None:
                return refuse(refusal, heading.accept_language)
            given = await answer(request, caller, heading, body)
            if guessed is not None:
                self._guesses.answered(guessed, caller, given)
            return given
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
    reversals, locks = ReversalEndpoint(parts), LockEndpoint(parts)
    routes.see(
        "redemption",
        "/v1/merchant/redemptions/{redemption}",
        lambda request, caller, heading: reversals.show(request.match_info["redemption"], caller, heading),
    )
    routes.post(
        "reverse",
        "/v1/merchant/redemptions/{redemption}/reversal",
        lambda request, caller, heading, body: reversals.reverse(
            request.match_info["redemption"], caller, heading, body
        ),
        guessed=None,
    )
    routes.post(
        "lock",
        "/v1/merchant/locks",
        lambda _request, caller, heading, body: locks.lock(caller, heading, body),
    )
    routes.post(
        "release",
        "/v1/merchant/locks/{lock}/release",
        lambda request, caller, heading, body: locks.release(request.match_info["lock"], caller, heading, body),
        guessed=None,
    )
    quotes = QuoteEndpoint(parts)
    routes.post(
        "quote",
        "/v1/merchant/quotes",
        lambda _request, caller, heading, body: quotes.quotes(caller, heading, body),
        guessed="user",
    )
    statements = StatementEndpoint(parts, doorkeeper)
    routes.see(
        "statement",
        "/v1/merchant/statements",
        lambda request, caller, heading: statements.of_merchant(caller, list(request.query.items()), heading),
    )
