"""A house for each test."""

import pytest

from engine.hotstore.store import HotStore
from engine.ledger.database import Ledger
from engine.settings import Settings
from tests.operators.house import House


@pytest.fixture
def house(store: HotStore, ledger: Ledger, settings: Settings) -> House:
    return House(store, ledger, settings)
