"""What a cashier reads out: when, where, why and by how much, in both languages."""

from typing import Any

import pytest

from engine.domain.redemption import Unfit, UnfitCode
from engine.gateway.voucher_words import detail_of

NOON: dict[str, Any] = {"at_ms": 1_632_369_600_000, "timezone": "Asia/Shanghai"}
"""12:00 of 23 September 2021 there."""


@pytest.mark.parametrize(
    ("refused", "en", "zh"),
    [
        (
            Unfit(UnfitCode.ALREADY_REDEEMED, store="mall-001", store_title="武商广场", **NOON),
            "it was used on 2021-09-23 12:00 at 武商广场",
            "已于 2021-09-23 12:00 在武商广场使用",
        ),
        (
            Unfit(UnfitCode.ALREADY_REDEEMED, store="mall-009", **NOON),
            "it was used on 2021-09-23 12:00 at mall-009",
            "已于 2021-09-23 12:00 在mall-009使用",
        ),
        (Unfit(UnfitCode.BELOW_MIN_SPEND, short_by=1_250, currency="CNY"), "CNY 12.50 more is needed", "还差 12.50 元"),
        (
            Unfit(UnfitCode.NOT_YET_EFFECTIVE, **NOON),
            "it can be used from 2021-09-23 12:00 on",
            "自 2021-09-23 12:00 起可用",
        ),
        (
            Unfit(UnfitCode.EXPIRED, **NOON),
            "it could be used before 2021-09-23 12:00",
            "使用时间截止到 2021-09-23 12:00，过期不补发",
        ),
        (
            Unfit(UnfitCode.INVALIDATED, reason="门店停业", **NOON),
            "it was taken back on 2021-09-23 12:00: 门店停业",
            "已于 2021-09-23 12:00 失效，原因：门店停业",
        ),
        (
            Unfit(UnfitCode.CANCELLED, reason="误发", **NOON),
            "the voucher was cancelled: its claim was taken back: 误发",
            "券已取消：该次领取已被收回，原因：误发",
        ),
        (
            Unfit(UnfitCode.LOCKED, **NOON),
            "another order holds it until 2021-09-23 12:00 at the latest",
            "其他订单占用中，最迟到 2021-09-23 12:00 释放",
        ),
        (
            Unfit(UnfitCode.ONE_PER_PAYMENT, places=1),
            "a payment takes one voucher of this campaign",
            "每笔支付最多使用 1 张本活动的券",
        ),
        (
            Unfit(UnfitCode.ONE_PER_PAYMENT, places=2),
            "a payment takes 2 vouchers of this campaign",
            "每笔支付最多使用 2 张本活动的券",
        ),
    ],
)
def test_it_says_what_belongs_to_it(refused: Unfit, en: str, zh: str) -> None:
    words = detail_of(refused)
    assert words is not None
    assert (words.en, words.zh) == (en, zh)


def test_where_the_title_says_it_all_there_is_no_more() -> None:
    for code in (UnfitCode.DELETED, UnfitCode.OTHER_MERCHANT, UnfitCode.WRONG_STORE, UnfitCode.UNKNOWN_CODE):
        assert detail_of(Unfit(code)) is None
