"""Leases: who is steward, who writes.

A lease keeps a second one from working in vain. It promises nothing: a holder that slept past its end
still believes in it, and it is the cursor and the epochs that refuse what it then does.
"""

from msgspec import Struct

from engine.ledger.database import Ledger
from engine.ledger.queries import load_queries

_SQL = load_queries("leases")

LOOK_LATER_S = 0.002
"""Behind the end of a lease: timers of this process and Postgres's clock are read in milliseconds."""
LOOK_PAUSE_MIN_S = 0.02
"""Between two looks for a lease that seems free and is not to be had: others look at the same moment."""


class Lease(Struct, frozen=True):
    """A role that is held. `term` rises with each new holder, never within one's time.

    It is the instant (Unix ms, Postgres's clock) at which the role was taken, or one above the last where that is more.
    """

    role: str
    holder: str
    term: int


async def take_lease(ledger: Ledger, role: str, holder: str, lease_ms: int, held_term: int = 0) -> Lease | None:
    """Take the role, or keep it, for `lease_ms` from now on; None while somebody else's lease is alive.

    `held_term`: the term under which this holder has it already; a ledger that went back does not give it a lower one.
    """
    row = await ledger.fetch_row(_SQL["take_lease"], role, holder, lease_ms, held_term)
    return None if row is None else Lease(role, holder, row["term"])


async def free_in_s(ledger: Ledger, role: str) -> float:
    """How long whoever stands by should wait before trying to take the role: until the lease there is runs out."""
    row = await ledger.fetch_row(_SQL["free_in"], role)
    left_s = 0.0 if row is None else row["seconds"]
    return max(LOOK_PAUSE_MIN_S, left_s + LOOK_LATER_S)


async def release_lease(ledger: Ledger, lease: Lease) -> None:
    """Let go of the role, so that the next need not wait. Does nothing where it is somebody else's by now."""
    await ledger.fetch(_SQL["release_lease"], lease.role, lease.holder, lease.term)


async def outdo(ledger: Ledger, lease: Lease, seen_term: int) -> Lease | None:
    """The same lease under a term above one that a store has seen; None where it is somebody else's by now.

    A store can have seen more than the ledger gave: where the ledger has gone back in time, and its clock too.
    """
    row = await ledger.fetch_row(_SQL["outdo"], lease.role, lease.holder, lease.term, seen_term)
    return None if row is None else Lease(lease.role, lease.holder, row["term"])
