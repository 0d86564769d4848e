"""What a card pack shows."""

from typing import Any, Final, get_args

from engine.domain.campaign import OfferKind
from engine.domain.voucher import StepKind
from engine.gateway.card_queries import CARDS_MAX, CARDS_USUAL, CURSOR, SHOWN_STATES
from engine.gateway.openapi.claim_shapes import CLAIM_ID, CODE, FACE, PERIOD, PLACE, TITLE
from engine.gateway.openapi.shapes import (
    Shape,
    Shapes,
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

_CURSOR: Final[dict[str, Any]] = {"pattern": f"^{CURSOR}$"}
_CARD: Final[Shapes] = {
    "code": CODE,
    "code_grouped": text("The code as it is read out"),
    "state": one_of(SHOWN_STATES, "At the moment of the answer"),
    "next_step": text("For people: what to do next, or what happened; by `Accept-Language`"),
    "settled": truth("Whether the ledger has it; a till waits a moment for one that is not"),
    "claimed_at": instant(),
    **PERIOD,
    "claim": CLAIM_ID,
    **PLACE,
    "title": TITLE,
    "kind": one_of(get_args(OfferKind)),
    "rule": text("For people: what it takes off, and from which amount on; by `Accept-Language`"),
    "currency": text("ISO 4217", pattern="^[A-Z]{3}$"),
    "face": FACE,
    "min_spend": or_null(whole("Least amount to be paid, in minor units; null where there is none")),
    "per_payment": whole("Vouchers of the campaign that one payment takes", 1),
    "cities": listed(text(), "Where it can be used; empty: anywhere"),
    "terms": schema("Terms"),
    "store_count": whole("Stores that take it"),
    "needs_code_page": truth("Whether a till takes it only while its holder has its code page open"),
    "made": or_null(schema("CardMade")),
}

CARD_SHAPES: Final[dict[str, Shape]] = {
    "CardStore": members({"id": text(), "title": text(), "city": text()}),
    "CardMade": members(
        {
            "by": one_of(get_args(StepKind)),
            "at": instant("By the ledger's clock"),
            "store": or_null(members({"id": text(), "title": text("As the terms have it")})),
            "order_no": or_null(text("The merchant's own")),
            "until": or_null(instant("Of a lock; exclusive")),
            "reason": or_null(text("Of a voucher that was taken back")),
        },
        says="What made the voucher's state; null where time alone did",
    ),
    "VoucherCard": members(_CARD),
    "Voucher": members(
        {**_CARD, "stores": listed(schema("CardStore"), "Those that take it, by the terms of the claim")}
    ),
    "CodePage": members(
        {
            "code": CODE,
            "code_grouped": text("The code as it is read out"),
            "needs_code_page": truth("Whether a till asks for it"),
            "open_until": or_null(instant("Exclusive, by the ledger's clock; null where no till asks for it")),
        }
    ),
    "Vouchers": members(
        {
            "vouchers": listed(schema("VoucherCard"), maxItems=CARDS_MAX),
            "next_after": or_null(text("Send it as `after` for the next page; null where this is the last", **_CURSOR)),
        }
    ),
}

CARD_QUERY: Final[tuple[dict[str, Any], ...]] = (
    {
        "name": "state",
        "in": "query",
        "description": "Vouchers in these states alone; several are separated by commas.",
        "schema": listed(one_of(SHOWN_STATES)),
        "style": "form",
        "explode": False,
    },
    {
        "name": "limit",
        "in": "query",
        "description": "Vouchers on a page. A page can be shorter than that, and there can still be a next one.",
        "schema": whole("", 1, CARDS_MAX) | {"default": CARDS_USUAL},
    },
    {
        "name": "after",
        "in": "query",
        "description": "`next_after` of the page before.",
        "schema": text(**_CURSOR),
    },
)

_LISTED_EXAMPLE: Final[dict[str, Any]] = {
    "code": "7ZZS5N2CNT5750W5",
    "code_grouped": "7ZZS-5N2C-NT57-50W5",
    "state": "pending",
    "next_step": "Show this code when you pay CNY 30 or more at 街角便利店, before 2026-11-29 04:01:50.",
    "settled": True,
    "claimed_at": "2026-11-22T04:01:50.900+08:00",
    "valid_from": "2026-11-22T04:01:50.900+08:00",
    "expires_at": "2026-11-29T04:01:50.900+08:00",
    "claim": "c-2826ccc340b959a7bb4f",
    "campaign": "try-it",
    "wave": "try-it",
    "offer": "shop-10",
    "title": "便利店消费券 10 元",
    "kind": "threshold",
    "rule": "CNY 10 off when CNY 30 or more is due",
    "currency": "CNY",
    "face": 1000,
    "min_spend": 3000,
    "per_payment": 1,
    "cities": ["武汉"],
    "terms": {"version": 1, "hash": "934999ef" * 8},
    "store_count": 1,
    "needs_code_page": False,
    "made": None,
}
CARD_EXAMPLE: Final[dict[str, Any]] = _LISTED_EXAMPLE | {
    "stores": [{"id": "shop-001", "title": "街角便利店", "city": "武汉"}]
}
CARDS_EXAMPLE: Final[dict[str, Any]] = {"vouchers": [_LISTED_EXAMPLE], "next_after": None}
CODE_PAGE_EXAMPLE: Final[dict[str, Any]] = {
    "code": "7ZZS5N2CNT5750W5",
    "code_grouped": "7ZZS-5N2C-NT57-50W5",
    "needs_code_page": True,
    "open_until": "2026-11-22T12:05:00.000+08:00",
}
