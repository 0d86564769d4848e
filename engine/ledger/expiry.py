"""Writing down what has expired, page after page of the table of vouchers.

A voucher's state is told by the clock (`domain/voucher.py`), so nothing waits for this but reports that count rows.
The table is walked in the order of its file: that needs no index on the expiry, which every claim would pay for, and
finds what a step has brought back since.

A row that is written down is a new row. Were all of a page's rows written at once, most would go to new pages, and into
every index; so a page is gone over in `TURNS`, a few rows each time. They fit into the room that each page keeps free
(fillfactor 90), and the next turn finds the room again: the table does not grow, and no index is written.
"""

from typing import Final, NamedTuple

from engine.ledger.database import Ledger
from engine.ledger.queries import load_queries

_SQL = load_queries("expiry")

EXPIRED_FOR_S: Final = 60
"""What has expired for so long: whoever decided about a voucher before its expiry has long taken the step, or lost."""

TURNS: Final = 12
"""Some 68 vouchers stand on a page, with room for six more."""


class Written(NamedTuple):
    """What one turn did: how many it has made `expired`, of how many that were due on these pages."""

    expired: int
    due: int


async def pages_of_vouchers(ledger: Ledger) -> int:
    """The size of the table of vouchers, in pages. Raises LedgerError."""
    [row] = await ledger.fetch(_SQL["pages"])
    return int(row["pages"])


async def write_down_expired(ledger: Ledger, first_page: int, end_page: int, turn: int, turns: int = TURNS) -> Written:
    """Make of the expired vouchers on these pages those `expired` whose turn it is (from 0). Raises LedgerError."""
    [row] = await ledger.fetch(_SQL["expire"], (first_page, 0), (end_page, 0), EXPIRED_FOR_S, turns, turn)
    return Written(int(row["expired"]), int(row["due"]))
