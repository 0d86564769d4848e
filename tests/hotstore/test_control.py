"""The races that the script is there for: first shown to happen without it, then not to happen with it."""

import asyncio
import random

import msgspec
import pytest

from engine.domain.outcome import Claimed, Outcome, Refused
from engine.hotstore.decide import Late
from engine.hotstore.store import HotStore
from engine.settings import Settings
from tests.support.drop import HOUR_MS, Drop, ask, campaign, catalogue_of, wave

STOCK = 20
USERS = 60


async def _read_then_decrement(store: HotStore, user: str, crowd: asyncio.Barrier) -> bool:
    """What everybody writes first: look at the counter, and take one where there is one."""
    left = int(await store.call("GET", "left"))
    await crowd.wait()  # the others are as fast: nothing keeps them from looking now
    if left <= 0:
        return False
    await store.call("SET", "left", left - 1)
    return True


async def _check_then_add(store: HotStore, user: str, crowd: asyncio.Barrier) -> bool:
    """One claim a user, as everybody writes it first: look whether there is one, then make it."""
    held = await store.call("SISMEMBER", "holders", user)
    await crowd.wait()
    if held:
        return False
    await store.call("SADD", "holders", user)
    return int(await store.call("DECR", "left")) >= 0


@pytest.mark.loops
async def test_read_then_decrement_oversells(store: HotStore) -> None:
    """The control: with the same users at the same time the race does happen."""
    await store.call("SET", "left", STOCK)
    crowd = asyncio.Barrier(USERS)
    told = await asyncio.gather(*(_read_then_decrement(store, f"u{nth}", crowd) for nth in range(USERS)))
    assert sum(told) > STOCK


@pytest.mark.loops
async def test_check_then_add_gives_one_user_several(store: HotStore) -> None:
    await store.call("SET", "left", STOCK)
    crowd = asyncio.Barrier(STOCK)
    told = await asyncio.gather(*(_check_then_add(store, "the same", crowd) for _ in range(STOCK)))
    assert sum(told) > 1


async def _dropped(store: HotStore) -> Drop:
    now_ms = await store.time_ms()
    waves = [wave("w1", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": STOCK, "o2": STOCK})]
    drop = Drop(store, catalogue_of(campaign(waves)))
    await drop.load()
    return drop


@pytest.mark.loops
async def test_the_script_does_not_oversell(redis_url: str, settings: Settings, seed: int) -> None:
    """The same race, each user with a call of its own, over two stores; and exactly the stock goes out (P1, P4)."""
    patient = msgspec.structs.replace(  # a connection may take its time on a busy machine
        settings,
        redis_timeout_ms=20_000,
        redis_connect_timeout_ms=20_000,
        claim_decide_ms=30_000,
        claim_deadline_ms=40_000,
        drain_ms=50_000,
    )
    one, other = await HotStore.connect(redis_url, patient), await HotStore.connect(redis_url, patient)
    first = await _dropped(one)
    second = Drop(other, first.catalogue, seed=1)
    second.epoch = first.epoch
    users = [f"u{nth}" for nth in range(USERS)] * 2  # each asks twice, somewhere
    random.Random(seed).shuffle(users)
    told = await asyncio.gather(
        *(drop.claim(ask(user)) for user, drop in zip(users, [first, second] * USERS, strict=True))
    )
    new = [answer.claim for answer in told if isinstance(answer, Claimed) and not answer.replayed]
    assert len(new) == STOCK
    assert sorted(claim.unit for claim in new) == list(range(1, STOCK + 1))
    assert {claim.account for claim in new} == {a.claim.account for a in told if isinstance(a, Claimed)}
    assert (await first.view()).left == {(1, 1): 0, (1, 2): STOCK}
    await one.close()
    await other.close()


@pytest.mark.loops
async def test_twenty_parallel_calls_of_one_user(store: HotStore) -> None:
    drop = await _dropped(store)
    told = await asyncio.gather(*(drop.claim(ask("the same", *(1 + nth % 2,))) for nth in range(20)))
    assert _claims(told) == 1
    assert (await drop.view()).claims == 1


@pytest.mark.loops
async def test_twenty_asks_of_one_user_in_one_batch(store: HotStore) -> None:
    drop = await _dropped(store)
    told = (await drop.batch(*(ask("the same", 1 + nth % 2) for nth in range(20)))).answers
    assert _claims(told) == 1
    assert (await drop.view()).left[1, 1] == STOCK - 1


def _claims(told: "list[Outcome | Late]") -> int:
    """How many different claims were told of; nobody heard less than the truth."""
    claims = set()
    for answer in told:
        assert isinstance(answer, Claimed | Refused)
        assert answer.claim is not None
        claims.add(answer.claim.code)
    assert sum(isinstance(answer, Claimed) and not answer.replayed for answer in told) == 1
    return len(claims)
