"""What a voucher takes off, whose lines that belongs to, and which voucher is the best."""

import random
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.domain.campaign import Offer
from engine.domain.discount import BelowMinSpend, Quote, allocated, best_first, discount_on
from engine.scheduling.files import read_campaign_file

EXAMPLES = Path(__file__).parents[2] / "deploy" / "campaigns"
OFFERS = {
    offer.id: offer
    for name in ("hubei-2021", "daily-ten", "pizza-13")
    for offer in read_campaign_file(EXAMPLES / f"{name}.yaml").offers
}

AMOUNT_MAX = 10**12
money = st.integers(1, AMOUNT_MAX)
amounts = st.one_of(st.integers(0, 100), st.integers(0, AMOUNT_MAX))


def instant(face: int) -> Offer:
    return Offer(id="instant", title="", kind="instant", stores=(), face=face)


def percent(percent_off: int, max_discount: int) -> Offer:
    return Offer(id="percent", title="", kind="percent", stores=(), percent_off=percent_off, max_discount=max_discount)


def threshold(one: int, other: int) -> Offer:
    return Offer(id="threshold", title="", kind="threshold", stores=(), face=min(one, other), min_spend=max(one, other))


@st.composite
def gifts(draw: st.DrawFn) -> Offer:
    face = draw(money)
    price = draw(st.none() | st.integers(1, face - 1)) if face > 1 else None
    return Offer(id="gift", title="", kind="gift", stores=(), face=face, price=price)


percents = st.builds(percent, st.integers(1, 99), money)
offers = st.one_of(st.builds(instant, money), percents, st.builds(threshold, money, money), gifts())


@pytest.mark.parametrize(
    ("offer", "amount", "discount"),
    [
        ("mall-100", 30_000, 10_000),
        ("mall-100", 29_999, BelowMinSpend(1)),
        ("mall-100", 0, BelowMinSpend(30_000)),
        ("super-10", 1_000_000, 1_000),
        ("coffee-10", 2_500, 1_000),
        ("coffee-10", 1_000, 1_000),
        ("coffee-10", 999, 999),
        ("coffee-10", 0, BelowMinSpend(1)),  # nothing is taken off: it is kept for a payment of which there is
        ("coffee-20off", 3_000, 600),
        ("coffee-20off", 7_499, 1_499),  # 1,499.8
        ("coffee-20off", 7_500, 1_500),
        ("coffee-20off", 100_000, 1_500),
        ("coffee-20off", 5, 1),
        ("coffee-20off", 4, BelowMinSpend(1)),
        ("pizza-set", 13_800, 12_500),  # three pizzas for 13 yuan
        ("pizza-set", 20_000, 12_500),
        ("pizza-set", 10_000, 8_700),  # the item is cheaper today: it still costs 13 yuan
        ("pizza-set", 1_300, 0),
        ("pizza-set", 0, 0),  # handed over without an order
    ],
)
def test_the_example_campaigns_at_a_till(offer: str, amount: int, discount: int | BelowMinSpend) -> None:
    assert discount_on(OFFERS[offer], amount) == discount


@given(offers, amounts)
def test_a_discount_is_neither_negative_nor_above_the_payment_or_what_was_set_aside(offer: Offer, amount: int) -> None:
    discount = discount_on(offer, amount)
    assert isinstance(discount, BelowMinSpend) or 0 <= discount <= min(amount, offer.value)


@given(offers, amounts)
def test_no_voucher_but_a_gift_is_used_up_for_nothing(offer: Offer, amount: int) -> None:
    discount = discount_on(offer, amount)
    if isinstance(discount, BelowMinSpend):
        assert isinstance(discount_on(offer, amount + discount.short_by), int)
        assert isinstance(discount_on(offer, amount + discount.short_by - 1), BelowMinSpend)
    else:
        assert discount or offer.kind == "gift"


@given(st.builds(threshold, money, money), amounts)
def test_a_threshold_is_all_or_tells_what_is_missing(offer: Offer, amount: int) -> None:
    assert offer.min_spend is not None
    discount = discount_on(offer, amount)
    if isinstance(discount, BelowMinSpend):
        assert discount.short_by >= 1
        assert amount + discount.short_by == offer.min_spend
        assert discount_on(offer, amount + discount.short_by) == offer.face
    else:
        assert amount >= offer.min_spend
        assert discount == offer.face


@given(percents, amounts)
def test_a_percentage_is_exact_to_less_than_a_minor_unit_up_to_its_cap(offer: Offer, amount: int) -> None:
    assert offer.percent_off
    assert offer.max_discount
    discount = discount_on(offer, amount)
    if isinstance(discount, BelowMinSpend):
        assert amount * offer.percent_off < 100
        return
    exact = min(Fraction(amount * offer.percent_off, 100), Fraction(offer.max_discount))
    assert 0 <= exact - discount < 1


@given(gifts(), amounts)
def test_a_gift_costs_its_price(offer: Offer, amount: int) -> None:
    assert offer.face
    discount = discount_on(offer, amount)
    assert isinstance(discount, int)
    due, price = amount - discount, min(amount, offer.price or 0)
    assert due == price if amount <= offer.face else due == price + amount - offer.face


@given(offers, amounts, amounts)
def test_who_pays_more_is_not_given_less(offer: Offer, one: int, other: int) -> None:
    less, more = discount_on(offer, min(one, other)), discount_on(offer, max(one, other))
    assert isinstance(less, BelowMinSpend) or (isinstance(more, int) and less <= more)


@pytest.mark.parametrize("offer", [OFFERS["mall-100"], OFFERS["coffee-10"], OFFERS["coffee-20off"]])
def test_no_payment_is_negative(offer: Offer) -> None:
    with pytest.raises(ValueError, match="not negative"):
        discount_on(offer, -1)


@st.composite
def orders(draw: st.DrawFn) -> tuple[int, tuple[int, ...]]:
    """A discount, and the lines that it is shared out over. Small amounts and repeated ones make ties."""
    lines = draw(st.lists(st.one_of(st.integers(0, 6), amounts), max_size=12))
    return draw(st.integers(0, sum(lines))), tuple(lines)


@pytest.mark.parametrize(
    ("discount", "lines", "shares"),
    [
        (10_000, (30_000,), (10_000,)),
        (1_000, (1_000, 2_000), (333, 667)),
        (100, (80, 80, 80), (34, 33, 33)),
        (2, (1, 1, 1), (1, 1, 0)),
        (1, (1, 3), (0, 1)),  # a quarter and three quarters
        (2, (1, 3), (0, 2)),  # a half and one and a half: the larger line
        (2, (3, 1), (2, 0)),
        (500, (0, 700, 0), (0, 500, 0)),
        (6, (1, 2, 3), (1, 2, 3)),
        (10**18 - 1, (10**18 - 1, 1), (10**18 - 2, 1)),  # no float could tell
        (0, (5, 7), (0, 0)),
        (0, (0, 0), (0, 0)),
        (0, (), ()),
    ],
)
def test_shares_of_an_order(discount: int, lines: tuple[int, ...], shares: tuple[int, ...]) -> None:
    assert allocated(discount, lines) == shares


@given(orders())
def test_shares_add_up(order: tuple[int, tuple[int, ...]]) -> None:
    discount, lines = order
    shares = allocated(discount, lines)
    assert len(shares) == len(lines)
    assert sum(shares) == discount


@given(orders())
def test_a_share_is_neither_negative_nor_above_its_line(order: tuple[int, tuple[int, ...]]) -> None:
    discount, lines = order
    assert all(0 <= share <= line for share, line in zip(allocated(discount, lines), lines, strict=True))


@given(orders())
def test_a_share_is_its_proportion_to_less_than_a_minor_unit(order: tuple[int, tuple[int, ...]]) -> None:
    discount, lines = order
    for share, line in zip(allocated(discount, lines), lines, strict=True):
        assert abs(share - Fraction(discount * line, sum(lines) or 1)) < 1


@given(orders())
def test_what_is_left_over_goes_to_the_largest_fractions(order: tuple[int, tuple[int, ...]]) -> None:
    discount, lines = order
    exact = [Fraction(discount * line, sum(lines) or 1) for line in lines]
    pairs = list(zip(allocated(discount, lines), exact, strict=True))
    rounded_up = [part % 1 for share, part in pairs if share > part]
    rounded_down = [part % 1 for share, part in pairs if share <= part]
    assert not rounded_up or min(rounded_up) >= max(rounded_down, default=Fraction(0))


@given(orders())
def test_the_larger_line_gets_no_less(order: tuple[int, tuple[int, ...]]) -> None:
    discount, lines = order
    pairs = sorted(zip(lines, allocated(discount, lines), strict=True))
    assert [share for _, share in pairs] == sorted(share for _, share in pairs)


@given(orders(), st.integers(0, 2**32))
@example((2, (1, 3)), 0)
@example((2, (3, 1)), 0)
def test_shares_do_not_depend_on_the_order_of_lines(order: tuple[int, tuple[int, ...]], seed: int) -> None:
    discount, lines = order
    mixed = random.Random(seed).sample(lines, len(lines))
    assert Counter(zip(lines, allocated(discount, lines), strict=True)) == Counter(
        zip(mixed, allocated(discount, mixed), strict=True)
    )


@given(st.integers(1, 10), st.integers(1, 1_000), st.data())
def test_of_equal_lines_the_earlier_ones_get_more(count: int, line: int, data: st.DataObject) -> None:
    discount = data.draw(st.integers(0, count * line))
    shares = allocated(discount, [line] * count)
    assert list(shares) == sorted(shares, reverse=True)


@given(orders())
def test_a_line_that_the_voucher_does_not_apply_to_changes_nothing(order: tuple[int, tuple[int, ...]]) -> None:
    discount, lines = order
    assert allocated(discount, (0, *lines, 0)) == (0, *allocated(discount, lines), 0)


@pytest.mark.parametrize(("discount", "lines"), [(-1, (5,)), (6, (5,)), (1, ()), (1, (0,)), (1, (3, -1)), (0, (-1,))])
def test_what_cannot_be_shared_out(discount: int, lines: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shared out"):
        allocated(discount, lines)


def quote(code: str, discount: int, expires_at_ms: int, offer: str = "coffee-10") -> Quote:
    return Quote(code, OFFERS[offer], expires_at_ms, discount)


RANKED = [
    quote("D", 1_500, 9, "coffee-20off"),
    quote("C", 1_000, 5, "mall-100"),
    quote("E", 1_000, 7, "coffee-10"),
    quote("B", 1_000, 7, "coffee-20off"),
    quote("A", 600, 1, "coffee-20off"),
    quote("F", 600, 1, "coffee-20off"),
]
"""The most taken off; expires first; worth least elsewhere; by code."""


@given(st.permutations(RANKED))
def test_the_best_comes_first_whatever_order_they_are_found_in(quotes: list[Quote]) -> None:
    assert best_first(iter(quotes)) == RANKED


@given(
    st.lists(st.builds(quote, st.uuids().map(str), st.integers(0, 3), st.integers(0, 3), st.sampled_from([*OFFERS])))
)
def test_nothing_that_takes_off_more_comes_later(quotes: list[Quote]) -> None:
    ranked = best_first(quotes)
    assert sorted(each.code for each in ranked) == sorted(each.code for each in quotes)
    for earlier, later in pairwise(ranked):
        assert (earlier.discount, -earlier.expires_at_ms) >= (later.discount, -later.expires_at_ms)
