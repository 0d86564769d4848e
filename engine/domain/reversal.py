"""Reversals of redemptions (退款): what is paid back, what of the discount is taken back, and whether the voucher
comes back to its holder.

It comes back where the merchant has refunded all of the order before it was completed. A refund that the user asked
for after paying, a refund of a completed order, and one of a part leave it used. What comes back after its expiry has
expired: nothing revives it.

A reversal's `amount` is in the terms of the redemption's: what was due before the discount for what is given back. Of
the discount the same part is taken back, rounded down over all reversals of the redemption so far, so that a whole
refund in any parts takes back exactly the discount; the rest of the amount is paid back.
"""

from typing import Literal

from msgspec import Struct

from engine.domain.redemption import Standing, Unfit, UnfitCode, request_id
from engine.domain.voucher import STEPS, StepKind

By = Literal["merchant", "user"]
"""Who wanted the refund."""


class Redeemed(Struct, frozen=True, omit_defaults=True):
    """The redemption that is reversed, as it was made: the `step`th step of its voucher."""

    id: str
    code: str
    step: int
    merchant: str
    store: str
    order_no: str
    payment_no: str
    amount: int
    discount: int


class Reverse(Struct, frozen=True, omit_defaults=True):
    """A reversal as a till asks for it. `amount` None: all that is left."""

    of: Redeemed
    clerk: str
    by: By
    is_completed: bool
    amount: int | None
    request_no: str

    @property
    def code(self) -> str:
        """The voucher's."""
        return self.of.code

    @property
    def merchant(self) -> str:
        """The redemption's."""
        return self.of.merchant

    @property
    def request(self) -> str:
        """Its name in the books."""
        return request_id(self.merchant, self.request_no)

    @property
    def payment_no(self) -> str:
        """It takes no place of a payment."""
        return ""


class Refunded(Struct, frozen=True):
    """What was reversed of a redemption so far."""

    times: int = 0
    amount: int = 0
    discount: int = 0
    last_ms: int = 0
    were_all_early: bool = True
    """Whether each was the merchant's and before the order was completed."""


class Refund(Struct, frozen=True):
    """The reversal is taken: with this kind of step, for this amount, of which so much is discount."""

    kind: StepKind
    amount: int
    discount: int


def decide_reversal(asked: Reverse, standing: Standing, so_far: Refunded, timezone: str, now_ms: int) -> Refund | Unfit:
    """What a reversal gives back, or why there is none."""
    of = asked.of
    left = of.amount - so_far.amount
    if so_far.times and not left:
        return Unfit(UnfitCode.ALREADY_REVERSED, at_ms=so_far.last_ms, timezone=timezone)
    amount = left if asked.amount is None else asked.amount
    if amount > left:
        return Unfit(UnfitCode.ABOVE_REDEEMED, left=left)
    back = so_far.amount + amount
    discount = (of.discount * back // of.amount if of.amount else 0) - so_far.discount
    is_early = asked.by == "merchant" and not asked.is_completed
    kind: StepKind = "give_back" if amount == left and is_early and so_far.were_all_early else "refund"
    if (standing.state_at(now_ms), kind) not in STEPS:
        raise LookupError("a redemption that was not reversed has a voucher that is not redeemed")
    return Refund(kind, amount, discount)
