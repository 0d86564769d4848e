"""Leases: one holder at a time, by the clock of Postgres."""

import asyncio

from engine.ledger.database import Ledger
from engine.ledger.leases import LOOK_LATER_S, LOOK_PAUSE_MIN_S, Lease, free_in_s, release_lease, take_lease
from tests.ledger.samples import rows_of
from tests.support.waiting import wait_until

LONG_MS = 600_000


async def taken(ledger: Ledger, role: str, holder: str, lease_ms: int = LONG_MS, held_term: int = 0) -> Lease:
    lease = await take_lease(ledger, role, holder, lease_ms, held_term)
    assert lease is not None
    assert (lease.role, lease.holder) == (role, holder)
    return lease


async def test_one_holds_and_renews_the_other_waits(ledger: Ledger) -> None:
    first = await taken(ledger, "writer", "a")
    assert await take_lease(ledger, "writer", "b", LONG_MS) is None
    assert await taken(ledger, "writer", "a") == first
    assert await taken(ledger, "steward", "b")


async def test_a_lease_that_ran_out_is_taken_over(ledger: Ledger) -> None:
    first = await taken(ledger, "writer", "a", 50)
    second: Lease = await wait_until(lambda: take_lease(ledger, "writer", "b", LONG_MS))
    assert (second.holder, second.term > first.term) == ("b", True)
    assert await take_lease(ledger, "writer", "a", LONG_MS) is None


async def test_who_stands_by_is_told_when_the_lease_runs_out(ledger: Ledger) -> None:
    assert await free_in_s(ledger, "writer") == LOOK_PAUSE_MIN_S
    first = await take_lease(ledger, "writer", "a", LONG_MS)
    assert first is not None
    assert LONG_MS / 2000 < await free_in_s(ledger, "writer") <= LONG_MS / 1000 + LOOK_LATER_S
    await release_lease(ledger, first)
    assert await free_in_s(ledger, "writer") == LOOK_PAUSE_MIN_S


async def test_only_the_clock_of_postgres_counts(ledger: Ledger, database_url: str) -> None:
    await take_lease(ledger, "writer", "a", LONG_MS)
    await rows_of(database_url, "update leases set expires_at = clock_timestamp()")
    assert await taken(ledger, "writer", "b")


async def test_a_released_lease_is_free_at_once_and_terms_go_on(ledger: Ledger) -> None:
    first = await taken(ledger, "writer", "a")
    await release_lease(ledger, first)
    await release_lease(ledger, first)
    assert (await taken(ledger, "writer", "b")).term > first.term
    await release_lease(ledger, first)
    assert await take_lease(ledger, "writer", "a", LONG_MS) is None, "what is somebody else's is not released"


async def test_a_ledger_that_went_back_gives_no_term_once_more(ledger: Ledger, database_url: str) -> None:
    """The row of a backup is older than what stores have seen since; the instant is not."""
    await taken(ledger, "steward", "in the backup")
    [backup] = await rows_of(database_url, "update leases set expires_at = clock_timestamp() returning term")
    seen = [(await taken(ledger, "steward", "later", 0)).term]
    seen.append((await taken(ledger, "steward", "even later", 0)).term)
    await rows_of(database_url, f"update leases set term = {backup[0]}, holder = 'in the backup'")
    assert (await taken(ledger, "steward", "behind the restore", 0)).term > max(seen)
    await rows_of(database_url, "delete from leases")
    assert (await taken(ledger, "steward", "behind a restore to before the first")).term > max(seen)


async def test_who_has_the_role_keeps_its_term_though_the_ledger_went_back(ledger: Ledger, database_url: str) -> None:
    held = await taken(ledger, "steward", "a")
    await rows_of(database_url, "update leases set term = 5")
    assert await taken(ledger, "steward", "a", held_term=held.term) == held


async def test_terms_rise_whatever_the_clock_says(ledger: Ledger, database_url: str) -> None:
    await taken(ledger, "steward", "a", 0)
    future = 9_000_000_000_000_000
    await rows_of(database_url, f"update leases set term = {future}")
    assert (await taken(ledger, "steward", "b")).term == future + 1


async def test_of_many_at_once_one_gets_it(ledger: Ledger) -> None:
    taken = await asyncio.gather(*(take_lease(ledger, "writer", f"holder {no}", LONG_MS) for no in range(12)))
    assert sum(lease is not None for lease in taken) == 1
