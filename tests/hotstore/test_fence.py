"""Which server may decide, and in which epoch: a Redis that may lack claims sells nothing until it was looked at."""

from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from engine.domain.decisions import ActLine
from engine.domain.outcome import Claim, Claimed
from engine.errors import HotStoreError, HotStoreUnavailable, LeaseLost
from engine.hotstore import keys, load
from engine.hotstore.decide import act
from engine.hotstore.scripts import Fenced, OtherEpoch
from engine.hotstore.store import HotStore
from engine.hotstore.view import bound_epoch, claims_of_claimants, loaded_campaigns, read_holders, read_shard
from engine.settings import Settings
from tests.support.drop import HOUR_MS, Drop, ask, campaign, catalogue_of, wave
from tests.support.own_redis import OwnRedis, own_redis
from tests.support.waiting import wait_until


@pytest.fixture
async def own() -> AsyncIterator[OwnRedis]:
    async with own_redis() as server:
        yield server


@pytest.fixture
async def drop(store: HotStore) -> Drop:
    return await dropped(store)


async def dropped(store: HotStore) -> Drop:
    now_ms = await store.time_ms()
    drop = Drop(store, catalogue_of(campaign([wave("w1", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": 9})])))
    await drop.load()
    return drop


async def assert_fenced(drop: Drop, why: str, epoch: int | None = None) -> None:
    """Nobody is told anything that could mean "no claim", not even a winner; no act goes through."""
    for account in ("winner", "stranger"):
        with pytest.raises(Fenced, match=why):
            await drop.claim(ask(account), epoch=epoch)
    with pytest.raises(Fenced, match=why):
        await claims_of_claimants(drop.store, drop.campaign, drop.epoch, ["winner"])


@pytest.mark.loops
@pytest.mark.parametrize("missing", ["head", "meta", "left", "holders"])
async def test_missing_keys_are_a_loss(drop: Drop, missing: str) -> None:
    won = (await drop.granted(ask("winner"))).claim
    await drop.store.call("DEL", getattr(drop.keys, missing))
    with pytest.raises(Fenced, match="unbound" if missing == "head" else "keys of the shard are missing"):
        await drop.claim(ask("winner"))
    with pytest.raises(Fenced):
        await drop.claim(ask("stranger"))
    assert await read_shard(drop.store, drop.campaign) is None, "so the steward sees that it has to be loaded"
    assert won.sequence == 1


async def test_an_emptied_redis_is_fenced(drop: Drop) -> None:
    await drop.granted(ask("winner"))
    await drop.store.call("FLUSHALL")
    await assert_fenced(drop, "unbound")
    assert await read_shard(drop.store, drop.campaign) is None
    assert await bound_epoch(drop.store, drop.campaign) is None
    assert [claims async for claims in read_holders(drop.store, drop.campaign)] == []
    assert await loaded_campaigns(drop.store) == []


async def test_unbound_nobody_decides(drop: Drop) -> None:
    await drop.granted(ask("winner"))
    await load.unbind(drop.store, drop.campaign, drop.term)
    await assert_fenced(drop, "unbound")
    await assert_fenced(drop, "unbound", epoch=99)
    view = await drop.view()
    assert not view.bound
    assert view.claims == 1, "and it still can be read"
    with pytest.raises(Fenced):
        await drop.put(1, view.waves[1])


async def test_wrong_epochs_are_told_the_live_one(drop: Drop) -> None:
    await drop.granted(ask("winner"))
    for epoch in (drop.epoch - 1, drop.epoch + 1):
        with pytest.raises(OtherEpoch) as raised:
            await drop.claim(ask("winner"), epoch=epoch)
        assert raised.value.epoch == drop.epoch
        with pytest.raises(OtherEpoch):
            await claims_of_claimants(drop.store, drop.campaign, epoch, ["winner"])
    assert (await drop.view()).last == 1


async def test_a_restarted_redis_is_another_one(own: OwnRedis, settings: Settings) -> None:
    store = await HotStore.connect(own.url, settings)
    drop = await dropped(store)
    won = (await drop.granted(ask("winner"))).claim
    before = await store.incarnation()
    await own.restart()
    await assert_fenced(drop, "not the incarnation")
    assert await store.incarnation() != before
    view = await drop.view()
    assert not view.bound
    assert (view.epoch, view.last, view.claims) == (1, 1, 1), "nothing that was answered is lost"
    seen = await load.unbind(store, drop.campaign, 1)
    await load.rebind(store, drop.campaign, 1, view.last, 2, 1, seen.incarnation)
    drop.epoch = 2
    assert await drop.claim(ask("winner")) == Claimed(won, replayed=True)
    assert (await drop.granted(ask("next"))).claim.sequence == 1
    await store.close()


async def test_a_replica_decides_nothing(own: OwnRedis, store: HotStore, settings: Settings) -> None:
    drop = await dropped(store)
    await drop.granted(ask("winner"))
    upstream = await HotStore.connect(own.url, settings)
    try:
        port = own.port
        await own.command("CONFIG", "SET", "requirepass", "")
        await store.call("REPLICAOF", "127.0.0.1", port)
        with pytest.raises(HotStoreUnavailable):  # fenced where Redis lets scripts run at all
            await drop.claim(ask("stranger"))
        with pytest.raises(HotStoreUnavailable):
            await load.unbind(store, drop.campaign, 2)
    finally:
        await store.call("REPLICAOF", "NO", "ONE")
        await upstream.close()
    # Promoted again it is another incarnation, and empty: it has copied the empty upstream, or kept what it had.
    with pytest.raises(Fenced):
        await drop.claim(ask("stranger"))


async def test_a_replica_that_has_all_data_and_is_promoted_is_fenced(
    own: OwnRedis, store: HotStore, settings: Settings, redis_url: str
) -> None:
    """It shows the very incarnation of its master, which the shard is bound to; promoted it is another one."""
    password, _, address = redis_url.removeprefix("redis://:").partition("@")
    port = address.partition(":")[2].partition("/")[0]
    copy = await HotStore.connect(own.url, settings)
    await store.call("SET", "something", "to copy")
    await copy.call("CONFIG", "SET", "masterauth", password)
    await copy.call("REPLICAOF", "127.0.0.1", port)
    await wait_until(lambda: _has(copy, "something"), what="the replica follows")
    drop = await dropped(store)
    await drop.granted(ask("winner"))
    copied = Drop(copy, drop.catalogue)
    copied.epoch = drop.epoch

    async def has_copied() -> bool:
        return await copy.call("HLEN", drop.keys.holders) == 2

    await wait_until(has_copied)
    assert await copy.incarnation() == await store.incarnation()
    await assert_fenced(copied, "not the incarnation")
    assert not (await copied.view()).bound
    await copy.call("REPLICAOF", "NO", "ONE")
    assert await copy.incarnation() != await store.incarnation()
    await assert_fenced(copied, "not the incarnation")
    await copy.close()


async def _has(store: HotStore, key: str) -> bool:
    try:
        return bool(await store.call("EXISTS", key))
    except HotStoreUnavailable:  # it loads what it was sent
        return False


# The steward's steps, each with the term of a lease


@pytest.mark.loops
async def test_a_steward_of_an_old_term_is_refused_at_every_step(drop: Drop) -> None:
    store, name = drop.store, drop.campaign
    await drop.granted(ask("winner"))
    view = await drop.view()
    later = await load.unbind(store, name, 5)
    before = [await store.call("DUMP", key) for key in (*drop.keys[:1], *drop.keys[2:])]
    contents = load.Contents(drop.catalogue, view.waves, view.left, 0, 1, 500, {})
    for step in (
        load.unbind(store, name, 4),
        load.begin_epoch(store, name, 2, 4),
        load.load_holders(store, name, 2, 4, [await _claims(drop)]),
        load.load_contents(store, name, 2, 4, contents),
        load.bind(store, name, 2, 4, later.incarnation, 1),
        load.rebind(store, name, 1, view.last, 2, 4, later.incarnation),
        load.drop_other_epochs(store, name, 7, 4),
        load.drop_campaign(store, name, 1, 4),
    ):
        with pytest.raises(LeaseLost):
            await step
    assert [await store.call("DUMP", key) for key in (*drop.keys[:1], *drop.keys[2:])] == before
    assert await store.call("KEYS", "*:2:*") == []
    assert await loaded_campaigns(store) == [name]
    # And an act in its name, once the shard is bound again
    await load.rebind(store, name, 1, view.last, 2, 5, later.incarnation)
    line = ActLine(1, "act", "pause", "steward", "why", 1, state=replace(view.waves[1], state="paused"))
    with pytest.raises(LeaseLost):
        await act(store, name, 2, line, term=4)
    assert await act(store, name, 2, line, term=6), "a later steward may"
    with pytest.raises(LeaseLost):
        await load.unbind(store, name, 5)


async def _claims(drop: Drop) -> list[Claim]:
    return [claim async for _, held in read_holders(drop.store, drop.campaign) for claim in held]


async def test_binding_wants_what_the_steward_saw(drop: Drop) -> None:
    store, name = drop.store, drop.campaign
    await drop.granted(ask("winner"))
    seen = await load.unbind(store, name, 1)
    with pytest.raises(HotStoreError, match="changed"):
        await load.rebind(store, name, 1, 1, 2, 1, "0" * 40)
    with pytest.raises(HotStoreError, match="changed"):
        await load.rebind(store, name, 1, 0, 2, 1, seen.incarnation)
    with pytest.raises(HotStoreError, match="live"):
        await load.bind(store, name, 1, 1, seen.incarnation, 1)
    with pytest.raises(HotStoreError, match="changed"):
        await load.bind(store, name, 2, 1, seen.incarnation, 0)
    await assert_fenced(drop, "unbound")
    await load.rebind(store, name, 1, 1, 2, 1, seen.incarnation)
    assert await store.call("EXISTS", *keys.shard(name, 1)[2:]) == 0
