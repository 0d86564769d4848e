"""When a wave takes claims: by the store's clock and nobody else's (P6). Time is chosen by schedule, not waited for."""

from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from engine.domain.outcome import Claimed, RefusalCode, Refused
from engine.hotstore import keys
from engine.hotstore.store import HotStore
from tests.support.drop import HOUR_MS, Drop, ask, campaign, catalogue_of, wave

STOCK: Mapping[str, int] = {"o1": 100}


async def dropped(store: HotStore, opens_in_ms: int, closes_in_ms: int = HOUR_MS) -> Drop:
    now_ms = await store.time_ms()
    drop = Drop(store, catalogue_of(campaign([wave("w1", now_ms + opens_in_ms, now_ms + closes_in_ms, STOCK)])))
    await drop.load()
    return drop


@pytest.mark.loops
async def test_opens_and_closes_by_itself_to_the_millisecond(store: HotStore) -> None:
    """Asked without a pause until it has closed: every answer is the one that its instant calls for."""
    for lead_ms in (100, 500, 2_500):  # a busy machine may sleep through the first waves
        if {"not open", "claimed"} <= await _asked_through(store, lead_ms):
            return
        await store.call("FLUSHALL")
    raise AssertionError("no wave was seen before its opening and after it")


async def _asked_through(store: HotStore, lead_ms: int) -> set[str]:
    drop = await dropped(store, opens_in_ms=lead_ms, closes_in_ms=2 * lead_ms)
    state = (await drop.view()).waves[1]
    seen: list[str] = []
    while "closed" not in seen:
        batch = await drop.batch(ask(f"u{len(seen)}"))
        answer = batch.answers[0]
        if isinstance(answer, Claimed):
            assert state.opens_ms <= answer.claim.claimed_at_ms == batch.now_ms < state.closes_ms
            seen.append("claimed")
        elif batch.now_ms < state.opens_ms:
            assert answer == Refused(RefusalCode.NOT_OPEN, at_ms=state.opens_ms)
            seen.append("not open")
        elif batch.now_ms >= state.closes_ms:
            assert answer == Refused(RefusalCode.CLOSED, at_ms=state.closes_ms)
            seen.append("closed")
        else:
            assert isinstance(answer, Refused)
            assert answer.code == RefusalCode.SOLD_OUT
            assert seen.count("claimed") == STOCK["o1"]
            seen.append("sold out")
    return set(seen)


async def test_nobody_is_let_in_before_the_opening(store: HotStore) -> None:
    drop = await dropped(store, opens_in_ms=HOUR_MS, closes_in_ms=2 * HOUR_MS)
    batch = await drop.batch(*(ask(f"u{nth}") for nth in range(8)))
    opens_ms = (await drop.view()).waves[1].opens_ms
    assert batch.answers == [Refused(RefusalCode.NOT_OPEN, at_ms=opens_ms)] * 8
    assert await store.call("HEXISTS", drop.keys.meta, keys.latch_field(1)) == 0


@pytest.mark.parametrize("step_back_ms", [1, 30_000, 59_000])
async def test_once_open_a_clock_that_steps_back_does_not_shut_it(store: HotStore, step_back_ms: int) -> None:
    """A clock that steps back by so much stands before the opening again: the same as an opening that much later."""
    drop = await dropped(store, opens_in_ms=-HOUR_MS)
    await drop.granted(ask("first"))
    state = await drop.change(opens_ms=await drop.now_ms() + step_back_ms)
    claim = (await drop.granted(ask("second"))).claim
    assert claim.claimed_at_ms >= state.opens_ms, "nobody claims before the opening, by the printed time"
    held = await drop.claim(ask("second"))
    assert held == Claimed(claim, replayed=True)
    logged = (await drop.log())[-1].claims[0]
    assert logged == claim, "the log says the same instant"


async def test_a_wave_that_nobody_saw_open_is_not_open(store: HotStore) -> None:
    drop = await dropped(store, opens_in_ms=30_000)
    assert await drop.claim(ask("early")) == Refused(RefusalCode.NOT_OPEN, at_ms=(await drop.view()).waves[1].opens_ms)


async def test_a_wave_that_is_moved_by_more_than_a_minute_shuts(store: HotStore) -> None:
    drop = await dropped(store, opens_in_ms=-HOUR_MS)
    await drop.granted(ask("first"))
    state = await drop.change(opens_ms=await drop.now_ms() + 90_000)
    assert await drop.claim(ask("second")) == Refused(RefusalCode.NOT_OPEN, at_ms=state.opens_ms)


async def test_a_refusal_latches_too(store: HotStore) -> None:
    """Whoever was told "sold out" or "paused" has seen it open; nobody may hear "not open" after that."""
    drop = await dropped(store, opens_in_ms=-HOUR_MS)
    await drop.change(state="paused", reason="moment")
    assert await drop.claim(ask("first")) == Refused(RefusalCode.PAUSED, reason="moment")
    assert await store.call("HEXISTS", drop.keys.meta, keys.latch_field(1)) == 1
    await drop.change(opens_ms=await drop.now_ms() + 30_000)
    assert await drop.claim(ask("first")) == Refused(RefusalCode.PAUSED, reason="moment")


async def test_replays_during_a_pause_after_the_close_and_after_sold_out(store: HotStore) -> None:
    """P5: the same claim, with the same code, whatever has become of the wave."""
    drop = await dropped(store, opens_in_ms=-HOUR_MS)
    won = Claimed((await drop.granted(ask("winner"))).claim, replayed=True)
    claimed = len((await drop.batch(*(ask(f"u{nth}") for nth in range(99)))).answers) + 1
    assert (await drop.view()).left[1, 1] == 100 - claimed == 0
    assert await drop.claim(ask("winner")) == won
    state = await drop.change(state="paused", reason="moment")
    assert await drop.claim(ask("winner")) == won
    await drop.change(state="cancelled", reason="storm")
    assert await drop.claim(ask("winner")) == won
    await drop.put(1, state)
    await drop.change(state="closed", closed_ms=await drop.now_ms())
    assert await drop.claim(ask("winner")) == won
    await drop.change(state="live", opens_ms=1, closes_ms=2)
    assert await drop.claim(ask("winner")) == won
    # Even a wave that is put with other offers, or is not there at all any more
    await drop.change(opens_ms=1, closes_ms=2**41)
    await store.call("HDEL", drop.keys.meta, keys.wave_field(1))
    assert await drop.claim(ask("winner")) == won
    assert await drop.claim(ask("loser")) == Refused(RefusalCode.UNKNOWN_WAVE)


async def test_asked_again_because_redis_takes_no_writes_nothing_is_written(store: HotStore) -> None:
    """Not even what is kept of a wave after an act: a write would cost replays their answers."""
    drop = await dropped(store, opens_in_ms=-HOUR_MS)
    won = await drop.granted(ask("winner"))
    await drop.change(state="live")
    before = await store.call("HGETALL", drop.keys.meta)
    assert await drop.claim(ask("winner"), lag_max=0) == replace(won, replayed=True)
    assert await drop.claim(ask("other"), lag_max=0) == Refused(RefusalCode.BUSY)
    assert await store.call("HGETALL", drop.keys.meta) == before


async def test_claimed_at_is_the_stores_clock(store: HotStore) -> None:
    drop = await dropped(store, opens_in_ms=-HOUR_MS)
    before_ms = await drop.now_ms()
    claim = (await drop.granted(ask("ann"))).claim
    assert before_ms <= claim.claimed_at_ms <= await drop.now_ms()
    assert (await drop.log())[-1].at_ms == claim.claimed_at_ms
