"""`POST /v1/merchant/locks`, and the release of one: vouchers on orders that are not paid yet."""

from typing import Final

import structlog

from engine.domain.locking import Lock, Release
from engine.domain.redemption import Unfit
from engine.errors import LedgerError
from engine.gateway.answer import Answer, Heading
from engine.gateway.identity.caller import Caller
from engine.gateway.merchant_bodies import LockBody, read_lock_body, read_release_body
from engine.gateway.parts import GatewayParts
from engine.gateway.redemptions import BUSY, named_by
from engine.gateway.refusals import Problem, refuse
from engine.gateway.voucher_answers import LOCK, locked, named_step, released, step_or_refusal, unfit

log = structlog.get_logger(__name__)

_UNKNOWN_LOCK: Final = Problem("unknown_lock")


class LockEndpoint:
    """Locks, whatever has parsed the request."""

    def __init__(self, parts: GatewayParts) -> None:
        self._shops = parts.shops
        self._hold_ms_max = parts.settings.lock_ms_max

    async def lock(self, caller: Caller, heading: Heading, body: bytes) -> Answer:
        """The answer to this lock; like a redemption it ends with a decision, or `outcome_unknown`."""
        sent = read_lock_body(body, self._hold_ms_max)
        if isinstance(sent, Problem):
            return refuse(sent, heading.accept_language)
        named = await named_by(self._shops, caller, sent.store, sent.code)
        if isinstance(named, Problem):
            return refuse(named, heading.accept_language)
        outcome = await self._shops.ask(_asked(sent, *named))
        return step_or_refusal(outcome, locked, heading.accept_language)

    async def release(self, lock_id: str, caller: Caller, heading: Heading, body: bytes) -> Answer:
        """The answer to the end of that lock. Somebody else's is as unknown as one that there is not."""
        sent = read_release_body(body)
        if isinstance(sent, Problem):
            return refuse(sent, heading.accept_language)
        request = named_step(LOCK, lock_id)
        try:
            found = await self._shops.find(request) if request else None
        except LedgerError as error:
            log.warning("a lock cannot be looked up", error=str(error))
            return refuse(BUSY, heading.accept_language)
        if found is None or found[0].kind != "lock" or found[0].store not in caller.stores:
            return refuse(_UNKNOWN_LOCK, heading.accept_language)
        step, kept = found
        asked = Release(step.request, step.code, step.merchant, step.store, sent.clerk, step.order_no, step.step)
        outcome = await self._shops.ask(asked)
        if isinstance(outcome, Unfit):
            return unfit(outcome, heading.accept_language)
        return released(step, kept)


def _asked(sent: LockBody, code: str, merchant: str) -> Lock:
    return Lock(
        code=code,
        merchant=merchant,
        store=sent.store,
        clerk=sent.clerk,
        order_no=sent.order_no,
        amount=sent.amount,
        lines=sent.lines,
        hold_ms=sent.hold_ms,
        request_no=sent.request_no,
    )
