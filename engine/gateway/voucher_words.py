"""What a cashier reads out to whoever stands at the till: when, where, why, by how much.

In the time of the campaign's zone and in money as people write it; programs have the same in members of their own.
"""

from collections.abc import Callable, Mapping
from typing import Final

from engine.domain.redemption import Unfit, UnfitCode
from engine.gateway.answer import Words
from engine.gateway.instants import wall_clock
from engine.gateway.money import money

_OWN_LOCK: Final = Words(
    "it is this very order that holds it: pay it, or release the lock", "本订单已占用此券：请支付，或先释放"
)


def detail_of(refused: Unfit) -> Words | None:
    """What belongs to this refusal beside its title; None where the title says it all."""
    worded = _WORDED.get(refused.code)
    return None if worded is None else worded(refused)


def _clock(refused: Unfit) -> str:
    return wall_clock(refused.at_ms, refused.timezone)


def _not_yet_effective(refused: Unfit) -> Words:
    return Words(f"it can be used from {_clock(refused)} on", f"自 {_clock(refused)} 起可用")


def _expired(refused: Unfit) -> Words:
    return Words(f"it could be used before {_clock(refused)}", f"使用时间截止到 {_clock(refused)}，过期不补发")


def _already_redeemed(refused: Unfit) -> Words:
    place = refused.store_title or refused.store
    return Words(f"it was used on {_clock(refused)} at {place}", f"已于 {_clock(refused)} 在{place}使用")


def _invalidated(refused: Unfit) -> Words:
    return Words(
        f"it was taken back on {_clock(refused)}: {refused.reason}",
        f"已于 {_clock(refused)} 失效，原因：{refused.reason}",
    )


def _cancelled(refused: Unfit) -> Words:
    why = f": {refused.reason}" if refused.reason else ""
    because = f"，原因：{refused.reason}" if refused.reason else ""
    return Words(f"the voucher was cancelled: its claim was taken back{why}", f"券已取消：该次领取已被收回{because}")


def _locked(refused: Unfit) -> Words:
    if refused.is_own:
        return _OWN_LOCK
    return Words(
        f"another order holds it until {_clock(refused)} at the latest",
        f"其他订单占用中，最迟到 {_clock(refused)} 释放",
    )


def _below_min_spend(refused: Unfit) -> Words:
    missing = money(refused.short_by, refused.currency)
    return Words(f"{missing.en} more is needed", f"还差 {missing.zh}")


def _one_per_payment(refused: Unfit) -> Words:
    vouchers = "one voucher" if refused.places == 1 else f"{refused.places} vouchers"
    return Words(f"a payment takes {vouchers} of this campaign", f"每笔支付最多使用 {refused.places} 张本活动的券")


_CODE_PAGE: Final = Words(
    "it is taken while its code page is open in the app; a screenshot is not enough",
    "请持券人在应用内打开券码页后再扫码或输码，截图无效",
)


_WORDED: Final[Mapping[UnfitCode, Callable[[Unfit], Words]]] = {
    UnfitCode.NOT_YET_EFFECTIVE: _not_yet_effective,
    UnfitCode.EXPIRED: _expired,
    UnfitCode.ALREADY_REDEEMED: _already_redeemed,
    UnfitCode.INVALIDATED: _invalidated,
    UnfitCode.CANCELLED: _cancelled,
    UnfitCode.LOCKED: _locked,
    UnfitCode.BELOW_MIN_SPEND: _below_min_spend,
    UnfitCode.ONE_PER_PAYMENT: _one_per_payment,
    UnfitCode.CODE_PAGE_CLOSED: lambda _: _CODE_PAGE,
}
