"""What users ask of their card pack."""

from typing import Final

from engine.gateway.answer import Words
from engine.gateway.openapi.card_shapes import CARD_EXAMPLE, CARD_QUERY, CARDS_EXAMPLE, CODE_PAGE_EXAMPLE
from engine.gateway.openapi.operation import Content, Operation, Success
from engine.gateway.openapi.shapes import schema, text

_JSON: Final = "application/json"
_WORDED: Final = ("Cache-Control", "Vary")
_STORES_AWAY: Final = frozenset({"busy", "recovering"})
_ONE: Final = _STORES_AWAY | {"mistyped_code", "unknown_code"}
_OF_NO_USE: Final = frozenset({"not_yet_effective", "expired", "already_redeemed", "invalidated", "cancelled"})

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
                (Content(_JSON, schema("Vouchers"), CARDS_EXAMPLE),),
                _WORDED,
            ),
        ),
        _STORES_AWAY,
        Words(
            "A voucher that was claimed a moment ago is there. Those that their holder has deleted are not.",
            "刚刚领取的券也在其中；已删除的券不显示。",
        ),
        query=CARD_QUERY,
    ),
    Operation(
        "get",
        "/v1/me/vouchers/{code}",
        "get_my_voucher",
        "cards",
        "user",
        Words("One of my vouchers", "我的一张消费券"),
        (Success(200, Words("The voucher", "消费券"), (Content(_JSON, schema("Voucher"), CARD_EXAMPLE),), _WORDED),),
        _ONE | {"deleted"},
        Words(
            "Somebody else's voucher is as unknown as one that there is not.",
            "他人的券与不存在的券一样，返回 unknown_code。",
        ),
    ),
    Operation(
        "delete",
        "/v1/me/vouchers/{code}",
        "delete_my_voucher",
        "cards",
        "user",
        Words("Delete a voucher", "删除消费券"),
        (
            Success(
                204, Words("It is shown no more; the same when it was so already", "已删除，不再显示；重复删除结果相同")
            ),
        ),
        _ONE | {"not_settled_yet", "locked"},
        Words(
            "For good: one that could still be used can be used no more. Of one that was used, expired or was taken "
            "back the card alone goes. One that is held for an unpaid order is not deleted.",
            "不可恢复：尚可使用的券删除后不能再用；已使用、已过期或已失效的券只是不再显示。被未付款订单占用的券不能删除。",
        ),
    ),
    Operation(
        "get",
        "/v1/me/vouchers/{code}/qr.svg",
        "get_my_qr_code",
        "cards",
        "user",
        Words("The QR code of a voucher", "消费券二维码"),
        (
            Success(
                200,
                Words("The code as a picture, black on white", "券码二维码，白底黑码"),
                (Content("image/svg+xml", text("An SVG document")),),
            ),
        ),
        _ONE | {"deleted"},
        Words("It says the 16 characters of the code and nothing else.", "内容仅为 16 位券码。"),
    ),
    Operation(
        "put",
        "/v1/me/vouchers/{code}/code-page",
        "open_my_code_page",
        "cards",
        "user",
        Words("Open a voucher's code page", "打开券码页"),
        (
            Success(
                200,
                Words("It counts as open until then", "在此之前视为已打开"),
                (Content(_JSON, schema("CodePage"), CODE_PAGE_EXAMPLE),),
            ),
        ),
        _ONE | _OF_NO_USE | {"deleted"},
        Words(
            "When an app shows the code. Where `needs_code_page` is true, tills take the voucher only until "
            "`open_until`, five minutes at most; again, for as long again. For any other voucher it changes nothing.",
            "应用展示券码时调用。needs_code_page 为 true 的券，仅在 open_until 之前可以核销，最长五分钟；"
            "可再次调用以延长。其他券无须调用。",
        ),
    ),
    Operation(
        "delete",
        "/v1/me/vouchers/{code}/code-page",
        "close_my_code_page",
        "cards",
        "user",
        Words("Close a voucher's code page", "关闭券码页"),
        (Success(204, Words("It is not open; the same when it was so already", "已关闭；重复调用结果相同")),),
        _ONE | {"deleted"},
        Words(
            "When an app shows the code no more. Past `open_until` it closes by itself.",
            "应用不再展示券码时调用；到 open_until 时自动关闭。",
        ),
    ),
)
