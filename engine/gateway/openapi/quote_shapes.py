"""What tills send and get about the vouchers of a user."""

from typing import Any, Final

from engine.domain.redemption import AMOUNT_MAX, LINES_MAX, UnfitCode
from engine.gateway.identity.caller import IDENTITY_LENGTH_MAX
from engine.gateway.merchant_bodies import NUMBER_LENGTH_MAX
from engine.gateway.openapi.claim_shapes import CODE, TITLE
from engine.gateway.openapi.shapes import (
    Shape,
    identifier,
    instant,
    listed,
    members,
    one_of,
    or_null,
    schema,
    text,
    truth,
    whole,
)
from engine.ledger.held_vouchers import HELD_VOUCHERS_MAX

_NAMED: Final[dict[str, Any]] = {"maxLength": NUMBER_LENGTH_MAX}
_REASONS: Final = (
    UnfitCode.NOT_YET_EFFECTIVE,
    UnfitCode.EXPIRED,
    UnfitCode.ALREADY_REDEEMED,
    UnfitCode.INVALIDATED,
    UnfitCode.CANCELLED,
    UnfitCode.DELETED,
    UnfitCode.LOCKED,
    UnfitCode.WRONG_STORE,
    UnfitCode.WRONG_CITY,
    UnfitCode.BELOW_MIN_SPEND,
    UnfitCode.ONE_PER_PAYMENT,
    UnfitCode.CODE_PAGE_CLOSED,
)
_AMOUNT: Final = whole("What is due before a discount, in minor units", 0, AMOUNT_MAX)
_QUOTED: Final[dict[str, Shape]] = {
    "campaign": identifier(),
    "offer": identifier(),
    "title": TITLE,
    "expires_at": instant("Exclusive, as printed on the voucher"),
    "terms": schema("Terms"),
}

QUOTE_SHAPES: Final[dict[str, Shape]] = {
    "QuoteRequest": members(
        {
            "user": text("The account: `sub` of the user's token", minLength=1, maxLength=IDENTITY_LENGTH_MAX),
            "store": text("One of the token's stores", minLength=1, **_NAMED),
            "amount": _AMOUNT,
        },
        {
            "order_no": or_null(text("A voucher that this order has locked is its own", **_NAMED)),
            "payment_no": or_null(text("Where it is missing: a payment with no voucher yet", **_NAMED)),
            "lines": or_null(
                listed(
                    schema("OrderLine"), "They add up to `amount`; each gets its share", minItems=1, maxItems=LINES_MAX
                )
            ),
        },
    ),
    "UsableVoucher": members(
        {
            "code": CODE,
            "code_grouped": text("The code as it is read out"),
            **_QUOTED,
            "currency": text("ISO 4217", pattern="^[A-Z]{3}$"),
            "discount": whole("What a redemption takes off, in minor units"),
            "due": whole("What is left to pay then"),
            "lines": listed(schema("RedeemedLine"), "As they were sent; their shares add up to `discount`"),
        }
    ),
    "Unfitness": members(
        {
            "code": one_of([code.value for code in _REASONS], "What a redemption would be refused with"),
            "title": text("In the language of the request"),
        },
        {
            "detail": text(),
            "valid_from": instant("not_yet_effective"),
            "expires_at": instant("expired"),
            "redeemed_at": instant("already_redeemed"),
            "invalidated_at": instant("invalidated"),
            "locked_until": instant("locked"),
            "store": text("already_redeemed: where"),
            "reason": text("invalidated, cancelled: why"),
            "short_by": whole("below_min_spend: in minor units", 1),
            "per_payment": whole("one_per_payment: how many one payment takes", 1),
        },
    ),
    "UnusableVoucher": members({**_QUOTED, "reason": schema("Unfitness")}),
    "Quotes": members(
        {
            "user": text(),
            "store": text(),
            "amount": _AMOUNT,
            "as_of_ms": whole("By the ledger's clock: when this was so"),
            "complete": truth(
                "Whether all that was claimed by then is here; false where a claim of a moment ago may be missing"
            ),
            "usable": listed(schema("UsableVoucher"), "Best first", maxItems=HELD_VOUCHERS_MAX),
            "unusable": listed(schema("UnusableVoucher"), maxItems=HELD_VOUCHERS_MAX),
            "left_out": whole("So many more there are of this merchant"),
        }
    ),
}

QUOTE_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "user": "alice",
    "store": "s1",
    "amount": 4_250,
    "lines": [{"id": "tea", "amount": 3_000}, {"id": "cake", "amount": 1_250}],
}
_TERMS: Final = {"version": 1, "hash": "934999ef" * 8}
QUOTES_EXAMPLE: Final[dict[str, Any]] = {
    "user": "alice",
    "store": "s1",
    "amount": 4_250,
    "as_of_ms": 1_795_406_584_125,
    "complete": True,
    "usable": [
        {
            "code": "7ZZS5N2CNT5750W5",
            "code_grouped": "7ZZS-5N2C-NT57-50W5",
            "campaign": "try-it",
            "offer": "shop-10",
            "title": "便利店消费券 10 元",
            "expires_at": "2026-11-29T04:01:50.900+08:00",
            "terms": _TERMS,
            "currency": "CNY",
            "discount": 1_000,
            "due": 3_250,
            "lines": [
                {"id": "tea", "amount": 3_000, "discount": 706},
                {"id": "cake", "amount": 1_250, "discount": 294},
            ],
        }
    ],
    "unusable": [
        {
            "campaign": "try-it",
            "offer": "shop-30",
            "title": "便利店消费券 30 元",
            "expires_at": "2026-11-29T04:01:50.900+08:00",
            "terms": _TERMS,
            "reason": {
                "code": "below_min_spend",
                "title": "The amount is too small for this voucher",
                "short_by": 4_750,
            },
        }
    ],
    "left_out": 0,
}
