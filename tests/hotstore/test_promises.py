"""What a Redis has to be set to for each `ack`, found out by CONFIG, by INFO, or by what is asserted."""

from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from msgspec.structs import replace

from engine.errors import AckImpossible, SettingsError
from engine.hotstore.store import HotStore
from engine.hotstore.watch import PromiseWatch
from engine.settings import Settings
from tests.support.own_redis import OwnRedis, own_redis
from tests.support.servers import TestServers

GOOD = {
    "appendonly": "yes",
    "appendfsync": "always",
    "no-appendfsync-on-rewrite": "no",
    "maxmemory-policy": "noeviction",
    "min-replicas-to-write": "2",
    "min-replicas-max-lag": "10",
}
NO_CONFIG = ("ACL", "SETUSER", "default", "-config")


@pytest.fixture(scope="module")
def server(servers: TestServers) -> Iterator[OwnRedis]:
    """One for all of these tests: they only change its settings."""
    stack = AsyncExitStack()
    yield servers.run(stack.enter_async_context(own_redis()))
    servers.run(stack.aclose())


@pytest.fixture
async def own(server: OwnRedis) -> OwnRedis:
    """A Redis that would do for two replicas, if it had them."""
    await server.command("ACL", "SETUSER", "default", "+@all")
    for name, value in GOOD.items():
        await server.command("CONFIG", "SET", name, value)
    return server


def wishing(settings: Settings, ack: str, **rest: object) -> Settings:
    return replace(settings, ack=ack, replicas=2, **rest)


async def why_not(own: OwnRedis, settings: Settings) -> str:
    """What is said against connecting; empty where nothing is."""
    try:
        await (await HotStore.connect(own.url, settings)).close()
    except AckImpossible as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("name", "value", "needed", "acks"),
    [
        ("maxmemory-policy", "allkeys-lru", "noeviction", {"memory", "logged", "replicated", "settled"}),
        ("appendonly", "no", "yes", {"logged", "replicated", "settled"}),
        ("appendfsync", "everysec", "always", {"logged", "replicated", "settled"}),
        ("no-appendfsync-on-rewrite", "yes", "no", {"logged", "replicated", "settled"}),
        ("min-replicas-to-write", "1", "2 or more", {"replicated"}),
        ("min-replicas-max-lag", "0", "1 to 10", {"replicated"}),
        ("min-replicas-max-lag", "11", "1 to 10", {"replicated"}),
    ],
)
async def test_each_ack_needs_its_settings(
    own: OwnRedis, settings: Settings, name: str, value: str, needed: str, acks: set[str]
) -> None:
    for ack in ("memory", "logged", "replicated", "settled"):
        assert await why_not(own, wishing(settings, ack)) == ""
    await own.command("CONFIG", "SET", name, value)
    for ack in ("memory", "logged", "replicated", "settled"):
        said = await why_not(own, wishing(settings, ack))
        assert said == (f"Redis cannot keep ack={ack}: {name} is {value}, needs {needed}" if ack in acks else "")


async def test_all_that_is_wrong_is_said_at_once(own: OwnRedis, settings: Settings) -> None:
    await own.command("CONFIG", "SET", "appendfsync", "no")
    await own.command("CONFIG", "SET", "min-replicas-to-write", "0")
    said = await why_not(own, wishing(settings, "replicated"))
    assert said.endswith("appendfsync is no, needs always; min-replicas-to-write is 0, needs 2 or more")


async def test_a_redis_that_does_not_let_config_be_asked(own: OwnRedis, settings: Settings) -> None:
    """INFO tells two of the settings; the message says what to assert of the others, as it has to be typed."""
    await own.command(*NO_CONFIG)
    said = await why_not(own, wishing(settings, "replicated"))
    wanted = "appendfsync=always,no-appendfsync-on-rewrite=no,min-replicas-to-write=2,min-replicas-max-lag=10"
    assert "CONFIG" in said
    assert said.endswith(f'DROPWAVE_REDIS_ASSERTED="{wanted}"')
    assert await why_not(own, wishing(settings, "replicated", redis_asserted=wanted)) == ""
    less = wishing(settings, "replicated", redis_asserted="appendfsync=everysec, no-appendfsync-on-rewrite = no")
    said = await why_not(own, less)
    assert "appendfsync is everysec, needs always" in said
    assert said.endswith('"min-replicas-to-write=2,min-replicas-max-lag=10"')
    assert await why_not(own, wishing(settings, "memory")) == "", "INFO tells all that it needs"


async def test_what_redis_tells_counts_whatever_is_asserted(own: OwnRedis, settings: Settings) -> None:
    asserted = wishing(settings, "logged", redis_asserted=",".join(f"{n}={v}" for n, v in GOOD.items()))
    await own.command("CONFIG", "SET", "appendfsync", "everysec")
    assert "appendfsync is everysec" in await why_not(own, asserted)
    await own.command("CONFIG", "SET", "appendonly", "no")
    await own.command(*NO_CONFIG)
    assert "appendonly is no" in await why_not(own, asserted), "by INFO"
    await own.command("ACL", "SETUSER", "default", "+config")
    await own.command("CONFIG", "SET", "appendonly", "yes")


async def test_an_assertion_that_says_nothing_is_refused(own: OwnRedis, settings: Settings) -> None:
    with pytest.raises(SettingsError, match="apendonly"):
        await HotStore.connect(own.url, replace(settings, redis_asserted="apendonly=yes"))
    for malformed in ("appendonly", "appendonly=", "=yes"):
        with pytest.raises(SettingsError, match="name=value"):
            replace(settings, redis_asserted=malformed)


async def test_settings_that_change_meanwhile_are_noticed(own: OwnRedis, settings: Settings) -> None:
    store = await HotStore.connect(own.url, settings)
    watch = PromiseWatch(store)
    await watch.look()
    assert watch.kept
    await own.command("CONFIG", "SET", "appendfsync", "everysec")
    await watch.look()
    assert not watch.kept
    await own.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await watch.look()  # on a connection that is made for it, and refused for the same reason
    await watch.look()
    assert not watch.kept
    await own.command("CONFIG", "SET", "appendfsync", "always")
    await watch.look()
    assert watch.kept
    await store.close()
