"""Reading the logs: bounded batches, and the next one ahead for as long as it is the next one."""

import pytest
from msgspec.structs import replace

from engine.errors import ShardBroken
from engine.hotstore import keys
from engine.hotstore.log import Place
from engine.hotstore.store import HotStore
from engine.settings import Settings
from engine.settling import telling
from engine.settling.reading import Found, LogReader
from engine.settling.telling import Telling
from engine.settling.writer import Writer
from tests.settling.conftest import MakeWriter
from tests.settling.shards import Shard, client_of
from tests.support.stage import hook_store

ACTS = 2
"""Each shard begins with two acts: its claims are the decisions from 3 on."""


@pytest.fixture
def reader(store: HotStore, settings: Settings) -> LogReader:
    """Reads four entries at a time, and no more once it has ten decisions."""
    return LogReader(store, replace(settings, log_entries_max=4, settle_decisions_max=10))


async def behind(last: int, *shards: Shard) -> dict[str, Place]:
    """These logs from decision `last` on."""
    return {shard.campaign: ((await shard.cursor()).epoch, last) for shard in shards}


def numbers(found: Found) -> dict[str, list[int]]:
    return {campaign: [entry.last for entry in entries] for campaign, entries in found.entries.items()}


def counted(store: HotStore) -> list[int]:
    """Grows with each exchange with Redis."""
    exchanges: list[int] = []

    async def count(step: int) -> None:
        exchanges.append(step)

    hook_store(store, before=count)
    return exchanges


async def test_pieces_make_a_batch(shard: Shard, neighbour: Shard, reader: LogReader) -> None:
    await shard.claim(30, batch=1)
    await neighbour.claim(1)
    found = await reader.read(await behind(ACTS, shard, neighbour), 1)
    assert numbers(found) == {"spring": list(range(3, 15)), "autumn": [3]}, "ten are reached with the third piece"
    assert found.more
    assert found.ends == await behind(14, shard) | await behind(3, neighbour)
    last = await reader.read(await behind(30, shard) | await behind(3, neighbour), 1)
    assert (numbers(last), last.more) == ({"spring": [31, 32]}, False)
    assert await reader.read(last.ends, 1) == Found(last.ends)


async def test_what_was_read_ahead_is_not_read_again(shard: Shard, reader: LogReader, store: HotStore) -> None:
    await shard.claim(30, batch=1)
    found = await reader.read(await behind(ACTS, shard), 1)
    exchanges = counted(store)
    reader.read_ahead(found)
    ahead = await reader.read(found.ends, 1)
    assert numbers(ahead) == {"spring": list(range(15, 27))}
    assert len(exchanges) == 3, "three pieces, once"
    reader.read_ahead(ahead)
    assert numbers(await reader.read(ahead.ends, 1)) == {"spring": list(range(27, 33))}


async def test_what_was_read_ahead_is_dropped_for_any_other_place(
    shard: Shard, neighbour: Shard, reader: LogReader
) -> None:
    """The commit failed, somebody else has settled, or a shard is left alone."""
    await shard.claim(30, batch=1)
    await neighbour.claim(5, batch=1)
    found = await reader.read(await behind(ACTS, shard, neighbour), 1)
    assert numbers(found)["autumn"] == list(range(3, 8))
    for last in (2, 9, 20):
        reader.read_ahead(found)
        again = await reader.read(await behind(last, shard), 1)
        assert numbers(again) == {"spring": list(range(last + 1, min(last + 12, 32) + 1))}
    reader.read_ahead(found)
    assert numbers(await reader.read(await behind(7, neighbour), 1)) == {}


async def test_no_read_ahead_where_the_log_ends(shard: Shard, reader: LogReader, store: HotStore) -> None:
    await shard.claim(3, batch=1)
    found = await reader.read(await behind(ACTS, shard), 1)
    exchanges = counted(store)
    reader.read_ahead(found)
    await reader.forget()
    assert exchanges == []


async def test_what_stands_before_an_unreadable_entry_is_found(shard: Shard, reader: LogReader, redis_url: str) -> None:
    await shard.claim(9, batch=1)
    await shard.spoil_log(v="99", first="1", claims="x")
    found = await reader.read(await behind(ACTS, shard), 1)
    assert (numbers(found), found.more) == ({"spring": list(range(3, 11))}, False)
    with pytest.raises(ShardBroken):
        await reader.read(found.ends, 1)


async def test_an_unreadable_entry_that_was_read_ahead_is_told(shard: Shard, reader: LogReader) -> None:
    await shard.claim(12, batch=1)
    await shard.spoil_log(v="99", first="1", claims="x")
    found = await reader.read(await behind(ACTS, shard), 1)
    assert found.more
    reader.read_ahead(found)
    with pytest.raises(ShardBroken):
        await reader.read(found.ends, 1)


async def test_a_reader_forgets_at_any_time(shard: Shard, reader: LogReader, redis_url: str) -> None:
    await shard.claim(30, batch=1)
    await reader.forget()
    for _ in range(3):
        found = await reader.read(await behind(ACTS, shard), 1)
        reader.read_ahead(found)
        await reader.forget()
    async with client_of(redis_url) as client:
        await client.xtrim(keys.log("spring"), maxlen=0)
    assert await reader.read(found.ends, 1) == Found(found.ends), "what it had read is gone"


@pytest.mark.parametrize(("ack", "waits"), [("logged", True), ("settled", False)])
async def test_little_gathers_unless_somebody_waits_for_it(
    ack: str, waits: bool, shard: Shard, start_writer: MakeWriter, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[int] = []
    rest = Writer._rest

    async def noted(writer: Writer, pause_ms: int) -> None:
        if writer.leads:
            pauses.append(pause_ms)
        await rest(writer, pause_ms)

    monkeypatch.setattr(Writer, "_rest", noted)
    await shard.claim(5)
    await start_writer(settings=replace(settings, ack=ack, settle_gather_ms=1_000))  # type: ignore[arg-type]  # one of them
    await shard.wait_settled()
    await shard.claim(5)
    await shard.wait_settled()
    assert max(pauses) <= 1_000
    assert (max(pauses) > 0) == waits


async def test_redis_is_not_told_at_each_commit(shard: Shard, store: HotStore, monkeypatch: pytest.MonkeyPatch) -> None:
    told, cursor = Telling(store, 1_000), await shard.cursor()
    monkeypatch.setattr(telling, "TELL_S", 3_600)
    await told.tell({"spring": replace(cursor, last=1)})
    exchanges = counted(store)
    await told.tell_soon({"spring": replace(cursor, last=2)})
    assert exchanges == []
    await told.tell({"spring": replace(cursor, last=2)})
    await told.tell({"spring": replace(cursor, last=2)})
    assert len(exchanges) == 1
    monkeypatch.setattr(telling, "TELL_S", 0)
    await told.tell_soon({"spring": replace(cursor, last=3)})
    assert (await shard.view()).settled == 3
