"""Applying campaigns: whole, once, and never against what has opened."""

import asyncio
import re
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from engine.domain.campaign import Campaign, Catalogue, Eligibility, Limit, Offer, Use
from engine.domain.codes import campaign_prefix
from engine.errors import RevisionMoved, UsageError
from engine.ledger.campaigns import (
    Applied,
    Plan,
    all_catalogues,
    apply_campaign,
    find_wave,
    plan_campaign,
    read_catalogue,
)
from engine.ledger.cursors import Cursor, all_cursors, read_cursor
from engine.ledger.database import Ledger
from engine.scheduling.files import parse_campaign, read_campaign_file
from tests.ledger.samples import FUTURE, OFFERS, campaign, rows_of, wave

EXAMPLES = Path(__file__).parents[2] / "deploy" / "campaigns"
FILES = ["hubei-2021", "pizza-13", "daily-ten"]


def lines(plan: Plan) -> list[str]:
    """What a person reads of it."""
    return [change.text for change in plan.changes]


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
    numbered = Catalogue.first_of(read, code_prefix=campaign_prefix(0))
    assert catalogue == replace(numbered, applied_ms=catalogue.applied_ms)
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
        "wave spring-past is closed: opens_at, closes_at, stock cannot change any more",
        "offer food-20 cannot go away: wave spring-past opened with it",
        "by cannot change once a wave has opened",
        "currency cannot change once a wave has opened",
    ):
        assert reason in said
    plan = await plan_campaign(ledger, wrong)
    assert len(plan.refusals) == len(said.splitlines()) - 1
    assert "title: Spring vouchers → Not applied" in map(str, plan.changes)
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
    assert lines(await plan_campaign(ledger, turned)) == ["the order of offers: food-20, mall-50"]
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
    assert (plan.revision, len(plan.changes), plan.refusals) == (0, 6, ())
    assert await read_catalogue(ledger, "spring") is None


@pytest.mark.parametrize("name", FILES)
async def test_a_plan_of_what_is_applied_is_empty(name: str, ledger: Ledger) -> None:
    read = read_campaign_file(EXAMPLES / f"{name}.yaml")
    await apply_campaign(ledger, read, "ann")
    plan = await plan_campaign(ledger, read)
    assert (plan.revision, plan.changes, plan.refusals) == (1, (), ())
    assert plan.offers_kept == tuple(offer.id for offer in read.offers)
    assert plan.waves_kept == tuple(each.id for each in read.waves)


# Two operators at once


async def test_who_looked_at_an_older_revision_is_told(ledger: Ledger) -> None:
    plain = campaign()
    await apply_campaign(ledger, plain, "ann", expected_revision=0)
    await apply_campaign(ledger, replace(plain, title="Bob's"), "bob", expected_revision=1)
    with pytest.raises(RevisionMoved) as told:
        await apply_campaign(ledger, replace(plain, title="Ann's"), "ann", expected_revision=1)
    assert told.value.revision == 2
    assert re.fullmatch(
        r"campaign spring is at revision 2, applied by bob at [-\d]{10} [:\d]{8} UTC: look at the plan again",
        str(told.value),
    )
    read = await read_catalogue(ledger, "spring")
    assert read is not None
    assert (read.title, read.revision) == ("Bob's", 2)


async def test_a_new_campaign_may_be_expected_to_be_new(ledger: Ledger) -> None:
    with pytest.raises(RevisionMoved, match="campaign spring is not applied yet: look at the plan again"):
        await apply_campaign(ledger, campaign(), "ann", expected_revision=3)
    await apply_campaign(ledger, campaign(), "ann", expected_revision=0)
    with pytest.raises(RevisionMoved, match="is at revision 1, applied by ann"):
        await apply_campaign(ledger, campaign(title="Another"), "bob", expected_revision=0)


async def test_who_applies_the_same_again_is_not_refused(ledger: Ledger) -> None:
    """The reply to the first was lost, say: what was asked for is so."""
    await apply_campaign(ledger, campaign(), "ann", expected_revision=0)
    again = await apply_campaign(ledger, campaign(), "ann", expected_revision=0)
    assert (again.changed, again.catalogue.revision) == (False, 1)


async def test_of_two_operators_at_once_one_is_told(ledger: Ledger) -> None:
    await apply_campaign(ledger, campaign(), "ann")
    for revision in range(1, 6):
        outcomes = await asyncio.gather(
            *(
                apply_campaign(ledger, campaign(title=f"{name} {revision}"), name, expected_revision=revision)
                for name in ("ann", "bob", "eve")
            ),
            return_exceptions=True,
        )
        (applied,) = [each for each in outcomes if isinstance(each, Applied)]
        moved = [each for each in outcomes if isinstance(each, RevisionMoved)]
        assert len(moved) == 2
        winner = applied.catalogue.title.split()[0]
        assert all(f"at revision {revision + 1}, applied by {winner}" in str(each) for each in moved)


# More occurrences later


async def extended(ledger: Ledger, name: str, *changes: tuple[str, str]) -> tuple[Applied, Applied, Plan]:
    """The file applied, then changed and applied again; both applies and the plan between them."""
    text = (EXAMPLES / f"{name}.yaml").read_text("utf-8")
    first = await apply_campaign(ledger, parse_campaign(text, name), "ann")
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    longer = parse_campaign(text, name)
    plan = await plan_campaign(ledger, longer)
    return first, await apply_campaign(ledger, longer, "ann"), plan


async def test_a_longer_repeat_keeps_ids_and_numbers(ledger: Ledger) -> None:
    first, longer, plan = await extended(
        ledger,
        "daily-ten",
        ("times: 30", "times: 33"),
        ("{claims: 60000, value: 70000000}", "{claims: 70000, value: 75000000}"),
    )
    assert len(longer.catalogue.waves) == 33
    last = first.catalogue.waves[-1]
    assert longer.catalogue.waves[:29] == first.catalogue.waves[:29]
    assert longer.catalogue.waves[29] == replace(last, rollover="daily-ten-b031"), "it was the last, now it hands on"
    assert [(each.id, each.no) for each in longer.catalogue.waves[30:]] == [
        (f"daily-ten-b0{number}", number) for number in (31, 32, 33)
    ]
    assert plan.refusals == ()
    assert lines(plan) == [
        "cap: 60000 claims and a worth of 70000000 minor units → 70000 claims and a worth of 75000000 minor units",
        "wave daily-ten-b030: unsold stock goes to: nowhere → daily-ten-b031",
        "wave daily-ten-b031: new, opens 2027-04-01 10:00+08:00, closes 2027-04-01 23:00+08:00, "
        "stock coffee-10 1500, coffee-20off 500",
        "wave daily-ten-b032: new, opens 2027-04-02 10:00+08:00, closes 2027-04-02 23:00+08:00, "
        "stock coffee-10 1500, coffee-20off 500",
        "wave daily-ten-b033: new, opens 2027-04-03 10:00+08:00, closes 2027-04-03 23:00+08:00, "
        "stock coffee-10 1500, coffee-20off 500",
    ]


async def test_a_repeat_between_others_may_grow_though_all_are_over(ledger: Ledger) -> None:
    """The waves behind it in the file keep their numbers."""
    first, longer, plan = await extended(ledger, "hubei-2021", ("times: 4", "times: 5"))
    numbers = {each.id: each.no for each in longer.catalogue.waves}
    assert {each.id: each.no for each in first.catalogue.waves}.items() <= numbers.items()
    assert numbers["hubei-2021-r3-b005"] == 8
    assert [each.id for each in longer.catalogue.waves][-2:] == ["hubei-2021-r3-b005", "hubei-2021-r4-b1"]
    assert len(plan.changes) == 1
    assert len(plan.waves_kept) == 7
