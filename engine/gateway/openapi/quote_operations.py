"""What tills ask about the vouchers of a user."""

from typing import Final

from engine.gateway.answer import Words
from engine.gateway.openapi.operation import Content, Operation, Success
from engine.gateway.openapi.quote_shapes import QUOTE_REQUEST_EXAMPLE, QUOTES_EXAMPLE
from engine.gateway.openapi.shapes import schema

_JSON: Final = "application/json"

QUOTE_OPERATIONS: Final = (
    Operation(
        "post",
        "/v1/merchant/quotes",
        "quote",
        "shops",
        "merchant",
        Words("Which vouchers of a user are good for a payment", "查询用户可用的券"),
        (
            Success(
                200,
                Words("The user's vouchers of this merchant, best first", "该用户在本商户的券，最优惠的在前"),
                (Content(_JSON, schema("Quotes"), QUOTES_EXAMPLE),),
                ("Cache-Control", "Content-Language", "Vary"),
            ),
        ),
        frozenset({"busy"}),
        Words(
            "Changes nothing. A redemption decides as the quote does: what is usable is redeemed with that discount, "
            "what is not is refused with that code, unless something happens in between. Another merchant's vouchers "
            "are not shown. A user who holds nothing here and one who does not exist get the same answer.",
            "只查询，不改变任何状态。核销与查询的判断一致：可用的券按此优惠核销，不可用的券按此原因拒绝，除非其间发生变化。"
            "不显示其他商户的券。没有券的用户与不存在的用户得到相同的回答。",
        ),
        sent=(Content(_JSON, schema("QuoteRequest"), QUOTE_REQUEST_EXAMPLE),),
    ),
)
