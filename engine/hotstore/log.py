"""The log: the stream of decisions of a shard, read in order from a place, trimmed well behind it."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from engine.domain.decisions import LogEntry
from engine.hotstore import keys
from engine.hotstore.records import entry_of
from engine.hotstore.scripts import SETTLED
from engine.hotstore.store import HotStore

Place = tuple[int, int]
"""(epoch, number of the last decision that was read)."""


class Lag(Struct, frozen=True):
    """What the ledger has not been told to have of a shard's log, and how long the oldest of it has been there."""

    decisions: int = 0
    oldest_ms: int = 0


async def read_log(store: HotStore, campaign: str, after: Place, entries_max: int) -> list[LogEntry]:
    """The entries behind that place, at most `entries_max`. Raises ShardBroken for one that cannot be read."""
    found = await store.call("XRANGE", keys.log(campaign), "(" + _id(after), "+", "COUNT", entries_max)
    return [_entry(entry) for entry in found]


async def wait_log(
    store: HotStore, after: Mapping[str, Place], wait_ms: int, entries_max: int
) -> dict[str, list[LogEntry]]:
    """Entries behind each campaign's place, `entries_max` of each at most; empty on none.

    Where no campaign has any, waits up to `wait_ms` for the first (0: not at all). Raises as `read_log` does.
    """
    if not after:
        return {}
    names = {keys.log(campaign).encode(): campaign for campaign in after}
    places = [_id(place) for place in after.values()]
    wait = ("BLOCK", wait_ms) if wait_ms else ()  # BLOCK 0 would wait for ever
    wait_s = wait_ms / 1000 + 1 if wait_ms else None
    found = await store.call("XREAD", "COUNT", entries_max, *wait, "STREAMS", *names, *places, wait_s=wait_s)
    return {names[name]: [_entry(entry) for entry in entries] for name, entries in found or []}


async def trim_log(store: HotStore, campaign: str, behind: Place) -> None:
    """Drop entries that lie wholly behind that place. Redis keeps a few more where that is cheaper."""
    await store.call("XTRIM", keys.log(campaign), "MINID", "~", _id(behind))


async def tell_settled(store: HotStore, campaign: str, place: Place) -> None:
    """Tell the shard how far its log is in the ledger; the claim script bounds the lag by it."""
    await SETTLED.run(store, [keys.head(campaign)], [place[0], place[1]])


async def read_lags(store: HotStore, campaigns: Sequence[str]) -> dict[str, Lag]:
    """The lag of each shard, by the hot store alone: it can be told while the ledger is away.

    The newest id of a log is the number of its last decision; of an older epoch everything was settled before the
    epoch of the head began.
    """
    newest = await store.call_many(
        [
            command
            for campaign in campaigns
            for command in (
                ("HMGET", keys.head(campaign), "epoch", "settled"),
                ("XREVRANGE", keys.log(campaign), "+", "-", "COUNT", 1),
            )
        ]
    )
    behind: dict[str, tuple[Place, int]] = {}
    for campaign, (epoch, settled), found in zip(campaigns, newest[::2], newest[1::2], strict=True):
        place = (int(epoch or 0), int(settled or 0))
        log_epoch, last = map(int, found[0][0].split(b"-")) if found else (0, 0)
        behind[campaign] = (place, last - place[1] if log_epoch == place[0] else 0)
    late = {campaign: place for campaign, (place, decisions) in behind.items() if decisions > 0}
    oldest = await _oldest_ms(store, late) if late else {}
    return {campaign: Lag(max(0, decisions), oldest.get(campaign, 0)) for campaign, (_, decisions) in behind.items()}


async def _oldest_ms(store: HotStore, after: Mapping[str, Place]) -> dict[str, int]:
    """Age of the first entry behind each place, by the store's clock; a log that was trimmed meanwhile has none."""
    (seconds, microseconds), *found = await store.call_many(
        [
            ("TIME",),
            *(("XRANGE", keys.log(campaign), "(" + _id(place), "+", "COUNT", 1) for campaign, place in after.items()),
        ]
    )
    now_ms = int(seconds) * 1000 + int(microseconds) // 1000
    ages = {}
    for campaign, entries in zip(after, found, strict=True):
        for _, flat in entries:
            ages[campaign] = max(0, now_ms - int(dict(zip(flat[::2], flat[1::2], strict=True))[b"at"]))
    return ages


def _id(place: Place) -> str:
    return f"{place[0]}-{place[1]}"


def _entry(entry: tuple[bytes, list[bytes]]) -> LogEntry:
    entry_id, flat = entry
    return entry_of(entry_id, dict(zip(flat[::2], flat[1::2], strict=True)))
