"""Cursors: how far the log of each campaign is settled."""

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from engine.errors import CursorMoved, UsageError
from engine.ledger.database import Ledger
from engine.ledger.queries import load_queries

_SQL = load_queries("cursors")


class Cursor(Struct, frozen=True):
    """The ledger holds every decision up to number `last` of that epoch, and of the epochs before what survived.

    `act` is the number of the last act that is settled, `revision` the catalogue revision that was last put
    into the hot store, as far as settled.
    """

    campaign_no: int
    campaign: str
    epoch: int
    last: int
    act: int
    revision: int

    @property
    def place(self) -> tuple[int, int]:
        """(epoch, last): the place in the log."""
        return self.epoch, self.last


async def read_cursor(ledger: Ledger, campaign_no: int) -> Cursor:
    """The cursor of that campaign. UsageError where there is no such campaign."""
    row = await ledger.fetch_row(_SQL["read_cursor"], campaign_no)
    if row is None:
        raise UsageError(f"the ledger has no campaign number {campaign_no}")
    return cursor_of(row)


async def all_cursors(ledger: Ledger) -> list[Cursor]:
    """The cursors of all campaigns, in the order of their numbers."""
    return [cursor_of(row) for row in await ledger.fetch(_SQL["all_cursors"])]


async def raise_epoch(ledger: Ledger, cursor: Cursor, epoch: int) -> Cursor:
    """Go on to a higher epoch that the shard has had, at number 0.

    Raises CursorMoved where the cursor is not what the caller saw, or the epoch is not higher.
    LedgerUnavailable leaves open whether it was done: read the cursor.
    """
    rows = await ledger.fetch(_SQL["raise_epoch"], cursor.campaign_no, cursor.epoch, cursor.last, epoch)
    if not rows:
        raise _moved(cursor)
    return replace(cursor, epoch=epoch, last=0, act=rows[0]["act"], revision=rows[0]["revision"])


async def next_epoch(ledger: Ledger, cursor: Cursor) -> Cursor:
    """Begin an epoch that was never given before, at number 0: the instant by Postgres's clock, in milliseconds.

    A ledger that went back in time, beside a hot store that did too, knows nothing of the epochs that came since; its
    clock is past all of them. At least one above the cursor's, whatever the clock says. Raises as `raise_epoch` does.
    """
    row = await ledger.fetch_row(_SQL["next_epoch"], cursor.campaign_no, cursor.epoch, cursor.last)
    if row is None:
        raise _moved(cursor)
    return replace(cursor, epoch=row["epoch"], last=0, act=row["act"], revision=row["revision"])


def _moved(cursor: Cursor) -> CursorMoved:
    return CursorMoved(f"{cursor.campaign}: the cursor is no longer at {cursor.epoch}-{cursor.last}")


def cursor_of(row: Any) -> Cursor:
    """A cursor from its row."""
    return Cursor(row["campaign_no"], row["campaign"], row["epoch"], row["last"], row["act"], row["revision"])
