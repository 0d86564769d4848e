"""The steward: whatever is missing in the hot store, it brings about, once; and only one of them leads."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from engine.domain.campaign import Campaign, Limit
from engine.domain.outcome import Claimed
from engine.errors import ShardBroken
from engine.hotstore.log import tell_settled
from engine.hotstore.scripts import Fenced
from engine.hotstore.store import HotStore
from engine.hotstore.view import loaded_campaigns, read_shard
from engine.ledger.campaigns import apply_campaign
from engine.ledger.database import Ledger
from engine.ledger.quarantine import Place as QuarantinePlace
from engine.ledger.quarantine import list_quarantined
from engine.scheduling.steward import ROLE, Steward
from engine.settings import Settings
from engine.settling.quarantine import void
from engine.settling.recovery import Recovery
from engine.settling.settler import Settler
from tests.support.drop import HOUR_MS, Drop, ask, campaign, wave
from tests.support.own_redis import own_redis
from tests.support.stage import Stage
from tests.support.waiting import wait_until

DAY_MS = 24 * HOUR_MS


class House:
    """Both stores, and stewards on them."""

    def __init__(self, store: HotStore, ledger: Ledger, settings: Settings) -> None:
        self.store = store
        self.ledger = ledger
        self.settings = settings
        self.recovery = Recovery(store, ledger, Settler(ledger), settings)
        self.now_ms = 0

    def steward(self, **other: int) -> Steward:
        settings = replace(self.settings, **other)
        return Steward(self.store, self.ledger, self.recovery.recover, self.recovery.retire, settings)

    async def leading(self) -> Steward:
        """A steward that leads, and looks when it is told to."""
        steward = self.steward()
        await steward._lead()
        return steward

    async def apply(self, campaign: Campaign) -> Stage:
        stage = Stage(self.store, self.ledger, self.settings)
        await stage.apply(campaign)
        return stage

    async def see(self, stage: Stage) -> Drop:
        """The drop, in the epoch that is live."""
        stage.drop.epoch = (await stage.drop.view()).epoch
        return stage.drop


@pytest.fixture
async def house(store: HotStore, ledger: Ledger, settings: Settings) -> House:
    house = House(store, ledger, settings)
    house.now_ms = await store.time_ms()
    return house


def running(house: House, *, id: str = "spring", opens_in_ms: int = -HOUR_MS, closes_in_ms: int = HOUR_MS) -> Campaign:
    waves = [wave(f"{id}-1", house.now_ms + opens_in_ms, house.now_ms + closes_in_ms, {"o1": 9})]
    return campaign(waves, id=id, limits=[Limit(1, "wave")])


async def _term(house: House) -> int:
    row = await house.ledger.fetch_row("select term from leases where role = $1", ROLE)
    assert row is not None
    return int(row["term"])


async def _leads(steward: Steward) -> bool:
    return steward._lease is not None


# What it brings about


@pytest.mark.loops
async def test_a_new_campaign_is_loaded_and_put(house: House) -> None:
    stage = await house.apply(running(house))
    steward = await house.leading()
    await steward.look_once()
    drop = await house.see(stage)
    await drop.granted(ask("ann"))
    view = await drop.view()
    assert view.catalogue == stage.catalogue
    await stage.settle()
    await stage.whole()


async def test_what_is_there_is_left_alone(house: House) -> None:
    stage = await house.apply(running(house))
    steward = await house.leading()
    await steward.look_once()
    before = await stage.drop.view()
    for _ in range(5):
        await steward.look_once()
    assert replace(await stage.drop.view(), now_ms=0) == replace(before, now_ms=0)


async def test_without_the_lease_it_does_nothing(house: House) -> None:
    await house.apply(running(house))
    await house.steward().look_once()
    assert await loaded_campaigns(house.store) == []


async def test_a_new_revision_is_put(house: House) -> None:
    first = running(house, opens_in_ms=HOUR_MS, closes_in_ms=2 * HOUR_MS)
    stage = await house.apply(first)
    steward = await house.leading()
    await steward.look_once()
    moved = replace(first.waves[0], stock={"o1": 3, "o2": 1})
    another = wave("spring-2", house.now_ms - HOUR_MS, house.now_ms + HOUR_MS, {"o3": 1})
    await apply_campaign(house.ledger, replace(first, waves=(moved, another), limits=(Limit(2, "campaign"),)), "tester")
    await steward.look_once()
    assert (await stage.drop.view()).catalogue.revision == 1, "not while the ledger does not know of every act"
    await stage.settle()
    await steward.look_once()
    view = await stage.drop.view()
    assert view.catalogue.revision == 2
    assert view.left == {(1, 1): 3, (1, 2): 1, (2, 3): 1}
    drop = await house.see(stage)
    assert (await drop.granted(ask("ann", 3, wave=2))).claim.unit == 1
    await stage.settle()


async def test_an_offer_that_was_taken_out_and_put_back_has_its_stock_once(house: House) -> None:
    first = running(house, opens_in_ms=HOUR_MS, closes_in_ms=2 * HOUR_MS)
    both = replace(first, waves=(replace(first.waves[0], stock={"o1": 9, "o2": 5}),))
    stage = await house.apply(both)
    steward = await house.leading()
    for version in (both, first, both):
        applied = await apply_campaign(house.ledger, version, "tester")
        await steward.look_once()
        assert (await stage.drop.view()).catalogue == applied.catalogue
        await stage.settle()
    assert (await stage.drop.view()).left == {(1, 1): 9, (1, 2): 5}


@pytest.mark.loops
async def test_a_wave_past_its_closing_is_closed_exactly_once(house: House) -> None:
    stage = await house.apply(running(house, opens_in_ms=-2 * HOUR_MS, closes_in_ms=-HOUR_MS))
    steward = await house.leading()
    for _ in range(5):
        await steward.look_once()
    acts = [entry.act for entry in await stage.drop.log() if entry.act]
    assert [(act.kind, act.actor) for act in acts] == [("put_wave", ROLE), ("put_campaign", ROLE), ("close", ROLE)]
    closed = (await stage.drop.view()).waves[1]
    assert (closed.state, closed.closed_ms) == ("closed", house.now_ms - HOUR_MS)
    await stage.settle()
    await house.store.call("FLUSHALL")
    for _ in range(3):
        await steward.look_once()
    assert (await stage.drop.view()).waves[1] == closed
    assert (await stage.drop.view()).last == 0, "a closed wave that was loaded is closed"


async def test_an_open_wave_is_closed_when_its_time_has_come(house: House) -> None:
    """No sleep: its closing is 150 ms away, and the steward looks until it is past."""
    stage = await house.apply(running(house, closes_in_ms=300))
    steward = await house.leading()
    await steward.look_once()

    async def closed() -> bool:
        await steward.look_once()
        return (await stage.drop.view()).waves[1].state == "closed"

    await wait_until(closed)
    assert await house.store.time_ms() >= house.now_ms + 300
    assert [e.act.kind for e in await stage.drop.log() if e.act] == ["put_wave", "put_campaign", "close"]


@pytest.mark.parametrize("lost", ["everything", "head", "holders", "left", "meta"])
async def test_what_is_lost_is_loaded(house: House, lost: str) -> None:
    stage = await house.apply(running(house))
    steward = await house.leading()
    await steward.look_once()
    drop = await house.see(stage)
    claim = (await drop.granted(ask("ann"))).claim
    await stage.settle()
    if lost == "everything":
        await house.store.call("FLUSHALL")
    else:
        await house.store.call("DEL", getattr(drop.keys, lost))
    with pytest.raises(Fenced):
        await drop.claim(ask("ann"))
    await steward.look_once()
    drop = await house.see(stage)
    assert await drop.claim(ask("ann")) == Claimed(claim, replayed=True)
    assert (await drop.granted(ask("ben"))).claim.unit == 2
    await stage.whole()


async def test_a_campaign_that_was_struck_off_the_list_is_put_back(house: House) -> None:
    """Bound and on no list, no gateway would find it."""
    stage = await house.apply(running(house))
    steward = await house.leading()
    await steward.look_once()
    await house.store.call("DEL", "dropwave:campaigns")
    await steward.look_once()
    assert await loaded_campaigns(house.store) == ["spring"]
    await stage.settle()
    await stage.whole()


async def test_a_restarted_redis_is_bound_by_itself(ledger: Ledger, settings: Settings) -> None:
    async with own_redis() as own:
        store = await HotStore.connect(own.url, settings)
        house = House(store, ledger, settings)
        house.now_ms = await store.time_ms()
        stage = await house.apply(running(house))
        steward = house.steward()
        await steward.start()
        await wait_until(lambda: _bound(store))
        drop = await house.see(stage)
        claim = (await drop.granted(ask("ann"))).claim
        await own.restart()
        await wait_until(lambda: _bound(store))
        drop = await house.see(stage)
        assert await drop.claim(ask("ann")) == Claimed(claim, replayed=True)
        assert drop.epoch > claim.epoch
        await steward.stop()
        await store.close()


async def _bound(store: HotStore) -> bool:
    try:
        shard = await read_shard(store, "spring")
    except Exception:  # it is away for a moment: that is what is waited for
        return False
    return shard is not None and shard.bound and bool(shard.waves)


async def test_a_campaign_that_ended_long_ago_leaves(house: House) -> None:
    stage = await house.apply(running(house))
    steward = await house.leading()
    await steward.look_once()
    await stage.settle()  # the put is in the ledger; the claim is not yet
    drop = await house.see(stage)
    claim = (await drop.granted(ask("ann"))).claim
    house.settings = replace(house.settings, unload_after_ms=0)
    ended = house.steward()
    ended._lease = steward._lease
    # The wave is over in the ledger too, as it would be a week later.
    async with house.ledger.transaction() as connection:
        await connection.execute(
            "update waves set opens_at = now() - interval '9 days', closes_at = now() - interval '8 days'"
        )
    await ended.look_once()
    assert await house.store.call("DBSIZE") == 0
    assert await stage.settled_claims() == [claim]
    await ended.look_once()
    assert await house.store.call("DBSIZE") == 0, "and it is not loaded again"


async def test_a_campaign_that_ended_long_ago_is_never_loaded(house: House) -> None:
    await house.apply(running(house, opens_in_ms=-20 * DAY_MS, closes_in_ms=-19 * DAY_MS))
    await (await house.leading()).look_once()
    assert await house.store.call("DBSIZE") == 0


async def test_one_broken_campaign_does_not_keep_the_others_waiting(house: House) -> None:
    broken, fine = [await house.apply(running(house, id=id)) for id in ("a-broken", "b-fine")]
    steward = await house.leading()
    await steward.look_once()
    await house.see(broken)
    await broken.drop.granted(ask("ann"))
    await house.store.call("DEL", broken.drop.keys.log)
    await house.store.call("HDEL", broken.drop.keys.holders, "ann")
    with pytest.raises(ShardBroken):
        await house.recovery.recover(broken.catalogue, await _term(house))
    await house.store.call("DEL", *(await house.see(fine)).keys[2:])
    for _ in range(3):
        await steward.look_once()
    assert (await (await house.see(fine)).granted(ask("ann"))).claim.unit == 1
    assert not (await broken.drop.view()).bound
    with pytest.raises(Fenced):
        await broken.drop.claim(ask("ann"))


async def test_a_ledger_that_went_back_gets_everything_again(house: House) -> None:
    """Claims, cursor and leases: the shard has what the ledger lost, and the steward outdoes its own former self."""
    stage = await house.apply(running(house))
    steward = await house.leading()
    await steward.look_once()
    drop = await house.see(stage)
    for name in ("ann", "bob"):
        await drop.granted(ask(name))
    await stage.settle()
    claims, view = await stage.settled_claims(), await drop.view()
    await tell_settled(house.store, drop.campaign, (view.epoch, view.last))
    await steward.look_once()
    assert (await house.see(stage)).epoch == view.epoch, "nothing went back yet"

    async with house.ledger.transaction() as connection:
        await connection.execute("delete from vouchers; delete from claims; update cursors set last = last - 2")
    forgotten = await _term(house) + 1_000_000  # a term of a clock that was ahead, of stewards whom the ledger lost
    await house.store.call("HSET", drop.keys.head, "lease", forgotten)
    await steward.look_once()
    assert await _term(house) == forgotten + 1
    await steward.look_once()
    assert (await house.see(stage)).epoch > view.epoch
    assert await stage.settled_claims() == claims
    await stage.whole()


async def test_a_void_that_the_ledger_lost_is_done_again(house: House) -> None:
    """The log brings the claim back, so nothing but the void itself is missing."""
    stage = await house.apply(running(house))
    steward = await house.leading()
    await steward.look_once()
    drop = await house.see(stage)
    await house.ledger.fetch("alter table claims add constraint not_this check (claimant <> 'odd')")
    odd = (await drop.granted(ask("odd"))).claim
    await stage.settle()
    await void(
        house.ledger,
        house.store,
        QuarantinePlace("spring", odd.epoch, odd.sequence),
        "bob",
        "a test",
        unload_after_ms=HOUR_MS,
    )
    epoch = (await drop.view()).epoch
    await steward.look_once()
    assert (await drop.view()).epoch == epoch, "nothing is amiss"
    await house.ledger.fetch("update quarantine set state = 'held', ended_at = null")
    await steward.look_once()
    assert (await drop.view()).epoch > epoch
    assert [each.state for each in await list_quarantined(house.ledger)] == ["voided"]
    assert odd not in await stage.held_claims()


async def test_a_campaign_that_the_ledger_lost_sells_nothing_until_it_is_applied_again(house: House) -> None:
    stage = await house.apply(running(house))
    steward = await house.leading()
    await steward.look_once()
    drop = await house.see(stage)
    await drop.granted(ask("ann"))
    async with house.ledger.transaction() as connection:
        await connection.execute("alter table trail disable trigger all")  # it is only ever added to
        await connection.execute("truncate campaigns, claims, vouchers, acts, trail cascade")
    await steward.look_once()
    with pytest.raises(Fenced):
        await drop.claim(ask("bob"))

    await apply_campaign(house.ledger, running(house), "ops")
    steward._left_alone_until_s.clear()
    await steward.look_once()
    await (await house.see(stage)).granted(ask("bob"))
    assert [claim.claimant for claim in await stage.settled_claims()] == ["ann"]


async def test_a_steward_that_another_one_replaced_does_not_outdo_it(house: House) -> None:
    stage = await house.apply(running(house))
    sleeping = await house.leading()
    await house.ledger.fetch("update leases set expires_at = now() where role = $1", ROLE)
    awake = await house.leading()
    term = await _term(house)
    await awake.look_once()
    await house.store.call("DEL", (await house.see(stage)).keys.meta)
    await sleeping.look_once()
    assert not await _leads(sleeping)
    assert await _term(house) == term


# Who leads


@pytest.fixture
async def two(house: House) -> AsyncIterator[tuple[Steward, Steward]]:
    pair = house.steward(lease_ms=400, steward_pass_ms=20), house.steward(lease_ms=400, steward_pass_ms=20)
    yield pair
    for steward in pair:
        await steward.stop()


async def test_of_two_one_leads(house: House, two: tuple[Steward, Steward]) -> None:
    stage = await house.apply(running(house, opens_in_ms=-2 * HOUR_MS, closes_in_ms=-HOUR_MS))
    await asyncio.gather(*(steward.start() for steward in two))
    await wait_until(lambda: _closed(stage))
    assert sum([await _leads(steward) for steward in two]) == 1
    assert [e.act.kind for e in await stage.drop.log() if e.act] == ["put_wave", "put_campaign", "close"]


async def _closed(stage: Stage) -> bool:
    shard = await read_shard(stage.store, "spring")
    return shard is not None and bool(shard.waves) and shard.waves[1].state == "closed"


async def test_the_next_one_leads_at_once_when_one_stops(house: House, two: tuple[Steward, Steward]) -> None:
    await two[0].start()
    await wait_until(lambda: _leads(two[0]))
    await two[1].start()
    term = await _term(house)
    await two[0].stop()
    await wait_until(lambda: _leads(two[1]))
    assert not await _leads(two[0])
    assert await _term(house) > term
    await two[0].stop()


async def test_one_that_died_is_replaced_when_its_lease_ends(house: House, two: tuple[Steward, Steward]) -> None:
    dead = house.steward(lease_ms=400, steward_pass_ms=20)
    await dead._lead()
    term = await _term(house)
    await two[0].start()
    await wait_until(lambda: _leads(two[0]))
    assert await _term(house) > term


async def test_one_that_slept_does_nothing_and_stands_back(house: House) -> None:
    stage = await house.apply(running(house, opens_in_ms=-2 * HOUR_MS, closes_in_ms=-HOUR_MS))
    late, next_one = house.steward(lease_ms=100, steward_pass_ms=20), house.steward()
    await late._lead()
    await late.look_once()

    async def taken_over() -> bool:
        await next_one._lead()
        return await _leads(next_one)

    await wait_until(taken_over)
    await house.store.call("FLUSHALL")
    await next_one.look_once()
    before = await stage.drop.view()
    await house.store.call("HSET", stage.drop.keys.head, "incarnation", "")
    await late.look_once()
    assert not await _leads(late), "the store has seen a later term"
    assert replace(await stage.drop.view(), now_ms=0, bound=True, incarnation="") == replace(
        before, now_ms=0, bound=True, incarnation=""
    )


@pytest.mark.loops
async def test_starting_and_stopping_again_and_again(house: House) -> None:
    steward = house.steward()
    await steward.stop()
    for _ in range(3):
        await steward.start()
        await steward.start()
        await wait_until(lambda: _leads(steward))
        await steward.stop()
        await steward.stop()
    assert not await _leads(steward)
