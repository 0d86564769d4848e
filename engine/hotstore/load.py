"""Filling a shard: the keys of a new epoch beside the live ones, then one flip. For recovery and steward alone.

Each step carries the term of the steward's lease; a steward that slept too long is refused (LeaseLost).
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from msgspec import Struct

from engine.domain.campaign import Catalogue
from engine.domain.decisions import Rules, WaveState
from engine.domain.outcome import Claim
from engine.errors import HotStoreError
from engine.hotstore import keys
from engine.hotstore.records import holder_record, to_json
from engine.hotstore.scripts import BIND, DROP, LOAD, REBIND, UNBIND
from engine.hotstore.store import HotStore

CLAIMANTS_PER_CALL = 1_000
"""Two arguments each: far below the 7,999 values that Lua's unpack takes, and about a millisecond of Redis."""
DROPPED_PER_CALL = 1_000
"""Keys freed in one step; three an epoch, and more than two epochs are there only after loads that broke off."""


Ends = Mapping[int, int]
"""The last number of each epoch that came right before the live one, as far as they are known without a gap. A ledger
that goes back over an epoch's end is told by it whether a trimmed log still has everything. In `head`: "7-120 8-3"."""
ENDS_MAX = 16
"""Epochs whose ends are kept: a Redis that restarts again and again has as many within what a log reaches back."""
NO_ENDS: Ends = MappingProxyType({})


class Unbound(Struct, frozen=True):
    """What the steward saw when it unbound a shard: epoch of the keys that are there (0: none), and the server."""

    epoch: int
    incarnation: str
    ends: Ends = NO_ENDS


class Contents(Struct, frozen=True):
    """What `meta` and `left` of a new epoch begin with. `left` is keyed by (wave_no, offer_no)."""

    catalogue: Catalogue
    waves: Mapping[int, WaveState]
    left: Mapping[tuple[int, int], int]
    act: int
    claims: int
    value: int
    newest_ms: Mapping[tuple[int, int], int]
    """Instant of the newest claim of (wave_no, offer_no), where there is one."""
    stopped: str = ""
    """Why the whole campaign is stopped; empty where it is not."""


async def unbind(store: HotStore, campaign: str, term: int) -> Unbound:
    """Step 0: from here on nobody decides in this shard."""
    _, (_, epoch, incarnation, ends) = await UNBIND.run(store, [keys.head(campaign)], [term])
    places = [place.split("-") for place in ends.decode().split()]
    return Unbound(int(epoch), incarnation.decode(), {int(ended): int(last) for ended, last in places})


async def begin_epoch(store: HotStore, campaign: str, epoch: int, term: int) -> None:
    """Put the markers into the keys of that epoch; nothing may be in them (`drop_other_epochs`)."""
    shard = keys.shard(campaign, epoch)
    for key in (shard.meta, shard.left, shard.holders):
        await _load(store, shard.head, key, term, epoch, [(keys.MARKER, "1")])


async def load_contents(store: HotStore, campaign: str, epoch: int, term: int, contents: Contents) -> None:
    """Put everything but the holders into the keys of that epoch.

    Waves with claims had opened, whatever the clock says now; an offer without a unit left is sold out since its
    newest claim.
    """
    shard = keys.shard(campaign, epoch)
    catalogue = contents.catalogue
    meta = {
        "last": "0",
        "base": str(epoch),
        "act": str(contents.act),
        "act_id": "",
        "claims": str(contents.claims),
        "value": str(contents.value),
        "rules": to_json(Rules(catalogue.limits, catalogue.cap, contents.stopped)),
        "catalogue": to_json(catalogue),
        **{keys.wave_field(no): to_json(state) for no, state in contents.waves.items()},
        **{keys.latch_field(wave_no): "1" for wave_no, _ in contents.newest_ms},
        **{
            keys.sold_out_field(*place): str(contents.newest_ms.get(place, 0))
            for place, units in contents.left.items()
            if units == 0
        },
    }
    left = {keys.stock_field(*place): str(units) for place, units in contents.left.items()}
    await _load(store, shard.head, shard.meta, term, epoch, list(meta.items()))
    await _load(store, shard.head, shard.left, term, epoch, list(left.items()))


async def load_holders(
    store: HotStore, campaign: str, epoch: int, term: int, holdings: Iterable[Sequence[Claim]]
) -> None:
    """Put the records of some claimants, each with all of their claims in order of `nth`."""
    shard = keys.shard(campaign, epoch)
    await _load(
        store,
        shard.head,
        shard.holders,
        term,
        epoch,
        [(claims[0].claimant, holder_record(claims, epoch)) for claims in holdings],
    )


async def bind(
    store: HotStore,
    campaign: str,
    epoch: int,
    term: int,
    incarnation: str,
    claimants: int,
    old_epoch: int = 0,
    *,
    ends: Ends = NO_ENDS,
) -> None:
    """The flip; the keys of the epoch that was live are freed with it (0: there was none).

    Raises HotStoreError where another server answers by now: begin again.
    """
    shard, old = keys.shard(campaign, epoch), keys.shard(campaign, old_epoch)
    await list_campaign(store, campaign)
    status, _ = await BIND.run(
        store,
        [shard.head, shard.meta, shard.left, shard.holders, old.meta, old.left, old.holders],
        [term, epoch, incarnation, claimants, _text(ends)],
    )
    if status != "ok":
        raise HotStoreError(f"could not bind epoch {epoch} of {campaign}: {status}")


async def rebind(
    store: HotStore,
    campaign: str,
    old_epoch: int,
    last: int,
    epoch: int,
    term: int,
    incarnation: str,
    *,
    ends: Ends = NO_ENDS,
) -> None:
    """The shard lost nothing: it goes on under the new epoch as it is."""
    old, new = keys.shard(campaign, old_epoch), keys.shard(campaign, epoch)
    await list_campaign(store, campaign)
    status, _ = await REBIND.run(
        store,
        [old.head, old.meta, old.left, old.holders, new.meta, new.left, new.holders],
        [term, epoch, incarnation, old_epoch, last, _text(ends)],
    )
    if status != "ok":
        raise HotStoreError(f"could not rebind epoch {epoch} of {campaign}: {status}")


async def drop_other_epochs(store: HotStore, campaign: str, live_epoch: int, term: int) -> None:
    """Free the keys of every epoch but the live one (0: of every epoch): what loads that broke off have left.

    Raises HotStoreError where another epoch is live by now.
    """
    live = {key.encode() for key in keys.shard(campaign, live_epoch)}
    gone = [key for key in await _keys_of_epochs(store, campaign) if key not in live]
    await _drop(store, keys.head(campaign), live_epoch, term, gone)


async def drop_campaign(store: HotStore, campaign: str, live_epoch: int, term: int) -> None:
    """Leave nothing of a campaign that is unbound, in that epoch (0: in none), and wholly in the ledger.

    It leaves the list last: where this breaks off, whoever reads the list finds it and begins again. Raises
    HotStoreError where another epoch was bound since.
    """
    head = keys.head(campaign)
    rest = [keys.log(campaign), keys.voided(campaign), head]
    await _drop(store, head, live_epoch, term, [*await _keys_of_epochs(store, campaign), *rest])
    await store.call("SREM", keys.CAMPAIGNS, campaign)


async def list_campaign(store: HotStore, campaign: str) -> None:
    """Put it on the list of what is in the hot store, before the flip: bound and on no list, nobody would find it."""
    await store.call("SADD", keys.CAMPAIGNS, campaign)


async def _keys_of_epochs(store: HotStore, campaign: str) -> list[bytes]:
    """The keys of all epochs of a shard. Looks at every key of the store: those are few, however large."""
    found: list[bytes] = []
    cursor = b"0"
    while True:
        cursor, some = await store.call("SCAN", cursor, "MATCH", keys.any_epoch(campaign), "COUNT", DROPPED_PER_CALL)
        found += some
        if cursor == b"0":
            return found


async def _drop(store: HotStore, head: str, live_epoch: int, term: int, gone: Sequence[str | bytes]) -> None:
    for start in range(0, len(gone), DROPPED_PER_CALL):
        status, _ = await DROP.run(store, [head, *gone[start : start + DROPPED_PER_CALL]], [term, live_epoch])
        if status != "ok":
            raise HotStoreError(f"nothing of {head} was freed: another epoch than {live_epoch} is {status}")


async def _load(store: HotStore, head: str, key: str, term: int, epoch: int, fields: Sequence[tuple[str, str]]) -> None:
    for start in range(0, len(fields), CLAIMANTS_PER_CALL):
        flat = [text for pair in fields[start : start + CLAIMANTS_PER_CALL] for text in pair]
        status, _ = await LOAD.run(store, [head, key], [term, epoch, *flat])
        if status != "ok":
            raise HotStoreError(f"could not load into {key}: epoch {epoch} is {status} by now")


def _text(ends: Ends) -> str:
    return " ".join(f"{epoch}-{last}" for epoch, last in sorted(ends.items())[-ENDS_MAX:])
