"""What tills post, whatever has parsed the request: who may, what could be a guess, and who answers.

Tills are not slowed down by account, since one token may serve a whole chain, but for what they ask in vain
(`guesses`).
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, NamedTuple

from engine.gateway.answer import Answer, Heading
from engine.gateway.aside import Aside, Listener
from engine.gateway.bodies import check_media_type
from engine.gateway.callers import Doorkeeper
from engine.gateway.guesses import Guessed, Guesses
from engine.gateway.identity.caller import Caller
from engine.gateway.locks import LockEndpoint
from engine.gateway.parts import GatewayParts
from engine.gateway.quotes import QuoteEndpoint
from engine.gateway.redemptions import RedemptionEndpoint
from engine.gateway.refusals import Problem, refuse


class Post(NamedTuple):
    """What is posted to a path without parameters. `endpoint` is what the metrics call it."""

    endpoint: str
    path: str
    guessed: Guessed
    """What its body names that could be a guess."""
    answer: Callable[[Caller, Heading, bytes], Awaitable[Answer]]
    begin: Callable[[Caller, Heading, bytes, Listener], None] | None = None
    """The same answer, told to a listener without a task; None where there is no such way."""


class Tills:
    """Of one process."""

    def __init__(self, parts: GatewayParts, doorkeeper: Doorkeeper) -> None:
        self.bytes_max: Final = parts.settings.merchant_body_bytes_max
        self._doorkeeper = doorkeeper
        self._guesses = Guesses(parts.settings)
        self._aside = Aside()
        redemptions, locks, quotes = RedemptionEndpoint(parts), LockEndpoint(parts), QuoteEndpoint(parts)
        self.posts: Final = (
            Post("redeem", "/v1/merchant/redemptions", "code", redemptions.redeem, redemptions.begin),
            Post("lock", "/v1/merchant/locks", "code", locks.lock),
            Post("quote", "/v1/merchant/quotes", "user", quotes.quotes),
        )

    def let_in(self, heading: Heading) -> Caller | Problem:
        """Who asks, by the head of the request alone; or why its body is not read."""
        wrong = check_media_type(heading.content_type, heading.content_encoding)
        return wrong or self._doorkeeper.merchant(heading.authorization)

    async def answer(
        self, guessed: Guessed | None, caller: Caller, heading: Heading, answer: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        """The answer, unless this token has guessed too often; where it was in vain, that is remembered."""
        refusal = None if guessed is None else self._guesses.refusal(guessed, caller)
        if refusal is not None:
            return refuse(refusal, heading.accept_language)
        given = await answer()
        if guessed is not None:
            self._guesses.answered(guessed, caller, given)
        return given

    def begin(self, post: Post, caller: Caller, heading: Heading, body: bytes, listener: Listener) -> None:
        """As `answer`, told to the listener, perhaps before this returns."""
        if post.begin is None:
            answer = partial(post.answer, caller, heading, body)
            self._aside.wait_for(self.answer(post.guessed, caller, heading, answer), heading, listener)
            return
        refusal = self._guesses.refusal(post.guessed, caller)
        if refusal is not None:
            listener.answered(refuse(refusal, heading.accept_language))
        else:
            post.begin(caller, heading, body, _Remembering(self._guesses, post.guessed, caller, listener))


class _Remembering:
    """A listener for whom it is remembered what was asked in vain."""

    __slots__ = ("_caller", "_guessed", "_guesses", "_listener")

    def __init__(self, guesses: Guesses, guessed: Guessed, caller: Caller, listener: Listener) -> None:
        self._guesses, self._guessed, self._caller, self._listener = guesses, guessed, caller, listener

    def answered(self, answer: Answer) -> None:
        """Remember, and pass it on."""
        self._guesses.answered(self._guessed, self._caller, answer)
        self._listener.answered(answer)

    def left(self) -> None:
        """Nothing was found out."""
        self._listener.left()
