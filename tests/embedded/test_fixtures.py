"""The servers of a test run."""

import asyncio

import asyncpg
import pytest
import redis


@pytest.mark.loops
@pytest.mark.parametrize("turn", range(10))
async def test_each_test_has_an_empty_ledger_of_its_own(database_url: str, turn: int) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        assert await connection.fetchval("select count(*) from campaigns") == 0
        await connection.execute("insert into leases values ('writer', 'me', 1, now())")
        assert await connection.fetchval("select count(*) from leases") == 1
    finally:
        await connection.close()


@pytest.mark.parametrize("turn", range(2))
def test_each_test_has_an_empty_redis(redis_url: str, turn: int) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")
        assert client.config_get("appendfsync") == {"appendfsync": "always"}


@pytest.mark.loops
async def test_marked_tests_run_under_each_event_loop(request: pytest.FixtureRequest) -> None:
    loop = asyncio.get_running_loop()
    name = request.node.callspec.id
    assert (name == "debug") == loop.get_debug()
    assert (name == "uvloop") == type(loop).__module__.startswith("uvloop")
