"""What operators are shown of a voucher, as plain members of JSON objects. The command line prints the same."""

from engine.domain.codes import claim_id, grouped
from engine.gateway.instants import rfc3339
from engine.gateway.status_objects import Members
from engine.ledger.voucher_acts import PastStep
from engine.redeeming.taking_back import SeenVoucher, TakenBack


def voucher_members(seen: SeenVoucher) -> Members:
    """A voucher with its terms in short, and all that was done with it, oldest first."""
    standing, promise = seen.row.standing, seen.kept.promise
    zone = promise.timezone
    return {
        "code": standing.code,
        "code_grouped": grouped(standing.code),
        "state": standing.state_at(seen.row.now_ms),
        "claim": claim_id(standing.code),
        "campaign": seen.row.campaign,
        "wave": seen.row.wave,
        "offer": seen.kept.offer,
        "title": promise.offer.title,
        "terms": {"version": standing.terms_version, "hash": seen.kept.hash},
        "account": standing.account,
        "claimed_at": rfc3339(standing.claimed_at_ms, zone),
        "valid_from": rfc3339(standing.period.valid_from_ms, zone),
        "expires_at": rfc3339(standing.period.expires_at_ms, zone),
        "hidden": standing.is_hidden,
        "steps": [_step_members(step, zone) for step in seen.steps],
    }


def taken_back_members(taken: TakenBack) -> Members:
    """What taking a voucher back came to."""
    return {
        "act": taken.act,
        "done": taken.done,
        "before": voucher_members(taken.before),
        "after": voucher_members(taken.after),
    }


def _step_members(step: PastStep, zone: str) -> Members:
    return {
        "step": step.step,
        "kind": step.kind,
        "at": rfc3339(step.at_ms, zone),
        "merchant": step.merchant or None,
        "store": step.store or None,
        "clerk": step.clerk or None,
        "order_no": step.order_no or None,
        "amount": step.amount,
        "discount": step.discount,
        "until": rfc3339(step.until_ms, zone) if step.until_ms else None,
        "by": step.by or None,
        "actor": step.actor or None,
        "reason": step.reason or None,
    }
