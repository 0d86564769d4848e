"""`POST /v1/merchant/redemptions`: from the body of a till's request to the answer."""

from typing import Final

import structlog

from engine.domain.codes import Mistyped, typed_code
from engine.domain.redemption import Redeem
from engine.errors import LedgerError
from engine.gateway.answer import Answer, Heading, Words
from engine.gateway.identity.caller import Caller
from engine.gateway.merchant_bodies import RedemptionBody, read_redemption_body
from engine.gateway.parts import GatewayParts
from engine.gateway.refusals import Problem, refuse
from engine.gateway.voucher_answers import redeemed, step_or_refusal
from engine.redeeming.shops import Shops

log = structlog.get_logger(__name__)

BUSY: Final = Problem("busy")
NOT_ITS_STORE: Final = Problem("forbidden", Words("the token does not name this store", "令牌的门店范围不包含此门店"))
_MISTYPED: Final = {
    "character": Words("a character in it stands in no code", "含有券码中不会出现的字符"),
    "length": Words("a code has 16 characters", "券码为 16 个字符"),
    "check": Words("at least one character is wrong, or two have changed places", "至少一个字符有误，或相邻字符颠倒"),
}


class RedemptionEndpoint:
    """Redemptions, whatever has parsed the request."""

    def __init__(self, parts: GatewayParts) -> None:
        self._shops = parts.shops

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


async def named_by(shops: Shops, caller: Caller, store: str, typed: str) -> tuple[str, str] | Problem:
    """The code that was typed, and the merchant of the store, which the token has to name."""
    if store not in caller.stores:
        return NOT_ITS_STORE
    code = typed_code(typed)
    if isinstance(code, Mistyped):
        return Problem("mistyped_code", _MISTYPED[code.what])
    try:
        return code, await shops.merchant_of(store)
    except LedgerError as error:
        log.warning("stores cannot be read", error=str(error))
        return BUSY


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
