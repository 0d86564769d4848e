"""What tills send and get."""

from typing import Any, Final, get_args

from engine.domain.redemption import AMOUNT_MAX, LINES_MAX
from engine.domain.reversal import By
from engine.gateway.merchant_bodies import NUMBER_LENGTH_MAX
from engine.gateway.openapi.claim_shapes import CODE, TITLE
from engine.gateway.openapi.shapes import (
    Shape,
    always,
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

_AMOUNT: Final = whole("What is due before this discount, in minor units", 0, AMOUNT_MAX)
_NAMED: Final[dict[str, Any]] = {"maxLength": NUMBER_LENGTH_MAX}
_NAME: Final = text("The merchant's own", minLength=1, **_NAMED)

_ORDERED: Final[dict[str, Shape]] = {
    "code": text("As scanned or typed: O for 0, I and L for 1, lower case, blanks, dashes, line ends do", minLength=1),
    "store": text("One of the token's stores", minLength=1, **_NAMED),
    "clerk": _NAME,
    "amount": _AMOUNT,
    "request_no": text("Names this request of the merchant for good", minLength=1, **_NAMED),
}
_LINES: Final = or_null(
    listed(schema("OrderLine"), "They add up to `amount`; each gets its share", minItems=1, maxItems=LINES_MAX)
)
_TOLD: Final[dict[str, Shape]] = {
    "code": CODE,
    "code_grouped": text("The code as it is read out"),
    "campaign": identifier(),
    "offer": identifier(),
    "title": TITLE,
    "terms": schema("Terms"),
    "store": text(),
    "clerk": text(),
    "request_no": text(),
    "currency": text("ISO 4217", pattern="^[A-Z]{3}$"),
    "amount": whole("What was due before the discount, in minor units"),
    "discount": whole("Never above it"),
    "due": whole("What is left to pay"),
    "lines": listed(schema("RedeemedLine"), "As they were sent; their shares add up to `discount`"),
}
_REVERSAL: Final[dict[str, Shape]] = {
    "id": text("Unique everywhere", pattern="^b-[0-9a-f]{32}$"),
    "redemption": text("Id of the redemption", pattern="^r-[0-9a-f]{32}$"),
    "code": CODE,
    "store": text("Of the redemption"),
    "clerk": text(),
    "request_no": text(),
    "by": one_of(get_args(By), "Who wanted it"),
    "completed": truth("Whether the order was completed"),
    "given_back": truth("Whether the voucher is its holder's again; usable, unless it has expired"),
    "reversed_at": instant("By the ledger's clock"),
    "currency": text("ISO 4217", pattern="^[A-Z]{3}$"),
    "amount": whole("What of the redemption's amount is reversed, in minor units"),
    "discount": whole("The part of it that was discount, and is taken back"),
    "paid_back": whole("The part of it that was paid, and is paid back"),
}

SHOP_SHAPES: Final[dict[str, Shape]] = {
    "OrderLine": members(
        {"amount": whole("What is due for it", 0, AMOUNT_MAX)}, {"id": or_null(text("The merchant's own", **_NAMED))}
    ),
    "RedemptionRequest": members(
        _ORDERED,
        {
            "order_no": or_null(text("The merchant's own", **_NAMED)),
            "payment_no": or_null(text("Needed but for a gift", **_NAMED)),
            "lines": _LINES,
        },
    ),
    "RedeemedLine": members(
        {"id": or_null(text()), "amount": whole("What was due for it"), "discount": whole("Its share")}
    ),
    "Redemption": members(
        {
            "id": text("Unique everywhere", pattern="^r-[0-9a-f]{32}$"),
            **_TOLD,
            "order_no": or_null(text()),
            "payment_no": or_null(text()),
            "redeemed_at": instant("By the ledger's clock"),
        }
    ),
    "Redeemed": members({"status": always("redeemed"), "redemption": schema("Redemption")}),
    "RedemptionSeen": members(
        {
            "redemption": schema("Redemption"),
            "reversals": listed(schema("Reversal"), "Oldest first"),
            "left": whole("What of `amount` was not reversed yet"),
        }
    ),
    "ReversalRequest": members(
        {
            "clerk": _NAME,
            "by": one_of(get_args(By), "Who wants the refund"),
            "completed": truth("Whether the order was completed (handed over, consumed)"),
            "request_no": text("Names this request of the merchant for good", minLength=1, **_NAMED),
        },
        {
            "amount": or_null(
                whole("Of the redemption's amount, before the discount; all that is left, if missing", 1, AMOUNT_MAX)
            )
        },
    ),
    "Reversal": members(_REVERSAL),
    "Reversed": members(
        {
            "status": always("reversed"),
            "reversal": members(
                {
                    **_REVERSAL,
                    "voucher": one_of(
                        ("pending", "expired", "redeemed"), "What the voucher was then; `redeemed`: it stays used"
                    ),
                }
            ),
        }
    ),
    "LockRequest": members(
        {
            **_ORDERED,
            "order_no": text("The order's, which alone can pay with the voucher", minLength=1, **_NAMED),
            "hold_ms": whole("For how long, in milliseconds; `lock_ms_max` of the deployment (an hour) at most", 1),
        },
        {"lines": _LINES},
    ),
    "Lock": members(
        {
            "id": text("Unique everywhere", pattern="^l-[0-9a-f]{32}$"),
            **_TOLD,
            "order_no": text(),
            "locked_at": instant("By the ledger's clock"),
            "locked_until": instant("Exclusive"),
        }
    ),
    "Locked": members({"status": always("locked"), "lock": schema("Lock")}),
    "ReleaseRequest": members({"clerk": _NAME}),
    "Released": members({"status": always("released"), "lock": schema("Lock")}),
}

REDEMPTION_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "code": "7ZZS-5N2C-NT57-50W5",
    "store": "s1",
    "clerk": "li",
    "order_no": "A-1024",
    "payment_no": "P-88213",
    "amount": 4_250,
    "lines": [{"id": "tea", "amount": 3_000}, {"id": "cake", "amount": 1_250}],
    "request_no": "till-3-000412",
}
REDEEMED_EXAMPLE: Final[dict[str, Any]] = {
    "status": "redeemed",
    "redemption": {
        "id": "r-" + "934999ef" * 4,
        "code": "7ZZS5N2CNT5750W5",
        "code_grouped": "7ZZS-5N2C-NT57-50W5",
        "campaign": "try-it",
        "offer": "shop-10",
        "title": "便利店消费券 10 元",
        "terms": {"version": 1, "hash": "934999ef" * 8},
        "store": "s1",
        "clerk": "li",
        "order_no": "A-1024",
        "payment_no": "P-88213",
        "request_no": "till-3-000412",
        "redeemed_at": "2026-11-23T12:03:04.125+08:00",
        "currency": "CNY",
        "amount": 4_250,
        "discount": 1_000,
        "due": 3_250,
        "lines": [
            {"id": "tea", "amount": 3_000, "discount": 706},
            {"id": "cake", "amount": 1_250, "discount": 294},
        ],
    },
}
REVERSAL_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "clerk": "li",
    "by": "user",
    "completed": True,
    "amount": 1_250,
    "request_no": "till-3-000413",
}
REVERSED_EXAMPLE: Final[dict[str, Any]] = {
    "status": "reversed",
    "reversal": {
        "id": "b-" + "5f1c09d2" * 4,
        "redemption": "r-" + "934999ef" * 4,
        "code": "7ZZS5N2CNT5750W5",
        "store": "s1",
        "clerk": "li",
        "request_no": "till-3-000413",
        "by": "user",
        "completed": True,
        "given_back": False,
        "reversed_at": "2026-11-24T09:30:00.000+08:00",
        "currency": "CNY",
        "amount": 1_250,
        "discount": 294,
        "paid_back": 956,
        "voucher": "redeemed",
    },
}
LOCK_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "code": "7ZZS-5N2C-NT57-50W5",
    "store": "s1",
    "clerk": "li",
    "order_no": "A-1024",
    "amount": 4_250,
    "hold_ms": 900_000,
    "request_no": "till-3-000411",
}
_LOCK: Final[dict[str, Any]] = {
    **{name: value for name, value in REDEEMED_EXAMPLE["redemption"].items() if name in _TOLD},
    "id": "l-" + "934999ef" * 4,
    "order_no": "A-1024",
    "request_no": "till-3-000411",
    "lines": [],
    "locked_at": "2026-11-23T12:01:00.000+08:00",
    "locked_until": "2026-11-23T12:16:00.000+08:00",
}
LOCKED_EXAMPLE: Final[dict[str, Any]] = {"status": "locked", "lock": _LOCK}
RELEASED_EXAMPLE: Final[dict[str, Any]] = {"status": "released", "lock": _LOCK}
REDEMPTION_SEEN_EXAMPLE: Final[dict[str, Any]] = {
    "redemption": REDEEMED_EXAMPLE["redemption"],
    "reversals": [{name: value for name, value in REVERSED_EXAMPLE["reversal"].items() if name != "voucher"}],
    "left": 3_000,
}
