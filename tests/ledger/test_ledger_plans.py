"""What a plan says to a person, and every reason for which a file is refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from engine.domain.campaign import Campaign, Cap, Eligibility, Limit, Offer, Store, TagRule, Use, Validity, Wave
from engine.errors import UsageError
from engine.ledger.campaigns import all_catalogues, apply_campaign, find_wave, plan_campaign
from engine.ledger.changes import changes_of
from engine.ledger.cursors import read_cursor
from engine.ledger.database import Ledger
from engine.ledger.settlement import settle
from engine.ledger.standings import Standing, WaveStanding
from tests.ledger.samples import (
    FUTURE,
    OFFERS,
    STORES,
    campaign,
    claims,
    entry_of_act,
    rows_of,
    state_of,
    vouchers_of,
    wave,
)

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
FUNDED = (OFFERS[0], replace(OFFERS[1], funder="市商务局", code_page=True))
"""With what most files do not say at all."""


def running(**changes: Any) -> Campaign:
    """A campaign with a wave that is open now, and one to come."""
    waves = (wave("spring-open", NOW - HOUR), wave("spring-next"))
    return campaign(**({"waves": waves} | changes))


def with_open(**changes: Any) -> Campaign:
    """The same with changes to the wave that is open."""
    first, *rest = running().waves
    return running(waves=(replace(first, **changes), *rest))


async def told(ledger: Ledger, before: Campaign, after: Campaign) -> tuple[list[str], list[str]]:
    """Changes and refusals as lines, once `before` is applied."""
    await apply_campaign(ledger, before, "ann")
    plan = await plan_campaign(ledger, after)
    return [str(change) for change in plan.changes], list(plan.refusals)


# What a person reads


async def test_a_new_campaign_is_told_whole(ledger: Ledger) -> None:
    plan = await plan_campaign(ledger, campaign(limits=(Limit(1, "day"), Limit(5, "campaign")), cap=Cap(claims=9)))
    assert [str(change) for change in plan.changes] == [
        "new campaign Spring vouchers: 2 offers, 3 waves; 1 claim per day and 5 per campaign by account, cap 9 claims",
        "offer mall-50: new, Fifty off (threshold), face 5000, min_spend 15000, 1 store; terms version 1",
        "offer food-20: new, Twenty off (threshold), face 2000, min_spend 6000, 2 stores; terms version 1",
        "wave spring-past: new, opens 2021-09-17 20:00+08:00, closes 2021-09-18 00:00+08:00, "
        "stock mall-50 100, food-20 200",
        "wave spring-next: new, opens 2090-05-01 20:00+08:00, closes 2090-05-02 00:00+08:00, "
        "stock mall-50 100, food-20 200",
        "wave spring-last: new, opens 2090-05-08 20:00+08:00, closes 2090-05-09 00:00+08:00, "
        "stock mall-50 100, food-20 200",
    ]
    assert (plan.offers_kept, plan.waves_kept) == ((), ())


async def test_rules_of_the_campaign(ledger: Ledger) -> None:
    before = campaign(
        waves=(wave("spring-next"),),
        cap=Cap(claims=100),
        eligibility=Eligibility(cities=("武汉",), allow=frozenset({"u1", "u2"})),
    )
    after = replace(
        before,
        title="Summer",
        limits=(Limit(2, "day"), Limit(5, "campaign")),
        by="person",
        cap=Cap(claims=200, value=7_000),
        sandbox=True,
        eligibility=Eligibility(
            cities=("武汉", "宜昌"),
            tags=TagRule(any=("member", "staff"), none=("blocked",)),
            allow=frozenset({"u2", "u3", "u4"}),
            deny=frozenset({"u9"}),
        ),
    )
    assert await told(ledger, before, after) == (
        [
            "title: Spring vouchers → Summer",
            "limits: 1 claim per campaign → 2 claims per day and 5 per campaign",
            "by: account → person",
            "cap: 100 claims → 200 claims and a worth of 7000 minor units",
            "sandbox: no → yes",
            "eligibility, cities: 武汉 → 武汉, 宜昌",
            "eligibility, tags: any tags → any of the tags member, staff, none of the tags blocked",
            "eligibility, allow list: 2 → 3 accounts (2 more, 1 fewer)",
            "eligibility, deny list: 0 → 1 accounts (1 more, 0 fewer)",
        ],
        [],
    )


async def test_terms_name_their_fields_and_versions(ledger: Ledger) -> None:
    before = campaign()
    dearer = replace(before, offers=(replace(OFFERS[0], min_spend=20_000), OFFERS[1]))
    await apply_campaign(ledger, before, "ann")
    await apply_campaign(ledger, dearer, "ann")
    more = Offer(id="gift", title="A gift", kind="gift", stores=("s-1",), face=500)
    after = replace(
        dearer,
        offers=(replace(OFFERS[0], title="Half a hundred"), OFFERS[1], more),
        validity=Validity(until_ms=int(FUTURE.timestamp() * 1000)),
        stores={**STORES, "s-1": replace(STORES["s-1"], title="The first"), "s-3": Store("Third", "m-3", "宜昌")},
        use=Use(cities=("武汉",)),
    )
    plan = await plan_campaign(ledger, after)
    assert [str(change) for change in plan.changes] == [
        "validity: 7 natural days, the day of the drop included → until 2090-05-01 20:00+08:00",
        "use, cities: none → 武汉",
        "store s-1: title First → The first",
        "store s-3: new, Third in 宜昌",
        "offer mall-50: terms version 2 → 3 (title Fifty off → Half a hundred, min_spend 20000 → 15000, use, validity, "
        "stores as above); for claims from then on, earlier ones keep theirs",
        "offer food-20: terms version 1 → 2 (use, validity, stores as above); for claims from then on, earlier ones "
        "keep theirs",
        "offer gift: new, A gift (gift), face 500, 1 store; terms version 1",
    ]
    terms = plan.changes[4]
    assert (terms.part, terms.id, terms.field) == ("offer", "mall-50", "terms")
    assert terms.before == {"version": 2, "title": "Fifty off", "min_spend": 20_000}
    assert terms.after == {"version": 3, "title": "Half a hundred", "min_spend": 15_000}
    assert plan.waves_kept == ("spring-past", "spring-next", "spring-last")


async def test_waves_that_change_come_and_go(ledger: Ledger) -> None:
    past, following, _ = campaign().waves
    after = campaign(
        waves=(
            past,
            replace(
                following,
                opens_at=FUTURE + HOUR,
                stock={"mall-50": 7},
                round="second",
                rollover="spring-more",
                eligibility=Eligibility(cities=("武汉",)),
            ),
            wave("spring-more"),
        )
    )
    changes, refusals = await told(ledger, campaign(), after)
    assert changes == [
        "wave spring-next: opens 2090-05-01 20:00+08:00 → 2090-05-01 21:00+08:00",
        "wave spring-next: stock of mall-50 100 → 7",
        "wave spring-next: stock of food-20 200 → none",
        "wave spring-next: round first → second",
        "wave spring-next: unsold stock goes to: nowhere → spring-more",
        "wave spring-next: eligibility: as the campaign → in 武汉",
        "wave spring-more: new, opens 2090-05-01 20:00+08:00, closes 2090-05-02 00:00+08:00, "
        "stock mall-50 100, food-20 200",
        "wave spring-last: goes away",
    ]
    assert refusals == []
    await apply_campaign(ledger, after, "ann")
    plan = await plan_campaign(ledger, campaign())
    assert str(plan.changes[-2]).startswith("wave spring-last: comes back, opens 2090-05-08 20:00+08:00")


async def test_what_an_operator_did_is_neither_undone_nor_hidden(ledger: Ledger) -> None:
    """The wave was moved by an hour and restocked to 150; then the file changes its stock of the other offer."""
    plain = running()
    catalogue = (await apply_campaign(ledger, plain, "ann")).catalogue
    state = state_of(catalogue, 2)
    hour_ms = 3_600_000
    moved = replace(state, opens_ms=state.opens_ms + hour_ms, closes_ms=state.closes_ms + hour_ms)
    moved = replace(moved, offers=moved.offers | {"1": replace(moved.offers["1"], total=150)})
    cursor = await read_cursor(ledger, 0)
    await settle(ledger, cursor, 1, [], [], [entry_of_act(1, "move", wave_no=2, state=moved, revision=1)])
    following = replace(plain.waves[1], stock={"mall-50": 100, "food-20": 300})
    applied = await apply_campaign(ledger, running(waves=(plain.waves[0], following)), "ann")
    now = applied.catalogue.waves[1]
    assert (now.opens_at_ms, now.closes_at_ms) == (moved.opens_ms, moved.closes_ms)
    assert now.stock == {1: 150, 2: 300}
    both = replace(
        following, opens_at=FUTURE + 3 * HOUR, closes_at=FUTURE + 9 * HOUR, stock={"mall-50": 120, "food-20": 300}
    )
    plan = await plan_campaign(ledger, running(waves=(plain.waves[0], both)))
    assert [str(change) for change in plan.changes] == [
        "wave spring-next: opens 2090-05-01 21:00+08:00 → 2090-05-01 23:00+08:00 "
        "(an operator moved it since the file said 2090-05-01 20:00+08:00)",
        "wave spring-next: closes 2090-05-02 01:00+08:00 → 2090-05-02 05:00+08:00 "
        "(an operator moved it since the file said 2090-05-02 00:00+08:00)",
        "wave spring-next: stock of mall-50 150 → 120 (an operator restocked it since the file said 100)",
    ]
    early = replace(following, closes_at=FUTURE + HOUR)
    refusals = (await plan_campaign(ledger, running(waves=(plain.waves[0], early)))).refusals
    assert refusals == (
        "wave spring-next would open at 2090-05-01 21:00+08:00 and close at 2090-05-01 21:00+08:00; "
        "an operator has moved it: state both",
    )


async def test_eligibility_alone_leaves_the_rows_of_a_wave_alone(ledger: Ledger) -> None:
    """A restock that is not settled yet is newer than the row: an apply that does not mean it stays below."""
    plain = running()
    catalogue = (await apply_campaign(ledger, plain, "ann")).catalogue
    await apply_campaign(ledger, with_open(eligibility=Eligibility(cities=("武汉",))), "ann")
    state = state_of(catalogue, 1)
    restocked = replace(state, offers=state.offers | {"1": replace(state.offers["1"], total=150)})
    cursor = await read_cursor(ledger, 0)
    await settle(ledger, cursor, 1, [], [], [entry_of_act(1, "restock", wave_no=1, state=restocked, revision=1)])
    found = await find_wave(ledger, "spring-open")
    assert found is not None
    assert found[1].stock == {1: 150, 2: 200}
    assert found[1].eligibility == Eligibility(cities=("武汉",))


# Once a wave has opened


async def test_an_opened_wave_may_close_at_another_time_get_more_and_let_others_in(ledger: Ledger) -> None:
    first = running().waves[0]
    more = with_open(
        closes_at=first.closes_at + HOUR,
        stock={"mall-50": 150, "food-20": 200},
        eligibility=Eligibility(cities=("武汉",)),
        rollover="spring-next",
    )
    gift = Offer(id="gift", title="A gift", kind="gift", stores=("s-1",), face=500)
    titles = (replace(OFFERS[0], title="Half a hundred"), OFFERS[1], gift)
    more = replace(more, title="Summer", offers=titles, eligibility=Eligibility(deny=frozenset({"u1"})))
    _, refusals = await told(ledger, running(), more)
    assert refusals == []
    applied = (await apply_campaign(ledger, more, "ann")).catalogue
    assert applied.waves[0].stock == {1: 150, 2: 200}
    sooner = with_open(
        closes_at=first.closes_at - HOUR, stock={"mall-50": 150, "food-20": 200, "gift": 5}, rollover="spring-next"
    )
    applied = (await apply_campaign(ledger, replace(sooner, offers=titles), "ann")).catalogue
    assert applied.waves[0].closes_at_ms == round((first.closes_at - HOUR).timestamp() * 1000)
    assert applied.waves[0].stock == {1: 150, 2: 200, 3: 5}


OPENED = {
    "opening": (
        with_open(opens_at=NOW - 2 * HOUR),
        "wave spring-open has opened: its opening cannot change",
    ),
    "round": (with_open(round="second"), "wave spring-open has opened: its round cannot change"),
    "stock": (
        with_open(stock={"mall-50": 99, "food-20": 200}),
        "wave spring-open has opened: stock of mall-50 cannot go down from 100 to 99; "
        "`dropwave wave restock` can lower it to what is claimed",
    ),
    "an offer of it": (
        with_open(stock={"mall-50": 100}),
        "wave spring-open has opened: food-20 cannot be taken out of it",
    ),
    "itself": (
        running(waves=(wave("spring-next"),)),
        "wave spring-open has opened: it cannot go away; `dropwave wave close spring-open` ends it",
    ),
    "limits": (
        running(limits=(Limit(2, "campaign"),)),
        "limits cannot change once a wave has opened (1 claim per campaign stays): some have claimed under the old "
        "ones already",
    ),
    "by": (
        running(by="person"),
        "by cannot change once a wave has opened (account stays): claims before and after would be counted for "
        "different claimants",
    ),
    "currency": (
        running(currency="EUR"),
        "currency cannot change once a wave has opened (CNY stays): the amounts already promised would be summed with "
        "others",
    ),
    "timezone": (
        running(timezone="Asia/Tokyo"),
        "timezone cannot change once a wave has opened (Asia/Shanghai stays): the days of the claims already made "
        "would be others",
    ),
}


@pytest.mark.parametrize("what", OPENED)
async def test_what_may_not_change_once_a_wave_has_opened(what: str, ledger: Ledger) -> None:
    after, reason = OPENED[what]
    _, refusals = await told(ledger, running(), after)
    assert refusals == [reason]
    with pytest.raises(UsageError) as refused:
        await apply_campaign(ledger, after, "ann")
    assert str(refused.value) == f"campaign spring was refused:\n  {reason}"


async def test_an_opened_wave_cannot_close_in_the_past(ledger: Ledger) -> None:
    _, (refusal,) = await told(ledger, running(), with_open(closes_at=NOW - timedelta(minutes=1)))
    assert refusal.startswith("wave spring-open cannot close at ")
    assert refusal.endswith(", which is past; `dropwave wave close spring-open` ends it now")


async def test_stock_that_an_operator_raised_does_not_go_down_by_a_file(ledger: Ledger) -> None:
    catalogue = (await apply_campaign(ledger, running(), "ann")).catalogue
    state = state_of(catalogue, 1)
    restocked = replace(state, offers=state.offers | {"1": replace(state.offers["1"], total=150)})
    cursor = await read_cursor(ledger, 0)
    await settle(ledger, cursor, 1, [], [], [entry_of_act(1, "restock", wave_no=1, state=restocked, revision=1)])
    plan = await plan_campaign(ledger, with_open(stock={"mall-50": 120, "food-20": 200}))
    assert plan.refusals == (
        "wave spring-open has opened: stock of mall-50 cannot go down from 150 to 120; "
        "`dropwave wave restock` can lower it to what is claimed",
    )
    same = with_open(stock={"mall-50": 150, "food-20": 200})
    assert (await apply_campaign(ledger, same, "ann")).catalogue.waves[0].stock == {1: 150, 2: 200}


@pytest.mark.parametrize("state", ["closed", "cancelled"])
async def test_a_wave_that_is_over_stays_as_it_is(state: str, ledger: Ledger, database_url: str) -> None:
    """What it left unsold may be on its way to another wave."""
    await apply_campaign(ledger, running(), "ann")
    await rows_of(database_url, "update waves set state = $1 where wave_no = 1", state)
    after = with_open(closes_at=NOW + 9 * HOUR, stock={"mall-50": 150, "food-20": 200}, rollover="spring-next")
    plan = await plan_campaign(ledger, after)
    assert plan.refusals == (f"wave spring-open is {state}: closes_at, stock, rollover cannot change any more",)
    assert (await plan_campaign(ledger, with_open(eligibility=Eligibility(cities=("武汉",))))).refusals == ()


async def test_a_wave_that_ended_before_it_left_the_file_does_not_come_back(ledger: Ledger, database_url: str) -> None:
    await apply_campaign(ledger, running(), "ann")
    await rows_of(database_url, "update waves set state = 'cancelled' where wave_no = 2")
    await apply_campaign(ledger, running(waves=running().waves[:1]), "ann")
    assert (await plan_campaign(ledger, running())).refusals == (
        "wave spring-next was cancelled before it left the file, and would never open again: give it another id",
    )


# What is claimed


@pytest.mark.parametrize(
    ("cap", "reasons"),
    [
        (Cap(claims=3, value=15_000), []),
        (Cap(claims=2), ["a cap on claims of 2 is below what is claimed already: 3"]),
        (Cap(claims=9, value=14_999), ["a cap on value of 14999 is below what is claimed already: 15000"]),
    ],
)
async def test_a_cap_is_not_below_what_is_claimed(cap: Cap, reasons: list[str], ledger: Ledger) -> None:
    catalogue = (await apply_campaign(ledger, running(), "ann")).catalogue
    await settle(ledger, await read_cursor(ledger, 0), 3, claims(1, 3), vouchers_of(catalogue, claims(1, 3)), [])
    assert list((await plan_campaign(ledger, running(cap=cap))).refusals) == reasons


@pytest.mark.parametrize("sandbox", [False, True])
async def test_a_sandbox_stays_one_from_the_first_claim_on(sandbox: bool, ledger: Ledger) -> None:
    await apply_campaign(ledger, running(sandbox=not sandbox), "ann")
    catalogue = (await apply_campaign(ledger, running(sandbox=sandbox), "ann")).catalogue
    assert catalogue.sandbox == sandbox
    assert len(await all_catalogues(ledger, sandboxes=False)) == (not sandbox)
    await settle(ledger, await read_cursor(ledger, 0), 1, claims(1, 1), vouchers_of(catalogue, claims(1, 1)), [])
    wish = "stop being a sandbox" if sandbox else "become a sandbox"
    assert (await plan_campaign(ledger, running(sandbox=not sandbox))).refusals == (
        f"the campaign cannot {wish}: it has 1 claims; use another id",
    )


# Nothing changes unseen


@given(st.data())
def test_whatever_differs_is_told(data: st.DataObject) -> None:
    """Two campaigns that differ in anything at all have a change, and two that do not have none."""
    eligibilities = st.builds(
        Eligibility,
        cities=st.sampled_from([(), ("武汉",)]),
        allow=st.sampled_from([None, frozenset(), frozenset({"u1"})]),
        deny=st.sampled_from([frozenset(), frozenset({"u2"})]),
    )
    waves = st.builds(
        wave,
        st.sampled_from(["w1", "w2", "w3"]),
        opens_at=st.sampled_from([FUTURE, FUTURE + HOUR]),
        stock=st.dictionaries(st.sampled_from(["mall-50", "food-20"]), st.integers(0, 2)),
        round=st.sampled_from(["", "first"]),
        eligibility=st.none() | eligibilities,
        rollover=st.sampled_from([None, "w3"]),
    )
    campaigns = st.builds(
        campaign,
        title=st.sampled_from(["a", "b"]),
        timezone=st.sampled_from(["Asia/Shanghai", "Asia/Tokyo"]),
        currency=st.sampled_from(["CNY", "EUR"]),
        limits=st.sampled_from([(Limit(1, "campaign"),), (Limit(1, "day"), Limit(2, "campaign"))]),
        by=st.sampled_from(["account", "person"]),
        cap=st.builds(Cap, claims=st.none() | st.integers(1, 2)),
        sandbox=st.booleans(),
        eligibility=eligibilities,
        use=st.builds(Use, cities=st.sampled_from([(), ("武汉",)]), per_payment=st.integers(1, 2)),
        validity=st.builds(Validity, natural_days=st.integers(1, 2), from_day=st.sampled_from([UNSET, 2])),
        offers=st.sampled_from([OFFERS, OFFERS[::-1], OFFERS[:1], (replace(OFFERS[0], face=1), OFFERS[1]), FUNDED]),
        stores=st.sampled_from(
            [STORES, STORES | {"s-1": replace(STORES["s-1"], title="x")}, STORES | {"s-9": STORES["s-1"]}]
        ),
        waves=st.lists(waves, max_size=3, unique_by=lambda each: each.id).map(tuple),
    )
    before, after = data.draw(campaigns), data.draw(campaigns)
    stands = {
        each.id: WaveStanding(no, False, False, "scheduled", False, each.opens_at, each.closes_at, each.day, each.stock)
        for no, each in enumerate(before.waves, start=1)
    }
    terms = {offer.id: (1, before.terms_of(offer).hash()) for offer in before.offers}
    changes = changes_of(before, after, Standing(revision=1, waves=stands, terms=terms))
    assert bool(changes) == (before != after)
    assert all(change.text and change.before != change.after for change in changes)
    assert all("UNSET" not in change.text for change in changes)
    assert msgspec.json.encode(changes)


def test_every_field_is_known_to_the_plan() -> None:
    """A field that is added to these needs its words in ledger/changes.py."""
    assert len(Campaign.__struct_fields__) == 14
    assert len(Wave.__struct_fields__) == 8
    assert len(Eligibility.__struct_fields__) == 4
    assert len(Use.__struct_fields__) == 2
