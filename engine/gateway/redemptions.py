"""`POST /v1/merchant/redemptions`: from the body of a till's request to the answer."""

from typing import Final

import structlog

from engine.domain.codes import Mistyped, typed_code
from engine.domain.redemption import Redeem
from engine.errors import LedgerError
from engine.gateway.answer import Answer, Heading, Words
from engine.gateway.aside import Aside, Listener, failure_of_ours
from engine.gateway.identity.caller import Caller
from engine.gateway.merchant_bodies import RedemptionBody, read_redemption_body
from engine.gateway.parts import GatewayParts
from engine.gateway.refusals import Problem, refuse
from engine.gateway.voucher_answers import redeemed, step_or_refusal
from engine.redeeming.shops import Shops, is_not_in_books
from engine.redeeming.steps import Asked, Outcome
from engine.redeeming.waiting import Waiting

log = structlog.get_logger(__name__)

BUSY: Final = Problem("busy")
NOT_ITS_STORE: Final = Problem("forbidden", Words("the token does not name this store", "令牌的门店范围不包含此门店"))
_MISTYPED: Final = {
    "character": Words("a character in it stands in no code", "含有券码中不会出现的字符"),
    "length": Words("a code has 16 characters", "券码为 16 个字符"),
    "check": Words("at least one character is wrong, or two have changed places", "至少一个字符有误，或相邻字符颠倒"),
}


class _Visit(Waiting):
    """A redemption of `begin` on its way: it waits at the desk."""

    __slots__ = ("_endpoint", "_heading", "_listener")

    def __init__(self, asked: Redeem, endpoint: "RedemptionEndpoint", heading: Heading, listener: Listener) -> None:
        super().__init__(asked)
        self._endpoint, self._heading, self._listener = endpoint, heading, listener

    def decided(self, outcome: Outcome) -> None:
        """The answer can be given, or a claim of a moment ago has to be waited for."""
        self._endpoint.call_back(self.asked, outcome, self._heading, self._listener)


class RedemptionEndpoint:
    """Redemptions, whatever has parsed the request: `redeem` is for whoever has a task for each, `begin` is called back
    by the desk."""

    def __init__(self, parts: GatewayParts) -> None:
        self._shops = parts.shops
        self._aside = Aside()
        """For redemptions of `begin` that have to wait for more than a desk."""

    async def redeem(self, caller: Caller, heading: Heading, body: bytes) -> Answer:
        """The answer to this redemption. Once the ledger may have it, a decision ends it, or `outcome_unknown`."""
        sent = read_redemption_body(body)
        if isinstance(sent, Problem):
            return refuse(sent, heading.accept_language)
        named = await named_by(self._shops, caller, sent.store, sent.code)
        if isinstance(named, Problem):
            return refuse(named, heading.accept_language)
        outcome = await self._shops.ask(_asked(sent, *named))
        return step_or_refusal(outcome, redeemed, heading.accept_language)

    def begin(self, caller: Caller, heading: Heading, body: bytes, listener: Listener) -> None:
        """As `redeem`, told to the listener, perhaps before this returns; no task waits for it, mostly."""
        sent = read_redemption_body(body)
        if isinstance(sent, Problem):
            listener.answered(refuse(sent, heading.accept_language))
            return
        code, merchant = code_typed(caller, sent.store, sent.code), self._shops.known_merchant(sent.store)
        if isinstance(code, Problem):
            listener.answered(refuse(code, heading.accept_language))
        elif merchant is None:
            self._aside.wait_for(self.redeem(caller, heading, body), heading, listener)
        else:
            self._shops.put(_Visit(_asked(sent, code, merchant), self, heading, listener))

    def call_back(self, asked: Asked, outcome: Outcome, heading: Heading, listener: Listener) -> None:
        """The desk has called."""
        if is_not_in_books(outcome):
            self._aside.wait_for(self._looked_again(asked, outcome, heading), heading, listener)
            return
        try:
            answer = step_or_refusal(outcome, redeemed, heading.accept_language)
        except Exception as error:  # noqa: BLE001 - it is logged, and told, as any failure of ours
            answer = failure_of_ours(error, heading)
        listener.answered(answer)

    async def _looked_again(self, asked: Asked, outcome: Outcome, heading: Heading) -> Answer:
        return step_or_refusal(await self._shops.look_again(asked, outcome), redeemed, heading.accept_language)


async def named_by(shops: Shops, caller: Caller, store: str, typed: str) -> tuple[str, str] | Problem:
    """The code that was typed, and the merchant of the store, which the token has to name."""
    code = code_typed(caller, store, typed)
    if isinstance(code, Problem):
        return code
    try:
        return code, await shops.merchant_of(store)
    except LedgerError as error:
        log.warning("stores cannot be read", error=str(error))
        return BUSY


def code_typed(caller: Caller, store: str, typed: str) -> str | Problem:
    """The code that was typed at a store, which the token has to name."""
    if store not in caller.stores:
        return NOT_ITS_STORE
    code = typed_code(typed)
    return Problem("mistyped_code", _MISTYPED[code.what]) if isinstance(code, Mistyped) else code


def _asked(sent: RedemptionBody, code: str, merchant: str) -> Redeem:
    return Redeem(
        code=code,
        merchant=merchant,
        store=sent.store,
        clerk=sent.clerk,
        order_no=sent.order_no,
        payment_no=sent.payment_no,
        amount=sent.amount,
        lines=sent.lines,
        request_no=sent.request_no,
    )
