"""What is told while Redis is gone, silent, full, read-only, somebody else: `busy` and `recovering` where surely
nothing was decided, `outcome_unknown` where that is not known, and everything that does not need Redis as ever.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import pytest
from msgspec import Struct
from msgspec.structs import replace

from engine.settings import Settings
from tests.faults.asking import FINE, answers_become, asked_gateway, otherwise
from tests.support.own_redis import OwnRedis, own_redis
from tests.support.proxy import LOOPBACK, Proxy
from tests.support.waiting import wait_until


class Place(Struct):
    """Where the damage is done: a Redis of this test's own, and the line to it."""

    redis: OwnRedis
    line: Proxy

    async def cut_off(self) -> None:
        """Connections end; the next ones are greeted anew."""
        self.line.cut()


@asynccontextmanager
async def gone(place: Place) -> AsyncIterator[None]:
    await place.line.refuse()
    yield
    await place.line.accept()


@asynccontextmanager
async def frozen(place: Place) -> AsyncIterator[None]:
    place.redis.freeze()
    yield
    place.redis.thaw()


@asynccontextmanager
async def line_dead(place: Place) -> AsyncIterator[None]:
    place.line.stall()
    yield
    place.line.resume()


def configured(name: str, wrong: str | int, right: str | int) -> Callable[[Place], AbstractAsyncContextManager[None]]:
    """CONFIG SET, and back."""

    @asynccontextmanager
    async def fault(place: Place) -> AsyncIterator[None]:
        await place.redis.command("CONFIG", "SET", name, wrong)
        yield
        await place.redis.command("CONFIG", "SET", name, right)

    return fault


@asynccontextmanager
async def replica(place: Place) -> AsyncIterator[None]:
    await place.redis.command("REPLICAOF", LOOPBACK, 1)
    yield
    await place.redis.lead()


@asynccontextmanager
async def without_scripts(place: Place) -> AsyncIterator[None]:
    await place.redis.command("SCRIPT", "FLUSH")
    yield


@asynccontextmanager
async def without_config(place: Place) -> AsyncIterator[None]:
    await place.redis.command("ACL", "SETUSER", "default", "-config")
    yield
    await place.redis.command("ACL", "SETUSER", "default", "+@all")


@asynccontextmanager
async def another_password(place: Place) -> AsyncIterator[None]:
    await place.redis.command("ACL", "SETUSER", "default", "resetpass", ">another")
    await place.cut_off()
    yield
    password = place.redis.url.partition("://:")[2].partition("@")[0]
    with_another = place.redis.url.replace(password, "another")
    await place.redis.command("ACL", "SETUSER", "default", "resetpass", f">{password}", url=with_another)


@asynccontextmanager
async def empty(place: Place) -> AsyncIterator[None]:
    """Everything is lost at once; the steward loads it from the ledger, and nobody hears anything untrue meanwhile."""
    await place.redis.command("FLUSHALL")
    yield


NOTHING_DECIDED = otherwise(
    new="recovering", again="recovering", other_offer="recovering", sold_out="recovering",
    own_in_wave="recovering", own="recovering", act="recovering", ready="not_ready",
)  # fmt: skip
NOT_REACHED = NOTHING_DECIDED | dict.fromkeys(("new", "again", "other offer", "sold out"), "busy")
NO_WRITES = otherwise(new="busy", act="recovering")
PROMISE_BROKEN = FINE | dict.fromkeys(("new", "again", "other offer", "sold out"), "busy") | {"ready": "not_ready"}

FAULTS: Mapping[str, tuple[Callable[[Place], AbstractAsyncContextManager[None]], Mapping[str, str]]] = {
    "gone": (gone, NOT_REACHED),
    "frozen": (frozen, NOT_REACHED),
    "line dead": (line_dead, NOT_REACHED),
    "memory full": (configured("maxmemory", 1, 0), NO_WRITES),
    "too few replicas": (configured("min-replicas-to-write", 1, 0), NO_WRITES),
    "a replica": (replica, NOTHING_DECIDED),
    "without scripts": (without_scripts, FINE),
    "without CONFIG": (without_config, PROMISE_BROKEN),
    "fsync each second": (configured("appendfsync", "everysec", "always"), PROMISE_BROKEN),
    "another password": (another_password, NOT_REACHED),
    "empty": (empty, FINE),
}
SILENT = ("frozen", "line dead")
"""Where the first claim is written to a connection that was fine, and is never heard of again. The next connection is
not greeted, so nothing is written to it."""


@pytest.mark.parametrize("ack", ["logged", "settled"])
async def test_each_fault_has_its_true_answers(
    ack: str, settings: Settings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(own_redis())
        line = await stack.enter_async_context(Proxy(LOOPBACK, redis.port))
        through = replace(settings, ack=ack, redis_url=line.url_of(redis.url), database_url=database_url)
        asked = await stack.enter_async_context(asked_gateway(through, monkeypatch))
        for name, (fault, answers) in FAULTS.items():
            async with fault(Place(redis, line)):
                if name in SILENT:
                    assert await asked.one(name) == "outcome_unknown"
                await answers_become(asked, answers, name)
            await wait_until(asked.is_well, what=f"all is well after: {name}")
            if name in SILENT:
                assert await asked.one(name) in ("claimed", "replayed")
