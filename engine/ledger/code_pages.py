"""Code pages that holders have open (券码页), for vouchers that are taken only meanwhile.

They are kept in the ledger because that is where a till's request is decided, by one clock. A page that is lost with a
ledger that goes back in time is opened again.
"""

from collections.abc import Sequence
from typing import Final

from engine.ledger.database import Ledger
from engine.ledger.instants import unix_ms
from engine.ledger.queries import load_queries
from engine.ledger.voucher_steps import VoucherKey

_SQL = load_queries("code_pages")

ENDED_MAX: Final = 3
"""Rows of pages past their end that one opening takes out: more than it adds, so they do not gather."""


async def open_page(ledger: Ledger, key: VoucherKey, open_ms: int) -> int:
    """That voucher's page is open for so long from now; until when, exclusive. Raises LedgerError."""
    row = await ledger.fetch_row(_SQL["open"], *key, open_ms, ENDED_MAX)
    assert row is not None
    return unix_ms(row["open_until"])


async def close_page(ledger: Ledger, key: VoucherKey) -> None:
    """It is open no more; again, nothing changes. Raises LedgerError."""
    await ledger.fetch(_SQL["close"], *key)


async def open_pages(ledger: Ledger, keys: Sequence[VoucherKey]) -> dict[VoucherKey, int]:
    """Until when the pages of these vouchers are open, or were a moment ago; of none, nothing is asked.

    Raises LedgerError.
    """
    if not keys:
        return {}
    rows = await ledger.fetch(_SQL["open_of"], [no for no, _ in keys], [code for _, code in keys])
    return {(row["campaign_no"], row["code"]): unix_ms(row["open_until"]) for row in rows}
