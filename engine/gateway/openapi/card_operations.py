"""What users ask of their card pack."""

from typing import Final

from engine.gateway.answer import Words
from engine.gateway.openapi.card_shapes import CARD_EXAMPLE
from engine.gateway.openapi.operation import Content, Operation, Success
from engine.gateway.openapi.shapes import schema

_JSON: Final = "application/json"
_STORES_AWAY: Final = frozenset({"busy", "recovering"})

CARD_OPERATIONS: Final = (
    Operation(
        "get",
        "/v1/me/vouchers",
        "list_my_vouchers",
        "cards",
        "user",
        Words("My vouchers", "我的消费券"),
        (
            Success(
                200,
                Words("The caller's vouchers, newest first", "本人的消费券，最新在前"),
                (Content(_JSON, schema("Vouchers"), {"vouchers": [CARD_EXAMPLE]}),),
            ),
        ),
        _STORES_AWAY,
        Words("A voucher that was claimed a moment ago is there.", "刚刚领取的券也在其中。"),
    ),
    Operation(
        "get",
        "/v1/me/vouchers/{code}",
        "get_my_voucher",
        "cards",
        "user",
        Words("One of my vouchers", "我的一张消费券"),
        (Success(200, Words("The voucher", "消费券"), (Content(_JSON, schema("Voucher"), CARD_EXAMPLE),)),),
        _STORES_AWAY | {"mistyped_code", "unknown_code"},
        Words(
            "Somebody else's voucher is as unknown as one that there is not.",
            "他人的券与不存在的券一样，返回 unknown_code。",
        ),
    ),
)
