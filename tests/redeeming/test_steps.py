"""What comes of one request and one entry of the books."""

from typing import Any

import pytest
from msgspec.structs import replace

from engine.domain.locking import Lock
from engine.domain.redemption import Redeem, Standing, Unfit, UnfitCode
from engine.domain.voucher import Period
from engine.ledger.voucher_steps import Entry
from engine.redeeming.steps import Around, Wanted, work_out
from tests.redeeming.counter import MERCHANT
from tests.redeeming.test_quoting import KEPT

STANDING = Standing(0, "C0DE", 1, 1, 1, "ann", 0, Period(0, 9_000), "pending", 0)
ENTRY = Entry(1_000, 0, "shops", STANDING, "", "", 0, frozenset(), None)


@pytest.mark.parametrize(
    ("merchant", "store", "told"),
    [
        (MERCHANT, "mall", None),
        ("", "mall", UnfitCode.BUSY),
        ("", "nowhere", UnfitCode.OTHER_MERCHANT),
    ],
)
def test_no_request_goes_without_its_merchant(merchant: str, store: str, told: UnfitCode | None) -> None:
    """A gateway that has not heard of a store yet: a redemption under no merchant's name is not found again under the
    right one, and who asks again would be told that the voucher was used already."""
    asked = Redeem("C0DE", merchant, store, "li", "o1", "p1", 4_250, (), "q1")
    found = work_out(asked, ENTRY, Around(kept=KEPT[0]))
    assert found == Unfit(told) if told else isinstance(found, Wanted)


@pytest.mark.parametrize(("until_ms", "before_ms"), [(5_000, 5_000), (20_000, 9_000), (1_000, None), (0, None)])
def test_what_is_shown_is_taken_while_its_page_is_open(until_ms: int, before_ms: int | None) -> None:
    """A statement that is held up past the page's end takes no voucher, as it takes none past the expiry."""
    promise = replace(KEPT[0].promise, offer=replace(KEPT[0].promise.offer, code_page=True))
    around = Around(kept=replace(KEPT[0], promise=promise), page_until_ms=until_ms)
    common: dict[str, Any] = {
        "code": "C0DE",
        "merchant": MERCHANT,
        "store": "mall",
        "clerk": "li",
        "order_no": "o1",
        "amount": 4_250,
    }
    for asked in (
        Redeem(**common, payment_no="p1", lines=(), request_no="q1"),
        Lock(**common, lines=(), hold_ms=1_000, request_no="q1"),
    ):
        found = work_out(asked, ENTRY, around)
        if before_ms is None:
            assert found == Unfit(UnfitCode.CODE_PAGE_CLOSED)
        else:
            assert isinstance(found, Wanted)
            assert found.step.before_ms == before_ms
