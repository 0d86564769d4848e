"""What is in the hot store, for showing and checking. Nothing here decides anything."""

from collections.abc import AsyncIterator
from functools import lru_cache

import msgspec
from msgspec import Struct

from engine.domain.campaign import Catalogue
from engine.domain.decisions import Rules, WaveState
from engine.domain.outcome import Claim
from engine.errors import HotStoreUnavailable, ShardBroken
from engine.hotstore import keys
from engine.hotstore.records import claims_of_record
from engine.hotstore.scripts import LOOK
from engine.hotstore.store import HotStore

SCAN_COUNT = 1_000
"""Fields in one HSCAN step: about a millisecond of Redis."""
READ_TRIES_MAX = 3
"""Epochs change with recoveries; three in the time of a look means that something is wrong."""


class ShardView(Struct, frozen=True):
    """One shard as it stood at `now_ms` of the store's clock. `left` is keyed by (wave_no, offer_no)."""

    campaign: str
    epoch: int
    incarnation: str
    bound: bool
    """Whether it is bound to the server that answered."""
    settled: int
    last: int
    act: int
    claims: int
    value: int
    rules: Rules
    catalogue: Catalogue
    waves: dict[int, WaveState]
    left: dict[tuple[int, int], int]
    sold_out_ms: dict[tuple[int, int], int]
    now_ms: int


_CATALOGUE = msgspec.json.Decoder(Catalogue)
_WAVE = msgspec.json.Decoder(WaveState)
_RULES = msgspec.json.Decoder(Rules)
CATALOGUES_KEPT_MAX = 64
"""Decoded catalogues kept by their text: gateways read the same ones several times a second."""


@lru_cache(CATALOGUES_KEPT_MAX)
def _catalogue(text: bytes) -> Catalogue:
    return _CATALOGUE.decode(text)


async def loaded_campaigns(store: HotStore) -> list[str]:
    """Ids of the campaigns in the hot store, in order."""
    return sorted(member.decode() for member in await store.call("SMEMBERS", keys.CAMPAIGNS))


async def bound_epoch(store: HotStore, campaign: str) -> int | None:
    """The epoch that `head` names, bound or not; None where the shard is not in the hot store."""
    epoch = await store.call("HGET", keys.head(campaign), "epoch")
    return None if epoch is None else int(epoch)


async def seen_term(store: HotStore, campaign: str) -> int:
    """The latest steward's term that the shard has seen; 0 where none was there."""
    return int(await store.call("HGET", keys.head(campaign), "lease") or 0)


async def read_shard(store: HotStore, campaign: str) -> ShardView | None:
    """The shard, or None where it (or a part of it) is not in the hot store."""
    for _ in range(READ_TRIES_MAX):
        epoch = await bound_epoch(store, campaign)
        if epoch is None:
            return None
        view, moved = await _read_epoch(store, campaign, epoch)
        if not moved:
            return view
    raise HotStoreUnavailable(f"{campaign} changed its epoch {READ_TRIES_MAX} times while it was read")


async def _read_epoch(store: HotStore, campaign: str, epoch: int) -> tuple[ShardView | None, bool]:
    """The shard in that epoch, and whether another epoch went live between the two looks.

    The head is read last: where it still names this epoch, the keys were live ones when they were read.
    """
    shard = keys.shard(campaign, epoch)
    meta, left, holders_there, info, (seconds, microseconds), head = await store.call_many(
        [
            ["HGETALL", shard.meta],
            ["HGETALL", shard.left],
            ["EXISTS", shard.holders],
            ["INFO", "replication"],
            ["TIME"],
            ["HMGET", shard.head, "epoch", "incarnation", "settled"],
        ]
    )
    fields = _fields(meta)
    if head[0] is None or int(head[0]) != epoch:
        return None, True
    if b"catalogue" not in fields or not left or not holders_there:
        return None, False  # a part of it is lost: the scripts decide nothing, and the steward has to load it
    incarnation = (head[1] or b"").decode()
    view = ShardView(
        campaign=campaign,
        epoch=epoch,
        incarnation=incarnation,
        bound=bool(incarnation) and f"master_replid:{incarnation}".encode() in info and b"role:master" in info,
        settled=int(head[2] or 0),
        last=int(fields[b"last"]),
        act=int(fields[b"act"]),
        claims=int(fields[b"claims"]),
        value=int(fields[b"value"]),
        rules=_RULES.decode(fields[b"rules"]),
        catalogue=_catalogue(fields[b"catalogue"]),
        waves={int(field[5:]): _WAVE.decode(text) for field, text in fields.items() if field.startswith(b"wave:")},
        left={_stock(field): int(units) for field, units in _fields(left).items() if field != keys.MARKER.encode()},
        sold_out_ms={_stock(field[9:]): int(ms) for field, ms in fields.items() if field.startswith(b"sold_out:")},
        now_ms=int(seconds) * 1000 + int(microseconds) // 1000,
    )
    return view, False


async def claims_of_claimants(store: HotStore, campaign: str, epoch: int, claimants: list[str]) -> list[list[Claim]]:
    """What each of these claimants holds. Raises Fenced or OtherEpoch where "nothing" might not be true."""
    shard = keys.shard(campaign, epoch)
    _, (_, records, base) = await LOOK.run(store, [shard.head, shard.holders, shard.meta], [epoch, *claimants])
    return [
        claims_of_record(record.decode(), claimant, int(base)) if record else []
        for claimant, record in zip(claimants, records, strict=True)
    ]


async def last_decision(store: HotStore, campaign: str) -> tuple[int, int] | None:
    """(epoch, number) of the last decision of the shard; None where the campaign is not in the hot store.

    Raises Fenced or OtherEpoch where this server may lack decisions.
    """
    epoch = await bound_epoch(store, campaign)
    if epoch is None:
        return None
    shard = keys.shard(campaign, epoch)
    # Nobody's claims: it is the fence that is asked.
    await LOOK.run(store, [shard.head, shard.holders, shard.meta], [epoch, ""])
    return epoch, int(await store.call("HGET", shard.meta, "last") or 0)


async def read_holders(store: HotStore, campaign: str) -> AsyncIterator[tuple[str, list[Claim]]]:
    """Every claimant with the claims held, in no order; a claimant may come twice while the hash grows."""
    epoch = await bound_epoch(store, campaign)
    if epoch is None:
        return
    shard, cursor = keys.shard(campaign, epoch), b"0"
    while True:
        # The base behind the records: where there was none, it came with the first record that counts from it.
        (cursor, flat), (base, is_there) = await store.call_many(
            [["HSCAN", shard.holders, cursor, "COUNT", SCAN_COUNT], ["HMGET", shard.meta, "base", "last"]]
        )
        if is_there is None:
            return  # another epoch went live meanwhile: these are not its holders
        for claimant, record in zip(flat[::2], flat[1::2], strict=True):
            if claimant != keys.MARKER.encode():
                yield claimant.decode(), claims_of_record(record.decode(), claimant.decode(), int(base or epoch))
        if cursor == b"0":
            return


def _fields(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _stock(field: bytes) -> tuple[int, int]:
    wave_no, _, offer_no = field.partition(b":")
    if not offer_no:
        raise ShardBroken(f"stock field {field!r} is not <wave>:<offer>")
    return int(wave_no), int(offer_no)
