"""What is told while Postgres is gone, silent, full, read-only: claims, tickets, pages and acts go on without it. What
needs it is `busy`; with `ack: settled` a new claim is `outcome_unknown`: it was decided, and may be lost yet.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
import pytest
from msgspec import Struct
from msgspec.structs import replace

from engine.settings import Settings
from tests.faults.asking import FINE, Asked, answers_become, asked_gateway
from tests.support.proxy import Proxy
from tests.support.waiting import wait_until

ROLE = "gateway_of_faults"
PASSWORD = "only-for-tests"


class Place(Struct):
    """Where the damage is done: a database of this test's own, a role in it that is no superuser, the line to it."""

    admin: asyncpg.Connection
    line: Proxy
    database: str

    async def renew(self) -> None:
        """The role's sessions end, as by an administrator (57P01); new ones have the settings of now."""
        await self.admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = $1", ROLE)


Fault = Callable[[Place], AbstractAsyncContextManager[None]]


def stated(wrong: str, right: str, *, renews: bool = True) -> Fault:
    """A statement of the administrator, and one that takes it back."""

    @asynccontextmanager
    async def fault(place: Place) -> AsyncIterator[None]:
        await place.admin.execute(wrong.format(role=ROLE, database=place.database))
        if renews:
            await place.renew()
        yield
        await place.admin.execute(right.format(role=ROLE, database=place.database))
        if renews:
            await place.renew()

    return fault


@asynccontextmanager
async def gone(place: Place) -> AsyncIterator[None]:
    await place.line.refuse()
    yield
    await place.line.accept()


@asynccontextmanager
async def line_dead(place: Place) -> AsyncIterator[None]:
    place.line.stall()
    yield
    place.line.resume()


@asynccontextmanager
async def locked(place: Place) -> AsyncIterator[None]:
    """Somebody's long transaction: every statement on these tables waits until its time is over."""
    async with place.admin.transaction():
        await place.admin.execute("lock table cursors, claims in access exclusive mode")
        yield


@asynccontextmanager
async def sessions_ended(place: Place) -> AsyncIterator[None]:
    await place.renew()
    yield


AWAY = FINE | {"own": "busy"}
UNSETTLED = {"new": "outcome_unknown"}
NOT_READY = {"ready": "not_ready"}
PROMISE_BROKEN = dict.fromkeys(("new", "again", "other offer", "sold out"), "busy") | NOT_READY
FULL_DISK = """
create function no_room() returns trigger language plpgsql as
    $$ begin raise exception 'could not extend file: No space left on device' using errcode = '53100'; end $$;
create trigger no_room before insert on claims for each statement execute function no_room()"""

FAULTS: Mapping[str, tuple[Fault, Mapping[str, str], Mapping[str, str]]] = {
    # what happens: how, the answers with `ack: logged`, and what is told otherwise with `settled`
    "gone": (gone, AWAY, UNSETTLED | NOT_READY),
    "line dead": (line_dead, AWAY, UNSETTLED | NOT_READY),
    "locked": (locked, AWAY, UNSETTLED),
    "out of connections": (
        stated("alter role {role} connection limit 0", "alter role {role} connection limit -1"),
        AWAY,
        UNSETTLED | NOT_READY,
    ),
    "another password": (
        stated("alter role {role} password 'another'", f"alter role {{role}} password '{PASSWORD}'"),
        AWAY,
        UNSETTLED | NOT_READY,
    ),
    "read-only": (
        stated(
            "alter role {role} set default_transaction_read_only = on",
            "alter role {role} reset default_transaction_read_only",
        ),
        FINE,
        UNSETTLED,
    ),
    "disk full": (stated(FULL_DISK, "drop function no_room cascade", renews=False), FINE, UNSETTLED),
    "sessions ended": (sessions_ended, FINE, {}),
    "commits that do not wait": (
        stated(
            "alter role {role} set synchronous_commit = off",
            "alter role {role} reset synchronous_commit",
        ),
        FINE,
        PROMISE_BROKEN | {"own": "busy"},
    ),
}


@pytest.fixture
async def place(database_url: str) -> AsyncIterator[Place]:
    address = urlsplit(database_url)
    assert address.hostname is not None
    assert address.port is not None
    admin = await asyncpg.connect(database_url)
    for statement in (
        f"create role {ROLE} login password '{PASSWORD}'",
        f"grant all on all tables in schema public to {ROLE}",
        f"grant all on all sequences in schema public to {ROLE}",
    ):
        await admin.execute(statement)
    async with Proxy(address.hostname, address.port) as line:
        yield Place(admin, line, address.path.lstrip("/"))
    await admin.execute(f"drop owned by {ROLE}")
    await admin.execute(f"drop role {ROLE}")
    await admin.close()


@pytest.mark.parametrize("ack", ["logged", "settled"])
async def test_each_fault_has_its_true_answers(
    ack: str, settings: Settings, redis_url: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    database_url = f"postgresql://{ROLE}:{PASSWORD}@127.0.0.1:{place.line.port}/{place.database}"
    async with AsyncExitStack() as stack:
        through = replace(settings, ack=ack, redis_url=redis_url, database_url=database_url)
        asked = await stack.enter_async_context(asked_gateway(through, monkeypatch))
        for name, (fault, answers, differing) in FAULTS.items():
            if ack == "settled":
                await _settled(asked)
            async with fault(place):
                await answers_become(asked, {**answers, **(differing if ack == "settled" else {})}, name)
            await wait_until(asked.is_well, what=f"all is well after: {name}")


async def _settled(asked: Asked) -> None:
    """The gateway has seen the holder's claim settled: that is told without Postgres."""
    assert await asked.one("holder") == "replayed"
