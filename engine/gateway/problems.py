"""Every reason not to give what was asked: the one table of codes, statuses and words. `voucher_problems` has
the middle of it.

`final` says that the same request will not fare better later. `retry` is the pause a client is asked to
make, in milliseconds: at least, and the width of the jitter on top that keeps a crowd from coming
back at once. The order is the order in which the reasons are looked at (docs/http.md).
"""

from typing import Final

from engine.gateway.answer import Words
from engine.gateway.problem_kind import ProblemKind, Retry
from engine.gateway.voucher_problems import VOUCHER_KINDS

_OF_CLAIMS: Final = (
    ProblemKind(
        "not_found",
        404,
        True,
        Words("There is nothing here", "没有这个地址"),
        Words("No page has this address. Check the path.", "该地址不存在，请检查路径。"),
    ),
    ProblemKind(
        "method_not_allowed",
        405,
        True,
        Words("This address does not take that method", "该地址不支持此方法"),
        Words("`Allow` names the methods that it takes.", "响应头 `Allow` 列出了支持的方法。"),
    ),
    ProblemKind(
        "too_large",
        413,
        True,
        Words("The body is too large", "请求体过大"),
        Words("A claim has a few hundred bytes. The connection ends here.", "一次领取请求只有几百字节。连接到此关闭。"),
    ),
    ProblemKind(
        "unsupported_media_type",
        415,
        True,
        Words("The body has to be JSON", "请求体必须是 JSON"),
        Words(
            "Send `Content-Type: application/json`, in UTF-8, not compressed.",
            "请使用 `Content-Type: application/json`，UTF-8 编码，不压缩。",
        ),
    ),
    ProblemKind(
        "headers_too_large",
        431,
        True,
        Words("The address or the headers are too large", "地址或请求头过大"),
        Words("Send shorter or fewer headers. The connection ends here.", "请减少或缩短请求头。连接到此关闭。"),
    ),
    ProblemKind(
        "timeout",
        408,
        False,
        Words("The request did not arrive in time", "请求未能及时送达"),
        Words(
            "The rest of the request was waited for in vain. Nothing was decided; send it again.",
            "未等到完整的请求。没有作出任何决定，请重新发送。",
        ),
        Retry(500, 1_000),
    ),
    ProblemKind(
        "unauthenticated",
        401,
        True,
        Words("It is not known who asks", "身份未验证"),
        Words(
            "Send a valid `Authorization: Bearer <token>`; for a claim, `Authorization: Ticket <ticket>` will do.",
            "请发送有效的 `Authorization: Bearer <令牌>`；领取时也可用 `Authorization: Ticket <领取凭证>`。",
        ),
    ),
    ProblemKind(
        "token_expired",
        401,
        True,
        Words("The token has expired", "令牌已过期"),
        Words("Log in again and ask with the new token.", "请重新登录，用新的令牌再试。"),
    ),
    ProblemKind(
        "ticket_expired",
        401,
        True,
        Words("The ticket is no longer valid", "领取凭证已失效"),
        Words(
            "It was voided, or made with a key that is gone. Ask for a new one.",
            "凭证已作废，或其密钥已停用。请重新获取凭证。",
        ),
    ),
    ProblemKind(
        "ticket_mismatch",
        401,
        True,
        Words("The ticket is for another wave", "领取凭证属于另一批次"),
        Words(
            "A ticket is good for the wave it was asked for. Ask for one for this wave.",
            "领取凭证只对申请时的批次有效，请为本批次重新获取。",
        ),
    ),
    ProblemKind(
        "forbidden",
        403,
        True,
        Words("The token does not allow this", "令牌权限不足"),
        Words("Its scope does not cover this address.", "令牌的权限范围不包含此操作。"),
    ),
    ProblemKind(
        "too_many_requests",
        429,
        False,
        Words("Too many requests", "请求过于频繁"),
        Words(
            "Wait as long as `retry_after_ms` says. Asking more often does not help.",
            "请等待 `retry_after_ms` 所示的时间。频繁请求没有帮助。",
        ),
        Retry(1_000, 2_000),
    ),
    ProblemKind(
        "invalid_request",
        400,
        True,
        Words("The request is not valid", "请求无效"),
        Words("`detail` says what is wrong, `at` where.", "`detail` 说明错误，`at` 指出位置。"),
    ),
    ProblemKind(
        "unknown_wave",
        404,
        True,
        Words("There is no such wave", "没有这个批次"),
        Words("`GET /v1/waves` lists the waves.", "`GET /v1/waves` 列出所有批次。"),
    ),
    ProblemKind(
        "unknown_offer",
        404,
        True,
        Words("This wave has no such offer", "本批次没有这个券"),
        Words("`GET /v1/waves/{wave}` lists the offers of a wave.", "`GET /v1/waves/{批次}` 列出该批次的券。"),
    ),
    ProblemKind(
        "not_eligible",
        403,
        True,
        Words("Not open to this user", "不符合领取条件"),
        Words(
            "`rule` names what is not met: `city`, `tags`, `list`, or `person_required` (the token names no person).",
            "`rule` 指出未满足的条件：`city` 城市、`tags` 标签、`list` 名单、`person_required` 需要实名。",
        ),
    ),
    ProblemKind(
        "cancelled",
        410,
        True,
        Words("It was cancelled", "已取消"),
        Words(
            "A wave: nothing more is given out, and claims made before stand. A voucher: the claim was taken back.",
            "批次取消后不再发放，此前的领取仍然有效；券取消表示该次领取已被收回。",
        ),
    ),
    ProblemKind(
        "closed",
        410,
        True,
        Words("The wave is over", "本批次已结束"),
        Words(
            "It ended at `closed_at`. Who claimed before still has the claim.",
            "已于 `closed_at` 结束。此前的领取仍然有效。",
        ),
    ),
    ProblemKind(
        "not_open",
        409,
        False,
        Words("The wave is not open yet", "本批次尚未开始"),
        Words(
            "It opens at `opens_at`, by the server's clock (`GET /v1/time`).",
            "将于 `opens_at` 开始，以服务器时间为准（`GET /v1/time`）。",
        ),
        Retry(0, 500),
    ),
    ProblemKind(
        "stopped",
        503,
        False,
        Words("Claiming is stopped", "领取已暂停"),
        Words(
            "The operators have stopped all claiming for now. Claims made before stand.",
            "运营方已暂停全部领取。此前的领取仍然有效。",
        ),
        Retry(2_000, 3_000),
    ),
    ProblemKind(
        "paused",
        503,
        False,
        Words("The wave is paused", "本批次已暂停"),
        Words(
            "The operators have paused this wave. Claims made before stand.", "运营方已暂停本批次。此前的领取仍然有效。"
        ),
        Retry(2_000, 3_000),
    ),
    ProblemKind(
        "already_claimed",
        409,
        True,
        Words("Already claimed", "您已领取过"),
        Words(
            "One claim is all that the rules allow. `claim` shows it, where this account made it.",
            "活动规则限领一次。若由本账号领取，`claim` 为该次领取。",
        ),
    ),
    ProblemKind(
        "limit_reached",
        409,
        True,
        Words("The limit of claims is reached", "已达领取上限"),
        Words(
            "The rules allow no further claim, or this `request_no` was used for another offer.",
            "已达活动规则的领取上限，或该 `request_no` 已用于领取其他券。",
        ),
    ),
    ProblemKind(
        "cap_reached",
        409,
        True,
        Words("The campaign has given out all it may", "活动发放总量已达上限"),
        Words("The whole campaign has a cap, and it is reached.", "整个活动设有发放上限，现已达到。"),
    ),
    ProblemKind(
        "sold_out",
        409,
        True,
        Words("Sold out", "已领完"),
        Words(
            "All of what was asked for is given out. `alternatives` names offers of this wave that had some left.",
            "所选的券已全部领完。`alternatives` 列出本批次仍有余量的券。",
        ),
    ),
)
"""What anybody can meet, and why a claim is not granted."""
_LAST: Final = (
    ProblemKind(
        "busy",
        503,
        False,
        Words("Too busy to decide", "系统繁忙"),
        Words("Nothing was decided. Ask again, the same way.", "没有作出任何决定，请原样重试。"),
        Retry(200, 800),
    ),
    ProblemKind(
        "recovering",
        503,
        False,
        Words("Claiming is being restored", "系统恢复中"),
        Words(
            "Nothing was decided. It takes seconds; ask again, the same way.",
            "没有作出任何决定。通常数秒内恢复，请原样重试。",
        ),
        Retry(1_000, 2_000),
    ),
    ProblemKind(
        "outcome_unknown",
        503,
        False,
        Words("It is not known whether this was done", "结果未知，请重试"),
        Words(
            "Ask again, the same way: what was done comes back. For claims see `GET /v1/waves/{wave}/claims`, too.",
            "请原样重试：若已完成，会返回同一结果。领取也可查询 `GET /v1/waves/{批次}/claims`。",
        ),
        Retry(300, 700),
    ),
    ProblemKind(
        "precondition_failed",
        412,
        True,
        Words("Somebody else was faster", "已被他人修改"),
        Words(
            "The campaign is at `revision`, not at the one that `If-Match` names. Look at it again, then decide.",
            "活动当前版本为 `revision`，与 `If-Match` 不符。请查看后再决定。",
        ),
    ),
    ProblemKind(
        "act_refused",
        409,
        True,
        Words("This cannot be done now", "当前不能执行此操作"),
        Words("`reasons` says why. Nothing was changed.", "`reasons` 列出原因。没有作出任何更改。"),
    ),
    ProblemKind(
        "act_incomplete",
        503,
        False,
        Words("Not all of it is known to be done", "操作未全部完成或结果未知"),
        Words(
            "`detail` says what is missing. Do it again: what is done already is not done twice.",
            "`detail` 说明未完成的部分。请重试，已完成的不会重复执行。",
        ),
        Retry(500, 500),
    ),
    ProblemKind(
        "internal",
        500,
        False,
        Words("Something failed here", "服务器内部错误"),
        Words(
            "The failure was recorded under `id`. Ask again; if it stays, name the id.",
            "错误已记录，编号为 `id`。请重试；若持续出现，请提供该编号。",
        ),
        Retry(500, 1_500),
    ),
)

_TABLE: Final = (*_OF_CLAIMS, *VOUCHER_KINDS, *_LAST)
KINDS: Final[dict[str, ProblemKind]] = {kind.code: kind for kind in _TABLE}
BY_SLUG: Final[dict[str, ProblemKind]] = {kind.slug: kind for kind in _TABLE}
