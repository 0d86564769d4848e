"""What tills ask for."""

from typing import Final

from engine.domain.redemption import UnfitCode
from engine.gateway.answer import Words
from engine.gateway.openapi.operation import Content, Operation, Success
from engine.gateway.openapi.shapes import schema
from engine.gateway.openapi.shop_shapes import (
    LOCK_REQUEST_EXAMPLE,
    LOCKED_EXAMPLE,
    REDEEMED_EXAMPLE,
    REDEMPTION_REQUEST_EXAMPLE,
    REDEMPTION_SEEN_EXAMPLE,
    RELEASED_EXAMPLE,
    REVERSAL_REQUEST_EXAMPLE,
    REVERSED_EXAMPLE,
)

_JSON: Final = "application/json"
_REVERSING: Final = frozenset({"already_reversed", "above_redeemed"})
_UNFIT: Final = (
    frozenset(code.value for code in UnfitCode) - {"payment_missing"} - _REVERSING  # which is an invalid_request
)
_UNSURE: Final = frozenset({"busy", "outcome_unknown"})
_AGAIN: Final = ("Cache-Control", "Idempotent-Replayed")

SHOP_OPERATIONS: Final = (
    Operation(
        "post",
        "/v1/merchant/redemptions",
        "redeem",
        "shops",
        "merchant",
        Words("Redeem a voucher", "核销"),
        (
            Success(201, Words("Redeemed", "核销成功"), (Content(_JSON, schema("Redeemed"), REDEEMED_EXAMPLE),)),
            Success(
                200,
                Words(
                    "Redeemed before under this `request_no`: that redemption again",
                    "该请求号此前已核销：返回同一次核销",
                ),
                (Content(_JSON, schema("Redeemed")),),
                _AGAIN,
            ),
        ),
        _UNFIT,
        Words(
            "At the moment of use. Asking again under the same `request_no` is safe; after `outcome_unknown`, or no "
            "answer, ask again the same way. The terms of the claim count, whatever was changed since.",
            "请在使用时核销。相同 request_no 可以安全重试；遇到 outcome_unknown 或没有收到响应时，请原样重试。"
            "以领取时的规则为准，此后的修改不影响已领取的券。",
        ),
        sent=(Content(_JSON, schema("RedemptionRequest"), REDEMPTION_REQUEST_EXAMPLE),),
    ),
    Operation(
        "get",
        "/v1/merchant/redemptions/{redemption}",
        "get_redemption",
        "shops",
        "merchant",
        Words("A redemption, and what was refunded of it", "查询核销及其退款"),
        (
            Success(
                200,
                Words("The redemption", "核销记录"),
                (Content(_JSON, schema("RedemptionSeen"), REDEMPTION_SEEN_EXAMPLE),),
            ),
        ),
        frozenset({"unknown_redemption", "busy"}),
        Words(
            "Of the token's stores; any other is `unknown_redemption`. A till that lost the reply sends the redemption "
            "again and has its id.",
            "仅限令牌门店的核销，其他一律 unknown_redemption。未收到响应的收银台请原样重发核销请求以取得编号。",
        ),
        has_head=False,
    ),
    Operation(
        "post",
        "/v1/merchant/redemptions/{redemption}/reversal",
        "reverse_redemption",
        "shops",
        "merchant",
        Words("Refund a redemption", "退款冲正"),
        (
            Success(201, Words("Reversed", "已退款"), (Content(_JSON, schema("Reversed"), REVERSED_EXAMPLE),)),
            Success(
                200,
                Words("Reversed before under this `request_no`: that again", "该请求号此前已退款：返回同一结果"),
                (Content(_JSON, schema("Reversed")),),
                _AGAIN,
            ),
        ),
        _UNSURE | _REVERSING | {"request_no_used", "unknown_redemption"},
        Words(
            "The voucher comes back (`given_back`) where the merchant refunds all of the order before it is completed; "
            "any other refund leaves it used. One that has expired stays expired.",
            "商家在订单完成前全额退款时券退回（given_back）；其他退款券仍视为已用。已过期的券不会恢复。",
        ),
        sent=(Content(_JSON, schema("ReversalRequest"), REVERSAL_REQUEST_EXAMPLE),),
    ),
    Operation(
        "post",
        "/v1/merchant/locks",
        "lock_voucher",
        "shops",
        "merchant",
        Words("Hold a voucher for an unpaid order", "占用"),
        (
            Success(201, Words("Held", "占用成功"), (Content(_JSON, schema("Locked"), LOCKED_EXAMPLE),)),
            Success(
                200,
                Words(
                    "Held before under this `request_no`: that lock again, over or not",
                    "该请求号此前已占用：返回同一次占用（可能已结束）",
                ),
                (Content(_JSON, schema("Locked")),),
                _AGAIN,
            ),
        ),
        _UNFIT - {"one_per_payment"},
        Words(
            "Until `locked_until` only a redemption with the same `order_no` uses it, past its expiry too. Then it is "
            "free again; a release frees it earlier.",
            "在 locked_until 之前，只有相同 order_no 的核销可以使用此券，过期后亦可。到时自动释放，也可提前释放。",
        ),
        sent=(Content(_JSON, schema("LockRequest"), LOCK_REQUEST_EXAMPLE),),
    ),
    Operation(
        "post",
        "/v1/merchant/locks/{lock}/release",
        "release_lock",
        "shops",
        "merchant",
        Words("End a lock: the order was cancelled", "释放占用"),
        (
            Success(
                200,
                Words("It holds the voucher no more, whoever ended it", "已不再占用"),
                (Content(_JSON, schema("Released"), RELEASED_EXAMPLE),),
            ),
        ),
        _UNSURE | {"unknown_lock", "already_redeemed"},
        Words(
            "Asking again is safe. `already_redeemed`: the order was paid with it; see the reversal.",
            "可安全重试。already_redeemed 表示订单已用此券支付，请使用退款。",
        ),
        sent=(Content(_JSON, schema("ReleaseRequest"), {"clerk": "li"}),),
    ),
)
