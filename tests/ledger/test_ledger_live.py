"""A file applied to a campaign that is live: it reaches the hot store, and neither undoes the other."""

import pytest
from msgspec.structs import replace

from engine.domain.campaign import Campaign, Limit
from engine.hotstore.store import HotStore
from engine.ledger.campaigns import apply_campaign, plan_campaign
from engine.ledger.cursors import read_cursor
from engine.ledger.database import Ledger
from engine.ledger.trail import read_trail, verify_trail
from engine.scheduling import acts
from engine.scheduling.performing import Actor
from engine.scheduling.steward import Steward
from engine.settings import Settings
from tests.support.drop import HOUR_MS, ask, campaign, wave
from tests.support.stage import Stage

ANN = Actor("ann", "more are asked for")


class Live(Stage):
    """A campaign with a wave that is open, and the steward that keeps it."""

    async def open(self, opens_in_ms: int = -HOUR_MS) -> Campaign:
        now_ms = await self.store.time_ms()
        waves = [wave("spring-1", now_ms + opens_in_ms, now_ms + HOUR_MS, {"o1": 3, "o2": 5})]
        running = campaign(waves, id="spring", limits=[Limit(1, "wave")])
        await self.begin(running)
        await self.settle()
        self.steward = Steward(self.store, self.ledger, self.recovery.recover, self.recovery.retire, self.settings)
        await self.steward._lead()
        return running

    async def follow(self) -> None:
        """What happens by itself within a second: acts are settled, the steward puts what is new, that is settled."""
        await self.settle()
        await self.steward.look_once()
        self.drop.epoch = (await self.drop.view()).epoch
        await self.settle()

    async def left(self) -> dict[tuple[int, int], int]:
        return dict((await self.drop.view()).left)


@pytest.fixture
async def live(store: HotStore, ledger: Ledger, settings: Settings) -> Live:
    return Live(store, ledger, settings)


def with_stock(running: Campaign, **stock: int) -> Campaign:
    first = running.waves[0]
    return replace(running, waves=(replace(first, stock=dict(first.stock) | stock), *running.waves[1:]))


async def test_raised_stock_of_an_open_wave_gives_exactly_as_many_more(live: Live) -> None:
    running = await live.open()
    for name in ("u1", "u2", "u3"):
        await live.drop.granted(ask(name))
    assert await live.left() == {(1, 1): 0, (1, 2): 5}
    await apply_campaign(live.ledger, with_stock(running, o1=5), "ann")
    await live.follow()
    assert await live.left() == {(1, 1): 2, (1, 2): 5}
    units = [(await live.drop.granted(ask(name))).claim.unit for name in ("u4", "u5")]
    assert units == [4, 5]
    await live.settle()
    assert await verify_trail(live.ledger, 0) == []


@pytest.mark.parametrize("opens_in_ms", [-HOUR_MS, HOUR_MS // 2])
async def test_an_act_and_a_file_that_does_not_speak_of_it_both_count(live: Live, opens_in_ms: int) -> None:
    """The act is not even settled when the file is applied; the wave is open, or is to open."""
    running = await live.open(opens_in_ms)
    await acts.restock(live.store, "spring", 1, {1: 10}, ANN)
    await apply_campaign(live.ledger, with_stock(running, o2=6), "ann")
    await live.follow()
    await live.follow()
    assert await live.left() == {(1, 1): 10, (1, 2): 6}
    plan = await plan_campaign(live.ledger, with_stock(running, o2=6))
    assert plan.changes == ()


async def test_a_move_and_a_file_that_does_not_speak_of_it_both_count(live: Live) -> None:
    running = await live.open(HOUR_MS // 2)
    wave_now = (await live.drop.view()).waves[1]
    opens_ms, closes_ms = wave_now.opens_ms + 60_000, wave_now.closes_ms + 60_000
    await acts.move(live.store, "spring", 1, opens_ms, closes_ms, wave_now.day, ANN)
    await apply_campaign(live.ledger, with_stock(running, o2=6), "ann")
    await live.follow()
    await live.follow()
    moved = (await live.drop.view()).waves[1]
    assert (moved.opens_ms, moved.closes_ms, moved.offers["2"].total) == (opens_ms, closes_ms, 6)


async def test_the_trail_tells_of_a_live_campaign_from_end_to_end(live: Live) -> None:
    running = await live.open()
    await acts.pause(live.store, "spring", 1, Actor("bob", "a fault"))
    await acts.resume(live.store, "spring", 1, Actor("bob", "mended"))
    await apply_campaign(live.ledger, with_stock(running, o1=5), "ann")
    await live.follow()
    entries = [each.happening for each in await read_trail(live.ledger, 0)]
    assert [(each.actor, each.kind) for each in entries] == [
        ("tester", "apply"),
        ("steward", "put_wave"),
        ("steward", "put_campaign"),
        ("ann", "apply"),
        ("bob", "pause"),
        ("bob", "resume"),
        ("steward", "put_wave"),
        ("steward", "put_campaign"),
    ]
    put = entries[6]
    assert put.before is not None
    assert put.after is not None
    assert (put.before["offers"]["1"]["total"], put.after["offers"]["1"]["total"]) == (3, 5)
    assert await verify_trail(live.ledger, 0) == []
    assert (await read_cursor(live.ledger, 0)).revision == 2
