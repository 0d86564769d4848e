"""A quote and a redemption of the same instant cannot disagree, whatever the voucher has been through."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.domain.campaign import Use
from engine.domain.redemption import Fit, Line, Made, Redeem, Standing, Unfit
from engine.domain.voucher import Period
from engine.ledger.held_vouchers import HeldVoucher
from engine.ledger.promise_book import Kept
from engine.ledger.voucher_steps import Entry
from engine.redeeming.quoting import AskQuotes, decision_on
from engine.redeeming.steps import Around, Wanted, work_out
from tests.gateway.shop import shop_campaigns

[SHOPS, _] = shop_campaigns(datetime(2026, 11, 23, tzinfo=UTC))
KEPT = [
    Kept("shops", offer.id, replace(SHOPS.terms_of(offer), use=Use(cities, per_payment)), "")
    for offer in SHOPS.offers
    for cities, per_payment in ((("武汉",), 1), ((), 2))
]
INSTANTS = st.integers(0, 6)
ORDERS = st.sampled_from(["", "o1", "o2"])


@st.composite
def standings(draw: Any) -> Standing:
    start, end, until = draw(INSTANTS), draw(INSTANTS), draw(INSTANTS)
    kept = draw(st.sampled_from(["pending", "pending", "locked", "redeemed", "invalidated", "cancelled", "deleted"]))
    made = None
    if kept != "pending":
        merchant = draw(st.sampled_from(["m1", "m2"]))
        made = Made("lock", 1, merchant, "mall", draw(ORDERS), reason="why", until_ms=until)
    period = Period(min(start, end), max(start, end))
    return Standing(0, "C0DE", 1, 1, 1, "ann", draw(st.integers(0, 2)), period, kept, 3, made=made)


@given(
    standing=standings(),
    kept=st.sampled_from(KEPT),
    store=st.sampled_from([("m1", "mall"), ("m1", "mall-2"), ("m1", "mall-far"), ("m2", "food"), ("m2", "mall")]),
    lines=st.lists(st.sampled_from([0, 1, 1_000, 2_999, 5_000]), max_size=3),
    order_no=ORDERS,
    payment_no=st.sampled_from(["", "p"]),
    places=st.frozensets(st.integers(1, 2)),
    now_ms=INSTANTS,
)
def test_it_says_what_a_redemption_would_be_answered_with(
    standing: Standing,
    kept: Kept,
    store: tuple[str, str],
    lines: list[int],
    order_no: str,
    payment_no: str,
    places: frozenset[int],
    now_ms: int,
) -> None:
    taken = places if payment_no else frozenset[int]()
    order = AskQuotes("ann", *store, order_no, payment_no, sum(lines), tuple(Line(each) for each in lines))
    quoted = decision_on(order, HeldVoucher(standing, taken), kept, now_ms)
    asked = Redeem(
        *(standing.code, order.merchant, order.store, "li", order_no, payment_no or "of its own"),
        *(order.amount, order.lines, "q1"),
    )
    entry = Entry(now_ms, 0, "shops", standing, "", "", 0, taken, None)
    redeemed = work_out(asked, entry, Around(kept=kept, places_taken=taken))
    event(quoted.code.value if isinstance(quoted, Unfit) else "fits")
    if isinstance(quoted, Fit):
        assert isinstance(redeemed, Wanted)
        assert redeemed.step.discount == quoted.discount
        assert tuple(line.discount for line in redeemed.step.lines) == quoted.shares
    else:
        assert redeemed == quoted
