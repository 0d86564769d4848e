"""Vouchers as a card pack shows them: what the claim was, how the voucher stands, and what made it so.

Whatever an account has won over the years, one look reads a bounded number of rows, and goes on behind the last one.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from engine.domain.redemption import Standing
from engine.domain.voucher import Period
from engine.ledger.database import Ledger
from engine.ledger.instants import instant, unix_ms
from engine.ledger.quarantine import lookup_text
from engine.ledger.queries import load_queries
from engine.ledger.voucher_steps import VoucherKey, made_of

_SQL = load_queries("cards")


class CardPlace(Struct, frozen=True, order=True):
    """Where a voucher stands among all of its holder's: the newest claim is the last. No two have the same place."""

    claimed_at_ms: int
    campaign_no: int
    epoch: int
    sequence: int


class CardRow(Struct, frozen=True):
    """A settled voucher, at `now_ms` of the ledger's clock."""

    campaign: str
    wave: str
    place: CardPlace
    standing: Standing
    now_ms: int


async def cards_of_account(ledger: Ledger, account: str, after: CardPlace | None, rows_max: int) -> list[CardRow]:
    """The account's settled vouchers, newest first: the first `rows_max`, or those behind that place.

    Raises LedgerError.
    """
    if lookup_text(account) != account:  # no column could hold it
        return []
    place: tuple[object, ...] = (None, None, None, None)
    if after is not None:
        place = (instant(after.claimed_at_ms), after.campaign_no, after.epoch, after.sequence)
    return [card_row(row) for row in await ledger.fetch(_SQL["of_account"], account, *place, rows_max)]


async def card_of_code(ledger: Ledger, code: str) -> CardRow | None:
    """The settled voucher with that code, whosever it is. Raises LedgerError."""
    row = await ledger.fetch_row(_SQL["of_code"], code)
    return None if row is None else card_row(row)


async def card_within(connection: Any, code: str) -> CardRow | None:
    """The same, in the caller's transaction."""
    row = await connection.fetchrow(_SQL["of_code"], code)
    return None if row is None else card_row(row)


async def settled_among(ledger: Ledger, keys: Sequence[VoucherKey]) -> tuple[set[str], int]:
    """The codes of those of these vouchers that are settled, and the time by the ledger's clock. Raises LedgerError."""
    [row] = await ledger.fetch(_SQL["settled_of"], [no for no, _ in keys], [code for _, code in keys])
    return set(row["codes"]), unix_ms(row["now"])


async def opened_campaigns(ledger: Ledger, unload_after_ms: int) -> set[str]:
    """Campaigns that have opened a wave and belong in the hot store still. Raises LedgerError."""
    return {row["campaign"] for row in await ledger.fetch(_SQL["opened"], unload_after_ms)}


def card_row(row: Any) -> CardRow:
    """A row of these queries."""
    claimed_at_ms = unix_ms(row["claimed_at"])
    standing = Standing(
        campaign_no=row["campaign_no"],
        code=row["code"],
        wave_no=row["wave_no"],
        offer_no=row["offer_no"],
        terms_version=row["terms_version"],
        account=row["account"],
        claimed_at_ms=claimed_at_ms,
        period=Period(unix_ms(row["valid_from"]), unix_ms(row["expires_at"])),
        kept=row["state"],
        step=row["step"],
        is_hidden=row["is_hidden"],
        made=made_of(row),
    )
    place = CardPlace(claimed_at_ms, row["campaign_no"], row["epoch"], row["sequence"])
    return CardRow(row["campaign"], row["wave"], place, standing, unix_ms(row["now"]))
