"""One request of a till and what the books say: a step to take, what the request did before, or why not."""

from collections.abc import Set
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct

from engine.domain.redemption import Redeem, Unfit, UnfitCode, decide, digest_of, request_id
from engine.ledger.promise_book import Kept
from engine.ledger.voucher_steps import Entry, Question, Step, shown_lines

Asked = Redeem
"""What tills ask for. Each has `code`, `merchant`, `payment_no` and `request_no`."""


class Done(Struct, frozen=True):
    """The step was taken; `replayed` says that an earlier request had taken it. `kept` are the terms that were read."""

    step: Step
    kept: Kept
    replayed: bool = False


Outcome = Done | Unfit


class Wanted(NamedTuple):
    """A step that is to be taken, and the terms that it was worked out from."""

    step: Step
    kept: Kept


_USED = Unfit(UnfitCode.REQUEST_NO_USED)
_UNKNOWN = Unfit(UnfitCode.UNKNOWN_CODE)
_NOT_SETTLED = Unfit(UnfitCode.NOT_SETTLED_YET)


def question_of(asked: Asked) -> Question:
    """What has to be looked up for it."""
    return Question(asked.code, request_id(asked.merchant, asked.request_no), asked.merchant, asked.payment_no)


def work_out(asked: Asked, entry: Entry, kept: Kept | None, places_taken: Set[int]) -> Wanted | Outcome:
    """What is to be done. `kept` are the terms of the claim, or of what the request did before, where there are such.

    `places_taken`: of the payment, those of this very batch included. Raises LookupError where the ledger lacks terms.
    """
    if entry.known is not None:
        if entry.known.digest != digest_of(asked):
            return _USED
        return Done(entry.known, _there(kept), replayed=True)
    standing = entry.standing
    if standing is None:
        return _not_in_the_books(entry)
    kept = _there(kept)
    decision = decide(asked, standing, kept.promise, entry.now_ms, places_taken)
    if isinstance(decision, Unfit):
        return decision
    at_ms = standing.read_at(entry.now_ms)
    return Wanted(
        Step(
            campaign_no=standing.campaign_no,
            code=asked.code,
            step=standing.step + 1,
            kept="redeemed",
            kind="redeem",
            at_ms=at_ms,
            offer_no=standing.offer_no,
            terms_version=standing.terms_version,
            digest=digest_of(asked),
            merchant=asked.merchant,
            store=asked.store,
            clerk=asked.clerk,
            order_no=asked.order_no,
            payment_no=asked.payment_no,
            payment_place=decision.payment_place,
            amount=asked.amount,
            discount=decision.discount,
            lines=shown_lines(asked.lines, decision.shares),
            request=request_id(asked.merchant, asked.request_no),
            request_no=asked.request_no,
            day=day_of(at_ms, kept.promise.timezone),
        ),
        kept,
    )


def day_of(at_ms: int, timezone: str) -> str:
    """The date of that instant there, as statements count it."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(ZoneInfo(timezone)).date().isoformat()


def _there(kept: Kept | None) -> Kept:
    if kept is None:
        raise LookupError("the ledger has a claim and not its terms")
    return kept


def _not_in_the_books(entry: Entry) -> Unfit:
    """A claim in quarantine counts as held, and is a voucher when a person has settled it; or it was taken back."""
    if entry.quarantined == "held":
        return _NOT_SETTLED
    if entry.quarantined == "voided":
        return Unfit(UnfitCode.CANCELLED, at_ms=entry.ended_ms, reason=entry.ended_reason)
    return _UNKNOWN
