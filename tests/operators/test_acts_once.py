"""Acts when replies are lost and others act in between, on copies that may be old, behind a clock that steps back."""

import pytest
from msgspec.structs import replace

from engine.domain.campaign import Limit
from engine.errors import ActRefused, HotStoreUnavailable, ReplyLost
from engine.hotstore.scripts import Fenced
from engine.hotstore.store import HotStore
from engine.scheduling import acts
from engine.scheduling.files import parse_campaign
from engine.scheduling.performing import Actor
from engine.settings import Settings
from tests.operators.house import OPS, House
from tests.support.drop import HOUR_MS, Drop, ask, campaign, wave
from tests.support.stage import hook_store

OTHERS = 15
"""Acts that may come between a lost reply and its repetition."""


async def begun(house: House, opens_in_ms: int = -HOUR_MS) -> None:
    now_ms = await house.store.time_ms()
    await house.begin(
        campaign([wave("w1", now_ms + opens_in_ms, now_ms + 2 * HOUR_MS, {"o1": 9})], limits=[Limit(1, "wave")])
    )


@pytest.mark.parametrize("others", [1, OTHERS])
async def test_an_act_whose_reply_is_lost_does_not_undo_what_came_since(
    house: House, redis_url: str, settings: Settings, others: int
) -> None:
    await begun(house)
    mine = await HotStore.connect(redis_url, settings)
    done_before = len(await house.acts())
    lost = False

    async def lose(_: int) -> None:
        nonlocal lost
        if lost or len(await house.acts()) == done_before:
            return
        lost = True  # the pause is done, and nobody heard of it; meanwhile others resume, restock, …
        await acts.resume(house.store, "spring", 1, Actor("ben", "it is fine"))
        for total in range(1, others):
            await acts.restock(house.store, "spring", 1, {1: 100 + total}, OPS)
        raise ReplyLost("gone")

    hook_store(mine, after=lose)
    assert await acts.pause(mine, "spring", 1, OPS), "it was done"
    await mine.close()
    assert lost
    assert (await house.wave(1)).state == "live", "and ben's resume came after it"
    assert [line.kind for line in await house.acts()].count("pause") == 1


async def test_what_is_not_known_is_not_called_undone(house: House, redis_url: str, settings: Settings) -> None:
    """The reply is lost, and then Redis is away: the act may be done."""
    await begun(house)
    mine = await HotStore.connect(redis_url, settings)
    sent = 0
    done_before = len(await house.acts())

    async def away(_: int) -> None:
        if sent:
            raise HotStoreUnavailable("away")

    async def lose(_: int) -> None:
        nonlocal sent
        if len(await house.acts()) > done_before:
            sent += 1
            raise ReplyLost("gone")

    hook_store(mine, before=away, after=lose)
    with pytest.raises(ReplyLost, match="not known"):
        await acts.pause(mine, "spring", 1, OPS)
    await mine.close()
    assert (await house.wave(1)).state == "paused"


async def test_an_old_copy_is_no_ground_for_an_answer(house: House) -> None:
    """A Redis that came back may say "paused" of a wave that was resumed: nobody is told that it is so already."""
    await begun(house)
    await acts.pause(house.store, "spring", 1, OPS)
    await house.store.call("HSET", "{spring/0}:head", "incarnation", "0" * 40)
    for act in (
        acts.pause(house.store, "spring", 1, OPS),
        acts.restock(house.store, "spring", 1, {1: 9}, OPS),
        acts.stop(house.store, "spring", OPS),
        acts.start(house.store, "spring", OPS),
        acts.cancel(house.store, "spring", 9, OPS),
    ):
        with pytest.raises(Fenced):
            await act


async def test_a_wave_that_was_seen_open_does_not_move_when_the_clock_steps_back(house: House) -> None:
    """By the clock it is to open again; somebody has claimed in it. The same as an opening that much later."""
    await begun(house)
    drop = Drop(house.store, house.catalogue)
    drop.epoch = (await house.view()).epoch
    await drop.granted(ask("ann"))
    now_ms = await house.store.time_ms()
    stepped_back = replace(await house.wave(1), opens_ms=now_ms + 30_000)
    await drop.put(1, stepped_back)
    with pytest.raises(ActRefused, match="has opened"):
        await acts.move(house.store, "spring", 1, now_ms + HOUR_MS, now_ms + 2 * HOUR_MS, "2026-12-12", OPS)
    assert await house.wave(1) == stepped_back
    await drop.granted(ask("ben"))


async def test_a_sandbox_is_one_from_file_to_hot_store(house: House) -> None:
    text = """
campaign: spring
title: Spring
timezone: Europe/Berlin
currency: EUR
validity: {natural_days: 7}
stores: {s1: {title: Shop, merchant: m1, city: Town}}
offers: [{id: o1, title: one, kind: instant, face: 100, stores: all}]
waves: [{id: w1, opens_at: "2090-04-05 10:00", lasts: 4h, stock: {o1: 5}}]
"""
    for sandbox, more in ((False, ""), (True, "sandbox: true\n"), (False, "sandbox: false\n")):
        read = parse_campaign(text + more, "sandbox")
        assert read.sandbox is sandbox
        await house.begin(
            replace(read, id=f"spring-{more[9:-1]}", waves=(replace(read.waves[0], id=f"w-{more[9:-1]}"),))
        )
        assert house.catalogue.sandbox is sandbox
        assert (await house.view()).catalogue.sandbox is sandbox
