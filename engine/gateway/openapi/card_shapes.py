"""What a card pack shows."""

from typing import Any, Final, get_args

from engine.domain.voucher import State
from engine.gateway.openapi.claim_shapes import CLAIM_ID, CODE, FACE, PERIOD, PLACE, TITLE
from engine.gateway.openapi.shapes import Shape, listed, members, one_of, or_null, schema, text, whole

CARD_SHAPES: Final[dict[str, Shape]] = {
    "CardStore": members({"id": text(), "title": text(), "city": text()}),
    "Voucher": members(
        {
            "code": CODE,
            "state": one_of(get_args(State), "At the moment of the answer"),
            **PERIOD,
            "claim": CLAIM_ID,
            **PLACE,
            "title": TITLE,
            "face": FACE,
            "min_spend": or_null(whole("Least amount to be paid, in minor units; null where there is none")),
            "terms": schema("Terms"),
            "stores": listed(schema("CardStore"), "Those that take it, by the terms of the claim"),
        }
    ),
    "Vouchers": members({"vouchers": listed(schema("Voucher"))}),
}

CARD_EXAMPLE: Final[dict[str, Any]] = {
    "code": "7ZZS5N2CNT5750W5",
    "state": "pending",
    "valid_from": "2026-11-22T04:01:50.900+08:00",
    "expires_at": "2026-11-29T04:01:50.900+08:00",
    "claim": "c-2826ccc340b959a7bb4f",
    "campaign": "try-it",
    "wave": "try-it",
    "offer": "shop-10",
    "title": "便利店消费券 10 元",
    "face": 1000,
    "min_spend": 3000,
    "terms": {"version": 1, "hash": "934999ef" * 8},
    "stores": [{"id": "shop-001", "title": "街角便利店", "city": "武汉"}],
}
