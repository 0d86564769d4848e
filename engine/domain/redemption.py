"""What a till asks for, what the books say of the voucher, and the one true answer.

    Decision = Fit | Unfit

Whether a voucher can be used is decided here, from values alone; the ledger then takes the step if nothing has
happened to the voucher in between (`ledger/voucher_steps.py`), else all of it is looked at again. What is read are the
terms of the claim (P8), never those of today.

`UnfitCode` stands in the order in which the reasons are looked at. Another merchant learns nothing of a voucher's life,
so that reason comes before all that happened to it.
"""

import hashlib
from collections.abc import Sequence, Set
from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Struct

from engine.domain.campaign import Promise
from engine.domain.discount import BelowMinSpend, allocated, discount_on
from engine.domain.voucher import STEPS, Kept, Period, State, StepKind, state_at

LINES_MAX: Final = 100
"""Lines of one order; `merchant_body_bytes_max` holds as many, whatever their names."""
AMOUNT_MAX: Final = (1 << 53) - 1
"""In minor units: every reader of JSON gives it back as it was."""


class Line(Struct, frozen=True):
    """A line of an order: what is due for it, in minor units. `id` is the merchant's own name of it, or empty."""

    amount: int
    id: str = ""


class Redeem(Struct, frozen=True, omit_defaults=True):
    """A redemption as a till asks for it. `amount` is what is due before this discount; the lines add up to it.

    `merchant` is the store's; with `request_no` it names the request for good. `locking.Lock` has the same members as
    far as a lock has them.
    """

    code: str
    merchant: str
    store: str
    clerk: str
    order_no: str
    payment_no: str
    amount: int
    lines: tuple[Line, ...]
    request_no: str

    @property
    def request(self) -> str:
        """Its name in the books."""
        return request_id(self.merchant, self.request_no)


class Made(Struct, frozen=True):
    """The step that made a voucher what it is: what, when, where, for which order, why; empty where there is none."""

    kind: StepKind
    at_ms: int
    merchant: str = ""
    store: str = ""
    order_no: str = ""
    reason: str = ""
    until_ms: int = 0
    """Of a lock: its end, exclusive."""
    step: int = 0
    """Which step of the voucher it was."""


class Standing(Struct, frozen=True):
    """A voucher as the ledger has it. `step` counts what was done with it; no two can do step 3."""

    campaign_no: int
    code: str
    wave_no: int
    offer_no: int
    terms_version: int
    account: str
    claimed_at_ms: int
    period: Period
    kept: Kept
    step: int
    is_hidden: bool = False
    made: Made | None = None
    """None where nothing was done with it yet."""

    def state_at(self, now_ms: int) -> State:
        """Its state at that instant of the ledger's clock."""
        return state_at(self.kept, self.period, self.read_at(now_ms), self.made.until_ms if self.made else 0)

    def read_at(self, now_ms: int) -> int:
        """That instant of the ledger's clock, but never before the claim, which is by the hot store's: of two clocks
        that differ by a second, none makes a voucher void for a second."""
        return max(now_ms, self.claimed_at_ms)


class UnfitCode(StrEnum):
    """Every reason not to take a step that a till asks for, in the order in which they are looked at."""

    MISTYPED_CODE = "mistyped_code"
    REQUEST_NO_USED = "request_no_used"
    UNKNOWN_CODE = "unknown_code"
    NOT_SETTLED_YET = "not_settled_yet"
    OTHER_MERCHANT = "other_merchant"
    NOT_YET_EFFECTIVE = "not_yet_effective"
    EXPIRED = "expired"
    ALREADY_REDEEMED = "already_redeemed"
    INVALIDATED = "invalidated"
    CANCELLED = "cancelled"
    DELETED = "deleted"
    LOCKED = "locked"
    WRONG_STORE = "wrong_store"
    WRONG_CITY = "wrong_city"
    PAYMENT_MISSING = "payment_missing"
    BELOW_MIN_SPEND = "below_min_spend"
    ONE_PER_PAYMENT = "one_per_payment"
    CODE_PAGE_CLOSED = "code_page_closed"
    ALREADY_REVERSED = "already_reversed"
    ABOVE_REDEEMED = "above_redeemed"
    BUSY = "busy"
    OUTCOME_UNKNOWN = "outcome_unknown"


class Unfit(Struct, frozen=True):
    """The voucher is not taken. Only the fields that belong to the code are set."""

    code: UnfitCode
    at_ms: int = 0
    """not_yet_effective: valid_from; expired: expires_at; already_redeemed, invalidated: when; locked: until
    when; already_reversed: when last."""
    timezone: str = "UTC"
    """In which `at_ms` is told."""
    store: str = ""
    """already_redeemed: where."""
    store_title: str = ""
    """Likewise, as the terms call it; empty where they do not."""
    reason: str = ""
    """invalidated, cancelled: why, as it was told."""
    short_by: int = 0
    """below_min_spend: in minor units."""
    currency: str = ""
    """Of `short_by`."""
    places: int = 0
    """one_per_payment: how many vouchers of the campaign one payment takes."""
    left: int = 0
    """above_redeemed: what can still be paid back, in minor units."""
    is_own: bool = False
    """locked: by the very order that asks for another lock."""
    wait_ms: int = 0
    """not_yet_effective, locked: until then."""


class Fit(Struct, frozen=True):
    """The voucher is taken: what it takes off in minor units, the share of each line, and its place on the payment:
    from 1, or 0 where there is no payment."""

    discount: int
    shares: tuple[int, ...]
    payment_place: int


Decision = Fit | Unfit

_BY_STATE: Final[dict[State, UnfitCode]] = {
    "not_yet_effective": UnfitCode.NOT_YET_EFFECTIVE,
    "expired": UnfitCode.EXPIRED,
    "redeemed": UnfitCode.ALREADY_REDEEMED,
    "invalidated": UnfitCode.INVALIDATED,
    "cancelled": UnfitCode.CANCELLED,
    "deleted": UnfitCode.DELETED,
    "locked": UnfitCode.LOCKED,
}


def digest_of(asked: Struct) -> bytes:
    """Sixteen bytes that stand for all that a request asks for: one `request_no` stands for one thing.

    They are in the books, and a till may ask again across an upgrade. So the members of what tills ask for keep their
    names and their order; a new one comes last and has a default, at which it is left out (`omit_defaults`).
    """
    kind = type(asked).__name__.encode()
    return hashlib.sha256(kind + b" " + msgspec.json.encode(asked)).digest()[:16]


def request_id(merchant: str, request_no: str) -> str:
    """The name of what a merchant's request did, unique over all merchants: 32 hex digits."""
    named = msgspec.json.encode([merchant, request_no])  # no merchant and number run together
    return hashlib.sha256(b"request " + named).hexdigest()[:32]


def decide(
    asked: Redeem, standing: Standing, promise: Promise, now_ms: int, places_taken: Set[int], page_until_ms: int = 0
) -> Decision:
    """Whether this voucher is taken now, and what it takes off. `places_taken`: of this payment, by others.

    `page_until_ms` (exclusive): until when its holder has its code page open. The payment of an order that has locked
    the voucher needs no open page: the lock did.
    """
    if not is_of_merchant(asked.merchant, asked.store, promise):
        return Unfit(UnfitCode.OTHER_MERCHANT)
    state = standing.state_at(now_ms)
    is_others_lock = state == "locked" and not is_own_lock(standing, asked.merchant, asked.store, asked.order_no)
    if (state, "redeem") not in STEPS or is_others_lock:
        return why_not(standing, state, promise, now_ms)
    decision = no_place_for(asked.store, promise) or _paid(asked, promise, places_taken)
    return decision if state == "locked" else shown_open(decision, promise, now_ms, page_until_ms)


def shown_open(decision: Decision, promise: Promise, now_ms: int, page_until_ms: int) -> Decision:
    """That decision, unless the terms ask for the holder's code page and it is not open: the last reason of all, so
    that nobody opens it in vain."""
    is_closed = promise.offer.needs_code_page and now_ms >= page_until_ms
    return Unfit(UnfitCode.CODE_PAGE_CLOSED) if is_closed and isinstance(decision, Fit) else decision


def why_not(standing: Standing, state: State, promise: Promise, now_ms: int) -> Unfit:
    """The refusal for a voucher in that state, which is not pending."""
    made, code, zone = standing.made, _BY_STATE[state], promise.timezone
    wait_ms = 0
    if state == "not_yet_effective":
        at_ms = standing.period.valid_from_ms
        wait_ms = at_ms - standing.read_at(now_ms)
    elif state == "expired":
        at_ms = standing.period.expires_at_ms
    elif state == "locked" and made is not None:
        at_ms = made.until_ms
        wait_ms = at_ms - standing.read_at(now_ms)
    else:
        at_ms = made.at_ms if made else 0
    store = made.store if made and state == "redeemed" else ""
    title = promise.stores[store].title if store in promise.stores else ""
    reason = made.reason if made and state in ("invalidated", "cancelled") else ""
    return Unfit(code, at_ms=at_ms, timezone=zone, store=store, store_title=title, reason=reason, wait_ms=wait_ms)


def is_of_merchant(merchant: str, store: str, promise: Promise) -> bool:
    """Whether these terms are this merchant's business: the store is one of theirs, whoever it belongs to by now (P8),
    or another store of the merchant is."""
    return store in promise.stores or merchant in {each.merchant for each in promise.stores.values()}


def is_own_lock(standing: Standing, merchant: str, store: str, order_no: str) -> bool:
    """Whether the lock is for this very order: then its payment redeems the voucher, past the expiry too. An order of
    the same store is the same one, even if the store has come to another merchant meanwhile."""
    made = standing.made
    return made is not None and made.order_no == order_no and (made.merchant == merchant or made.store == store)


def no_place_for(store_id: str, promise: Promise) -> Unfit | None:
    """Why the voucher cannot be used in that store, where it cannot."""
    store = promise.stores.get(store_id)
    if store is None:
        return Unfit(UnfitCode.WRONG_STORE)
    if promise.use.cities and store.city not in promise.use.cities:
        return Unfit(UnfitCode.WRONG_CITY)
    return None


def priced(amount: int, lines: Sequence[Line], promise: Promise, place: int = 0) -> Decision:
    """What the voucher takes off that amount, and off each of the lines."""
    discount = discount_on(promise.offer, amount)
    if isinstance(discount, BelowMinSpend):
        return Unfit(UnfitCode.BELOW_MIN_SPEND, short_by=discount.short_by, currency=promise.currency)
    return Fit(discount, allocated(discount, [line.amount for line in lines]) if lines else (), place)


def _paid(asked: Redeem, promise: Promise, places_taken: Set[int]) -> Decision:
    if not asked.payment_no and promise.offer.kind != "gift":
        return Unfit(UnfitCode.PAYMENT_MISSING)
    place = _place_on_payment(promise.use.per_payment, places_taken) if asked.payment_no else 0
    decision = priced(asked.amount, asked.lines, promise, place)
    if isinstance(decision, Fit) and asked.payment_no and not place:
        return Unfit(UnfitCode.ONE_PER_PAYMENT, places=promise.use.per_payment)
    return decision


def _place_on_payment(per_payment: int, taken: Set[int]) -> int:
    """The first free place; 0 where the payment has as many vouchers as these terms allow beside each other."""
    if len(taken) >= per_payment:  # a place of earlier, more generous terms counts as well
        return 0
    return next(place for place in range(1, per_payment + 1) if place not in taken)
