"""A gateway over real stores, with campaigns for every kind of answer."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from msgspec.structs import replace

from engine.gateway.lane.lane import Lane
from engine.gateway.lane.plain import Plain
from engine.settings import Settings
from tests.gateway.drop import Drop, loaded, running_drop
from tests.support.contract import observed
from tests.support.servers import TestServers


@pytest.fixture(autouse=True)
def contract(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a gateway answers in these tests is as the OpenAPI document says."""
    with observed(monkeypatch) as mistakes:
        yield
    assert not mistakes, "\n".join(sorted(set(mistakes)))


@pytest.fixture
def addresses(servers: TestServers, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Of Redis and of the ledger: empty, but for a test that asks for `drop` with its campaigns loaded.

    They are loaded once and copied then: that takes a third of the time of loading them.
    """
    if "drop" in request.fixturenames:
        redis_url, database_url = servers.prepared(loaded)
    else:
        redis_url, database_url = servers.empty_redis(), servers.new_database()
    yield redis_url, database_url
    servers.drop_database(database_url)


@pytest.fixture
def redis_url(addresses: tuple[str, str]) -> str:
    return addresses[0]


@pytest.fixture
def database_url(addresses: tuple[str, str]) -> str:
    return addresses[1]


@pytest.fixture
def drop_settings(settings: Settings, redis_url: str, database_url: str) -> Settings:
    """Settings of the gateway under test; a module overrides it to change some."""
    return replace(settings, redis_url=redis_url, database_url=database_url)


@pytest.fixture
async def drop(drop_settings: Settings) -> AsyncIterator[Drop]:
    """Campaigns loaded, a steward at work, one gateway listening."""
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(running_drop(drop_settings))


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What lanes take, as it came."""
    seen: list[bytes] = []
    read, take = Lane.read, Lane.take
    came: list[tuple[Plain, bytes]] = []

    def remember(lane: Lane, data: bytes) -> Plain | None:
        plain = read(lane, data)
        if plain is not None:
            came.append((plain, data))
        return plain

    def note(lane: Lane, asker: Any, plain: Plain) -> bool:
        is_taken = take(lane, asker, plain)
        if is_taken:
            seen.append(next(data for each, data in reversed(came) if each == plain))
        return is_taken

    monkeypatch.setattr(Lane, "read", remember)
    monkeypatch.setattr(Lane, "take", note)
    return seen
