"""A drop to report on, stepped by hand: two waves of one campaign in both stores."""

import pytest

from engine.domain.campaign import Limit
from engine.hotstore.store import HotStore
from engine.ledger.database import Ledger
from engine.settings import Settings
from tests.support.drop import HOUR_MS, campaign, wave
from tests.support.stage import Stage

STOCK = {"o1": 3, "o2": 5, "o3": 100}


@pytest.fixture
async def stage(store: HotStore, ledger: Ledger, settings: Settings) -> Stage:
    """Wave `now` is open, `next` opens in an hour; nothing is claimed, and the puts are not settled yet."""
    now_ms = await store.time_ms()
    made = Stage(store, ledger, settings)
    waves = [
        wave("now", now_ms - HOUR_MS, now_ms + HOUR_MS, STOCK),
        wave("next", now_ms + HOUR_MS, now_ms + 2 * HOUR_MS, STOCK),
    ]
    await made.begin(campaign(waves, limits=[Limit(2, "wave")]))
    return made
