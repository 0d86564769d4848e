"""`POST /v1/merchant/redemptions/{id}/reversal`, and a look at a redemption with what was reversed of it."""

from typing import Final

import structlog

from engine.domain.reversal import Redeemed, Reverse
from engine.errors import LedgerError
from engine.gateway.answer import Answer, Heading
from engine.gateway.identity.caller import Caller
from engine.gateway.merchant_bodies import read_reversal_body
from engine.gateway.parts import GatewayParts
from engine.gateway.redemptions import BUSY
from engine.gateway.refusals import Problem, refuse
from engine.gateway.voucher_answers import (
    REDEMPTION,
    named_step,
    redemption_id,
    reversed_answer,
    shown,
    step_or_refusal,
)
from engine.ledger.promise_book import Kept
from engine.ledger.voucher_steps import Step

log = structlog.get_logger(__name__)

_UNKNOWN: Final = Problem("unknown_redemption")


class ReversalEndpoint:
    """Redemptions by their ids, whatever has parsed the request."""

    def __init__(self, parts: GatewayParts) -> None:
        self._shops = parts.shops

    async def reverse(self, redemption: str, caller: Caller, heading: Heading, body: bytes) -> Answer:
        """The answer to this reversal; like a redemption it ends with a decision, or `outcome_unknown`."""
        sent = read_reversal_body(body)
        if isinstance(sent, Problem):
            return refuse(sent, heading.accept_language)
        found = await self._find(redemption, caller)
        if isinstance(found, Problem):
            return refuse(found, heading.accept_language)
        asked = Reverse(_redeemed(found[0]), sent.clerk, sent.by, sent.is_completed, sent.amount, sent.request_no)
        outcome = await self._shops.ask(asked)
        return step_or_refusal(
            outcome, lambda done: reversed_answer(done, redemption_id(found[0])), heading.accept_language
        )

    async def show(self, redemption: str, caller: Caller, heading: Heading) -> Answer:
        """A redemption, and what was reversed of it so far."""
        found = await self._find(redemption, caller)
        if isinstance(found, Problem):
            return refuse(found, heading.accept_language)
        try:
            reversals = await self._shops.reversals(found[0])
        except LedgerError as error:
            log.warning("reversals cannot be read", error=str(error))
            return refuse(BUSY, heading.accept_language)
        return shown(*found, reversals)

    async def _find(self, redemption: str, caller: Caller) -> tuple[Step, Kept] | Problem:
        """What the token's stores have redeemed. Another's is as unknown as one that there is not."""
        request = named_step(REDEMPTION, redemption)
        try:
            found = await self._shops.find(request) if request else None
        except LedgerError as error:
            log.warning("a redemption cannot be looked up", error=str(error))
            return BUSY
        if found is None or found[0].kind != "redeem" or found[0].store not in caller.stores:
            return _UNKNOWN
        return found


def _redeemed(step: Step) -> Redeemed:
    return Redeemed(
        id=step.request,
        code=step.code,
        step=step.step,
        merchant=step.merchant,
        store=step.store,
        order_no=step.order_no,
        payment_no=step.payment_no,
        amount=step.amount,
        discount=step.discount,
    )
