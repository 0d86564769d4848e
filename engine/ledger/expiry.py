"""Writing down what has expired, page after page of the table of vouchers.

A voucher's state is told by the clock (`domain/voucher.py`), so nothing waits for this but reports that count rows.
The table is walked in the order of its file: that needs no index on the expiry, which every claim would pay for, and
finds what a step has brought back since. A piece of it is a few hundred pages and less than a millisecond.
"""

from typing import Final

from engine.ledger.database import Ledger
from engine.ledger.queries import load_queries

_SQL = load_queries("expiry")

EXPIRED_FOR_S: Final = 60
"""What has expired for so long: whoever decided about a voucher before its expiry has long taken the step, or lost."""


async def pages_of_vouchers(ledger: Ledger) -> int:
    """The size of the table of vouchers, in pages. Raises LedgerError."""
    [row] = await ledger.fetch(_SQL["pages"])
    return int(row["pages"])


async def write_down_expired(ledger: Ledger, first_page: int, end_page: int) -> int:
    """Make the expired vouchers on these pages `expired`; how many they were. Raises LedgerError."""
    [row] = await ledger.fetch(_SQL["expire"], (first_page, 0), (end_page, 0), EXPIRED_FOR_S)
    return int(row["expired"])
