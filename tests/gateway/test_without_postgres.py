"""A gateway that starts while Postgres is away: it decides claims, and makes use of Postgres from when it is there."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from engine.errors import CannotRun
from engine.ledger.database import Ledger
from engine.settings import Settings
from engine.wiring import hot_store_first, running, writer_services
from tests.gateway.drop import Drop, running_gateway
from tests.support.proxy import Proxy
from tests.support.waiting import wait_until


@pytest.fixture
async def line(drop_settings: Settings) -> AsyncIterator[Proxy]:
    """To Postgres, of the gateway under test alone: steward and writer reach it."""
    address = urlsplit(drop_settings.database_url)
    assert address.hostname
    assert address.port
    async with Proxy(address.hostname, address.port) as proxy:
        yield proxy


@pytest.fixture
def remote(drop_settings: Settings, line: Proxy) -> Settings:
    """Settings of a gateway behind that line."""
    url = line.url_of(drop_settings.database_url)
    return replace(drop_settings, database_url=url, ledger_connect_timeout_ms=200)


async def test_claims_are_decided_and_what_needs_postgres_works_once_it_is_there(
    drop: Drop, line: Proxy, remote: Settings
) -> None:
    await line.refuse()
    async with hot_store_first(remote) as stores, running_gateway(remote, stores) as gateway:
        await wait_until(lambda: gateway.board.ready)
        assert (await gateway.call("GET", "/readyz")).status == 200
        assert (await gateway.claim("one-open", {"offer": "a"})).status == 201
        assert (await gateway.claim("one-open", {"offer": "a"})).status == 200
        unknown = await gateway.call("GET", "/v1/me/claims", gateway.token())
        assert (unknown.status, unknown["code"]) == (503, "busy")
        await line.accept()
        assert (await gateway.call("GET", "/v1/me/claims", gateway.token())).status == 200


async def test_with_ack_settled_it_is_ready_once_postgres_is_there(drop: Drop, line: Proxy, remote: Settings) -> None:
    settled = replace(remote, ack="settled")
    line.stall()  # Postgres is not gone, it says nothing: the start does not wait for it for long
    async with (
        running(writer_services(drop.stores, drop.settings)),
        hot_store_first(settled) as stores,
        running_gateway(settled, stores) as gateway,
    ):
        await wait_until(lambda: gateway.board.ready)
        assert (await gateway.call("GET", "/readyz")).status == 503
        line.resume()

        async def ready() -> bool:
            return (await gateway.call("GET", "/readyz")).status == 200

        await wait_until(ready)
        claimed = await gateway.claim("one-open", {"offer": "a"})
        assert (claimed.status, claimed["ack"]) == (201, "settled")


async def test_a_schema_that_is_not_this_programs_is_told_at_the_start(drop: Drop, remote: Settings) -> None:
    await forget_last_migration(drop.stores.ledger)
    with pytest.raises(CannotRun, match=r"the ledger lacks \d{4}_\w+: run `dropwave migrate`"):
        async with hot_store_first(remote):
            pass


async def test_one_that_comes_back_so_ends_nobody(drop: Drop, line: Proxy, remote: Settings) -> None:
    await line.refuse()
    settled = replace(remote, ack="settled")
    async with hot_store_first(settled) as stores, running_gateway(settled, stores) as gateway:
        await wait_until(lambda: gateway.board.ready)
        await forget_last_migration(drop.stores.ledger)
        with capture_logs() as logged:
            await line.accept()
            await wait_until(lambda: "run `dropwave migrate`" in str(logged))
        assert (await gateway.call("GET", "/readyz")).status == 503
        assert (await gateway.call("GET", "/v1/waves/one-open")).status == 200


async def forget_last_migration(ledger: Ledger) -> None:
    """As a ledger is that was restored from before an upgrade."""
    await ledger.fetch("delete from migrations where name = (select max(name) from migrations)")
