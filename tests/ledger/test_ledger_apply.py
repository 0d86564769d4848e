"""Applying campaigns: whole, once, and never against what has opened."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from engine.domain.campaign import Campaign, Eligibility, Limit, Offer, Use, Validity
from engine.domain.codes import campaign_prefix
from engine.errors import UsageError
from engine.ledger.campaigns import all_catalogues, apply_campaign, find_wave, plan_campaign, read_catalogue
from engine.ledger.cursors import Cursor, all_cursors, read_cursor
from engine.ledger.database import Ledger
from engine.scheduling.files import read_campaign_file
from tests.ledger.samples import FUTURE, OFFERS, campaign, rows_of, wave

EXAMPLES = Path(__file__).parents[2] / "deploy" / "campaigns"
FILES = ["hubei-2021", "pizza-13", "daily-ten"]


def changed_waves(before: Campaign, **by_place: dict[str, object]) -> Campaign:
    """The campaign with changes to the waves at these places (w0, w1, …)."""
    waves = list(before.waves)
    for place, changes in by_place.items():
        waves[int(place[1:])] = replace(waves[int(place[1:])], **changes)
    return replace(before, waves=tuple(waves))


@pytest.mark.parametrize("name", FILES)
async def test_the_examples_are_applied_once(name: str, ledger: Ledger) -> None:
    read = read_campaign_file(EXAMPLES / f"{name}.yaml")
    first = await apply_campaign(ledger, read, "ann")
    again = await apply_campaign(ledger, read_campaign_file(EXAMPLES / f"{name}.yaml"), "bob")
    catalogue = first.catalogue
    assert (first.changed, again.changed) == (True, False)
    assert again.catalogue == catalogue == await read_catalogue(ledger, name)
    assert (catalogue.revision, catalogue.code_prefix) == (1, campaign_prefix(0))
    assert [offer.id for offer in catalogue.offers] == [offer.id for offer in read.offers]
    assert [offer.no for offer in catalogue.offers] == list(range(1, len(read.offers) + 1))
    assert [listed.no for listed in catalogue.waves] == list(range(1, len(read.waves) + 1))
    assert catalogue.limits == read.limits
    assert catalogue.cap == read.cap
    for listed, drop in zip(catalogue.waves, read.waves, strict=True):
        assert (listed.id, listed.round, listed.day) == (drop.id, drop.round, drop.day.isoformat())
        assert listed.opens_at_ms == round(drop.opens_at.timestamp() * 1000)
        assert listed.closes_at_ms == round(drop.closes_at.timestamp() * 1000)
        numbers = {offer.id: offer.no for offer in catalogue.offers}
        assert listed.stock == {numbers[offer]: total for offer, total in drop.stock.items()}
        assert listed.rollover == drop.rollover
    for offer, written in zip(catalogue.offers, read.offers, strict=True):
        assert [terms.version for terms in offer.terms] == [1]
        assert offer.current.promise == read.terms_of(written)
        assert offer.current.hash == read.terms_of(written).hash()


async def test_the_examples_stand_side_by_side(ledger: Ledger) -> None:
    for name in FILES:
        await apply_campaign(ledger, read_campaign_file(EXAMPLES / f"{name}.yaml"), "ann")
    catalogues = await all_catalogues(ledger)
    assert [(each.id, each.campaign_no) for each in catalogues] == [(name, no) for no, name in enumerate(FILES)]
    assert len({each.code_prefix for each in catalogues}) == 3
    assert await all_cursors(ledger) == [Cursor(no, name, 1, 0, 0, 0) for no, name in enumerate(FILES)]
    assert await read_cursor(ledger, 1) == Cursor(1, "pizza-13", 1, 0, 0, 0)


async def test_what_is_not_there(ledger: Ledger) -> None:
    assert await read_catalogue(ledger, "nothing") is None
    assert await find_wave(ledger, "nothing") is None
    assert await all_catalogues(ledger) == []
    with pytest.raises(UsageError, match="no campaign number 7"):
        await read_cursor(ledger, 7)


async def test_every_field_survives(ledger: Ledger) -> None:
    rich = campaign(
        eligibility=Eligibility(cities=("武汉",), allow=frozenset({"u1", "u2"}), deny=frozenset({"u3"})),
        limits=(Limit(1, "day"), Limit(5, "campaign")),
        by="person",
        use=Use(cities=("武汉",), per_payment=1),
    )
    rich = changed_waves(rich, w1={"eligibility": Eligibility(allow=frozenset()), "rollover": "spring-last"})
    catalogue = (await apply_campaign(ledger, rich, "ann")).catalogue
    assert catalogue.eligibility == rich.eligibility
    assert (catalogue.by, catalogue.limits) == ("person", rich.limits)
    assert catalogue.waves[1].eligibility == Eligibility(allow=frozenset())
    assert (catalogue.waves[0].eligibility, catalogue.waves[1].rollover) == (None, "spring-last")
    found = await find_wave(ledger, "spring-next")
    assert found is not None
    assert (found[0], found[1].no, found[2].state, found[2].closed_at_ms) == (catalogue, 2, "scheduled", 0)


async def test_terms_get_a_version_only_where_the_promise_changes(ledger: Ledger) -> None:
    plain = campaign()
    await apply_campaign(ledger, plain, "ann")
    dearer = replace(plain, offers=(replace(OFFERS[0], min_spend=20_000), OFFERS[1]))
    applied = await apply_campaign(ledger, dearer, "ann")
    assert [len(offer.terms) for offer in applied.catalogue.offers] == [2, 1]
    assert applied.catalogue.offers[0].version(1).promise.offer.min_spend == 15_000
    assert applied.catalogue.offers[0].current.promise.offer.min_spend == 20_000
    back = await apply_campaign(ledger, plain, "ann")
    assert [terms.version for terms in back.catalogue.offers[0].terms] == [1, 2, 3]
    assert back.catalogue.offers[0].version(1).hash == back.catalogue.offers[0].current.hash
    titled = await apply_campaign(ledger, replace(plain, title="Summer vouchers"), "ann")
    assert [len(offer.terms) for offer in titled.catalogue.offers] == [3, 1]
    assert (titled.catalogue.revision, titled.catalogue.title) == (4, "Summer vouchers")


async def test_waves_to_come_may_change_come_and_go(ledger: Ledger) -> None:
    plain = campaign()
    await apply_campaign(ledger, plain, "ann")
    later = changed_waves(plain, w1={"opens_at": FUTURE + timedelta(hours=1), "stock": {"mall-50": 7}})
    applied = await apply_campaign(ledger, replace(later, waves=(*later.waves[:2], wave("spring-extra"))), "ann")
    assert [(each.id, each.no) for each in applied.catalogue.waves] == [
        ("spring-past", 1),
        ("spring-next", 2),
        ("spring-extra", 4),
    ]
    assert applied.catalogue.waves[1].stock == {1: 7}
    assert applied.catalogue.waves[1].opens_at_ms == round((FUTURE + timedelta(hours=1)).timestamp() * 1000)
    assert await find_wave(ledger, "spring-last") is None
    back = await apply_campaign(ledger, plain, "ann")
    assert [(each.id, each.no) for each in back.catalogue.waves] == [
        ("spring-past", 1),
        ("spring-next", 2),
        ("spring-last", 3),
    ]
    assert back.catalogue.waves[1].stock == {1: 100, 2: 200}


async def test_numbers_of_offers_are_for_good(ledger: Ledger) -> None:
    extra = Offer(id="gift", title="A gift", kind="gift", stores=("s-1",), face=500)
    plain = campaign()
    await apply_campaign(ledger, replace(plain, offers=(*OFFERS, extra)), "ann")
    await apply_campaign(ledger, plain, "ann")
    other = replace(extra, id="present")
    applied = await apply_campaign(ledger, replace(plain, offers=(*OFFERS, other, extra)), "ann")
    assert [(offer.id, offer.no) for offer in applied.catalogue.offers] == [
        ("mall-50", 1),
        ("food-20", 2),
        ("present", 4),
        ("gift", 3),
    ]


async def test_all_reasons_are_told_at_once_and_nothing_is_done(ledger: Ledger, database_url: str) -> None:
    plain = campaign()
    await apply_campaign(ledger, plain, "ann")
    wrong = changed_waves(
        plain,
        w0={
            "opens_at": plain.waves[0].opens_at + timedelta(hours=1),
            "closes_at": plain.waves[0].closes_at + timedelta(hours=1),
            "stock": {"mall-50": 1},
        },
        w1={"stock": {"mall-50": 5, "nothing": 1}},
    )
    wrong = replace(wrong, offers=(OFFERS[0],), by="person", currency="EUR", title="Not applied")
    with pytest.raises(UsageError) as refused:
        await apply_campaign(ledger, wrong, "ann")
    said = str(refused.value)
    for reason in (
        "campaign spring was refused",
        "wave spring-next has stock of nothing",
        "wave spring-past has opened: opens_at, closes_at, stock cannot change",
        "offer food-20 cannot go away: wave spring-past opened with it",
        "by cannot change once a wave has opened",
        "currency cannot change once a wave has opened",
    ):
        assert reason in said
    plan = await plan_campaign(ledger, wrong)
    assert len(plan.refusals) == len(said.splitlines()) - 1
    assert "title changes" in plan.changes
    assert [row["revision"] for row in await rows_of(database_url, "select revision from campaigns")] == [1]


async def test_an_opened_wave_cannot_go_away(ledger: Ledger) -> None:
    plain = campaign()
    await apply_campaign(ledger, plain, "ann")
    with pytest.raises(UsageError, match="wave spring-past has opened: it cannot go away"):
        await apply_campaign(ledger, replace(plain, waves=plain.waves[1:]), "ann")


async def test_a_wave_that_the_hot_store_has_cannot_go_away(ledger: Ledger, database_url: str) -> None:
    plain = campaign()
    await apply_campaign(ledger, plain, "ann")
    await rows_of(database_url, "update waves set state = 'live' where wave_no = 2")
    without = replace(plain, waves=(plain.waves[0], plain.waves[2]))
    with pytest.raises(UsageError, match=r"spring-next .* close it before you take it out"):
        await apply_campaign(ledger, without, "ann")
    await rows_of(database_url, "update waves set state = 'closed' where wave_no = 2")
    assert (await apply_campaign(ledger, without, "ann")).changed


async def test_a_wave_id_belongs_to_one_campaign(ledger: Ledger) -> None:
    await apply_campaign(ledger, campaign("spring"), "ann")
    thief = campaign("summer", waves=(wave("spring-next"), wave("summer-next")))
    with pytest.raises(UsageError, match="wave spring-next belongs to campaign spring"):
        await apply_campaign(ledger, thief, "ann")
    assert await read_catalogue(ledger, "summer") is None


async def test_the_same_campaign_applied_many_times_at_once(ledger: Ledger) -> None:
    applied = await asyncio.gather(*(apply_campaign(ledger, campaign(), f"person {no}") for no in range(8)))
    assert sorted(each.changed for each in applied) == [False] * 7 + [True]
    assert {each.catalogue.revision for each in applied} == {1}


async def test_campaigns_applied_at_once_get_numbers_of_their_own(ledger: Ledger) -> None:
    names = [f"c{number}" for number in range(6)]
    applied = await asyncio.gather(*(apply_campaign(ledger, campaign(name), "ann") for name in names))
    assert sorted(each.catalogue.campaign_no for each in applied) == list(range(6))


async def test_of_two_that_claim_a_wave_at_once_one_is_told(ledger: Ledger) -> None:
    both = [campaign(name, waves=(wave("contested"),)) for name in ("one", "two")]
    outcomes = await asyncio.gather(*(apply_campaign(ledger, each, "ann") for each in both), return_exceptions=True)
    refused = [each for each in outcomes if isinstance(each, UsageError)]
    assert len(refused) == 1
    assert "wave contested belongs to campaign" in str(refused[0])


async def test_another_order_is_a_change_and_keeps_the_numbers(ledger: Ledger) -> None:
    plain = campaign()
    await apply_campaign(ledger, plain, "ann")
    turned = replace(plain, offers=plain.offers[::-1])
    assert (await plan_campaign(ledger, turned)).changes == ("the order of offers or waves changes",)
    applied = await apply_campaign(ledger, turned, "ann")
    assert applied.changed
    assert [(offer.id, offer.no) for offer in applied.catalogue.offers] == [("food-20", 2), ("mall-50", 1)]


async def test_an_hour_that_comes_twice_is_the_same_hour_again(ledger: Ledger) -> None:
    """New York turns its clocks back on 1 November 2026: 01:30 local is at 05:30 and at 06:30 UTC."""
    opens_at = datetime(2026, 11, 1, 1, 30, tzinfo=ZoneInfo("America/New_York"))
    night = campaign(timezone="America/New_York", waves=(wave("spring-night", opens_at),))
    for changed in (True, False):
        assert (await apply_campaign(ledger, night, "ann")).changed == changed


async def test_a_plan_changes_nothing(ledger: Ledger) -> None:
    plan = await plan_campaign(ledger, campaign())
    assert plan.changes == ("new campaign: 2 offers, 3 waves",)
    assert plan.refusals == ()
    assert await read_catalogue(ledger, "spring") is None
    await apply_campaign(ledger, campaign(validity=Validity(days_after_claim=14)), "ann")
    plan = await plan_campaign(ledger, campaign(title="New", offers=(*OFFERS, replace(OFFERS[0], id="more"))))
    assert plan.changes == (
        "title changes",
        "validity changes",
        "offer mall-50 gets a new version of its terms, for claims from now on",
        "offer food-20 gets a new version of its terms, for claims from now on",
        "new offer more",
    )
