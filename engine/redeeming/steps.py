"""One request of a till and what the books say: a step to take, what the request did before, or why not."""

from collections.abc import Sequence, Set
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from engine.domain.locking import Lock, Release, decide_lock, decide_release
from engine.domain.redemption import Fit, Redeem, Standing, Unfit, UnfitCode, decide, digest_of
from engine.domain.reversal import Refunded, Reverse, decide_reversal
from engine.domain.voucher import Period
from engine.ledger.promise_book import Kept
from engine.ledger.voucher_steps import Entry, Question, Step, shown_lines

Asked = Redeem | Lock | Release | Reverse
"""What tills ask for. Each has `code`, `merchant`, `payment_no`, and `request`, its name in the books."""


class Done(Struct, frozen=True):
    """The step was taken; `replayed` says that an earlier request had taken it. `kept` are the terms that were read."""

    step: Step
    kept: Kept
    period: Period
    """The voucher's."""
    replayed: bool = False


class Nothing(Struct, frozen=True):
    """It was so already: there is no step to take."""


Outcome = Done | Nothing | Unfit


class Wanted(NamedTuple):
    """A step that is to be taken, and what it was worked out from."""

    step: Step
    kept: Kept
    period: Period


class Around(Struct, frozen=True):
    """What has to be known beside the books' entry."""

    kept: Kept | None
    """The terms of the claim, or of what the request did before, where there are such."""
    places_taken: Set[int] = frozenset()
    """Of the payment, those of this very batch included."""
    reversals: Sequence[Step] = ()
    """Of the redemption that is to be reversed."""
    page_until_ms: int = 0
    """Until when the holder has the code page open (exclusive), where the terms ask for it."""


_BUSY = Unfit(UnfitCode.BUSY)
_USED = Unfit(UnfitCode.REQUEST_NO_USED)
_UNKNOWN = Unfit(UnfitCode.UNKNOWN_CODE)
_NOT_SETTLED = Unfit(UnfitCode.NOT_SETTLED_YET)


def question_of(asked: Asked) -> Question:
    """What has to be looked up for it."""
    return Question(asked.code, asked.request, asked.merchant, asked.payment_no)


def under_former_merchants(asked: Asked, entry: Entry, kept: Kept | None) -> list[Redeem | Lock]:
    """The same request under the names that it had while the store was another merchant's, as far as the voucher's
    terms and what was done with it tell of such; where the store has not changed hands, none."""
    standing = entry.standing
    if not isinstance(asked, Redeem | Lock) or standing is None or kept is None or entry.known is not None:
        return []
    of_terms, made = kept.promise.stores.get(asked.store), standing.made
    former = {of_terms.merchant} if of_terms is not None else set()
    if made is not None and made.store == asked.store:
        former.add(made.merchant)
    return [replace(asked, merchant=merchant) for merchant in sorted(former - {asked.merchant, ""})]


def work_out(asked: Asked, entry: Entry, around: Around) -> Wanted | Outcome:
    """What is to be done. Raises LookupError where the ledger lacks what it has to have."""
    standing = entry.standing
    if entry.known is not None:
        if standing is None or not _is_same(asked, entry.known):
            return _USED
        return Done(entry.known, _there(around.kept), standing.period, replayed=True)
    if standing is None:
        return _not_in_the_books(entry)
    kept = _there(around.kept)
    if isinstance(asked, Redeem | Lock) and not asked.merchant and asked.store in kept.promise.stores:
        return _BUSY  # the stores were read before there was this one: without its merchant a request has no name
    found = _decided(asked, standing, kept, around, entry.now_ms)
    return found if isinstance(found, Unfit | Nothing) else Wanted(found, kept, standing.period)


def day_of(at_ms: int, timezone: str) -> str:
    """The date of that instant there, as statements count it."""
    return _day(at_ms // 1000, timezone)


@lru_cache(maxsize=1_024)  # what is redeemed at once, in campaigns of few zones
def _day(second: int, timezone: str) -> str:
    return datetime.fromtimestamp(second, UTC).astimezone(ZoneInfo(timezone)).date().isoformat()


def _decided(asked: Asked, standing: Standing, kept: Kept, around: Around, now_ms: int) -> Step | Unfit | Nothing:
    match asked:
        case Redeem():
            fit = decide(asked, standing, kept.promise, now_ms, around.places_taken, around.page_until_ms)
            return fit if isinstance(fit, Unfit) else _redemption(asked, standing, kept, fit, around, now_ms)
        case Lock():
            fit = decide_lock(asked, standing, kept.promise, now_ms, around.page_until_ms)
            return fit if isinstance(fit, Unfit) else _lock(asked, standing, kept, fit, around, now_ms)
        case Release():
            is_there = decide_release(asked, standing, kept.promise, now_ms)
            if isinstance(is_there, Unfit):
                return is_there
            return _release(asked, standing, kept, now_ms) if is_there else Nothing()
        case Reverse():
            return _reversal(asked, standing, kept, around.reversals, now_ms)


def _redemption(asked: Redeem, standing: Standing, kept: Kept, fit: Fit, around: Around, now_ms: int) -> Step:
    made = standing.made
    is_locked = made is not None and standing.state_at(now_ms) == "locked"
    return Step(
        **_common(asked, standing, kept, now_ms),
        kept="redeemed",
        kind="redeem",
        store=asked.store,
        clerk=asked.clerk,
        order_no=asked.order_no,
        payment_no=asked.payment_no,
        payment_place=fit.payment_place,
        amount=asked.amount,
        discount=fit.discount,
        lines=shown_lines(asked.lines, fit.shares),
        before_ms=made.until_ms if made is not None and is_locked else _shown_before_ms(standing, kept, around),
    )


def _shown_before_ms(standing: Standing, kept: Kept, around: Around) -> int:
    """By when a voucher that its holder shows has to be taken: before its end, and while the page is open."""
    end_ms = standing.period.expires_at_ms
    return min(end_ms, around.page_until_ms) if kept.promise.offer.needs_code_page else end_ms


def _lock(asked: Lock, standing: Standing, kept: Kept, fit: Fit, around: Around, now_ms: int) -> Step:
    common = _common(asked, standing, kept, now_ms)
    return Step(
        **common,
        kept="locked",
        kind="lock",
        store=asked.store,
        clerk=asked.clerk,
        order_no=asked.order_no,
        payment_no="",
        payment_place=0,
        amount=asked.amount,
        discount=fit.discount,
        lines=shown_lines(asked.lines, fit.shares),
        until_ms=common["at_ms"] + asked.hold_ms,
        before_ms=_shown_before_ms(standing, kept, around),
    )


def _release(asked: Release, standing: Standing, kept: Kept, now_ms: int) -> Step:
    return Step(
        **_common(asked, standing, kept, now_ms),
        kept="pending",
        kind="release",
        store=asked.store,
        clerk=asked.clerk,
        order_no=asked.order_no,
        payment_no="",
        payment_place=0,
        amount=0,
        discount=0,
        lines=(),
        of_step=asked.lock_step,
    )


def _reversal(asked: Reverse, standing: Standing, kept: Kept, reversals: Sequence[Step], now_ms: int) -> Step | Unfit:
    # they were read after the voucher, and may be ahead of it
    so_far = _refunded([each for each in reversals if each.step <= standing.step])
    refund = decide_reversal(asked, standing, so_far, kept.promise.timezone, now_ms)
    if isinstance(refund, Unfit):
        return refund
    return Step(
        **_common(asked, standing, kept, now_ms),
        kept="pending" if refund.kind == "give_back" else "redeemed",
        kind=refund.kind,
        store=asked.of.store,
        clerk=asked.clerk,
        order_no=asked.of.order_no,
        payment_no=asked.of.payment_no,
        payment_place=0,
        amount=refund.amount,
        discount=refund.discount,
        lines=(),
        of_step=asked.of.step,
        by=asked.by,
        is_completed=asked.is_completed,
    )


def _refunded(reversals: Sequence[Step]) -> Refunded:
    return Refunded(
        times=len(reversals),
        amount=sum(each.amount for each in reversals),
        discount=sum(each.discount for each in reversals),
        last_ms=max((each.at_ms for each in reversals), default=0),
        were_all_early=all(each.by == "merchant" and not each.is_completed for each in reversals),
    )


def _common(asked: Asked, standing: Standing, kept: Kept, now_ms: int) -> dict[str, Any]:
    """What every step is made of: the voucher, its terms, the request, the instant."""
    at_ms = standing.read_at(now_ms)
    return {
        "campaign_no": standing.campaign_no,
        "code": asked.code,
        "step": standing.step + 1,
        "at_ms": at_ms,
        "offer_no": standing.offer_no,
        "terms_version": standing.terms_version,
        "digest": digest_of(asked),
        "merchant": asked.merchant,
        "request": asked.request,
        "request_no": asked.request_no,
        "day": day_of(at_ms, kept.promise.timezone),
    }


def _is_same(asked: Asked, known: Step) -> bool:
    """Whether the request asks for what it did before. A release has no number of its own: it is what it is."""
    return isinstance(asked, Release) or known.digest == digest_of(asked)


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
