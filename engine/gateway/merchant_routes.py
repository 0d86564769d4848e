"""The routes of merchants, and thin handlers for them.

As for operators, what the head of a request tells is refused before who asks, and the body is read for merchants only.
Tills count among the requests under way. What they post without a parameter in the path takes the lane, too (`tills`).
"""

from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web

from engine.gateway.answer import Answer, Heading
from engine.gateway.callers import Doorkeeper
from engine.gateway.guesses import Guessed
from engine.gateway.identity.caller import Caller
from engine.gateway.load import Load
from engine.gateway.locks import LockEndpoint
from engine.gateway.parts import GatewayParts
from engine.gateway.refusals import Problem, refuse
from engine.gateway.requests import TOO_LARGE, announces_more, expect_within, heading_of, read_body, response_of
from engine.gateway.reversals import ReversalEndpoint
from engine.gateway.sending import Sender
from engine.gateway.statements import StatementEndpoint
from engine.gateway.tills import Post, Tills

WithBody = Callable[[web.Request, Caller, Heading, bytes], Awaitable[Answer]]
WithoutBody = Callable[[web.Request, Caller, Heading], Awaitable[Answer]]


class _Routes:
    """Adds routes to an application."""

    def __init__(
        self,
        app: web.Application,
        parts: GatewayParts,
        doorkeeper: Doorkeeper,
        tills: Tills,
        sender: Sender,
        load: Load,
    ) -> None:
        self._router = app.router
        self._tills = tills
        self._bytes_max = tills.bytes_max
        self._deadline_s = parts.settings.body_deadline_ms / 1000
        self._doorkeeper = doorkeeper
        self._expect = expect_within(self._bytes_max, sender)
        self._sender = sender
        self._load = load

    def till(self, post: Post) -> None:
        """What a till posts to a path without parameters."""
        self.post(
            post.endpoint,
            post.path,
            lambda _request, caller, heading, body: post.answer(caller, heading, body),
            post.guessed,
        )

    def post(self, endpoint: str, path: str, answer: WithBody, guessed: Guessed | None = None) -> None:
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
        caller = TOO_LARGE if announces_more(request, self._bytes_max) else self._tills.let_in(heading)
        if isinstance(caller, Problem):
            return refuse(caller, heading.accept_language)
        body = await read_body(request, self._bytes_max, self._deadline_s)
        if isinstance(body, Problem):
            return refuse(body, heading.accept_language)
        refusal = self._load.enter()
        if refusal is not None:
            return refuse(refusal, heading.accept_language)
        try:
            return await self._tills.answer(guessed, caller, heading, partial(answer, request, caller, heading, body))
        finally:
            self._load.leave()


def add_merchant_routes(
    app: web.Application, parts: GatewayParts, doorkeeper: Doorkeeper, tills: Tills, sender: Sender, load: Load
) -> None:
    """Add `/v1/merchant/…`."""
    routes = _Routes(app, parts, doorkeeper, tills, sender, load)
    for post in tills.posts:
        routes.till(post)
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
    )
    routes.post(
        "release",
        "/v1/merchant/locks/{lock}/release",
        lambda request, caller, heading, body: locks.release(request.match_info["lock"], caller, heading, body),
    )
    statements = StatementEndpoint(parts, doorkeeper)
    routes.see(
        "statement",
        "/v1/merchant/statements",
        lambda request, caller, heading: statements.of_merchant(caller, list(request.query.items()), heading),
    )
