"""The writer: everything that was granted reaches the ledger once, whatever happens on the way."""

import asyncio

import pytest
from msgspec.structs import replace

from engine.errors import LedgerUnavailable
from engine.hotstore import keys
from engine.hotstore.scripts import Fenced
from engine.hotstore.store import HotStore
from engine.ledger.cursors import read_cursor
from engine.ledger.database import Ledger
from engine.ledger.leases import take_lease
from engine.settings import Settings
from engine.settling import writer as writer_module
from engine.settling.writer import ROLE, Writer
from tests.ledger.proxy import CutProxy
from tests.settling.conftest import MakeWriter
from tests.settling.shards import Shard, client_of, end_sessions
from tests.support.waiting import wait_until


@pytest.mark.loops
async def test_all_that_was_granted_is_settled(shard: Shard, neighbour: Shard, start_writer: MakeWriter) -> None:
    await shard.claim(200)
    await start_writer()
    await neighbour.claim(130)
    await shard.claim(75, batch=1)
    for each in (shard, neighbour):
        await each.wait_settled()
        await each.check()
        cursor = await each.cursor()
        assert (cursor.act, cursor.revision) == (2, 1)

    async def told() -> bool:
        return (await shard.view()).settled == (await shard.view()).last

    await wait_until(told, what="the shard hears how far it is settled")


async def test_a_log_that_several_versions_have_written_is_settled(shard: Shard, start_writer: MakeWriter) -> None:
    """An upgrade while the writer was away: entries of every format in one epoch, within one batch and across them."""
    await shard.claim(24, batch=4)
    await shard.write_log_anew("1", "2", "2", "1")
    await start_writer()
    await shard.claim(8, batch=4)
    await shard.wait_settled()
    await shard.check()
    units = await shard.ledger.fetch("select unit from claims order by sequence")
    assert [row["unit"] for row in units] == list(range(1, 33))


async def test_a_campaign_that_is_loaded_later_is_found(
    shard: Shard, start_writer: MakeWriter, ledger: Ledger, store: HotStore, settings: Settings, seed: int
) -> None:
    await start_writer()
    await shard.claim(10)
    await shard.wait_settled()
    late = await Shard(ledger, store, settings, seed + 2).start("late")
    await late.claim(10)
    await late.wait_settled()
    await late.check()


async def test_two_writers_that_both_believe_they_lead(
    shard: Shard, start_writer: MakeWriter, database_url: str, settings: Settings
) -> None:
    """Under one name both hold the lease. The cursor alone keeps it right."""
    second = await Ledger.connect(database_url, settings)
    writers = [await start_writer("same"), await start_writer("same", by=second)]
    await wait_until(lambda: all(writer.leads for writer in writers))
    await shard.claim(600, batch=3)
    await shard.wait_settled()
    await shard.check()
    for writer in writers:
        await writer.stop()
    await second.close()


async def test_the_other_takes_over_at_once_when_one_stops(shard: Shard, start_writer: MakeWriter) -> None:
    first = await start_writer("first")
    await wait_until(lambda: first.leads)
    second = await start_writer("second")
    await shard.claim(20)
    await shard.wait_settled()
    assert not second.leads
    await first.stop()
    await shard.claim(20)
    await shard.wait_settled()
    assert second.leads
    await shard.check()


async def test_a_lease_that_ran_out_is_taken_over(
    shard: Shard, start_writer: MakeWriter, ledger: Ledger, settings: Settings
) -> None:
    """Somebody took the lease and died. Who stands by looks when it runs out, not when it would renew its own."""
    assert await take_lease(ledger, ROLE, "dead", 300) is not None
    await start_writer("alive", settings=replace(settings, lease_ms=3_600_000))
    await shard.claim(5)
    await shard.wait_settled()
    await shard.check()


@pytest.mark.parametrize("cut_at", ["before", "after"])
async def test_commits_in_doubt(
    cut_at: str, shard: Shard, start_writer: MakeWriter, database_url: str, settings: Settings
) -> None:
    async with CutProxy(database_url) as proxy:
        shaky = await Ledger.connect(proxy.url, settings)
        writer = await start_writer(by=shaky)
        for cut in range(1, 4):
            proxy.cut_at = cut_at
            await shard.claim(40)
            await wait_until(lambda cut=cut: proxy.cuts == cut)  # type: ignore[misc]  # a lambda's default
        await shard.wait_settled()
        await shard.check()
        await writer.stop()
        await shaky.close()


async def test_postgres_goes_and_comes_back(
    shard: Shard, start_writer: MakeWriter, database_url: str, settings: Settings
) -> None:
    async with CutProxy(database_url) as proxy:
        shaky = await Ledger.connect(proxy.url, settings)
        writer = await start_writer(by=shaky)
        await shard.claim(10)
        await shard.wait_settled()
        proxy.close_line()
        await shard.claim(100)  # claims go on meanwhile
        with pytest.raises(LedgerUnavailable):
            await read_cursor(shaky, shard.catalogue.campaign_no)
        proxy.open_line()
        await shard.wait_settled()
        await shard.check()
        await writer.stop()
        await shaky.close()


@pytest.mark.parametrize("setting", ["maxmemory", "min-replicas-to-write"])
async def test_a_hot_store_that_takes_no_writes_holds_up_no_settling(
    setting: str,
    shard: Shard,
    start_writer: MakeWriter,
    settings: Settings,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it cannot be told of now it is told of later; a single back-off would last longer than this test."""
    monkeypatch.setattr(writer_module, "BACK_OFF_MS", 3_600_000)
    monkeypatch.setattr(writer_module, "BACK_OFF_MAX_MS", 3_600_000)
    await shard.claim(30, batch=1)

    async def told() -> bool:
        return (await shard.view()).settled == (await shard.view()).last

    async with client_of(redis_url) as client:
        await client.config_set(setting, 1)
        try:
            await start_writer(settings=replace(settings, log_entries_max=4, log_trim_behind_ms=1))
            await shard.wait_settled()
            assert not await told()
        finally:
            await client.config_set(setting, 0)
    await wait_until(told, what="the shard hears how far it is settled")
    await shard.check()


async def test_sessions_and_connections_end_again_and_again(
    shard: Shard, start_writer: MakeWriter, database_url: str, redis_url: str
) -> None:
    await start_writer()
    for _ in range(6):
        await shard.claim(60, batch=6)
        await end_sessions(database_url)
        async with client_of(redis_url) as client:
            await client.client_kill_filter(_type="normal", skipme=True)

    async def settled() -> bool:
        try:
            return (await shard.cursor()).last == (await shard.view()).last
        except LedgerUnavailable:
            return False

    await wait_until(settled, 20)
    await shard.check()


async def test_a_recovery_under_the_writer(shard: Shard, start_writer: MakeWriter) -> None:
    await start_writer()
    for _ in range(4):
        await shard.claim(30, batch=5)
        await shard.recover()
    await shard.claim(30)
    await shard.wait_settled()
    await shard.check()
    assert len({each.epoch for each in shard.claims}) == 5


@pytest.mark.parametrize(
    "fields",
    [
        {},  # well-formed, in the wrong place
        {"first": "1", "claims": "x", "v": "9"},  # nobody can read it
    ],
    ids=["gap", "unreadable"],
)
async def test_a_broken_log_stops_its_shard_alone(
    fields: dict[str, str], shard: Shard, neighbour: Shard, start_writer: MakeWriter, redis_url: str
) -> None:
    await shard.claim(20)
    if not fields:
        first = (await shard.view()).last + 1_000
        fields = {"first": str(first), "claims": "1\t1\t1\t99\t1\t1\t0\tSPOILED000000000\tu\t"}
    entry = await shard.spoil_log(**fields)
    await start_writer()

    async def unbound() -> bool:
        return not (await shard.view()).bound

    await wait_until(unbound)
    await neighbour.claim(20)
    await neighbour.wait_settled()
    await neighbour.check()
    await shard.check()  # what stood before the broken entry
    with pytest.raises(Fenced):
        await shard.claim(1)
    # A person looks, takes the entry away, and the steward recovers: the writer goes on by itself
    async with client_of(redis_url) as client:
        await client.xdel(keys.log(shard.campaign), entry)
    await shard.recover()
    await shard.claim(20)
    await shard.wait_settled()
    await shard.check()


async def test_a_log_that_contradicts_the_ledger_stops_its_shard(
    shard: Shard, neighbour: Shard, start_writer: MakeWriter, ledger: Ledger
) -> None:
    """The number is another claim's already, by the ledger's books: no claim can be kept apart under it."""
    await ledger.fetch(
        "insert into claims (campaign_no, epoch, sequence, wave_no, offer_no, unit, nth, request_no, terms_version,"
        " claimed_at, claimant, code) values ($1, $2, 5, 1, 1, 99, 1, 1, 1, now(), 'somebody', 'CODE')",
        shard.catalogue.campaign_no,
        (await shard.cursor()).epoch,
    )
    await start_writer()
    await shard.claim(5, batch=1)

    async def unbound() -> bool:
        return not (await shard.view()).bound

    await wait_until(unbound)
    await neighbour.claim(5)
    await neighbour.wait_settled()
    await neighbour.check()


async def test_a_stop_leaves_nothing_behind(shard: Shard, start_writer: MakeWriter) -> None:
    writer = await start_writer()
    await wait_until(lambda: writer.leads)
    for _ in range(5):
        await shard.claim(40, batch=4)
    await writer.stop()
    await shard.check()


async def test_started_and_stopped_in_any_order(
    shard: Shard, ledger: Ledger, store: HotStore, settings: Settings
) -> None:
    writer = Writer(ledger, store, settings)
    await writer.stop()
    for _ in range(3):
        await asyncio.gather(writer.start(), writer.start())
        await shard.claim(5)
        await shard.wait_settled()
        await asyncio.gather(writer.stop(), writer.stop())
        assert not writer.leads
    await shard.check()


async def test_the_log_is_trimmed_behind_the_cursor(
    shard: Shard, start_writer: MakeWriter, settings: Settings, redis_url: str
) -> None:
    await start_writer(settings=replace(settings, log_trim_behind_ms=50))
    await shard.claim(350, batch=1)
    await shard.wait_settled()
    async with client_of(redis_url) as client:

        async def trimmed() -> bool:
            length: int = await client.xlen(keys.log(shard.campaign))
            return length < 200

        await wait_until(trimmed)
    await shard.check()


async def test_the_log_is_kept_while_it_is_young(shard: Shard, start_writer: MakeWriter, redis_url: str) -> None:
    await start_writer()
    await shard.claim(350, batch=1)
    await shard.wait_settled()
    async with client_of(redis_url) as client:
        assert await client.xlen(keys.log(shard.campaign)) >= 350
