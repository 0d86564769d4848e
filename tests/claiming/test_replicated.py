"""`ack: replicated`: whoever is told of a claim can be sure that replicas have it."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
from msgspec.structs import replace

import engine.claiming.desk as desk_module
from engine.claiming.clock import StoreClock
from engine.claiming.desk import OUTCOME_UNKNOWN, Desk
from engine.domain.outcome import Claim, Claimed, Outcome, RefusalCode, Refused
from engine.errors import SettingsError
from engine.hotstore import load
from engine.hotstore.store import HotStore
from engine.ledger.database import Ledger
from engine.settings import Settings
from tests.support.drop import HOUR_MS, Drop, ask, campaign, catalogue_of, wave
from tests.support.own_redis import OwnRedis, own_replicas
from tests.support.proxy import LOOPBACK, Fault, Proxy
from tests.support.servers import TestServers
from tests.support.stage import Stage
from tests.support.waiting import wait_until

QUICK = {"ack": "replicated", "replica_wait_ms": 150, "redis_timeout_ms": 1_000, "claim_decide_ms": 4_000}
STOCK = {"o1": 10_000, "o2": 1, "o3": 0}


class Row:
    """A master, its replicas, and a desk on the master behind a proxy."""

    def __init__(self, master: OwnRedis, replicas: list[OwnRedis], proxy: Proxy) -> None:
        self.master = master
        self.replicas = replicas
        self.proxy = proxy
        self.store: HotStore
        self.drop: Drop
        self.desk: Desk

    async def open(self, settings: Settings) -> None:
        await self.master.command("FLUSHALL")
        self.store = await HotStore.connect(self.proxy.url_of(self.master.url), settings)
        # Two connections that know nothing newer than this: a WAIT on one of them would be content with that.
        async with self.store.line() as first, self.store.line() as second:
            for line in (first, second):
                await line.exchange([["PING"]])
        past = await HotStore.connect(self.master.url, replace(settings, ack="logged"))
        now_ms = await past.time_ms()
        self.drop = Drop(past, catalogue_of(campaign([wave("w1", now_ms - HOUR_MS, now_ms + HOUR_MS, STOCK)])))
        await self.drop.load()
        await self.drop.batch(ask("who was here before"))
        await self.in_step()
        clock = StoreClock()
        clock.heard(now_ms)
        self.desk = Desk(self.store, "spring", self.drop.catalogue.code_prefix, 1, clock, settings)
        await self.desk.start()

    async def in_step(self) -> None:
        """Every replica has said that it has everything: a WAIT on a connection that was not used since is content."""
        async with self.drop.store.line() as line:
            await line.exchange([["PING"]])
            assert await line.replicas(len(self.replicas), 5_000) == len(self.replicas)

    async def close(self) -> None:
        for replica in self.replicas:
            replica.thaw()
        await self.desk.stop()
        await self.store.close()
        await self.drop.store.close()

    async def claim(self, account: str, *offers: int) -> Outcome:
        return await self.desk.claim(ask(account, *offers))

    async def granted(self, account: str) -> Claim:
        outcome = await self.claim(account)
        assert isinstance(outcome, Claimed), outcome
        return outcome.claim


async def held_at(server: OwnRedis) -> set[str]:
    """Who holds something on that server, as it is now."""
    return {name.decode() for name in await server.command("HKEYS", "{spring/0}:1:holders")}  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def servers_in_a_row(servers: TestServers) -> Iterator[tuple[OwnRedis, list[OwnRedis]]]:
    stack = AsyncExitStack()
    yield servers.run(stack.enter_async_context(own_replicas(2)))
    servers.run(stack.aclose())


@pytest.fixture
def wanted() -> dict[str, object]:
    """Settings that a test wants otherwise."""
    return {"replicas": 2}


@pytest.fixture
async def row(
    servers_in_a_row: tuple[OwnRedis, list[OwnRedis]], settings: Settings, wanted: dict[str, object]
) -> AsyncIterator[Row]:
    master, replicas = servers_in_a_row
    async with Proxy(LOOPBACK, master.port) as proxy:
        row = Row(master, replicas, proxy)
        await row.open(replace(settings, **(QUICK | wanted)))
        yield row
        await row.close()


one_is_enough = pytest.mark.parametrize("wanted", [{"replicas": 1}], ids=["one"])


async def test_what_is_acknowledged_is_on_the_replicas(row: Row) -> None:
    for nth in range(20):
        accounts = {f"u{nth}-{number}" for number in range(10)}
        told = await asyncio.gather(*(row.claim(account) for account in accounts))
        assert all(isinstance(outcome, Claimed) for outcome in told)
        for replica in row.replicas:
            assert accounts <= await held_at(replica)


async def test_too_few_replicas_make_the_outcome_unknown(row: Row) -> None:
    before = await row.granted("ann")
    await row.in_step()
    row.replicas[1].freeze()
    told = await asyncio.gather(
        *(row.claim(*each) for each in (("ben",), ("ann",), ("ann", 2), ("cui", 3), ("who was here before", 3)))
    )
    assert told[:3] == [OUTCOME_UNKNOWN] * 3, "granted, held, and a refusal that would show what is held"
    assert isinstance(told[3], Refused)
    assert told[3].code is RefusalCode.SOLD_OUT, "it tells of nobody's claim"
    assert told[4] == OUTCOME_UNKNOWN
    assert "ben" in await held_at(row.master)
    row.replicas[1].thaw()
    again = await row.claim("ben")
    assert isinstance(again, Claimed)
    assert again.replayed
    assert await row.claim("ann") == Claimed(before, replayed=True)
    assert await row.claim("ann", 2) == Refused(RefusalCode.ALREADY_CLAIMED, claim=before)
    assert "ben" in await held_at(row.replicas[1])


@one_is_enough
async def test_a_slow_replica_harms_nobody_where_another_is_enough(row: Row) -> None:
    row.replicas[0].freeze()
    await row.granted("ann")
    assert "ann" in await held_at(row.replicas[1])
    row.replicas[0].thaw()
    await row.in_step()
    for replica in row.replicas:
        replica.freeze()
    assert await row.claim("ben") == OUTCOME_UNKNOWN


async def test_claims_of_an_earlier_epoch_need_no_replica(row: Row) -> None:
    """They were in the ledger before this epoch began."""
    seen = await load.unbind(row.drop.store, "spring", 1)
    await load.rebind(row.drop.store, "spring", 1, 1, 2, 1, seen.incarnation)
    row.replicas[0].freeze()
    outcome = await row.claim("who was here before")
    assert isinstance(outcome, Claimed)
    assert await row.claim("ann") == OUTCOME_UNKNOWN


async def test_a_server_that_has_forgotten_the_script(row: Row) -> None:
    await row.master.command("SCRIPT", "FLUSH")
    await row.granted("ann")
    assert "ann" in await held_at(row.replicas[0])
    await row.master.command("SCRIPT", "FLUSH")
    row.replicas[0].freeze()
    assert await row.claim("ben") == OUTCOME_UNKNOWN


@pytest.mark.parametrize("fault", [Fault.CUT_BEFORE, Fault.CUT_AFTER, Fault.SWALLOW])
async def test_a_lost_wait_is_asked_again(row: Row, fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decision is known, who has it is not: the same claims once more; what was told is not decided again."""
    monkeypatch.setattr(desk_module, "RETRY_PAUSE_MS", 300)
    trap = row.proxy.trap(b"\r\nWAIT\r\n", fault)
    told = [asyncio.create_task(row.claim(account, offer)) for account, offer in (("ann", 1), ("ben", 3))]
    await trap.springs()
    offers = (await row.drop.view()).waves[1].offers
    await row.drop.change(1, offers=offers | {"3": replace(offers["3"], total=5)})
    outcomes = await asyncio.gather(*told)
    assert isinstance(outcomes[0], Claimed)
    assert not outcomes[0].replayed
    assert outcomes[1] == Refused(RefusalCode.SOLD_OUT)
    assert {"ann"} == await held_at(row.master) & {"ann", "ben"}


async def test_replicas_that_are_gone_for_long_stop_the_sale(row: Row) -> None:
    """`min-replicas-to-write`, by which a master that was cut off stops selling at last: surely not decided."""
    await row.master.command("CONFIG", "SET", "min-replicas-max-lag", 1)
    try:
        row.replicas[0].freeze()

        async def is_refused() -> bool:
            info = await row.master.command("INFO", "replication")
            return info["min_slaves_good_slaves"] == 1  # type: ignore[index]

        await wait_until(is_refused)
        outcome = await row.claim("ann")
        assert isinstance(outcome, Refused)
        assert outcome.code is RefusalCode.BUSY
    finally:
        await row.master.command("CONFIG", "SET", "min-replicas-max-lag", 10)


def test_the_wait_fits_into_the_desks_deadlines(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="replica_wait_ms"):
        replace(settings, ack="replicated", replica_wait_ms=1_000)
    with pytest.raises(SettingsError, match="drain_ms"):
        replace(settings, ack="replicated", drain_ms=5_100)
    replace(settings, replica_wait_ms=1_000)


async def test_promotion_of_the_replica_loses_nothing(settings: Settings, ledger: Ledger, seed: int) -> None:
    """The master vanishes in mid-drop, with nothing settled yet; its gateway still talks to it when it is back."""
    async with own_replicas() as (master, (replica,)), AsyncExitStack() as stack:
        replicated = replace(settings, **QUICK)
        store = await HotStore.connect(master.url, replicated)
        stack.push_async_callback(store.close)
        stage = Stage(store, ledger, settings)
        now_ms = await store.time_ms()
        await stage.begin(campaign([wave("w1", now_ms - HOUR_MS, now_ms + HOUR_MS, STOCK)]))
        await stage.settle()
        clock = StoreClock()
        clock.heard(now_ms)
        desk = Desk(store, "spring", stage.catalogue.code_prefix, 1, clock, replicated)
        await desk.start()
        stack.push_async_callback(desk.stop)
        told: list[Outcome] = []
        asking = asyncio.create_task(_keep_asking(desk, told))
        await wait_until(lambda: len(told) > random.Random(seed).randrange(300))
        master.freeze()
        await replica.lead()
        acknowledged = [outcome.claim for outcome in told if isinstance(outcome, Claimed)]
        promoted = await HotStore.connect(replica.url, settings)
        stack.push_async_callback(promoted.close)
        heir = Stage(promoted, ledger, settings)
        heir.catalogue, heir.drop = stage.catalogue, Drop(promoted, stage.catalogue)
        await heir.recover(term=2)
        await heir.whole()
        assert set(acknowledged) <= set(await heir.settled_claims())
        assert set(acknowledged) <= set(await heir.held_claims())
        master.thaw()
        before = len(told)
        await wait_until(lambda: len(told) > before + 20)
        asking.cancel()
        late = [outcome for outcome in told if isinstance(outcome, Claimed) and outcome.claim not in acknowledged]
        assert {outcome.claim for outcome in late} <= set(await heir.held_claims()), "a master that was cut off"


async def _keep_asking(desk: Desk, told: list[Outcome]) -> None:
    for nth in range(10_000):
        told += await asyncio.gather(*(desk.claim(ask(f"u{nth}-{number}")) for number in range(3)))
