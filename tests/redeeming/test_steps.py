"""What comes of one request and one entry of the books."""

import pytest

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
