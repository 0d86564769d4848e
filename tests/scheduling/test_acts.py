"""Acts: an absolute state under a number, done once whatever is lost, refused where another one came first."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace

from engine.domain.decisions import ActLine, Rules, WaveState
from engine.domain.outcome import Claimed, RefusalCode, Refused
from engine.errors import ActOutrun, ActRefused, HotStoreUnavailable, LeaseLost, ReplyLost
from engine.hotstore import load
from engine.hotstore.decide import act
from engine.hotstore.scripts import ACT, Fenced, OtherEpoch
from engine.hotstore.store import HotStore
from engine.scheduling import acts
from engine.scheduling.performing import Actor
from engine.settings import Settings
from tests.support.drop import HOUR_MS, Drop, ask, campaign, catalogue_of, wave
from tests.support.proxy import LOOPBACK, Fault, Proxy
from tests.support.stage import hook_store

OPS = Actor("ops", "a reason")
Act = Callable[[HotStore], Awaitable[bool]]


@pytest.fixture
async def drop(store: HotStore) -> Drop:
    now_ms = await store.time_ms()
    waves = [
        wave("open", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": 9, "o2": 9}),
        wave("to come", now_ms + HOUR_MS, now_ms + 2 * HOUR_MS, {"o1": 9}),
        wave("over", now_ms - 2 * HOUR_MS, now_ms - HOUR_MS, {"o1": 9}),
    ]
    drop = Drop(store, catalogue_of(campaign(waves)))
    await drop.load()
    return drop


async def acts_of(drop: Drop) -> list[ActLine]:
    return [entry.act for entry in await drop.log() if entry.act is not None]


@pytest.mark.loops
async def test_pause_and_resume(drop: Drop) -> None:
    held = (await drop.granted(ask("winner"))).claim
    assert await acts.pause(drop.store, "spring", 1, OPS)
    assert not await acts.pause(drop.store, "spring", 1, Actor("other", "other")), "it is paused already"
    assert await drop.claim(ask("ann")) == Refused(RefusalCode.PAUSED, reason="a reason")
    assert await drop.claim(ask("winner")) == Claimed(held, replayed=True)
    assert await acts.resume(drop.store, "spring", 1, OPS)
    assert not await acts.resume(drop.store, "spring", 1, OPS)
    assert (await drop.granted(ask("ann"))).claim.sequence == 4, "acts are numbered with the claims"
    state = (await drop.view()).waves[1]
    assert (state.state, state.reason) == ("live", "")
    lines = await acts_of(drop)
    assert [(line.number, line.kind, line.actor, line.reason, line.wave_no) for line in lines] == [
        (1, "pause", "ops", "a reason", 1),
        (2, "resume", "ops", "a reason", 1),
    ]
    assert lines[-1].state == state


@pytest.mark.loops
async def test_closing_on_schedule_and_at_once(drop: Drop) -> None:
    now_ms = await drop.now_ms()
    with pytest.raises(ActRefused, match="too early"):
        await acts.close(drop.store, "spring", 1, OPS, now_ms=now_ms, on_schedule=True)
    over = (await drop.view()).waves[3]
    assert await acts.close(drop.store, "spring", 3, OPS, now_ms=now_ms, on_schedule=True)
    assert not await acts.close(drop.store, "spring", 3, OPS, now_ms=now_ms, on_schedule=True)
    assert (await drop.view()).waves[3] == replace(over, state="closed", closed_ms=over.closes_ms)
    assert await acts.close(drop.store, "spring", 1, OPS, now_ms=now_ms)
    assert not await acts.close(drop.store, "spring", 1, OPS, now_ms=now_ms + 5)
    assert await drop.claim(ask("ann")) == Refused(RefusalCode.CLOSED, at_ms=now_ms)
    for undo in (acts.pause, acts.resume):
        with pytest.raises(ActRefused, match="wave open is closed"):
            await undo(drop.store, "spring", 1, OPS)
    assert len(await acts_of(drop)) == 2


async def test_closing_a_paused_wave(drop: Drop) -> None:
    await acts.pause(drop.store, "spring", 3, OPS)
    assert await acts.close(drop.store, "spring", 3, OPS, now_ms=await drop.now_ms(), on_schedule=True)


async def test_putting_a_wave_keeps_what_ops_did_to_it(drop: Drop) -> None:
    state = WaveState.of(drop.catalogue, drop.catalogue.waves[1])
    assert not await acts.put_wave(drop.store, "spring", 2, state, OPS), "it is there like that"
    await acts.pause(drop.store, "spring", 2, OPS)
    later = replace(state, opens_ms=state.opens_ms + 5)
    assert await acts.put_wave(drop.store, "spring", 2, later, OPS)
    assert (await drop.view()).waves[2] == replace(later, state="paused", reason="a reason")
    assert await acts.put_wave(drop.store, "spring", 7, replace(state, id="new"), OPS)
    assert (await drop.view()).left[7, 1] == 9


async def test_a_campaigns_rules_and_catalogue(drop: Drop) -> None:
    newer = replace(drop.catalogue, revision=2, limits=(), title="Late spring")
    assert await acts.put_campaign(drop.store, newer, OPS)
    with pytest.raises(ActRefused, match="revision 2 of spring is there already"):
        await acts.put_campaign(drop.store, drop.catalogue, OPS)
    view = await drop.view()
    assert view.catalogue == newer
    assert view.rules == Rules((), newer.cap)
    for wave_no in (1, 1):
        await drop.granted(ask("ann", wave=wave_no, request_no=1 + (await drop.view()).claims))
    (line,) = await acts_of(drop)
    assert (line.kind, line.revision, line.state) == ("put_campaign", 2, None)


@pytest.mark.loops
async def test_stock_goes_up_and_down_but_not_below_what_is_claimed(drop: Drop) -> None:
    await drop.batch(*(ask(f"u{nth}") for nth in range(4)))
    state = (await drop.view()).waves[1]

    async def restock(total: int) -> bool:
        return await drop.put(1, replace(state, offers=state.offers | {"1": replace(state.offers["1"], total=total)}))

    assert await restock(4)
    now_ms = await drop.now_ms()
    sold_out = await drop.claim(ask("late"))
    assert isinstance(sold_out, Refused)
    assert now_ms - 1_000 < sold_out.at_ms <= now_ms, "since the restock that left nothing"
    with pytest.raises(ActRefused, match="4 units of offer number 1 are claimed already"):
        await restock(3)
    assert await restock(6)
    assert (await drop.granted(ask("late"))).claim.unit == 5
    assert (await drop.view()).left[1, 1] == 1
    assert (await drop.view()).sold_out_ms == {}


@pytest.mark.loops
async def test_an_offer_that_leaves_and_comes_back_has_its_stock_once(drop: Drop) -> None:
    state = (await drop.view()).waves[1]
    without = replace(state, offers={"1": state.offers["1"]})
    await drop.put(1, without)
    assert (1, 2) not in (await drop.view()).left
    assert await drop.claim(ask("ann", 2)) == Refused(RefusalCode.UNKNOWN_OFFER)
    await drop.put(1, state)
    assert (await drop.view()).left[1, 2] == 9, "and not 18"
    await drop.granted(ask("ann", 2))
    with pytest.raises(ActRefused, match="1 units of offer number 2 are claimed already"):
        await drop.put(1, without)


@pytest.mark.loops
async def test_stopping_everything_and_starting_again(drop: Drop) -> None:
    held = (await drop.granted(ask("winner"))).claim
    await acts.pause(drop.store, "spring", 3, OPS)
    assert await acts.stop(drop.store, "spring", OPS)
    assert not await acts.stop(drop.store, "spring", Actor("other", "another reason"))
    assert await drop.claim(ask("ann")) == Refused(RefusalCode.STOPPED, reason="a reason")
    assert await drop.claim(ask("winner")) == Claimed(held, replayed=True)
    assert await acts.start(drop.store, "spring", OPS)
    assert not await acts.start(drop.store, "spring", OPS)
    await drop.granted(ask("ann"))
    assert (await drop.view()).waves[3].state == "paused", "what was paused before stays paused"


async def test_cancelling(drop: Drop) -> None:
    held = (await drop.granted(ask("winner"))).claim
    assert await acts.cancel(drop.store, "spring", 1, OPS)
    assert not await acts.cancel(drop.store, "spring", 1, OPS)
    assert await drop.claim(ask("ann")) == Refused(RefusalCode.CANCELLED, reason="a reason")
    assert await drop.claim(ask("winner")) == Claimed(held, replayed=True)
    with pytest.raises(ActRefused, match="wave open is cancelled"):
        await acts.resume(drop.store, "spring", 1, OPS)
    with pytest.raises(ActRefused, match="wave open is cancelled"):
        await acts.close(drop.store, "spring", 1, OPS, now_ms=1)


@pytest.mark.loops
async def test_a_restock_in_mid_drop_gives_exactly_that_many_more(drop: Drop) -> None:
    """Claims come all the time; nine units, then fifty: fifty claims in the end."""
    told = []

    async def crowd(first: int) -> None:
        for nth in range(first, first + 40):
            told.append(await drop.claim(ask(f"u{nth}")))

    crowds = [asyncio.create_task(crowd(start)) for start in (0, 40)]
    assert await acts.restock(drop.store, "spring", 1, {1: 50}, OPS)
    assert not await acts.restock(drop.store, "spring", 1, {1: 50}, OPS)
    await asyncio.gather(*crowds)
    await crowd(80)
    assert sum(isinstance(answer, Claimed) for answer in told) == 50
    with pytest.raises(ActRefused, match="50 units of offer number 1 are claimed already"):
        await acts.restock(drop.store, "spring", 1, {1: 49}, OPS)
    with pytest.raises(ActRefused, match="does not have offer number 3"):
        await acts.restock(drop.store, "spring", 1, {3: 1}, OPS)


async def test_only_a_wave_that_is_not_open_can_be_moved(drop: Drop) -> None:
    now_ms = await drop.now_ms()
    with pytest.raises(ActRefused, match="the wave has opened"):
        await acts.move(drop.store, "spring", 1, now_ms + HOUR_MS, now_ms + 2 * HOUR_MS, "2026-11-12", OPS)
    with pytest.raises(ActRefused, match="close before it opens"):
        await acts.move(drop.store, "spring", 2, now_ms, now_ms, "2026-11-12", OPS)
    assert await acts.move(drop.store, "spring", 2, now_ms - 1, now_ms + HOUR_MS, "2026-11-12", OPS)
    await drop.granted(ask("ann", wave=2))
    with pytest.raises(ActRefused, match="the wave has opened"):
        await acts.move(drop.store, "spring", 2, now_ms + HOUR_MS, now_ms + 2 * HOUR_MS, "2026-11-13", OPS)


async def test_unsold_units_move_once(drop: Drop) -> None:
    now_ms = await drop.now_ms()
    await drop.granted(ask("ann"))
    units = {"1": 8, "2": 9}
    with pytest.raises(ActRefused, match="not closed"):
        await acts.roll_out(drop.store, "spring", 1, units, OPS)
    await acts.close(drop.store, "spring", 1, OPS, now_ms=now_ms)
    for first in (True, False):
        assert await acts.roll_out(drop.store, "spring", 1, units, OPS) == first
        assert (await drop.view()).left == {(1, 1): 0, (1, 2): 0, (2, 1): 9, (3, 1): 9}
    for first in (True, False):
        assert await acts.roll_in(drop.store, "spring", 2, 1, {"1": 8}, OPS) == first
        assert (await drop.view()).left[2, 1] == 17
    with pytest.raises(ActRefused, match="does not have offer number 2"):
        await acts.roll_in(drop.store, "spring", 2, 3, units, OPS)


# Numbers and ids


async def test_of_two_who_saw_the_same_one_is_told(drop: Drop) -> None:
    state = (await drop.view()).waves[1]
    assert await drop.put(1, replace(state, state="paused"), number=1)
    with pytest.raises(ActOutrun, match="act 1 came first"):
        await drop.put(1, state, number=1)
    assert await drop.put(1, state, number=5), "above is enough"
    assert (await drop.view()).act == 5


@pytest.mark.loops
async def test_an_act_that_was_outrun_is_worked_out_anew(drop: Drop, redis_url: str, settings: Settings) -> None:
    """Between looking and putting somebody else restocks: both come out of it."""
    slow = await HotStore.connect(redis_url, settings)
    state = (await drop.view()).waves[1]
    restocked = replace(state, offers=state.offers | {"1": replace(state.offers["1"], total=50)})

    async def restock_meanwhile(step: int) -> None:
        if step == 3:  # it has read the epoch and the shard
            await drop.put(1, restocked)

    hook_store(slow, before=restock_meanwhile)
    assert await acts.pause(slow, "spring", 1, OPS)
    assert (await drop.view()).waves[1] == replace(restocked, state="paused", reason="a reason")
    assert [line.number for line in await acts_of(drop)] == [1, 2]
    await slow.close()


async def test_an_act_that_is_outrun_again_and_again_gives_up(drop: Drop, redis_url: str, settings: Settings) -> None:
    slow = await HotStore.connect(redis_url, settings)
    state = (await drop.view()).waves[2]

    async def always_first(step: int) -> None:
        await drop.put(2, replace(state, opens_ms=state.opens_ms - step))

    hook_store(slow, before=always_first)
    for outrun in (
        acts.pause(slow, "spring", 1, OPS),
        acts.put_campaign(slow, replace(drop.catalogue, revision=2), OPS),
    ):
        with pytest.raises(ActRefused, match="other acts on spring came first"):
            await outrun
    await slow.close()


@pytest.mark.loops
@pytest.mark.parametrize("fault", [Fault.CUT_BEFORE, Fault.CUT_AFTER, Fault.SWALLOW])
async def test_a_lost_reply_is_one_act(drop: Drop, redis_url: str, settings: Settings, fault: Fault) -> None:
    await drop.put(2, (await drop.view()).waves[2])  # loads the script
    async with Proxy(LOOPBACK, int(redis_url.rpartition(":")[2].partition("/")[0])) as proxy:
        short = replace(settings, redis_timeout_ms=200, redis_connect_timeout_ms=500)
        through = await HotStore.connect(proxy.url_of(redis_url), short)
        trap = proxy.trap(ACT.sha.encode(), fault)
        assert await acts.pause(through, "spring", 1, OPS)
        assert trap.sprung.is_set()
        assert [line.kind for line in await acts_of(drop)] == ["put_wave", "pause"]
        proxy.trap(ACT.sha.encode(), Fault.CUT_AFTER, times=100)
        with pytest.raises(ReplyLost):
            await acts.resume(through, "spring", 1, OPS)
        await through.close()
    assert (await drop.view()).waves[1].state == "live", "it may be done all the same: that is what ReplyLost says"
    assert len(await acts_of(drop)) == 3


async def test_operators_at_the_same_moment(drop: Drop) -> None:
    """Twenty acts at once: each is done or told; the log has exactly those that were done, in order."""
    done = await asyncio.gather(
        *(each(drop.store, "spring", 1 + nth % 2, OPS) for nth in range(10) for each in (acts.pause, acts.resume)),
        return_exceptions=True,
    )
    lines = await acts_of(drop)
    assert [line.number for line in lines] == list(range(1, len(lines) + 1))
    assert done.count(True) == len(lines)
    assert all(isinstance(each, bool | ActRefused) for each in done)


# Who may


async def test_acts_on_what_is_not_there(drop: Drop) -> None:
    for undo in (acts.pause, acts.resume):
        with pytest.raises(ActRefused, match="not in the hot store"):
            await undo(drop.store, "spring", 9, OPS)
        with pytest.raises(HotStoreUnavailable, match="autumn is not in the hot store"):
            await undo(drop.store, "autumn", 1, OPS)


async def test_acts_on_a_shard_that_is_not_bound(drop: Drop) -> None:
    state = (await drop.view()).waves[1]
    await load.unbind(drop.store, "spring", 1)
    with pytest.raises(Fenced):
        await acts.pause(drop.store, "spring", 1, OPS)
    line = ActLine(1, "an act", "pause", "ops", "why", 1, state=replace(state, state="paused"))
    seen = await load.unbind(drop.store, "spring", 1)
    await load.rebind(drop.store, "spring", 1, 0, 2, 1, seen.incarnation)
    with pytest.raises(OtherEpoch):
        await act(drop.store, "spring", 1, line)
    assert await act(drop.store, "spring", 2, line)


async def test_a_late_steward_is_refused_and_ops_need_no_lease(drop: Drop) -> None:
    assert await acts.pause(drop.store, "spring", 1, Actor("steward", "why", term=5))
    with pytest.raises(LeaseLost):
        await acts.resume(drop.store, "spring", 1, Actor("steward", "why", term=4))
    with pytest.raises(LeaseLost):
        await acts.put_campaign(drop.store, replace(drop.catalogue, revision=2), Actor("steward", "why", term=4))
    assert await acts.resume(drop.store, "spring", 1, OPS)
    assert await acts.pause(drop.store, "spring", 1, Actor("steward", "why", term=5))
