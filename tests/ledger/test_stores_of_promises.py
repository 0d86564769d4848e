"""Whose a store is, after files have dropped it."""

from datetime import UTC, datetime

from engine.domain.campaign import Offer, Store
from engine.ledger.campaigns import apply_campaign
from engine.ledger.database import Ledger
from engine.ledger.promise_book import PromiseBook
from engine.rehearsal.revision import worse_terms
from tests.rehearsal.machine import campaign

STORES = {name: Store(name, "m1", "武汉") for name in ("s1", "s2", "s3")}


async def test_a_dropped_store_is_found_right_after_another_was_looked_for(ledger: Ledger) -> None:
    offers = (Offer("a", "a", "instant", ("s1", "s2"), face=100), Offer("b", "b", "instant", ("s1", "s3"), face=100))
    before = campaign(datetime.now(UTC).replace(microsecond=0), stores=STORES, offers=offers)
    for each in (before, worse_terms(before)):
        await apply_campaign(ledger, each, "tests")
    book = PromiseBook(ledger, lambda: 0.0)  # no time passes: what is looked for once is not looked for again
    assert [await book.merchant_of(store) for store in ("s9", "s3", "s2", "s1", "s9")] == ["", "m1", "m1", "m1", ""]
