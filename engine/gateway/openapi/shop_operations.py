"""What tills ask for."""

from typing import Final

from engine.domain.redemption import UnfitCode
from engine.gateway.answer import Words
from engine.gateway.openapi.operation import Content, Operation, Success
from engine.gateway.openapi.shapes import schema
from engine.gateway.openapi.shop_shapes import REDEEMED_EXAMPLE, REDEMPTION_REQUEST_EXAMPLE

_JSON: Final = "application/json"
_UNFIT: Final = frozenset(code.value for code in UnfitCode) - {"payment_missing"}  # which is an invalid_request

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
                ("Cache-Control", "Idempotent-Replayed"),
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
)
