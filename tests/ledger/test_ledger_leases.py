"""Leases: one holder at a time, by the clock of Postgres."""

import asyncio

from engine.ledger.database import Ledger
from engine.ledger.leases import Lease, release_lease, take_lease
from tests.ledger.samples import rows_of
from tests.support.waiting import wait_until

LONG_MS = 600_000


async def test_one_holds_and_renews_the_other_waits(ledger: Ledger) -> None:
    assert await take_lease(ledger, "writer", "a", LONG_MS) == Lease("writer", "a", 1)
    assert await take_lease(ledger, "writer", "b", LONG_MS) is None
    assert await take_lease(ledger, "writer", "a", LONG_MS) == Lease("writer", "a", 1)
    assert await take_lease(ledger, "steward", "b", LONG_MS) == Lease("steward", "b", 1)


async def test_a_lease_that_ran_out_is_taken_over(ledger: Ledger) -> None:
    await take_lease(ledger, "writer", "a", 50)
    taken: Lease | None = await wait_until(lambda: take_lease(ledger, "writer", "b", LONG_MS))
    assert taken == Lease("writer", "b", 2)
    assert await take_lease(ledger, "writer", "a", LONG_MS) is None


async def test_only_the_clock_of_postgres_counts(ledger: Ledger, database_url: str) -> None:
    await take_lease(ledger, "writer", "a", LONG_MS)
    await rows_of(database_url, "update leases set expires_at = clock_timestamp()")
    assert await take_lease(ledger, "writer", "b", LONG_MS) == Lease("writer", "b", 2)


async def test_a_released_lease_is_free_at_once_and_terms_go_on(ledger: Ledger) -> None:
    first = await take_lease(ledger, "writer", "a", LONG_MS)
    assert first is not None
    await release_lease(ledger, first)
    await release_lease(ledger, first)
    second = await take_lease(ledger, "writer", "b", LONG_MS)
    assert second == Lease("writer", "b", 2)
    await release_lease(ledger, first)
    assert await take_lease(ledger, "writer", "a", LONG_MS) is None, "what is somebody else's is not released"


async def test_of_many_at_once_one_gets_it(ledger: Ledger) -> None:
    taken = await asyncio.gather(*(take_lease(ledger, "writer", f"holder {no}", LONG_MS) for no in range(12)))
    assert sum(lease is not None for lease in taken) == 1
