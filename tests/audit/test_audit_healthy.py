"""Drops that kept every promise: the audit says so, also while it goes on."""

import asyncio
import itertools

import pytest

from engine.audit.audit import audit
from engine.domain.verdict import PROMISES, Finding, Verdict
from engine.errors import UsageError
from engine.hotstore.store import HotStore
from engine.ledger.database import Ledger
from engine.settings import Settings
from tests.audit.small_drop import MORNING, A, B, SmallDrop


async def judge(drop: SmallDrop, wave: str | None = None, settle_wait_ms: int = 200) -> Verdict:
    return await audit(drop.ledger, drop.store, drop.catalogue.id, wave, settle_wait_ms=settle_wait_ms)


def finding(verdict: Verdict, promise: str) -> Finding:
    return next(each for each in verdict.findings if each.promise == promise)


def held(verdict: Verdict) -> dict[str, bool | None]:
    return {each.promise: each.held for each in verdict.findings}


ALL_HELD = {promise: True for promise in PROMISES if promise < "P8"}


@pytest.mark.loops
async def test_a_drop_that_went_well(drop: SmallDrop) -> None:
    verdict = await judge(drop)
    assert held(verdict) == ALL_HELD, verdict
    assert "29 claims on 60 units (4 offers in 2 waves)" in finding(verdict, "P1").figures
    assert "29 claims and 29 vouchers" in finding(verdict, "P3").figures
    assert "29 claims held" in finding(verdict, "P3").figures


async def test_one_wave_of_it(drop: SmallDrop) -> None:
    verdict = await judge(drop, "evening")
    assert held(verdict) == ALL_HELD
    assert "4 claims on 30 units (2 offers in 1 wave)" in finding(verdict, "P1").figures


async def test_nothing_claimed_yet(ledger: Ledger, store: HotStore, settings: Settings, seed: int) -> None:
    drop = SmallDrop(ledger, store, settings, seed)
    await drop.start()
    assert held(await judge(drop)) == ALL_HELD


async def test_a_tail_that_is_not_settled_is_lag_and_not_loss(drop: SmallDrop) -> None:
    await drop.claim(MORNING, B, [36, 37])
    verdict = await judge(drop)
    assert held(verdict) == ALL_HELD, verdict
    assert "2 not settled yet" in finding(verdict, "P3").figures


async def test_it_waits_for_a_tail_that_is_being_settled(drop: SmallDrop) -> None:
    await drop.claim(MORNING, B, [36, 37])
    judging = asyncio.create_task(judge(drop, settle_wait_ms=10_000))
    await asyncio.sleep(0)
    await drop.settle()
    assert "0 not settled yet" in finding(await judging, "P3").figures


async def test_after_a_recovery_and_claims_in_the_new_epoch(drop: SmallDrop) -> None:
    await drop.recover()
    await drop.claim(MORNING, B, [36, 37])
    await drop.settle()
    verdict = await judge(drop)
    assert held(verdict) == ALL_HELD, verdict


async def test_after_everything_in_the_hot_store_was_lost(drop: SmallDrop) -> None:
    await drop.store.call("FLUSHALL")
    verdict = await judge(drop)
    assert finding(verdict, "P3").held is None
    assert "not in the hot store" in finding(verdict, "P3").figures
    assert not verdict.broken
    await drop.recover()
    await drop.claim(MORNING, B, [36, 37])
    assert held(await judge(drop)) == ALL_HELD


async def test_a_shard_between_two_epochs_is_not_judged(drop: SmallDrop) -> None:
    await drop.write("update cursors set epoch = epoch + 1, last = 0")
    verdict = await judge(drop)
    assert finding(verdict, "P3").held is None
    assert not verdict.broken


async def test_a_log_that_was_trimmed(drop: SmallDrop) -> None:
    await drop.store.call("XTRIM", "{two/0}:log", "MAXLEN", 3)
    assert held(await judge(drop)) == ALL_HELD
    await drop.store.call("XTRIM", "{two/0}:log", "MAXLEN", 0)
    assert held(await judge(drop)) == ALL_HELD


async def test_it_accuses_no_live_system(ledger: Ledger, store: HotStore, settings: Settings, seed: int) -> None:
    drop = SmallDrop(ledger, store, settings, seed)
    await drop.start(units=100_000)
    over = asyncio.Event()

    async def sell() -> None:
        for user in itertools.count(step=3):
            await drop.claim(MORNING, A, range(user, user + 3))
            await drop.claim(MORNING, B, range(user + 1, user + 2))
            if over.is_set():
                return

    async def write() -> None:
        while not over.is_set():
            await drop.settle(entries=2)

    selling, writing = asyncio.create_task(sell()), asyncio.create_task(write())
    for _ in range(8):
        verdict = await judge(drop)
        assert held(verdict) == ALL_HELD, verdict
    over.set()
    await asyncio.gather(selling, writing)


async def test_no_such_campaign_or_wave(drop: SmallDrop) -> None:
    with pytest.raises(UsageError, match="no campaign three"):
        await audit(drop.ledger, drop.store, "three")
    with pytest.raises(UsageError, match="no wave noon"):
        await judge(drop, "noon")
