"""The log: the stream of decisions of a shard, read in order from a place, trimmed well behind it."""

from collections.abc import Mapping

from engine.domain.decisions import LogEntry
from engine.hotstore import keys
from engine.hotstore.records import entry_of
from engine.hotstore.scripts import SETTLED
from engine.hotstore.store import HotStore

Place = tuple[int, int]
"""(epoch, number of the last decision that was read)."""


async def read_log(store: HotStore, campaign: str, after: Place, entries_max: int) -> list[LogEntry]:
    """The entries behind that place, at most `entries_max`. Raises ShardBroken for one that cannot be read."""
    found = await store.call("XRANGE", keys.log(campaign), "(" + _id(after), "+", "COUNT", entries_max)
    return [_entry(entry) for entry in found]


async def wait_log(
    store: HotStore, after: Mapping[str, Place], wait_ms: int, entries_max: int
) -> dict[str, list[LogEntry]]:
    """Entries behind each campaign's place; waits up to `wait_ms` where no campaign has any. Empty on none."""
    if not after:
        return {}
    names = {keys.log(campaign).encode(): campaign for campaign in after}
    places = [_id(place) for place in after.values()]
    found = await store.call(
        "XREAD", "COUNT", entries_max, "BLOCK", wait_ms, "STREAMS", *names, *places, wait_s=wait_ms / 1000 + 1
    )
    return {names[name]: [_entry(entry) for entry in entries] for name, entries in found or []}


async def trim_log(store: HotStore, campaign: str, behind: Place) -> None:
    """Drop entries that lie wholly behind that place. Redis keeps a few more where that is cheaper."""
    await store.call("XTRIM", keys.log(campaign), "MINID", "~", _id(behind))


async def tell_settled(store: HotStore, campaign: str, place: Place) -> None:
    """Tell the shard how far its log is in the ledger; the claim script bounds the lag by it."""
    await SETTLED.run(store, [keys.head(campaign)], [place[0], place[1]])


def _id(place: Place) -> str:
    return f"{place[0]}-{place[1]}"


def _entry(entry: tuple[bytes, list[bytes]]) -> LogEntry:
    entry_id, flat = entry
    return entry_of(entry_id, dict(zip(flat[::2], flat[1::2], strict=True)))
