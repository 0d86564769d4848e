"""What the hot store says of a wave, where it says anything: it may be away, recovering, or without the campaign."""

from typing import Literal

from msgspec import Struct

from engine.domain.campaign import Catalogue
from engine.domain.decisions import WaveState
from engine.errors import HotStoreError, ShardBroken
from engine.hotstore.store import HotStore
from engine.hotstore.view import bound_epoch, read_shard

Place = tuple[int, int]
"""(epoch, number of the last decision)."""

HotStoreState = Literal["live", "recovering", "unloaded", "away"]
"""live: it decides claims. recovering: it should, and does not at this moment. unloaded: it has nothing left to do
with the campaign. away: it could not be asked."""


class HotOffer(Struct, frozen=True):
    """An offer as the hot store counts it: units in all, and what is left of them."""

    total: int
    left: int

    @property
    def claimed(self) -> int:
        """Units that are given."""
        return self.total - self.left


class Sight(Struct, frozen=True):
    """The hot store's side. Only `live` has a place, offers (by number) and the wave as it is there.

    `read_ms` is its clock, 0 where it is away; `stopped` the reason of a stop of the whole campaign, or empty.
    """

    state: HotStoreState
    why: str = ""
    read_ms: int = 0
    place: Place | None = None
    wave: WaveState | None = None
    offers: dict[int, HotOffer] = {}
    stopped: str = ""


async def look(store: HotStore, catalogue: Catalogue, wave_no: int, unload_after_ms: int) -> Sight:
    """Look at the wave's shard. A hot store that does not answer is a sight too, never an error."""
    try:
        shard = await read_shard(store, catalogue.id)
        if shard is None:
            is_there = await bound_epoch(store, catalogue.id) is not None
            now_ms = await store.time_ms()
            expected = is_there or catalogue.belongs_in_hot_store(now_ms, unload_after_ms)
            return Sight("recovering" if expected else "unloaded", read_ms=now_ms)
    except (HotStoreError, ShardBroken) as error:
        return Sight("away", why=str(error))
    if not shard.bound:
        return Sight("recovering", read_ms=shard.now_ms)
    wave = shard.waves.get(wave_no)
    return Sight(
        "live",
        read_ms=shard.now_ms,
        place=(shard.epoch, shard.last),
        wave=wave,
        offers={}
        if wave is None
        else {int(no): HotOffer(offer.total, shard.left[wave_no, int(no)]) for no, offer in wave.offers.items()},
        stopped=shard.rules.stopped,
    )
