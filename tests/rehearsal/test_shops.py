"""After the drop: vouchers in shops, under terms that were made worse after the claim."""

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from engine.domain.campaign import Offer, Promise, Store, Use, Validity
from engine.domain.voucher import Period, period
from engine.gateway.identity.minting import mint_token
from engine.gateway.keyring import Keyring
from engine.ledger.campaigns import apply_campaign
from engine.ledger.taken import Taken, set_periods, taken_in
from engine.rehearsal.errands import REDEEMED, Errand, ErrandKind, Holding, Visit, draw_errands
from engine.rehearsal.honour import honoured
from engine.rehearsal.revision import worse_terms
from engine.rehearsal.tills import Merchants, Said, Shopping
from engine.settings import Settings
from tests.rehearsal.machine import campaign
from tests.rehearsal.test_drop import run, scene, settings_of

STORES = {
    "s1": Store("s1", "m1", "武汉"),
    "s2": Store("s2", "m1", "武汉"),
    "s3": Store("s3", "m1", "武汉"),
    "s4": Store("s4", "m2", "武汉"),
    "s5": Store("s5", "m1", "宜昌"),
}
OFFERS = (
    Offer("a", "a", "threshold", ("s1", "s5", "s2"), face=1_000, min_spend=3_000),
    Offer("b", "b", "percent", ("s1", "s2"), percent_off=20, max_discount=1_500, code_page=True),
)


async def test_what_was_claimed_is_taken_under_the_terms_of_the_claim(
    settings: Settings, redis_url: str, database_url: str, seed: int
) -> None:
    settings = settings_of(settings, redis_url, database_url)
    rules: dict[str, Any] = {"offers": OFFERS, "stores": STORES, "use": Use(cities=("武汉",))}
    async with scene(settings, **rules) as (stores, where):
        key = Keyring.of(settings).token_keys[0]
        opens_at = datetime.fromtimestamp(where.wave.opens_at_ms / 1000, UTC)
        merchants = Merchants(
            stores=STORES,
            mint_till=lambda store: mint_token(key, store, ttl_s=600, scope="merchant", stores=[store]),
            revise=lambda: apply_campaign(stores.ledger, worse_terms(campaign(opens_at, **rules)), "tests"),
            set_periods=lambda periods: set_periods(stores.ledger, where.catalogue.campaign_no, periods),
            taken=lambda: taken_in(stores.ledger, where.catalogue.campaign_no),
        )
        verdict = await run(dataclasses.replace(where, merchants=merchants), seed)
        versions = await stores.ledger.fetch("select from terms")
        taken = len(await merchants.taken())
    assert not verdict.broken, [finding for finding in verdict.findings if finding.held is False]
    honour = next(finding for finding in verdict.findings if finding.promise == "P8")
    assert honour.held
    assert f"{taken} vouchers were redeemed once each" in honour.figures
    assert taken > 80  # some hang up and never learn of theirs
    always = {"not_yet_effective", "expired"}
    for refusal in {"already_redeemed", "below_min_spend", "wrong_store", "other_merchant", "wrong_city"} | always:
        assert refusal in honour.figures
    assert len(versions) == 2 * len(OFFERS)


def promise(**changes: Any) -> Promise:
    offer = replace(OFFERS[0], **changes)
    stores = {id: STORES[id] for id in offer.stores}
    return Promise(offer, Use(cities=("武汉",)), Validity(natural_days=7), "Asia/Shanghai", "CNY", stores)


CLAIMED_MS = 1_767_240_000_000
"""Noon of the first day of 2026, in Shanghai."""
HOLDING = Holding(1, "CODE", "c-1", 1_000, 1, 1, promise(), Period(1_000, 9_000))
THEN = Visit("s2", 4_000, REDEEMED, 1_000)
ONCE = Errand(0, HOLDING, ErrandKind.PLAIN, THEN)
RIVALS = Errand(0, HOLDING, ErrandKind.TWO_TILLS, THEN)
WELL = Said(0, THEN, REDEEMED, 1_000, 1)
LATE = Said(0, THEN, "already_redeemed", is_rival=True)
KEPT = Taken("CODE", 1, 1_000)


def shopping(
    errand: Errand, *said: Said, taken: tuple[Taken, ...] = (KEPT,), changed: tuple[str, ...] = ()
) -> Shopping:
    return Shopping((errand,), said, changed, 1, taken)


@pytest.mark.parametrize("said", [shopping(ONCE, WELL), shopping(RIVALS, WELL, LATE)])
def test_nothing_wrong(said: Shopping) -> None:
    assert honoured(said).held


@pytest.mark.parametrize(
    "said",
    {
        "the store of a later version": shopping(ONCE, Said(0, THEN, "wrong_store"), taken=()),
        "the discount of a later version": shopping(
            ONCE, replace(WELL, discount=500), taken=(replace(KEPT, discount=500),)
        ),
        "a later version": shopping(ONCE, replace(WELL, terms_version=2), taken=(replace(KEPT, terms_version=2),)),
        "two tills, twice": shopping(RIVALS, WELL, replace(WELL, is_rival=True), taken=(KEPT, KEPT)),
        "two tills, never": shopping(RIVALS, replace(LATE, is_rival=False), LATE, taken=()),
        "twice in the ledger": shopping(ONCE, WELL, taken=(KEPT, KEPT)),
        "not in the ledger": shopping(ONCE, WELL, taken=()),
        "another's in the ledger": shopping(ONCE, WELL, taken=(KEPT, replace(KEPT, code="OTHER"))),
        "a card that changed": shopping(ONCE, WELL, changed=("c-1",)),
    }.items(),
    ids=lambda case: case[0],
)
def test_what_breaks_it(said: tuple[str, Shopping]) -> None:
    assert honoured(said[1]).held is False


def test_nobody_could_use_anything() -> None:
    early = Errand(0, HOLDING, ErrandKind.PLAIN, Visit("s2", 4_000, "not_yet_effective"))
    found = honoured(shopping(early, Said(0, early.then, "not_yet_effective"), taken=()))
    assert found.held is None


@pytest.mark.parametrize(
    ("validity", "expected"),
    [
        (Validity(natural_days=7), REDEEMED),
        (Validity(natural_days=7, from_ms=2_000_000_000_000), "not_yet_effective"),
        (Validity(until_ms=CLAIMED_MS + 1_000), "expired"),
    ],
)
def test_what_is_expected_of_tills_follows_the_validity(validity: Validity, expected: str, seed: int) -> None:
    promised = replace(HOLDING.promise, validity=validity)
    holding = replace(HOLDING, promise=promised, life=period(promised, "2026-01-01", CLAIMED_MS))
    errands = draw_errands([holding] * 50, STORES, CLAIMED_MS + 1_000, seed)
    assert {errand.then.expected for errand in errands} == {expected}
    if expected == REDEEMED:
        firsts = {errand.first.expected for errand in errands if errand.first}
        certain = {"not_yet_effective", "expired"}
        assert certain < firsts <= certain | {"wrong_store", "wrong_city", "other_merchant", "below_min_spend"}
        assert {errand.first.expected for errand in errands[:2] if errand.first} == certain, "of any two, both"
        for errand in errands:
            out_of_time = errand.first is not None and errand.first.expected in certain
            assert (errand.meanwhile is not None) == out_of_time
        assert {errand.then.store for errand in errands} == {"s1", "s2"}


def test_a_few_vouchers_hear_every_refusal_of_a_place(seed: int) -> None:
    """Stores that do not take them come in turn, whatever the draw."""
    errands = draw_errands([HOLDING] * 200, STORES, HOLDING.life.valid_from_ms, seed)
    places = [errand.first.store for errand in errands if errand.kind is ErrandKind.WRONG_PLACE and errand.first]
    assert len(places) > 9
    for first in range(len(places) - 2):
        assert set(places[first : first + 3]) == {"s3", "s4", "s5"}
