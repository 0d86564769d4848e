"""Reading ahead: nobody's claims wait for the end of a neighbour's backlog."""

from msgspec.structs import replace

from engine.hotstore.store import HotStore
from engine.settings import Settings
from engine.settling.reading import LogReader
from tests.settling.shards import Shard


async def test_a_backlog_keeps_no_other_log_from_being_read(
    shard: Shard, neighbour: Shard, store: HotStore, settings: Settings
) -> None:
    reader = LogReader(store, replace(settings, log_entries_max=1, settle_decisions_max=1))
    await shard.claim(20, batch=1)
    after = {shard.campaign: (await shard.cursor()).place, neighbour.campaign: (await neighbour.cursor()).place}
    read: list[str] = []
    while neighbour.claims == [] or neighbour.campaign not in read[-8:]:
        found = await reader.read(after, 1)
        reader.read_ahead(found)
        after |= {name: place for name, place in found.ends.items() if name in found.entries}
        read += [name for name, entries in found.entries.items() if any(entry.claims for entry in entries)]
        if len(read) == 8:
            await neighbour.claim(1)
        assert len(read) < 20, "its backlog is at an end, and nothing was read of the other one"
    await reader.forget()
