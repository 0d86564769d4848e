"""Writing down what has expired: that and nothing else, in pieces, in nobody's way."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from msgspec.structs import replace

from engine.errors import LedgerError
from engine.ledger.database import Ledger
from engine.ledger.expiry import EXPIRED_FOR_S, TURNS, pages_of_vouchers, write_down_expired
from engine.settings import Settings
from engine.settling import expiry
from engine.settling.expiry import IDLE_S, ExpiryJob
from tests.support.waiting import wait_until

PAST, SOON, LATER = f"{EXPIRED_FOR_S + 1} seconds ago", f"{EXPIRED_FOR_S - 10} seconds ago", "1 hour"
ROWS = {
    # code: (state, expires, step that is a lock until)
    "due": ("pending", PAST, None, "expired"),
    "later": ("pending", LATER, None, "pending"),
    "soon": ("pending", SOON, None, "pending"),
    "used": ("redeemed", PAST, None, "redeemed"),
    "void": ("invalidated", PAST, None, "invalidated"),
    "gone": ("deleted", PAST, None, "deleted"),
    "held": ("locked", PAST, LATER, "locked"),
    "free": ("locked", PAST, PAST, "expired"),
    "order": ("locked", LATER, PAST, "locked"),
}


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def put(
    connection: asyncpg.Connection, code: str, state: str, expires: str, lock: str | None = None, number: int = 1
) -> None:
    step = 0 if lock is None else 1
    await connection.execute(
        "insert into vouchers (campaign_no, code, epoch, sequence, valid_from, expires_at, state, step, made_by) "
        "values (0, $1, 1, $5, now() - interval '1 day', now() + $2::text::interval, $3, $4, $4)",
        code,
        expires,
        state,
        step,
        number,
    )
    if lock is not None:
        await connection.execute(
            "insert into voucher_steps (campaign_no, code, step, kind, at, offer_no, terms_version, until) "
            "values (0, $1, 1, 'lock', now(), 1, 1, now() + $2::text::interval)",
            code,
            lock,
        )


async def states(connection: asyncpg.Connection) -> dict[str, tuple[str, int]]:
    return {row["code"]: (row["state"], row["step"]) for row in await connection.fetch("select * from vouchers")}


async def test_what_is_over_is_written_down_and_no_step_is_counted(
    ledger: Ledger, connection: asyncpg.Connection
) -> None:
    for code, (state, expires, lock, _) in ROWS.items():
        await put(connection, code, state, expires, lock)
    assert await write_down_expired(ledger, 0, await pages_of_vouchers(ledger), 0, turns=1) == (2, 2)
    assert await states(connection) == {
        code: (becomes, 0 if lock is None else 1) for code, (_, _, lock, becomes) in ROWS.items()
    }
    assert await write_down_expired(ledger, 0, 100, 0, turns=1) == (0, 0)


async def test_it_waits_for_nobody(ledger: Ledger, connection: asyncpg.Connection) -> None:
    await put(connection, "first", "pending", PAST)
    await put(connection, "second", "pending", PAST)
    async with connection.transaction():
        await connection.execute("update vouchers set step = 1 where code = 'first'")
        assert await write_down_expired(ledger, 0, 100, 0, turns=1) == (1, 2)
    assert await states(connection) == {"first": ("pending", 1), "second": ("expired", 0)}
    assert await write_down_expired(ledger, 0, 100, 0, turns=1) == (1, 1)


async def test_the_job_walks_over_every_page_and_begins_again(
    ledger: Ledger, settings: Settings, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "PAGES_AT_ONCE", 1)
    monkeypatch.setattr(expiry, "PAUSE_S", 0.001)
    for number in range(300):
        await put(connection, f"c{number}", "pending", PAST, number=number)
    assert await pages_of_vouchers(ledger) >= 3
    leads = False
    job = ExpiryJob(ledger, replace(settings, expiry_pass_ms=20), lambda: leads)

    async def left() -> int:
        return sum(state == "pending" for state, _ in (await states(connection)).values())

    await job.start()
    try:
        await job._step()
        assert await left() == 300, "another one leads"
        leads = True
        await wait_until(lambda: _none(left()), what="all written down")
        await put(connection, "one more", "pending", PAST)
        await wait_until(lambda: _none(left()), what="the next pass")
    finally:
        await job.stop()


async def test_a_page_is_gone_over_in_turns_that_leave_the_table_as_large_as_it_was(
    ledger: Ledger, settings: Settings, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "PAGES_AT_ONCE", 1)
    for number in range(300):
        await put(connection, f"{number:013d}", "pending", PAST, number=number)
    await connection.execute("vacuum vouchers")
    end = await pages_of_vouchers(ledger)
    assert end >= 3
    job = ExpiryJob(ledger, replace(settings, expiry_pass_ms=60_000), lambda: True)
    pauses = []
    while not pauses or pauses[-1] < 60:
        await job._step()
        pauses.append(job._loop.pause_s)
    assert {state for state, _ in (await states(connection)).values()} == {"expired"}
    assert len(pauses) == TURNS * end
    assert await pages_of_vouchers(ledger) == end
    pauses.clear()
    while not pauses or pauses[-1] < 60:
        await job._step()
        pauses.append(job._loop.pause_s)
    assert len(pauses) == end, "one look at a piece where nothing is due"


async def test_a_pass_does_not_walk_over_what_it_has_written_itself(
    ledger: Ledger, settings: Settings, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that find no room on their pages go behind the last one."""
    monkeypatch.setattr(expiry, "PAGES_AT_ONCE", 1)
    for number in range(300):
        await put(connection, f"c{number}", "pending", PAST)  # all in one turn
    end = await pages_of_vouchers(ledger)
    job = ExpiryJob(ledger, replace(settings, expiry_pass_ms=60_000), lambda: True)
    pauses = [0.0]
    while pauses[-1] < 60:
        await job._step()
        pauses.append(job._loop.pause_s)
    assert await pages_of_vouchers(ledger) > end, "there is no room for the new rows on the pages of the old"
    assert len(pauses) - 1 <= 2 * end, "behind the last page of the beginning it rests"


async def test_it_does_not_hurry_where_another_one_leads_or_the_ledger_is_away(
    ledger: Ledger, settings: Settings, connection: asyncpg.Connection
) -> None:
    await put(connection, "due", "pending", PAST, number=TURNS)
    leads = False
    job = ExpiryJob(ledger, settings, lambda: leads)
    await job._step()
    assert job._loop.pause_s == IDLE_S
    leads = True
    await connection.execute("alter table vouchers rename to vouchers_away")
    with pytest.raises(LedgerError):
        await job._step()
    assert job._loop.pause_s == IDLE_S
    await connection.execute("alter table vouchers_away rename to vouchers")
    await job._step()
    assert job._loop.pause_s > IDLE_S, "it rests"


async def _none(count: object) -> bool:
    return await count == 0  # type: ignore[misc]
