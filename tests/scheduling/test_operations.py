"""What operators may do, by ids: checks before an act, what is said, and all campaigns at once."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from engine.domain.outcome import Claimed, RefusalCode, Refused
from engine.errors import ActRefused, HotStoreUnavailable, UnknownOffer, UnknownWave, UsageError
from engine.hotstore import keys
from engine.hotstore.store import HotStore
from engine.scheduling.operations import Operations, instant_ms
from engine.scheduling.performing import Actor
from tests.support.drop import HOUR_MS, Drop, ask, campaign, catalogue_of, wave

OPS = Actor("ops", "a reason")
ZONE = "Asia/Shanghai"


def local(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, ZoneInfo(ZONE)).strftime("%Y-%m-%d %H:%M:%S")


def whole(at_ms: int) -> int:
    return at_ms // 1000 * 1000


@pytest.fixture
async def drop(store: HotStore) -> Drop:
    """Waves of campaign spring: open; later, whose unsold stock goes to last; last."""
    now_ms = whole(await store.time_ms())
    catalogue = catalogue_of(
        campaign(
            [
                wave("open", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": 5, "o2": 5}),
                wave("later", now_ms + 2 * HOUR_MS, now_ms + 3 * HOUR_MS, {"o1": 5}),
                wave("last", now_ms + 5 * HOUR_MS, now_ms + 6 * HOUR_MS, {"o1": 5}),
            ]
        )
    )
    waves = tuple(replace(each, rollover="last") if each.id == "later" else each for each in catalogue.waves)
    drop = Drop(store, replace(catalogue, waves=waves))
    await drop.load()
    return drop


@pytest.fixture
def operations(drop: Drop) -> Operations:
    return Operations(drop.store)


async def test_acts_by_id_say_what_changed_and_do_nothing_the_second_time(drop: Drop, operations: Operations) -> None:
    for act, state in (("pause", "paused"), ("resume", "live"), ("cancel", "cancelled")):
        perform = getattr(operations, act)
        done = await perform("open", OPS)
        assert (done.act, done.done, done.after.state.state) == (act, True, state)
        assert done.before.state.state != state
        again = await perform("open", OPS)
        assert (again.done, again.after.state.state) == (False, state)
    assert (await operations.look("open")).state.reason == "a reason"
    assert (await operations.close("later", OPS)).done
    assert not (await operations.close("later", OPS)).done
    with pytest.raises(ActRefused, match="wave open is cancelled"):
        await operations.resume("open", OPS)


async def test_a_wave_that_is_not_there(drop: Drop, operations: Operations) -> None:
    with pytest.raises(UnknownWave, match="no wave nowhere is in the hot store"):
        await operations.pause("nowhere", OPS)
    other = Drop(drop.store, catalogue_of(campaign([wave("w", 1, 2, {"o1": 1})], id="other")))
    await other.load()
    await drop.store.call("DEL", keys.shard("other", other.epoch).left)
    assert (await operations.look("open")).wave.no == 1, "what is broken does not hide what is not"
    with pytest.raises(HotStoreUnavailable, match="campaign other is being recovered"):
        await operations.look("w")


async def test_restock_sets_totals(drop: Drop, operations: Operations) -> None:
    for name in ("ann", "bob", "cy"):
        await drop.granted(ask(name))
    done = await operations.restock("open", {"o1": 3, "o2": 9}, OPS)
    assert [done.after.shard.left[1, no] for no in (1, 2)] == [0, 9]
    assert done.after.claimed(1) == 3
    assert not (await operations.restock("open", {"o1": 3}, OPS)).done
    assert (await drop.claim(ask("dan"))).code is RefusalCode.SOLD_OUT  # type: ignore[union-attr]  # else it fails here
    with pytest.raises(ActRefused, match="3 units of o1 are claimed already: its stock cannot be 2; 3 is the least"):
        await operations.restock("open", {"o2": 20, "o1": 2}, OPS)
    assert (await operations.look("open")).shard.left[1, 2] == 9, "all of it or nothing"


async def test_restock_counts_what_was_rolled_over_on_top(drop: Drop, operations: Operations) -> None:
    state = (await drop.view()).waves[1]
    await drop.put(1, replace(state, rolled_in={"9": {"1": 2}}, offers={"1": replace(state.offers["1"], total=7)}))
    for name in ("ann", "bob", "cy"):
        await drop.granted(ask(name))
    with pytest.raises(ActRefused, match="its stock cannot be 0; 1 is the least"):
        await operations.restock("open", {"o1": 0}, OPS)
    done = await operations.restock("open", {"o1": 1}, OPS)
    assert (done.after.state.offers["1"].total, done.after.shard.left[1, 1]) == (3, 0)


async def test_what_a_restock_may_not_say(drop: Drop, operations: Operations) -> None:
    for totals, error, words in (
        ({"o3": 1}, UnknownOffer, "wave open has no offer o3; it has o1, o2"),
        ({"o1": -1}, UsageError, "the stock of o1 must be a whole number from 0 to 10,000,000, not -1"),
        ({"o1": 10_000_001}, UsageError, "from 0 to 10,000,000"),
        ({}, UsageError, "no stock was named"),
    ):
        with pytest.raises(error, match=words):
            await operations.restock("open", totals, OPS)


async def test_move_keeps_the_duration_and_takes_the_day_along(drop: Drop, operations: Operations) -> None:
    before = (await operations.look("last")).state
    opens_ms = before.opens_ms + 24 * HOUR_MS
    done = await operations.move("last", local(opens_ms), None, OPS)
    after = done.after.state
    assert (after.opens_ms, after.closes_ms) == (opens_ms, before.closes_ms + 24 * HOUR_MS)
    assert after.day == local(opens_ms)[:10]
    assert not (await operations.move("last", local(opens_ms), None, OPS)).done
    utc = datetime.fromtimestamp((opens_ms + HOUR_MS) // 1000, ZoneInfo("UTC")).isoformat()
    done = await operations.move("last", utc, local(opens_ms + 3 * HOUR_MS), OPS)
    assert done.after.state.closes_ms - done.after.state.opens_ms == 2 * HOUR_MS


async def test_where_a_wave_cannot_move(drop: Drop, operations: Operations) -> None:
    now_ms = whole(await drop.now_ms())
    in_4h, in_7h = now_ms + 4 * HOUR_MS, now_ms + 7 * HOUR_MS
    for moved, opens_ms, closes_ms, words in (
        ("open", in_4h, None, "wave open has opened at .*: it cannot move any more"),
        ("later", now_ms - 1000, None, r"is past: a wave can only move to a time that is still to come"),
        ("later", in_4h, in_4h, "not after its opening"),
        ("later", in_4h, in_7h, "what is unsold in wave later goes to wave last, which opens at .*, before the close"),
        ("last", now_ms + HOUR_MS, None, "unsold in wave later goes to wave last, and wave later only closes at"),
    ):
        with pytest.raises(ActRefused, match=words):
            await operations.move(moved, local(opens_ms), local(closes_ms) if closes_ms else None, OPS)
    await operations.close("later", OPS)
    assert (await operations.move("last", local(now_ms + HOUR_MS), None, OPS)).done, "later has nothing to wait for"
    with pytest.raises(ActRefused, match="wave later is closed"):
        await operations.move("later", local(in_4h), None, OPS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tomorrow", "is not a time: write"),
        ("2026-02-30 10:00", "the calendar has no 2026-02-30"),
        ("2026-11-11 24:00", "24:00 can only end something"),
    ],
)
async def test_times_that_are_none(drop: Drop, operations: Operations, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        await operations.move("later", text, None, OPS)
    with pytest.raises(UsageError, match=words):
        await operations.void_tickets("later", text, OPS)


def test_local_times_over_a_clock_change() -> None:
    assert instant_ms("2026-11-11 20:00", ZONE) == instant_ms("2026-11-11T12:00:00Z", ZONE)
    assert instant_ms("2026-11-11 24:00", ZONE, end=True) == instant_ms("2026-11-12 00:00", ZONE)
    for text, words in (("2026-03-29 02:30", "does not exist in"), ("2026-10-25 02:30", "comes twice in")):
        with pytest.raises(UsageError, match=words):
            instant_ms(text, "Europe/Berlin")


async def test_void_tickets(drop: Drop, operations: Operations) -> None:
    now_ms = await drop.now_ms()
    done = await operations.void_tickets("later", local(now_ms - HOUR_MS), OPS)
    assert (done.done, done.after.state.void_before_ms) == (True, whole(now_ms) - HOUR_MS)
    assert not (await operations.void_tickets("later", local(now_ms - 2 * HOUR_MS), OPS)).done
    assert (await operations.void_tickets("later", None, OPS)).after.state.void_before_ms >= now_ms
    with pytest.raises(ActRefused, match="this instant is still to come"):
        await operations.void_tickets("later", local(now_ms + HOUR_MS), OPS)


async def test_stop_all_and_start_all(drop: Drop, operations: Operations) -> None:
    other = Drop(drop.store, catalogue_of(campaign([wave("w", 1, 2, {"o1": 1})], id="other")))
    await other.load()
    await operations.pause("later", OPS)
    stopped = await operations.stop_all(Actor("ops", "everything stops"))
    assert [(each.campaign, each.done) for each in stopped] == [("other", True), ("spring", True)]
    assert [each.done for each in await operations.stop_all(OPS)] == [False, False]
    assert await drop.claim(ask("ann")) == Refused(RefusalCode.STOPPED, reason="everything stops")
    assert [each.done for each in await operations.start_all(OPS)] == [True, True]
    assert isinstance(await drop.claim(ask("ann")), Claimed)
    assert [each.done for each in await operations.start_all(OPS)] == [False, False]
    assert (await operations.look("later")).state.state == "paused"


async def test_one_campaign_that_cannot_be_stopped_does_not_hinder_the_others(
    drop: Drop, operations: Operations
) -> None:
    for name in ("alpha", "zulu"):
        broken = Drop(drop.store, catalogue_of(campaign([wave(name, 1, 2, {"o1": 1})], id=name)))
        await broken.load()
        await drop.store.call("DEL", keys.shard(name, broken.epoch).left)
    results = {each.campaign: each for each in await operations.stop_all(OPS)}
    assert [results[name].done for name in ("alpha", "spring", "zulu")] == [None, True, None]
    assert results["zulu"].error == "zulu is not in the hot store"
    assert [shard.campaign for shard in await operations.shards()] == ["spring"]


def test_words_of_an_actor() -> None:
    for name, reason in (("", "why"), ("ops", ""), ("ops", "two\nlines"), ("ops", "x" * 501)):
        with pytest.raises(UsageError, match="must be one line of 1 to 500 characters"):
            Actor(name, reason)
