"""Connections: what a failure means, and what the server's settings have to be."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping

import pytest
from hiredis import ReplyError
from msgspec.structs import replace

from engine.errors import AckImpossible, HotStoreError, HotStoreUnavailable, ReplyLost, WritesRefused
from engine.hotstore.connections import CONNECTIONS_MAX
from engine.hotstore.store import HotStore
from engine.settings import Settings
from tests.support.own_redis import OwnRedis, own_redis
from tests.support.proxy import LOOPBACK, Fault, Proxy
from tests.support.waiting import wait_until


@pytest.fixture
async def own() -> AsyncIterator[OwnRedis]:
    async with own_redis() as server:
        yield server


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[Proxy]:
    port = int(redis_url.rpartition(":")[2].partition("/")[0])
    async with Proxy(LOOPBACK, port) as between:
        yield between


@pytest.fixture
async def through(proxy: Proxy, redis_url: str, settings: Settings) -> AsyncIterator[HotStore]:
    """A store that goes through the proxy, and does not wait for long."""
    short = replace(settings, redis_timeout_ms=300, redis_connect_timeout_ms=500)
    store = await HotStore.connect(proxy.url_of(redis_url), short)
    yield store
    await store.close()


# What the server promises

WRONG = {
    "appendfsync": ("everysec", "always"),
    "appendonly": ("no", "yes"),
    "no-appendfsync-on-rewrite": ("yes", "no"),
    "maxmemory-policy": ("allkeys-lru", "noeviction"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_server_that_cannot_keep_the_ack_is_refused(own: OwnRedis, settings: Settings, name: str) -> None:
    wrong, needed = WRONG[name]
    await own.command("CONFIG", "SET", name, wrong)
    with pytest.raises(AckImpossible, match=f"{name} is {wrong}, needs {needed}"):
        await HotStore.connect(own.url, settings)
    memory = replace(settings, ack="memory")
    if name == "maxmemory-policy":
        with pytest.raises(AckImpossible):
            await HotStore.connect(own.url, memory)
    else:
        await (await HotStore.connect(own.url, memory)).close()


async def test_settings_are_looked_at_again_on_every_reconnect(own: OwnRedis, settings: Settings) -> None:
    store = await HotStore.connect(own.url, settings)
    assert await store.call("PING") == b"PONG"
    await own.command("CONFIG", "SET", "appendfsync", "everysec")
    await own.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    with pytest.raises(HotStoreUnavailable, match="appendfsync is everysec, needs always"):
        await store.call("SET", "a", "b")
    with pytest.raises(HotStoreUnavailable, match="appendfsync is everysec, needs always"):
        await store.call("SET", "a", "b")
    assert await own.command("EXISTS", "a") == 0
    await own.command("CONFIG", "SET", "appendfsync", "always")
    assert await store.call("SET", "a", "b") == b"OK"
    await store.close()


async def test_nobody_there(settings: Settings) -> None:
    async with own_redis() as server:
        url = server.url
    with pytest.raises(HotStoreUnavailable, match="not reachable"):
        await HotStore.connect(url, settings)


# What a failed call means


@pytest.mark.loops
@pytest.mark.parametrize(("fault", "done"), [(Fault.CUT_BEFORE, False), (Fault.CUT_AFTER, True), (Fault.SWALLOW, True)])
async def test_a_lost_reply_is_neither_done_nor_not_done(
    through: HotStore, store: HotStore, proxy: Proxy, fault: Fault, done: bool
) -> None:
    trap = proxy.trap(b"INCR", fault)
    with pytest.raises(ReplyLost):
        await through.call("INCR", "count")
    await trap.springs()
    assert await store.call("GET", "count") == (b"1" if done else None)
    assert await through.call("INCR", "count") == (2 if done else 1), "the client has not sent it a second time"


async def test_a_dead_connection_is_replaced_before_anything_is_sent(through: HotStore, proxy: Proxy) -> None:
    await through.call("PING")
    proxy.cut()
    await asyncio.sleep(0)
    connections = proxy.connections
    with contextlib.suppress(ReplyLost):  # where the end of the connection has not arrived yet
        assert await through.call("INCR", "count") == 1
    assert await through.call("PING") == b"PONG"
    assert proxy.connections == connections + 1


async def test_an_unreachable_store_has_surely_done_nothing(through: HotStore, proxy: Proxy, store: HotStore) -> None:
    await proxy.refuse()
    for _ in range(3):
        with pytest.raises((HotStoreUnavailable, ReplyLost)):
            await through.call("INCR", "count")
    with pytest.raises(HotStoreUnavailable):
        await through.call("INCR", "count")
    assert await store.call("GET", "count") is None
    await proxy.accept()
    assert await through.call("INCR", "count") == 1


async def test_a_line_that_fell_silent(through: HotStore, proxy: Proxy, store: HotStore) -> None:
    await through.call("PING")
    proxy.stall()
    with pytest.raises(ReplyLost):
        await through.call("INCR", "count")
    with pytest.raises(HotStoreUnavailable):  # a new connection, which nobody greets
        await through.call("INCR", "count")
    with pytest.raises(HotStoreUnavailable):
        await through.call("INCR", "count", "x" * 2_000_000)
    proxy.resume()
    assert await through.call("PING") == b"PONG"


async def test_a_large_request_into_a_silent_line_ends_in_time(through: HotStore, proxy: Proxy) -> None:
    """What could not even be written is not waited for when the connection is given up."""
    await through.call("PING")
    proxy.stall()
    async with asyncio.timeout(5):
        with pytest.raises(ReplyLost):
            await through.call("SET", "large", b"x" * 30_000_000)


async def test_what_could_not_be_written_was_surely_not_done(through: HotStore, proxy: Proxy, store: HotStore) -> None:
    """The end of the connection came between two requests on it; it is not replaced in secret."""
    async with through.line() as line:
        await line.exchange([["PING"]])
        proxy.cut()
        await wait_until(lambda: not line.is_open, what="the end has come")
        for _ in range(2):
            with pytest.raises(HotStoreUnavailable):
                await line.exchange([["INCR", "count"]])
        with pytest.raises(ReplyLost):  # of what was done before on this connection nothing is known any more
            await line.replicas(1, 10)
    assert await store.call("GET", "count") is None
    assert await through.call("INCR", "count") == 1


REFUSALS: Mapping[str, tuple[list[str | int], list[str | int], type[HotStoreError]]] = {
    "READONLY": (["REPLICAOF", LOOPBACK, 1], ["REPLICAOF", "NO", "ONE"], WritesRefused),
    "OOM": (["CONFIG", "SET", "maxmemory", 1], ["CONFIG", "SET", "maxmemory", 0], WritesRefused),
    "NOREPLICAS": (
        ["CONFIG", "SET", "min-replicas-to-write", 1],
        ["CONFIG", "SET", "min-replicas-to-write", 0],
        WritesRefused,
    ),
    "NOPERM": (["ACL", "SETUSER", "default", "-incr"], ["ACL", "SETUSER", "default", "+@all"], HotStoreUnavailable),
}


async def test_a_server_that_refuses_has_surely_done_nothing(own: OwnRedis, settings: Settings) -> None:
    store = await HotStore.connect(own.url, settings)
    for sign, (wrong, right, meaning) in REFUSALS.items():
        await own.command(*wrong)
        with pytest.raises(meaning, match=sign):
            await store.call("INCR", "count")
        await own.command(*right)
    assert await store.call("INCR", "count") == 1
    await store.close()


async def test_errors_of_the_server(store: HotStore, own: OwnRedis, settings: Settings) -> None:
    await store.call("SET", "text", "abc")
    with pytest.raises(HotStoreError) as raised:
        await store.call("INCR", "text")
    assert not isinstance(raised.value, HotStoreUnavailable | ReplyLost)
    assert isinstance(raised.value.__cause__, ReplyError)
    with pytest.raises(HotStoreError):
        await store.call_many([["SET", "a", "1"], ["INCR", "text"], ["GET", "a"]])
    assert await store.call_many([["GET", "a"], ["GET", "text"]]) == [b"1", b"abc"], "answers are not mixed up"
    other = await HotStore.connect(own.url, settings)
    await other.call("CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(HotStoreUnavailable, match="maxmemory"):
        await other.call("SET", "a", "b")
    await other.close()


async def test_a_server_that_loads_its_data_has_surely_done_nothing(own: OwnRedis, settings: Settings) -> None:
    store = await HotStore.connect(own.url, settings)
    for nth in range(24):  # it looks at its connections after every 2 MB
        await store.call("SET", f"key {nth}", os.urandom(500_000))
    await own.command("CONFIG", "SET", "key-load-delay", 20_000)
    reloading = asyncio.create_task(own.command("DEBUG", "RELOAD"))
    said: list[HotStoreError] = []
    while not reloading.done():
        try:
            await store.call("INCR", "count")
        except HotStoreError as error:
            said.append(error)
    await reloading
    loading = [error for error in said if "loading" in str(error)]
    assert loading
    assert {type(error) for error in loading} == {HotStoreUnavailable}
    await store.close()


async def test_a_call_that_is_given_up_leaves_no_answer_behind(through: HotStore, proxy: Proxy) -> None:
    await through.call("SET", "who", "me")
    trap = proxy.trap(b"GET", Fault.DELAY)
    given_up = asyncio.create_task(through.call("GET", "who"))
    await trap.springs()
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    trap.release()
    assert await through.call("PING") == b"PONG"
    assert await through.call("GET", "who") == b"me"


@pytest.mark.loops
async def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_one(through: HotStore, proxy: Proxy) -> None:
    """A wait of its own ends the connection too: what is still on its way belongs to nobody."""
    await through.call("SET", "who", "me")
    trap = proxy.trap(b"BLPOP", Fault.DELAY)
    with pytest.raises(ReplyLost):
        await through.call("BLPOP", "nothing", "0.01", wait_s=0.05)
    trap.release()
    for _ in range(3):
        assert await through.call("GET", "who") == b"me"


async def test_more_calls_at_once_than_connections(store: HotStore, through: HotStore) -> None:
    """The bound is far above what one process needs; past it a call surely has not been sent."""
    waiting = [asyncio.create_task(store.call("BLPOP", "list", 30, wait_s=60)) for _ in range(CONNECTIONS_MAX)]
    blocked = f"blocked_clients:{CONNECTIONS_MAX}\r".encode()

    async def all_wait() -> bool:
        return blocked in await through.call("INFO", "clients")

    await wait_until(all_wait)
    with pytest.raises(HotStoreUnavailable):
        await store.call("INCR", "count")
    await through.call("RPUSH", "list", *range(CONNECTIONS_MAX))
    answers = await asyncio.gather(*waiting)
    assert sorted(int(value) for _, value in answers) == list(range(CONNECTIONS_MAX))
    assert await store.call("INCR", "count") == 1


async def test_a_crowd_shares_few_connections(through: HotStore, proxy: Proxy) -> None:
    """Those that there are are used again, the latest first; a crowd gets a bounded number more."""
    for _ in range(5):
        await through.call("PING")
    assert proxy.connections == 1
    assert set(await asyncio.gather(*[through.call("PING") for _ in range(5 * CONNECTIONS_MAX)])) == {b"PONG"}
    assert proxy.connections <= CONNECTIONS_MAX


async def test_who_gets_no_connection_takes_no_place(through: HotStore, proxy: Proxy, redis_url: str) -> None:
    """Refused, greeted by nobody, given up: each of these more often than there are places."""
    port = int(redis_url.rpartition(":")[2].partition("/")[0])
    proxy.lead_to(1)  # where nobody listens
    proxy.cut()
    for _ in range(CONNECTIONS_MAX + 2):
        with pytest.raises(HotStoreError):
            await through.call("PING")
    proxy.lead_to(port)
    proxy.stall()
    given_up = [asyncio.create_task(through.call("PING")) for _ in range(2 * CONNECTIONS_MAX)]
    await asyncio.sleep(0)
    for task in given_up:
        task.cancel()
    await asyncio.wait(given_up)
    with pytest.raises(HotStoreUnavailable):
        await through.call("PING")
    proxy.resume()
    assert set(await asyncio.gather(*[through.call("PING") for _ in range(CONNECTIONS_MAX)])) == {b"PONG"}


@pytest.mark.loops
async def test_closing_ends_what_is_under_way(redis_url: str, settings: Settings) -> None:
    store = await HotStore.connect(redis_url, settings)
    waiting = asyncio.create_task(store.call("BLPOP", "nothing", 30, wait_s=60))
    await asyncio.sleep(0)
    await store.close()
    with pytest.raises(HotStoreError):
        await waiting


@pytest.mark.loops
async def test_closing_twice(redis_url: str, settings: Settings) -> None:
    store = await HotStore.connect(redis_url, settings)
    await store.call("PING")
    await store.close()
    await store.close()
