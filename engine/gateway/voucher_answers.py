"""What became of a till's request, as an answer."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from engine.domain.codes import grouped
from engine.domain.redemption import Unfit, UnfitCode
from engine.domain.voucher import Kept as VoucherKept
from engine.domain.voucher import state_at
from engine.gateway.answer import PRIVATE, Answer, Headers, Words
from engine.gateway.instants import rfc3339
from engine.gateway.refusals import Problem, refuse
from engine.gateway.voucher_words import detail_of
from engine.ledger.promise_book import Kept
from engine.ledger.voucher_steps import Step
from engine.redeeming.steps import Done, Outcome

_encode: Final = msgspec.json.Encoder().encode
_REPLAYED: Final[Headers] = (*PRIVATE, ("Idempotent-Replayed", "true"))
_INSTANTS: Final = {
    UnfitCode.NOT_YET_EFFECTIVE: "valid_from",
    UnfitCode.EXPIRED: "expires_at",
    UnfitCode.ALREADY_REDEEMED: "redeemed_at",
    UnfitCode.INVALIDATED: "invalidated_at",
    UnfitCode.LOCKED: "locked_until",
    UnfitCode.ALREADY_REVERSED: "reversed_at",
}
_PAYMENT_MISSING: Final = Problem(
    "invalid_request",
    Words("this voucher is for a payment: payment_no is missing", "此券须随支付使用：缺少 payment_no"),
    {"at": "$.payment_no"},
)

REDEMPTION: Final = "r"
LOCK: Final = "l"
REVERSAL: Final = "b"
"""What ids begin with: of a redemption, of a lock, of a reversal, which pays back."""
_ID: Final = re.compile("([rlb])-([0-9a-f]{32})")


def redemption_id(step: Step) -> str:
    """The id of a redemption: unique over all merchants, and neither code nor number can be told from it."""
    return f"{REDEMPTION}-{step.request}"


def named_step(kind: str, id: str) -> str:
    """The request behind an id of that kind; empty where it is none."""
    found = _ID.fullmatch(id)
    return found[2] if found and found[1] == kind else ""


def redeemed(done: Done) -> Answer:
    """The answer to a redemption; the same again where it was asked for again."""
    body = b'{"status":"redeemed","redemption":' + _encode(redemption_object(done.step, done.kept)) + b"}"
    if done.replayed:
        return Answer(200, "replayed", _REPLAYED, body)
    return Answer(201, "redeemed", PRIVATE, body)


def locked(done: Done) -> Answer:
    """The answer to a lock; the same again where it was asked for again, whatever has become of it."""
    body = b'{"status":"locked","lock":' + _encode(lock_object(done.step, done.kept)) + b"}"
    if done.replayed:
        return Answer(200, "replayed", _REPLAYED, body)
    return Answer(201, "locked", PRIVATE, body)


def released(lock: Step, kept: Kept) -> Answer:
    """The answer to the end of a lock: it holds the voucher no more, whoever ended it."""
    return Answer(200, "released", PRIVATE, b'{"status":"released","lock":' + _encode(lock_object(lock, kept)) + b"}")


def reversed_answer(done: Done, redemption: str) -> Answer:
    """The answer to a reversal; the same again where it was asked for again."""
    members = reversal_object(done.step, done.kept, redemption)
    kept: VoucherKept = "pending" if done.step.kind == "give_back" else "redeemed"
    members["voucher"] = state_at(kept, done.period, done.step.at_ms)
    body = b'{"status":"reversed","reversal":' + _encode(members) + b"}"
    if done.replayed:
        return Answer(200, "replayed", _REPLAYED, body)
    return Answer(201, "reversed", PRIVATE, body)


def shown(redemption: Step, kept: Kept, reversals: Sequence[Step]) -> Answer:
    """A redemption, what was reversed of it, and what can still be."""
    id = redemption_id(redemption)
    left = redemption.amount - sum(each.amount for each in reversals)
    members = {
        "redemption": redemption_object(redemption, kept),
        "reversals": [reversal_object(each, kept, id) for each in reversals],
        "left": left,
    }
    return Answer(200, "ok", PRIVATE, _encode(members))


def redemption_object(step: Step, kept: Kept) -> dict[str, Any]:
    """A redemption, by what the ledger remembers of it and the terms of the claim alone."""
    return {
        **_order_object(redemption_id(step), step, kept),
        "payment_no": step.payment_no or None,
        "redeemed_at": rfc3339(step.at_ms, kept.promise.timezone),
    }


def lock_object(step: Step, kept: Kept) -> dict[str, Any]:
    """A lock, likewise."""
    return {
        **_order_object(f"{LOCK}-{step.request}", step, kept),
        "locked_at": rfc3339(step.at_ms, kept.promise.timezone),
        "locked_until": rfc3339(step.until_ms, kept.promise.timezone),
    }


def reversal_object(step: Step, kept: Kept, redemption: str) -> dict[str, Any]:
    """A reversal, likewise. Of `amount`, `discount` was never paid; the rest is paid back."""
    return {
        "id": f"{REVERSAL}-{step.request}",
        "redemption": redemption,
        "code": step.code,
        "store": step.store,
        "clerk": step.clerk,
        "request_no": step.request_no,
        "by": step.by,
        "completed": step.is_completed,
        "given_back": step.kind == "give_back",
        "reversed_at": rfc3339(step.at_ms, kept.promise.timezone),
        "currency": kept.promise.currency,
        "amount": step.amount,
        "discount": step.discount,
        "paid_back": step.amount - step.discount,
    }


def _order_object(id: str, step: Step, kept: Kept) -> dict[str, Any]:
    """What a redemption and a lock have in common."""
    offer = kept.promise.offer
    return {
        "id": id,
        "code": step.code,
        "code_grouped": grouped(step.code),
        "campaign": kept.campaign,
        "offer": kept.offer,
        "title": offer.title,
        "terms": {"version": step.terms_version, "hash": kept.hash},
        "store": step.store,
        "clerk": step.clerk,
        "order_no": step.order_no or None,
        "request_no": step.request_no,
        "currency": kept.promise.currency,
        "amount": step.amount,
        "discount": step.discount,
        "due": step.amount - step.discount,
        "lines": [{"id": line.id or None, "amount": line.amount, "discount": line.discount} for line in step.lines],
    }


def step_or_refusal(outcome: Outcome, worded: Callable[[Done], Answer], accept_language: str) -> Answer:
    """The answer to a request for a step: what was done, in these words, or why not."""
    if isinstance(outcome, Unfit):
        return unfit(outcome, accept_language)
    assert isinstance(outcome, Done), "only a release can find that there is nothing to do"
    return worded(outcome)


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
    if refused.code is UnfitCode.ABOVE_REDEEMED:
        extras["left"] = refused.left
    return Problem(refused.code.value, detail_of(refused), extras or None, wait_ms=refused.wait_ms)
