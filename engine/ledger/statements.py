"""What was redeemed and taken back, summed up by merchant, store, day and who pays for it."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from msgspec import Struct

from engine.ledger.database import Ledger
from engine.ledger.instants import unix_ms
from engine.ledger.queries import load_queries

_SQL = load_queries("statements")


class Sums(Struct, frozen=True):
    """What the vouchers of one campaign and funder came to at one store on one day. Money in minor units.

    A reversal counts on its own day, whenever the redemption was.
    """

    day: date
    """In `timezone`, the campaign's."""
    merchant: str
    store: str
    campaign: str
    is_sandbox: bool
    funder: str
    """Who pays for the discounts, as the terms of the claims say; empty where they do not."""
    currency: str
    timezone: str
    line: str | None
    """The line of the orders that these sums are of, where lines were asked for; None: all, or orders without lines."""
    redemptions: int
    given_back: int
    """Reversals that gave the voucher back."""
    refunded: int
    """Reversals that left it used."""
    amount: int
    """Due for what was redeemed, before the discounts."""
    discount: int
    reversed_amount: int
    """Of `amount`s: what the reversals were for."""
    taken_back: int
    """Of `discount`s: what the reversals took back."""
    gifts: int = 0
    """Of `redemptions`, those of gifts."""
    gifts_given_back: int = 0
    """Of `given_back`, likewise."""
    gift_value: int = 0
    """What these gifts, less those given back, are worth by their terms beyond what holders pay for them."""
    gift_discount: int = 0
    """Of `discount` less `taken_back`, what is of gifts: those that stood on an order."""


class SumsRead(Struct, frozen=True):
    """The sums at `now_ms` of the ledger's clock, by day, merchant, store, campaign."""

    now_ms: int
    sums: tuple[Sums, ...]


async def merchants(ledger: Ledger) -> list[str]:
    """Every merchant with a redemption, in order. Raises LedgerError."""
    return [row["merchant"] for row in await ledger.fetch(_SQL["merchants"])]


async def read_sums(
    ledger: Ledger,
    merchants: Sequence[str],
    stores: Sequence[str] | None,
    days: tuple[date, date],
    rows_max: int,
    *,
    by_line: bool = False,
) -> SumsRead:
    """The sums of these days, both included; at most `rows_max` of them. Raises LedgerError.

    Each of `stores` belongs to the merchant at its place in `merchants`; None: all stores of these merchants.
    """
    query = _SQL["sums_by_line"] if by_line else _SQL["sums"]
    rows = await ledger.fetch(query, list(merchants), None if stores is None else list(stores), *days, rows_max)
    return SumsRead(unix_ms(rows[0]["now"]), tuple(_sums(row) for row in rows if row["day"] is not None))


def _sums(row: Any) -> Sums:
    counted = Sums.__struct_fields__[Sums.__struct_fields__.index("redemptions") :]
    named = ("day", "merchant", "store", "campaign", "is_sandbox", "funder", "currency", "timezone", "line")
    fields: dict[str, Any] = {name: row[name] for name in named} | {name: int(row[name]) for name in counted}
    return Sums(**fields)
