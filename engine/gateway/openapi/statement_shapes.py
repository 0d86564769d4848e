"""What statements hold."""

from typing import Any, Final

from engine.gateway.openapi.shapes import Shape, identifier, listed, members, or_null, schema, text, truth, whole
from engine.gateway.statement_objects import CSV_COLUMNS

_DAY: Final = text(format="date")
_SUM_MAX: Final = 2**63 - 1

STATEMENT_SHAPES: Final[dict[str, Shape]] = {
    "StatementRow": members(
        {
            "day": text("In `timezone`: when it was redeemed, or reversed", format="date"),
            "timezone": text("The campaign's"),
            "going_on": truth("Whether the day was not over there: more may come"),
            "merchant": text(),
            "store": text(),
            "campaign": identifier(),
            "sandbox": truth("Whether the campaign is there to try things out"),
            "funder": or_null(text("Who pays, by the terms of the claims; null where they do not say")),
            "currency": text("ISO 4217", pattern="^[A-Z]{3}$"),
            "redemptions": whole(),
            "given_back": whole("Reversals that gave the voucher back"),
            "refunded": whole("Reversals that left it used"),
            "amount": whole("Due before the discounts, in minor units", 0, _SUM_MAX),
            "discount": whole("Given", 0, _SUM_MAX),
            "reversed_amount": whole("What of `amount`s was reversed", 0, _SUM_MAX),
            "taken_back": whole("What of `discount`s was taken back", 0, _SUM_MAX),
            "net_discount": whole(
                "`discount` less `taken_back`; below 0 where older days were reversed", -_SUM_MAX, _SUM_MAX
            ),
            "line": or_null(text("Whose sums these are, where lines were asked for; else null")),
            "gifts": whole("Of `redemptions`, those of gifts"),
            "gifts_given_back": whole("Of `given_back`, those of gifts"),
            "gift_value": whole(
                "What these gifts, less those given back, are worth by their terms beyond their price",
                -_SUM_MAX,
                _SUM_MAX,
            ),
            "gift_discount": whole("Of `net_discount`, what is of gifts", -_SUM_MAX, _SUM_MAX),
        }
    ),
    "Statement": members(
        {
            "from": _DAY,
            "to": _DAY,
            "as_of_ms": whole("By the ledger's clock"),
            "rows": listed(schema("StatementRow"), "By day, merchant, store, campaign"),
        }
    ),
}

STATEMENT_EXAMPLE: Final[dict[str, Any]] = {
    "from": "2026-11-23",
    "to": "2026-11-23",
    "as_of_ms": 1_795_406_584_125,
    "rows": [
        {
            "day": "2026-11-23",
            "timezone": "Asia/Shanghai",
            "going_on": True,
            "merchant": "m-01",
            "store": "s1",
            "campaign": "try-it",
            "sandbox": False,
            "funder": "湖北省商务厅",
            "currency": "CNY",
            "redemptions": 2,
            "given_back": 1,
            "refunded": 0,
            "amount": 8_500,
            "discount": 2_000,
            "reversed_amount": 4_250,
            "taken_back": 1_000,
            "net_discount": 1_000,
            "line": None,
            "gifts": 0,
            "gifts_given_back": 0,
            "gift_value": 0,
            "gift_discount": 0,
        }
    ],
}
CSV_EXAMPLE: Final = (
    ",".join(CSV_COLUMNS)
    + "\r\n2026-11-23,Asia/Shanghai,true,m-01,s1,try-it,false,湖北省商务厅,CNY,"
    + "2,1,0,8500,2000,4250,1000,1000,,0,0,0,0\r\n"
)
