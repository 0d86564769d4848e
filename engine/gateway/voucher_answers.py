"""What became of a till's request, as an answer."""

from typing import Any, Final

import msgspec

from engine.domain.codes import grouped
from engine.domain.redemption import Unfit, UnfitCode
from engine.gateway.answer import PRIVATE, Answer, Headers, Words
from engine.gateway.instants import rfc3339
from engine.gateway.refusals import Problem, refuse
from engine.ledger.promise_book import Kept
from engine.ledger.voucher_steps import Step
from engine.redeeming.steps import Done

_encode: Final = msgspec.json.Encoder().encode
_REPLAYED: Final[Headers] = (*PRIVATE, ("Idempotent-Replayed", "true"))
_INSTANTS: Final = {
    UnfitCode.NOT_YET_EFFECTIVE: "valid_from",
    UnfitCode.EXPIRED: "expires_at",
    UnfitCode.ALREADY_REDEEMED: "redeemed_at",
    UnfitCode.INVALIDATED: "invalidated_at",
    UnfitCode.LOCKED: "locked_until",
}
_PAYMENT_MISSING: Final = Problem(
    "invalid_request",
    Words("this voucher is for a payment: payment_no is missing", "此券须随支付使用：缺少 payment_no"),
    {"at": "$.payment_no"},
)
_CANCELLED: Final = Words("the voucher was cancelled: its claim was taken back", "券已取消：该次领取已被收回")


def redemption_id(step: Step) -> str:
    """The id of a redemption: unique over all merchants, and neither code nor number can be told from it."""
    return f"r-{step.request}"


def redeemed(done: Done) -> Answer:
    """The answer to a redemption; the same again where it was asked for again."""
    body = b'{"status":"redeemed","redemption":' + _encode(redemption_object(done.step, done.kept)) + b"}"
    if done.replayed:
        return Answer(200, "replayed", _REPLAYED, body)
    return Answer(201, "redeemed", PRIVATE, body)


def redemption_object(step: Step, kept: Kept) -> dict[str, Any]:
    """A redemption, by what the ledger remembers of it and the terms of the claim alone."""
    offer = kept.promise.offer
    return {
        "id": redemption_id(step),
        "code": step.code,
        "code_grouped": grouped(step.code),
        "campaign": kept.campaign,
        "offer": kept.offer,
        "title": offer.title,
        "terms": {"version": step.terms_version, "hash": kept.hash},
        "store": step.store,
        "clerk": step.clerk,
        "order_no": step.order_no or None,
        "payment_no": step.payment_no or None,
        "request_no": step.request_no,
        "redeemed_at": rfc3339(step.at_ms, kept.promise.timezone),
        "currency": kept.promise.currency,
        "amount": step.amount,
        "discount": step.discount,
        "due": step.amount - step.discount,
        "lines": [{"id": line.id or None, "amount": line.amount, "discount": line.discount} for line in step.lines],
    }


def unfit(refused: Unfit, accept_language: str) -> Answer:
    """The refusal of a voucher."""
    return refuse(problem_of(refused), accept_language)


def problem_of(refused: Unfit) -> Problem:
    """The refusal as a problem, with what belongs to it."""
    if refused.code is UnfitCode.PAYMENT_MISSING:
        return _PAYMENT_MISSING
    extras: dict[str, Any] = {}
    if refused.code in _INSTANTS:
        extras[_INSTANTS[refused.code]] = rfc3339(refused.at_ms, refused.timezone)
    if refused.store:
        extras["store"] = refused.store
    if refused.reason:
        extras["reason"] = refused.reason
    if refused.short_by:
        extras["short_by"] = refused.short_by
    if refused.places:
        extras["per_payment"] = refused.places
    detail = _CANCELLED if refused.code is UnfitCode.CANCELLED else None
    return Problem(refused.code.value, detail, extras or None, wait_ms=refused.wait_ms)
