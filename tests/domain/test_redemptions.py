"""Which reason is told where several apply, and what refunds add up to."""

import itertools
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.domain.campaign import Offer, Promise, Store, Use, Validity
from engine.domain.locking import Lock, decide_lock
from engine.domain.redemption import Fit, Line, Made, Redeem, Standing, Unfit, UnfitCode, decide, digest_of
from engine.domain.reversal import Redeemed, Refunded, Reverse, decide_reversal
from engine.domain.voucher import Kept, Period

ORDER = list(UnfitCode)
NOW, OVER, SOON = 1_000, 900, 1_100
PROMISE = Promise(
    offer=Offer("cut", "满减", "threshold", ("here", "far"), face=1_000, min_spend=3_000),
    use=Use(cities=("武汉",)),
    validity=Validity(days_after_claim=7),
    timezone="Asia/Shanghai",
    currency="CNY",
    stores={"here": Store("店", "m1", "武汉"), "far": Store("店", "m1", "宜昌")},
)
SHOWN = replace(PROMISE, offer=replace(PROMISE.offer, code_page=True))
LIVES: dict[UnfitCode, tuple[Kept, Period]] = {
    UnfitCode.NOT_YET_EFFECTIVE: ("pending", Period(SOON, 2_000)),
    UnfitCode.EXPIRED: ("pending", Period(0, OVER)),
    UnfitCode.ALREADY_REDEEMED: ("redeemed", Period(0, OVER)),
    UnfitCode.INVALIDATED: ("invalidated", Period(0, OVER)),
    UnfitCode.CANCELLED: ("cancelled", Period(0, OVER)),
    UnfitCode.DELETED: ("deleted", Period(0, OVER)),
    UnfitCode.LOCKED: ("locked", Period(0, OVER)),
}


def standing(kept: Kept, good: Period) -> Standing:
    made = Made("lock", OVER, "m1", "here", "another order", until_ms=SOON, step=1)
    return Standing(1, "C", 1, 1, 1, "u1", 0, good, kept, 1, made=made)


def asked(faults: frozenset[UnfitCode]) -> Redeem:
    store = "far" if UnfitCode.WRONG_CITY in faults else "here"
    return Redeem(
        code="C",
        merchant="m2" if UnfitCode.OTHER_MERCHANT in faults else "m1",
        store="another" if faults & {UnfitCode.WRONG_STORE, UnfitCode.OTHER_MERCHANT} else store,
        clerk="li",
        order_no="o",
        payment_no="" if UnfitCode.PAYMENT_MISSING in faults else "p",
        amount=2_999 if UnfitCode.BELOW_MIN_SPEND in faults else 3_000,
        lines=(),
        request_no="q",
    )


def combinations() -> Iterator[frozenset[UnfitCode]]:
    """At most one thing has become of a voucher; all else goes together as it likes."""
    at_once = ("PAYMENT_MISSING", "BELOW_MIN_SPEND", "ONE_PER_PAYMENT", "CODE_PAGE_CLOSED")
    free = ("OTHER_MERCHANT", "WRONG_STORE", "WRONG_CITY", *at_once)
    for life in (None, *LIVES):
        for some in itertools.product((False, True), repeat=len(free)):
            faults = {UnfitCode[name] for name, is_there in zip(free, some, strict=True) if is_there}
            yield frozenset(faults | ({life} if life else set()))


def test_the_first_reason_is_told_in_the_order_of_the_table() -> None:
    for faults in combinations():
        life = next((fault for fault in faults if fault in LIVES), None)
        kept, good = LIVES[life] if life else ("pending", Period(0, 2_000))
        places = {1} if UnfitCode.ONE_PER_PAYMENT in faults else set()
        if UnfitCode.PAYMENT_MISSING in faults:
            faults -= {UnfitCode.ONE_PER_PAYMENT}
        if faults & {UnfitCode.OTHER_MERCHANT, UnfitCode.WRONG_STORE}:
            faults -= {UnfitCode.WRONG_CITY}  # of a store that is not theirs the terms know no city
        if UnfitCode.OTHER_MERCHANT in faults:
            faults -= {UnfitCode.WRONG_STORE}
        want = min(faults, key=ORDER.index, default=None)
        page_until_ms = NOW if UnfitCode.CODE_PAGE_CLOSED in faults else NOW + 1
        got = decide(asked(faults), standing(kept, good), SHOWN, NOW, places, page_until_ms)
        assert (got.code if isinstance(got, Unfit) else None) == want, faults
        lock = Lock("C", asked(faults).merchant, asked(faults).store, "li", "o", asked(faults).amount, (), 1, "q")
        of_payment = {UnfitCode.PAYMENT_MISSING, UnfitCode.ONE_PER_PAYMENT}
        want = min(faults - of_payment, key=ORDER.index, default=None)
        held = decide_lock(lock, standing(kept, good), SHOWN, NOW, page_until_ms)
        assert (held.code if isinstance(held, Unfit) else None) == want, faults


@pytest.mark.parametrize(
    ("order_no", "merchant", "store", "is_own"),
    [
        ("another order", "m1", "here", True),
        ("", "m1", "here", False),
        ("another order", "m1", "far", True),
        ("another order", "m9", "far", False),
        ("another order", "m9", "here", True),  # a store that has changed hands since keeps its orders
    ],
)
def test_a_lock_is_of_one_order_of_one_merchant(order_no: str, merchant: str, store: str, is_own: bool) -> None:
    mine = Redeem("C", merchant, store, "li", order_no, "p", 3_000, (), "q")
    got = decide(mine, standing("locked", Period(0, OVER)), replace(PROMISE, use=Use()), NOW, set())
    assert isinstance(got, Fit) == is_own


@pytest.mark.parametrize(
    ("per_payment", "taken", "place"),
    [(1, set(), 1), (1, {1}, None), (1, {2}, None), (2, {1}, 2), (2, {2}, 1), (2, {1, 2}, None), (3, {1, 3}, 2)],
)
def test_a_payment_takes_as_many_as_the_terms_say(per_payment: int, taken: set[int], place: int | None) -> None:
    """Whatever places others have, under earlier terms that allowed more, say."""
    promise = replace(PROMISE, use=Use(per_payment=per_payment))
    got = decide(asked(frozenset()), standing("pending", Period(0, 2_000)), promise, NOW, taken)
    assert (got.payment_place if isinstance(got, Fit) else None) == place


@given(st.data())
def test_refunds_in_any_parts_add_up_to_the_redemption(data: st.DataObject) -> None:
    """Of amount and discount alike, no part negative, what is paid back never above what was paid."""
    amount = data.draw(st.integers(1, 1 << 53))
    discount = data.draw(st.integers(0, amount))
    of = Redeemed("r", "C", 1, "m1", "here", "o", "p", amount, discount)
    used = standing("redeemed", Period(0, 2_000))
    times, back, off, early = 0, 0, 0, True
    while back < amount:
        part = None if times > 5 else data.draw(st.none() | st.integers(1, amount))
        by: Any = data.draw(st.sampled_from(("merchant", "user")))
        completed = data.draw(st.booleans())
        so_far = Refunded(times, back, off, 0, early)
        refund = decide_reversal(Reverse(of, "li", by, completed, part, "q"), used, so_far, "UTC", NOW)
        if isinstance(refund, Unfit):
            assert part is not None
            assert (refund.code, refund.left) == (UnfitCode.ABOVE_REDEEMED, amount - back)
            times += 1
            continue
        assert 0 <= refund.discount <= refund.amount
        times, back, off = times + 1, back + refund.amount, off + refund.discount
        early = early and by == "merchant" and not completed
        assert (refund.kind == "give_back") == (back == amount and early)
    assert (back, off) == (amount, discount)
    more = decide_reversal(Reverse(of, "li", "user", True, None, "q"), used, Refunded(times, back, off, 7), "UTC", NOW)
    assert more == Unfit(UnfitCode.ALREADY_REVERSED, at_ms=7, timezone="UTC")


LINES = (Line(3_000, "a"), Line(1_250))
OF = Redeemed("0" * 32, "HB7K2M9P4R6T8WXQ", 1, "m1", "mall", "o1", "p1", 4_250, 1_000)
DIGESTS: list[tuple[Any, str]] = [
    (
        Redeem("HB7K2M9P4R6T8WXQ", "m1", "mall", "li", "o1", "p1", 4_250, LINES, "q1"),
        "53da632673daeaac31045606d3448422",
    ),
    (
        Lock("HB7K2M9P4R6T8WXQ", "m1", "mall", "li", "o1", 4_250, LINES, 60_000, "q1"),
        "2bd6ca19a96adc06d2377d3f52f51712",
    ),
    (Reverse(OF, "li", "merchant", False, None, "q2"), "caedd36719e2d4b3e62a8060ecdf374d"),
]


@pytest.mark.parametrize(("asked", "digest"), DIGESTS, ids=lambda each: type(each).__name__)
def test_digests_are_those_of_every_version_before(asked: Any, digest: str) -> None:
    """The books have them: a till that asks again across an upgrade is answered again."""
    assert digest_of(asked).hex() == digest
    kind = type(asked)
    later = msgspec.defstruct(kind.__name__, [("tip", int, 0)], bases=(kind,), frozen=True)
    fields = {name: getattr(asked, name) for name in kind.__struct_fields__}
    assert digest_of(later(**fields)).hex() == digest, "a later member at its default"
    assert digest_of(later(**fields, tip=1)).hex() != digest
