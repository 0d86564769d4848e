"""Revisions of which two files have had the same number: one was lost when the ledger went back, one applied since.

Which of them is the later one is told by the instant of the apply. The hot store may still have the lost one, and the
log the acts that put it: they must not pass for the later one's, and the steward has to put that.
"""

from collections.abc import Iterable
from typing import Any

from engine.domain.decisions import ActLine
from engine.errors import LedgerRefused
from engine.ledger.cursors import Cursor
from engine.ledger.database import Ledger
from engine.ledger.instants import unix_ms
from engine.ledger.queries import load_queries

_SQL = load_queries("revisions")


async def refuse_overtaken(connection: Any, cursor: Cursor, acts: Iterable[ActLine]) -> None:
    """Raises LedgerRefused for an act that put a lost revision, where a file was applied since under no higher number.

    In the transaction that keeps the acts. `outdo_revision` makes room for them.
    """
    puts = [act for act in acts if act.applied_ms]
    if not puts:
        return
    row = await connection.fetchrow(_SQL["last_applied"], cursor.campaign_no)
    applied_ms = unix_ms(row["applied_at"])
    for act in puts:
        if act.revision >= row["revision"] and act.applied_ms < applied_ms:
            raise LedgerRefused(
                f"act {act.number} put revision {act.revision} of {cursor.campaign}, which the ledger has lost: "
                f"its revision {row['revision']} was applied later"
            )


async def outdo_revision(ledger: Ledger, cursor: Cursor, revision: int) -> None:
    """Number the file that was applied last above that revision, so that it is put. Nothing where it is so already."""
    async with ledger.transaction() as connection:
        held = await connection.fetchrow(_SQL["hold_cursor"], cursor.campaign_no)
        outdone = await connection.fetchval(_SQL["outdo"], cursor.campaign_no, revision)
        if outdone is not None:
            await connection.execute(_SQL["outdo_waves"], cursor.campaign_no, held["revision"], outdone)
