"""Files that are applied to a ledger that went back in time, while the hot store still has what came of others."""

from collections.abc import Callable

import pytest
import structlog
from msgspec.structs import replace

from engine.domain.campaign import Campaign, Limit
from engine.errors import LedgerRefused
from engine.hotstore.scripts import Fenced
from engine.hotstore.store import HotStore
from engine.ledger.catalogues import read_catalogue
from engine.ledger.database import Ledger
from engine.scheduling.steward import Steward
from engine.settings import Settings
from tests.scheduling.test_steward import House
from tests.support.backup import back_up, go_back
from tests.support.drop import HOUR_MS, Drop, ask, campaign, wave
from tests.support.stage import Stage


@pytest.fixture
async def house(store: HotStore, ledger: Ledger, settings: Settings) -> House:
    house = House(store, ledger, settings)
    house.now_ms = await store.time_ms()
    return house


def spring(house: House, second_units: int = 0, *, id: str = "spring") -> Campaign:
    """An open wave; with `second_units` another one to come."""
    waves = [wave(f"{id}-1", house.now_ms - HOUR_MS, house.now_ms + HOUR_MS, {"o1": 9})]
    if second_units:
        opens_ms = house.now_ms + second_units * HOUR_MS
        waves.append(wave(f"{id}-2", opens_ms, opens_ms + HOUR_MS, {"o2": second_units}))
    return campaign(waves, id=id, limits=[Limit(1, "wave")])


def dearer(made: Campaign, face: int) -> Campaign:
    first, *others = made.offers
    return replace(made, offers=(replace(first, face=face), *others))


async def restored(house: House, steward: Steward) -> None:
    await go_back(house.ledger)
    steward._left_alone_until_s.clear()
    await steward._lead()


async def look(steward: Steward, times: int = 4) -> None:
    for _ in range(times):
        await steward.look_once()


async def claims_and_settles(stage: Stage, house: House, account: str) -> Drop:
    drop = await house.see(stage)
    await drop.granted(ask(account))
    await stage.settle()
    return drop


@pytest.mark.parametrize("log_is_there", [True, False])
@pytest.mark.parametrize("lost", [1, 2])
async def test_another_file_under_the_number_of_a_lost_revision_is_put(
    house: House, lost: int, log_is_there: bool
) -> None:
    stage = await house.apply(spring(house))
    steward = await house.leading()
    await look(steward, 1)
    await claims_and_settles(stage, house, "ann")
    await back_up(house.ledger)
    for units in range(2, 2 + lost):
        await house.apply(spring(house, units))
        await look(steward, 1)
        await claims_and_settles(stage, house, f"ben {units}")
    assert (await stage.drop.view()).catalogue.revision == 1 + lost
    claims = await stage.held_claims()

    await restored(house, steward)
    other = spring(house, 7)
    await stage.apply(other)
    assert stage.catalogue.revision == 2
    if log_is_there:
        with pytest.raises(LedgerRefused, match="which the ledger has lost"):  # the writer stops the shard for it
            await stage.settle()
    else:
        await house.store.call("XTRIM", stage.drop.keys.log, "MAXLEN", 0)
    await look(steward)
    await house.see(stage)
    await stage.settle()
    await look(steward)
    view, ledgers = await stage.drop.view(), await read_catalogue(house.ledger, "spring")
    assert ledgers is not None
    assert view.catalogue == ledgers
    assert view.catalogue.revision == 2 + lost
    for state in (view.waves[2].opens_ms, ledgers.waves[1].opens_at_ms):
        assert state == house.now_ms + 7 * HOUR_MS
    assert (view.waves[2].offers["2"].total, ledgers.waves[1].stock) == (7, {2: 7})
    assert await stage.settled_claims() == claims
    await stage.settle()
    await stage.whole()


async def test_a_file_that_is_applied_behind_the_refill_is_a_later_revision(house: House) -> None:
    stage = await house.apply(spring(house))
    steward = await house.leading()
    await look(steward, 1)
    await claims_and_settles(stage, house, "ann")
    await back_up(house.ledger)
    await house.apply(replace(spring(house), title="Another"))
    await look(steward, 1)
    await claims_and_settles(stage, house, "ben")
    await house.store.call("XTRIM", stage.drop.keys.log, "MAXLEN", 0)
    await restored(house, steward)
    await look(steward)
    assert (await read_catalogue(house.ledger, "spring") or stage.catalogue).revision == 1
    await stage.apply(spring(house, 7))
    assert stage.catalogue.revision == 3, "the hot store has a second one"
    await look(steward)
    assert (await stage.drop.view()).waves[2].offers["2"].total == 7


@pytest.mark.parametrize("claims", [True, False])
async def test_a_promise_under_the_number_of_a_lost_one_stops_the_shard(house: House, claims: bool) -> None:
    """What was promised at the claim counts: a voucher by the other promise would be a lie."""
    stage = await house.apply(spring(house))
    steward = await house.leading()
    await look(steward, 1)
    await claims_and_settles(stage, house, "ann")
    await back_up(house.ledger)
    await house.apply(dearer(spring(house), 700))
    await look(steward, 1)
    drop = await house.see(stage)
    claim = (await drop.granted(ask("ben"))).claim
    assert claim.terms_version == 2

    await restored(house, steward)
    await stage.apply(dearer(spring(house), 900))
    if claims:
        with pytest.raises(LedgerRefused):
            await stage.settle()
    with structlog.testing.capture_logs() as told:
        await look(steward)
    alarms = [line["error"] for line in told if line["event"] == "shard needs a person"]
    assert ["terms version 2 of offer o1 promises something else" in alarm for alarm in alarms] == [True]
    assert [claim.claimant for claim in await stage.settled_claims()] == ["ann"]
    with pytest.raises(Fenced):
        await drop.claim(ask("cat"))
    # As the alarm says: the backup once more, and then the file that was lost
    await restored(house, steward)
    await stage.apply(dearer(spring(house), 700))
    await look(steward)
    await house.see(stage)
    await stage.settle()
    assert sorted(claim.claimant for claim in await stage.settled_claims()) == ["ann", "ben"]
    await stage.whole()


def _offers_in_another_order(made: Campaign) -> Campaign:
    return replace(made, offers=made.offers[::-1])


def _waves_in_another_order(made: Campaign) -> Campaign:
    return replace(made, waves=made.waves[::-1])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_offers_in_another_order, "offer number 1 is o1 in the hot store, in the ledger o3 (o1: 3)"),
        (_waves_in_another_order, "wave number 1 is spring-1 in the hot store, in the ledger spring-2 (spring-1: 2)"),
    ],
)
async def test_numbers_that_mean_something_else_stop_the_shard(
    house: House, change: Callable[[Campaign], Campaign], why: str
) -> None:
    await back_up(house.ledger)
    stage = await house.apply(spring(house, 2))
    steward = await house.leading()
    await look(steward, 1)
    drop = await claims_and_settles(stage, house, "ann")
    await restored(house, steward)
    await stage.apply(change(spring(house, 2)))
    with structlog.testing.capture_logs() as told:
        await look(steward)
    assert [why in line["error"] for line in told if line["event"] == "shard needs a person"] == [True]
    assert await stage.settled_claims() == []
    with pytest.raises(Fenced):
        await drop.claim(ask("ben"))


async def test_campaigns_that_got_each_others_numbers_sell_and_settle_nothing(house: House) -> None:
    """Their codes begin with the numbers: vouchers of one would be taken for the other's."""
    await back_up(house.ledger)
    first, second = [await house.apply(spring(house, id=id)) for id in ("first", "second")]
    steward = await house.leading()
    await look(steward, 1)
    for stage in (first, second):
        await claims_and_settles(stage, house, f"who claimed in {stage.catalogue.id}")
    held = [await stage.held_claims() for stage in (first, second)]

    await restored(house, steward)
    for stage in (second, first):
        await stage.apply(spring(house, id=stage.catalogue.id))
    with structlog.testing.capture_logs() as told:
        await look(steward)
    alarms = [line["error"] for line in told if line["event"] == "shard needs a person"]
    assert ["the campaign has number" in alarm for alarm in alarms] == [True, True]
    for stage in (first, second):
        assert await stage.settled_claims() == []
        with pytest.raises(Fenced):
            await (await house.see(stage)).claim(ask("somebody"))

    await restored(house, steward)
    for stage in (first, second):
        await stage.apply(spring(house, id=stage.catalogue.id))
    await look(steward)
    for stage, claims in zip((first, second), held, strict=True):
        assert await stage.settled_claims() == claims
        await (await house.see(stage)).granted(ask("somebody"))
