"""What users ask for: tickets, claims, and what they hold."""

from typing import Final

from engine.gateway.answer import Words
from engine.gateway.openapi.claim_shapes import (
    CLAIM_EXAMPLE,
    CLAIM_REQUEST_EXAMPLES,
    CLAIMED_EXAMPLE,
    TICKET_EXAMPLE,
)
from engine.gateway.openapi.operation import Content, Operation, Success
from engine.gateway.openapi.shapes import schema

_JSON: Final = "application/json"
_STORES_AWAY: Final = frozenset({"busy", "recovering"})
_DECIDED: Final = frozenset(
    {
        *("unknown_wave", "unknown_offer", "not_eligible", "cancelled", "closed", "not_open", "stopped", "paused"),
        *("already_claimed", "limit_reached", "cap_reached", "sold_out", "outcome_unknown"),
    }
)


def _held(media_shape: str, says: Words) -> tuple[Success, ...]:
    return (Success(200, says, (Content(_JSON, schema(media_shape)),)),)


CLAIM_OPERATIONS: Final = (
    Operation(
        "post",
        "/v1/waves/{wave}/tickets",
        "issue_ticket",
        "claims",
        "user",
        Words("Get a ticket", "获取领取凭证"),
        (Success(201, Words("A ticket", "领取凭证"), (Content(_JSON, schema("Ticket"), TICKET_EXAMPLE),)),),
        _STORES_AWAY | {"unknown_wave", "not_eligible", "cancelled", "closed"},
        Words(
            "Everything slow about a claim, done before the wave opens. A ticket is good for its wave and account "
            "unless operators void it; after the close it still shows what was claimed. A body is not read.",
            "领取中较慢的步骤在批次开始前完成。凭证对该批次和账号有效，除非被作废；结束后仍可用于查询领取。无需请求体。",
        ),
    ),
    Operation(
        "post",
        "/v1/waves/{wave}/claims",
        "claim",
        "claims",
        "user_or_ticket",
        Words("Claim", "领取"),
        (
            Success(
                201,
                Words("Claimed", "领取成功"),
                (Content(_JSON, schema("Claimed"), CLAIMED_EXAMPLE),),
            ),
            Success(
                200,
                Words("Claimed before: that claim again", "此前已领取：返回同一次领取"),
                (Content(_JSON, schema("Claimed")),),
                ("Cache-Control", "Idempotent-Replayed"),
            ),
        ),
        _STORES_AWAY | _DECIDED,
        Words(
            "Asking again is safe: the same account, wave and `request_no`, with the held offer among those asked for, "
            "gets the same claim, during a pause and after the close too. After `outcome_unknown`, or no answer, "
            "ask again the same way.",
            "可以安全重试：同一账号、批次和 request_no，且所持的券在请求之列，则返回同一次领取，"
            "暂停期间和结束之后亦然。"
            "遇到 outcome_unknown 或没有收到响应时，请原样重试。",
        ),
        sent=(Content(_JSON, schema("ClaimRequest"), examples=CLAIM_REQUEST_EXAMPLES),),
    ),
    Operation(
        "get",
        "/v1/waves/{wave}/claims",
        "list_claims_in_wave",
        "claims",
        "user_or_ticket",
        Words("What I claimed in a wave", "我在某批次的领取"),
        (
            Success(
                200,
                Words("The caller's claims, settled or not", "本人的领取，无论是否已入账"),
                (Content(_JSON, schema("Claims"), {"claims": [CLAIM_EXAMPLE]}),),
            ),
        ),
        _STORES_AWAY | {"unknown_wave"},
        Words(
            "An empty list means that there is none: where the stores cannot be asked, the answer is a refusal.",
            "空列表表示确实没有；无法查询存储时会返回错误。",
        ),
    ),
    Operation(
        "get",
        "/v1/me/claims",
        "list_my_claims",
        "claims",
        "user",
        Words("What I claimed", "我的全部领取"),
        _held(
            "Claims", Words("The caller's claims in all campaigns, newest first", "本人在全部活动中的领取，最新在前")
        ),
        _STORES_AWAY,
    ),
)
