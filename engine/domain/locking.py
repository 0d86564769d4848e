"""Vouchers held for orders that are not paid yet (占用): whether one can be held, and whether a hold is over.

A lock has an end. Until then the voucher is the order's: its payment redeems it, past the expiry too, and no other
order gets it. After that, or when the order is cancelled, it is what it would be without the lock.
"""

import hashlib

from msgspec import Struct
from msgspec.structs import replace

from engine.domain.campaign import Promise
from engine.domain.redemption import (
    Decision,
    Line,
    Standing,
    Unfit,
    UnfitCode,
    is_of_merchant,
    is_own_lock,
    no_place_for,
    priced,
    request_id,
    shown_open,
    why_not,
)
from engine.domain.voucher import STEPS


class Lock(Struct, frozen=True, omit_defaults=True):
    """A lock as a till asks for it: for this order, for `hold_ms` from the moment in which it is granted.

    What is due is said already, so that the order can show what it will save.
    """

    code: str
    merchant: str
    store: str
    clerk: str
    order_no: str
    amount: int
    lines: tuple[Line, ...]
    hold_ms: int
    request_no: str

    @property
    def request(self) -> str:
        """Its name in the books."""
        return request_id(self.merchant, self.request_no)

    @property
    def payment_no(self) -> str:
        """There is none yet: a lock takes no place of a payment."""
        return ""


class Release(Struct, frozen=True, omit_defaults=True):
    """The end of a lock before its time: the order was cancelled. `lock` names the lock; asking again is the same."""

    lock: str
    code: str
    merchant: str
    store: str
    clerk: str
    order_no: str
    lock_step: int

    @property
    def request(self) -> str:
        """Its name in the books: a lock is released once, whoever asks for it and how often."""
        return hashlib.sha256(b"release " + self.lock.encode()).hexdigest()[:32]

    @property
    def request_no(self) -> str:
        """It needs none: the lock is the name."""
        return ""

    @property
    def payment_no(self) -> str:
        """It is about none."""
        return ""


def decide_lock(asked: Lock, standing: Standing, promise: Promise, now_ms: int, page_until_ms: int = 0) -> Decision:
    """Whether this voucher is held now, and what it would take off. `page_until_ms` is that of `decide`."""
    if not is_of_merchant(asked.merchant, asked.store, promise):
        return Unfit(UnfitCode.OTHER_MERCHANT)
    state = standing.state_at(now_ms)
    if (state, "lock") not in STEPS:
        refused = why_not(standing, state, promise, now_ms)
        return replace(
            refused, is_own=state == "locked" and is_own_lock(standing, asked.merchant, asked.store, asked.order_no)
        )
    decision = no_place_for(asked.store, promise) or priced(asked.amount, asked.lines, promise)
    return shown_open(decision, promise, now_ms, page_until_ms)


def decide_release(asked: Release, standing: Standing, promise: Promise, now_ms: int) -> Unfit | bool:
    """True: there is a lock to end; False: it is over by now; refused where its order has used the voucher."""
    made = standing.made
    state = standing.state_at(now_ms)
    if state == "locked":
        return made is not None and made.step == asked.lock_step
    if state == "redeemed" and is_own_lock(standing, asked.merchant, asked.store, asked.order_no):
        return why_not(standing, state, promise, now_ms)
    return False
