"""Many claims at once: by the engine's own script, past its gateways, as fast as that goes."""

import random
from typing import Final

from engine.domain.campaign import Catalogue, CatalogueWave
from engine.domain.codes import new_code
from engine.domain.outcome import Ask, Claimed
from engine.errors import CannotRun
from engine.hotstore.decide import decide
from engine.hotstore.store import HotStore
from engine.hotstore.view import read_shard
from loadtests.bench.sides import account

BATCH_MAX: Final = 512
_LIFE_MS: Final = 600_000
_LAG_MAX: Final = 1_000_000_000
"""The writer may be as far behind as it likes: whoever fills waits for it afterwards."""


async def fill(
    store: HotStore, catalogue: Catalogue, wave: CatalogueWave, prefix: str, claims: int, batch: int
) -> None:
    """So many claims in batches, each of another user whose name begins so. CannotRun where one is not granted."""
    view = await read_shard(store, catalogue.id)
    if view is None:
        raise CannotRun(f"{catalogue.id} is not in the hot store")
    draw, not_after_ms = random.Random(prefix), await store.time_ms() + _LIFE_MS
    for start in range(0, claims, batch):
        names = [account(prefix, number) for number in range(start, min(start + batch, claims))]
        asks = [
            (Ask(wave.no, 1, (1,), name, name), new_code(catalogue.code_prefix, draw.getrandbits)) for name in names
        ]
        decided = await decide(store, catalogue.id, view.epoch, asks, not_after_ms, _LAG_MAX)
        if not all(isinstance(answer, Claimed) for answer in decided.answers):
            raise CannotRun(f"{catalogue.id} could not be filled: {decided.answers[0]}")
