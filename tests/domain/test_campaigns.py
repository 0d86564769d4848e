"""Campaigns as data: what an offer can cost, what a claim promises, versions of terms."""

from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from engine.domain.campaign import (
    Campaign,
    Cap,
    Catalogue,
    CatalogueOffer,
    Eligibility,
    Limit,
    Offer,
    Promise,
    Store,
    Terms,
    Validity,
)
from engine.scheduling.files import read_campaign_file

EXAMPLES = Path(__file__).parents[2] / "deploy" / "campaigns"


@pytest.fixture(scope="module")
def hubei() -> Campaign:
    return read_campaign_file(EXAMPLES / "hubei-2021.yaml")


@pytest.mark.parametrize(
    ("offer", "value"),
    [
        (Offer(id="o", title="O", kind="threshold", stores=(), face=5000, min_spend=15000), 5000),
        (Offer(id="o", title="O", kind="instant", stores=(), face=1000), 1000),
        (Offer(id="o", title="O", kind="percent", stores=(), percent_off=20, max_discount=1500), 1500),
        (Offer(id="o", title="O", kind="gift", stores=(), face=13800, price=1300), 13800),
    ],
)
def test_an_offer_is_worth_what_it_can_cost_at_most(offer: Offer, value: int) -> None:
    assert offer.value == value


def test_a_promise_holds_the_stores_of_its_offer_and_no_others(hubei: Campaign) -> None:
    promise = hubei.terms_of(hubei.offers[0])
    assert list(promise.stores) == ["mall-001", "mall-002", "mall-101"]
    assert promise.stores["mall-001"] == Store("武商广场", "m-01", "武汉")
    assert (promise.use, promise.validity, promise.timezone, promise.currency) == (
        hubei.use, Validity(natural_days=7), "Asia/Shanghai", "CNY",
    )  # fmt: skip


def test_equal_promises_have_equal_hashes_whatever_the_order_of_stores(hubei: Campaign) -> None:
    promise = hubei.terms_of(hubei.offers[0])
    turned = structs.replace(promise, stores=dict(reversed(promise.stores.items())))
    assert list(turned.stores) != list(promise.stores)
    assert turned.hash() == promise.hash()
    assert len(promise.hash()) == 64
    again = msgspec.json.decode(msgspec.json.encode(promise), type=Promise)
    assert again.hash() == promise.hash()


def test_whatever_changes_a_promise_changes_its_hash(hubei: Campaign) -> None:
    """A shop taken off the list after the fact is another promise."""
    offer = hubei.offers[0]
    changed = [
        structs.replace(hubei, validity=Validity(natural_days=8)),
        structs.replace(hubei, use=structs.replace(hubei.use, cities=())),
        structs.replace(hubei, currency="EUR"),
        structs.replace(hubei, timezone="Europe/Berlin"),
        structs.replace(hubei, stores={**hubei.stores, "mall-001": Store("武商广场", "m-01", "宜昌")}),
    ]
    hashes = {campaign.terms_of(offer).hash() for campaign in [hubei, *changed]}
    hashes |= {
        hubei.terms_of(structs.replace(offer, **{field: value})).hash()
        for field, value in {"face": 9999, "min_spend": 29999, "title": "x", "stores": offer.stores[1:]}.items()
    }
    assert len(hashes) == 1 + len(changed) + 4


def test_what_is_no_part_of_a_promise_leaves_its_hash(hubei: Campaign) -> None:
    changed = structs.replace(hubei, waves=(), limits=(Limit(2, "day"),), cap=Cap(claims=1), title="x", by="person")
    assert changed.terms_of(hubei.offers[0]).hash() == hubei.terms_of(hubei.offers[0]).hash()


def test_a_campaign_survives_json(hubei: Campaign) -> None:
    assert msgspec.json.decode(msgspec.json.encode(hubei), type=Campaign) == hubei


def test_claims_are_given_the_newest_terms_and_old_versions_stay(hubei: Campaign) -> None:
    promise = hubei.terms_of(hubei.offers[0])
    offer = CatalogueOffer(1, "mall-100", (Terms(1, "a", promise), Terms(2, "b", promise)))
    assert offer.current.version == 2
    assert offer.version(1).hash == "a"
    with pytest.raises(LookupError, match="no terms version 3"):
        offer.version(3)


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        ((Limit(1, "campaign"),), 1),
        ((Limit(2, "wave"), Limit(5, "campaign")), 2),
        ((Limit(4, "round"), Limit(3, "day")), 3),
        ((), 32),
    ],
)
def test_every_limit_bounds_the_claims_in_one_wave(limits: tuple[Limit, ...], most: int) -> None:
    catalogue = Catalogue(
        campaign_no=1, id="c", revision=1, code_prefix="ABC", title="C", timezone="UTC", currency="CNY", by="account",
        limits=limits, cap=Cap(), eligibility=Eligibility(), offers=(), waves=(),
    )  # fmt: skip
    assert catalogue.claims_per_wave_max == most
