"""What a voucher takes off a payment, to which lines of the order that belongs, and which voucher is the best.

The amount of a payment is what is due for what the voucher applies to, after every other discount and
before this one. All money is in minor units; the discount is rounded down once, and its shares add up to it.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from engine.domain.campaign import Offer


class BelowMinSpend(Struct, frozen=True):
    """The payment is too small for the voucher, by `short_by` minor units (at least 1)."""

    short_by: int


def discount_on(offer: Offer, amount: int) -> int | BelowMinSpend:
    """What a voucher of this offer takes off a payment of that amount: at most `amount`, in minor units.

    threshold: `face`, from `min_spend` on. instant: `face`. percent: that part of the amount, a fraction of a minor
    unit not given, at most `max_discount`. gift: what the holder would pay beyond `price`, at most what the item is
    worth beyond it; 0 where the item is handed over without being part of an order. Any other voucher takes something
    off, or is not used up. ValueError where the amount is negative.
    """
    if amount < 0:
        raise ValueError("the amount of a payment is not negative")
    least = least_amount(offer)
    return BelowMinSpend(least - amount) if amount < least else min(_promised(offer, amount), amount)


def least_amount(offer: Offer) -> int:
    """The smallest payment that a voucher of this offer is good for, in minor units."""
    if offer.kind == "gift":
        return 0
    return offer.min_spend or -(-100 // (offer.percent_off or 100))


def _promised(offer: Offer, amount: int) -> int:
    """What the terms say, without a look at whether so much is paid."""
    match offer.kind:
        case "threshold" | "instant":
            return offer.face or 0
        case "percent":
            part = amount * (offer.percent_off or 0) // 100
            return part if offer.max_discount is None else min(part, offer.max_discount)
        case "gift":
            price = offer.price or 0
            return min((offer.face or 0) - price, max(amount - price, 0))


def allocated(discount: int, lines: Sequence[int]) -> tuple[int, ...]:
    """The share of each line of an order in the discount, in proportion to its amount; the sum is exact (分摊).

    `lines` are their amounts; one that the voucher does not apply to counts as 0 and gets nothing. What rounding down
    leaves goes, one minor unit each, to the lines with the largest fractions (Hamilton's method); of equal fractions
    to the larger line, of equal lines to the earlier one. So no share is above its line, and which lines are there
    decides, not their order. ValueError where an amount is negative, or the discount is above their sum.
    """
    total = sum(lines)
    if min(lines, default=0) < 0 or not 0 <= discount <= total:
        raise ValueError("a discount is shared out over lines that are worth as much or more, none of them negative")
    if not total:
        return (0,) * len(lines)
    shares = [discount * line // total for line in lines]
    by_fraction = sorted(range(len(lines)), key=lambda no: (-(discount * lines[no] % total), -lines[no], no))
    for no in by_fraction[: discount - sum(shares)]:
        shares[no] += 1
    return tuple(shares)


class Quote(Struct, frozen=True):
    """A voucher that can be used for a payment, and what it takes off. `expires_at_ms` is exclusive."""

    code: str
    offer: Offer
    expires_at_ms: int
    discount: int


def best_first(quotes: Iterable[Quote]) -> list[Quote]:
    """The quotes in the order in which their holder would use them.

    The most taken off; then what expires first; then what can take off least at any payment, so that the better voucher
    is kept; then by code, so that every till lists the same.
    """
    return sorted(quotes, key=lambda each: (-each.discount, each.expires_at_ms, each.offer.value, each.code))
