"""A drop that went well, for tests that then break it."""

import pytest

from engine.hotstore.store import HotStore
from engine.ledger.database import Ledger
from engine.settings import Settings
from tests.audit.small_drop import SmallDrop


@pytest.fixture
async def drop(ledger: Ledger, store: HotStore, settings: Settings, seed: int) -> SmallDrop:
    """A small drop, run to its end and settled."""
    small = SmallDrop(ledger, store, settings, seed)
    await small.run()
    return small
