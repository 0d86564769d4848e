"""Why a voucher is not taken, in words that a cashier can read out to whoever stands at the till.

The order is the one in which the reasons are looked at (`domain/redemption.py`).
"""

from typing import Final

from engine.gateway.answer import Words
from engine.gateway.problem_kind import ProblemKind, Retry

VOUCHER_KINDS: Final = (
    ProblemKind(
        "mistyped_code",
        400,
        True,
        Words("The code was mistyped", "券码输入有误"),
        Words(
            "No voucher ever had this code. Compare it with the card, and type or scan it again.",
            "不存在这样的券码。请与卡包核对后重新输入或扫码。",
        ),
    ),
    ProblemKind(
        "unknown_lock",
        404,
        True,
        Words("There is no such lock", "没有这笔占用"),
        Words(
            "No store of this token has locked a voucher under this id. Compare it with the answer to the lock.",
            "本令牌的门店没有此编号的占用。请与占用时返回的编号核对。",
        ),
    ),
    ProblemKind(
        "unknown_redemption",
        404,
        True,
        Words("There is no such redemption", "没有这笔核销"),
        Words(
            "No store of this token has redeemed a voucher under this id. Compare it with the redemption's answer.",
            "本令牌的门店没有此编号的核销。请与核销时返回的编号核对。",
        ),
    ),
    ProblemKind(
        "request_no_used",
        409,
        True,
        Words("This request number was used for something else", "该请求号已用于其他请求"),
        Words(
            "Under one `request_no` a merchant can ask for one thing. Send what was sent before, or another number.",
            "同一商户的一个 `request_no` 只对应一个请求。请原样重发，或更换请求号。",
        ),
    ),
    ProblemKind(
        "unknown_code",
        404,
        True,
        Words("There is no voucher with this code", "没有这张券"),
        Words(
            "The code has the right form, and nobody was given it. Compare it with the card.",
            "券码格式正确，但从未发放。请与卡包核对。",
        ),
    ),
    ProblemKind(
        "not_settled_yet",
        503,
        False,
        Words("The voucher is not ready yet: try again in a few seconds", "券尚未到账，请几秒后再试"),
        Words(
            "It may have been claimed a moment ago. Nothing was decided; ask again, the same way.",
            "可能刚刚领取。没有作出任何决定，请原样重试。",
        ),
        Retry(500, 1_000),
    ),
    ProblemKind(
        "other_merchant",
        403,
        True,
        Words("This voucher is for another merchant", "非本商户的券"),
        Words("No store of this merchant takes it.", "本商户的门店均不适用此券。"),
    ),
    ProblemKind(
        "not_yet_effective",
        409,
        False,
        Words("This voucher cannot be used yet", "券尚未生效"),
        Words("It can be used from `valid_from` on.", "自 `valid_from` 起可用。"),
        Retry(0, 500),
    ),
    ProblemKind(
        "expired",
        410,
        True,
        Words("This voucher has expired", "券已过期"),
        Words(
            "It could be used until just before `expires_at`, as printed on it. It is not issued again.",
            "使用截止到 `expires_at`，以券面为准，过期不补。",
        ),
    ),
    ProblemKind(
        "already_redeemed",
        409,
        True,
        Words("This voucher was used already", "券已核销"),
        Words("`redeemed_at` and `store` say when and where.", "`redeemed_at` 和 `store` 为核销时间和门店。"),
    ),
    ProblemKind(
        "invalidated",
        410,
        True,
        Words("This voucher was taken back", "券已失效"),
        Words("`reason` says why; its holder sees it too.", "`reason` 为失效原因，持券人也可见。"),
    ),
    ProblemKind(
        "deleted",
        410,
        True,
        Words("The holder has deleted this voucher", "券已被持有人删除"),
        Words("A voucher that was deleted cannot be used.", "已删除的券不能使用。"),
    ),
    ProblemKind(
        "locked",
        409,
        False,
        Words("This voucher is held for an unpaid order", "券已被未付款订单占用"),
        Words(
            "It is free when that order is cancelled, or at `locked_until`.",
            "该订单取消后，或到 `locked_until` 时释放。",
        ),
        Retry(0, 500),
    ),
    ProblemKind(
        "wrong_store",
        403,
        True,
        Words("This store does not take the voucher", "本门店不适用此券"),
        Words("The voucher's card lists the stores that take it.", "可用门店见券面。"),
    ),
    ProblemKind(
        "wrong_city",
        403,
        True,
        Words("The voucher cannot be used in this city", "本城市不适用此券"),
        Words(
            "Its rules name the cities in which it can be used, wherever its holder lives.",
            "请在规则规定的城市使用，与居住地无关。",
        ),
    ),
    ProblemKind(
        "below_min_spend",
        409,
        True,
        Words("The amount is too small for this voucher", "未达到使用门槛"),
        Words("`short_by` is what is missing, in minor units.", "还差 `short_by`（最小货币单位）。"),
    ),
    ProblemKind(
        "one_per_payment",
        409,
        True,
        Words("This payment has its voucher already", "此笔支付已使用过券"),
        Words(
            "`per_payment` is how many vouchers of the campaign one payment takes.",
            "每笔支付最多使用 `per_payment` 张本活动的券。",
        ),
    ),
    ProblemKind(
        "code_page_closed",
        409,
        False,
        Words("The customer has to open the code page of this voucher", "请顾客打开券码页"),
        Words(
            "This voucher is taken only while its holder has its code page open in the app, scanned or typed: a "
            "screenshot is not enough. All else fits; ask again when it is open.",
            "此券须由持券人在应用内打开券码页后核销（扫码、输码均如此），截图无效。其他条件均已满足，打开后请重试。",
        ),
        Retry(1_000, 1_000),
    ),
    ProblemKind(
        "already_reversed",
        409,
        True,
        Words("This redemption was refunded already", "此笔核销已全部退款"),
        Words("All of it was paid back, the last of it at `reversed_at`.", "已全部退回，最后一次在 `reversed_at`。"),
    ),
    ProblemKind(
        "above_redeemed",
        409,
        True,
        Words("That is more than can be refunded", "超出可退金额"),
        Words(
            "`left` is what was not refunded yet of the redemption's amount, in minor units.",
            "`left` 为该笔核销尚可退的金额（最小货币单位）。",
        ),
    ),
)
