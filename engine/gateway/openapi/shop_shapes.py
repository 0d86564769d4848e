"""What tills send and get."""

from typing import Any, Final

from engine.domain.redemption import AMOUNT_MAX, LINES_MAX
from engine.gateway.merchant_bodies import NUMBER_LENGTH_MAX
from engine.gateway.openapi.claim_shapes import CODE, TITLE
from engine.gateway.openapi.shapes import (
    Shape,
    always,
    identifier,
    instant,
    listed,
    members,
    or_null,
    schema,
    text,
    whole,
)

_AMOUNT: Final = whole("What is due before this discount, in minor units", 0, AMOUNT_MAX)
_NAMED: Final[dict[str, Any]] = {"maxLength": NUMBER_LENGTH_MAX}
_NAME: Final = text("The merchant's own", minLength=1, **_NAMED)

SHOP_SHAPES: Final[dict[str, Shape]] = {
    "OrderLine": members(
        {"amount": whole("What is due for it", 0, AMOUNT_MAX)}, {"id": text("The merchant's own", **_NAMED)}
    ),
    "RedemptionRequest": members(
        {
            "code": text("As scanned or typed: O for 0, I and L for 1, lower case, blanks, dashes do", minLength=1),
            "store": text("One of the token's stores", minLength=1, **_NAMED),
            "clerk": _NAME,
            "amount": _AMOUNT,
            "request_no": text("Names this request of the merchant for good", minLength=1, **_NAMED),
        },
        {
            "order_no": text("The merchant's own", **_NAMED),
            "payment_no": text("Needed but for a gift", **_NAMED),
            "lines": listed(
                schema("OrderLine"), "They add up to `amount`; each gets its share", minItems=1, maxItems=LINES_MAX
            ),
        },
    ),
    "RedeemedLine": members(
        {"id": or_null(text()), "amount": whole("What was due for it"), "discount": whole("Its share")}
    ),
    "Redemption": members(
        {
            "id": text("Unique everywhere", pattern="^r-[0-9a-f]{32}$"),
            "code": CODE,
            "code_grouped": text("The code as it is read out"),
            "campaign": identifier(),
            "offer": identifier(),
            "title": TITLE,
            "terms": schema("Terms"),
            "store": text(),
            "clerk": text(),
            "order_no": or_null(text()),
            "payment_no": or_null(text()),
            "request_no": text(),
            "redeemed_at": instant("By the ledger's clock"),
            "currency": text("ISO 4217", pattern="^[A-Z]{3}$"),
            "amount": whole("What was due before the discount, in minor units"),
            "discount": whole("Never above it"),
            "due": whole("What is left to pay"),
            "lines": listed(schema("RedeemedLine"), "As they were sent; their shares add up to `discount`"),
        }
    ),
    "Redeemed": members({"status": always("redeemed"), "redemption": schema("Redemption")}),
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
