"""Shards to settle, and writers that are stopped at the end."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from msgspec.structs import replace

from engine.hotstore.store import HotStore
from engine.ledger.database import Ledger
from engine.settings import Settings
from engine.settling.writer import Writer
from tests.settling.shards import Shard

MakeWriter = Callable[..., Awaitable[Writer]]


@pytest.fixture
async def shard(ledger: Ledger, store: HotStore, settings: Settings, seed: int, redis_url: str) -> Shard:
    made = Shard(ledger, store, settings, seed)
    made.store_url = redis_url
    return await made.start()


@pytest.fixture
async def neighbour(ledger: Ledger, store: HotStore, settings: Settings, seed: int, redis_url: str) -> Shard:
    """Another campaign beside it."""
    made = Shard(ledger, store, settings, seed + 1)
    made.store_url = redis_url
    return await made.start("autumn")


@pytest.fixture
async def start_writer(ledger: Ledger, store: HotStore, settings: Settings) -> AsyncIterator[MakeWriter]:
    """Start a writer; a ledger, settings or a holder's name of its own may be given.

    Its batches are small, so that it reads ahead, and it does not wait for them to grow.
    """
    started: list[Writer] = []
    hurried = replace(settings, log_entries_max=2, settle_decisions_max=3, settle_gather_ms=0)

    async def start(holder: str = "writer", by: Ledger | None = None, settings: Settings = hurried) -> Writer:
        writer = Writer(by or ledger, store, settings, holder)
        started.append(writer)
        await writer.start()
        return writer

    yield start
    for writer in reversed(started):
        await writer.stop()
