"""`dropwave statement`: what vouchers came to in shops, by merchant, store and day."""

import sys
from collections.abc import AsyncIterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final

import click
from msgspec.structs import replace

from engine.cli.options import json_option, on_installation, print_json, print_table
from engine.errors import UsageError
from engine.gateway.statement_objects import row_members, statement_csv
from engine.ledger.database import Ledger
from engine.ledger.promise_book import PromiseBook
from engine.reporting.statement import StatementRow, TooManyRows, Wanted, late_ms, statement_on
from engine.settings import Settings
from engine.wiring import ledger_only

_ROWS_A_DAY_MAX: Final = 1_000_000
"""More than stores times campaigns there can be; what comes day by day is held in memory for one day."""
_COLUMNS: Final = (
    *("day", "merchant", "store", "campaign", "funder", "currency", "line"),
    *("redemptions", "given_back", "refunded", "amount", "discount", "taken_back", "net_discount"),
    *("gifts", "gifts_given_back", "gift_value", "gift_discount"),
)
_ALWAYS: Final = frozenset({"day", "store", "campaign", "redemptions", "amount", "discount", "net_discount"})
"""Of the table; any other column is left out where no row has anything in it, so that the rest can be read."""
_DAY: Final = click.DateTime(formats=["%Y-%m-%d"])


@click.command()
@click.option("--from", "first", type=_DAY, required=True, metavar="DAY", help="The first day, like 2026-11-01.")
@click.option("--to", "last", type=_DAY, metavar="DAY", help="The last day, included (default: that one day).")
@click.option("--store", "stores", multiple=True, help="Of this store alone; can be given again.")
@click.option("--merchant", "merchants", multiple=True, help="Of this merchant alone; can be given again.")
@click.option("--lines", "by_line", is_flag=True, help="A row for each line of the orders.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, day by day as it is read.")
@json_option
@on_installation
async def statement(
    settings: Settings,
    first: datetime,
    last: datetime | None,
    stores: tuple[str, ...],
    merchants: tuple[str, ...],
    by_line: bool,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Settle up: redemptions, reversals and discounts by day, merchant, store, campaign and funder.

    The sums are the ledger's, to the last minor unit; a day is one of the campaign's zone. A day that is not over
    is marked (…). The table leaves out columns in which there is nothing; --csv and --json have them all. Changes
    nothing.
    """
    if as_json and as_csv:
        raise UsageError("--json and --csv: which one?")
    if stores and merchants:
        raise UsageError("--store and --merchant: which one?")
    wanted = Wanted(first.date(), (last or first).date(), merchants=merchants or None, by_line=by_line)
    if wanted.last < wanted.first:
        raise UsageError("--to is before --from")
    rows: list[StatementRow] = []
    async with ledger_only(settings) as ledger:
        if as_csv:
            sys.stdout.write(statement_csv([]))
        async for found in _by_day(ledger, await _of_stores(ledger, wanted, stores), late_ms(settings)):
            if as_csv:
                sys.stdout.write(statement_csv(found, has_header=False))
            else:
                rows.extend(found)
    if as_json:
        print_json({"from": str(wanted.first), "to": str(wanted.last), "rows": [row_members(row) for row in rows]})
    elif not as_csv:
        members = [row_members(row) for row in rows]
        columns = [name for name in _COLUMNS if name in _ALWAYS or any(row[name] for row in members)]
        shown = [[_shown(row, name) for name in columns] for row in members]
        print_table(columns, shown, empty="Nothing was redeemed or reversed.")


async def _of_stores(ledger: Ledger, wanted: Wanted, stores: tuple[str, ...]) -> Wanted:
    """The same of these stores; of all where there are none."""
    book = PromiseBook(ledger)
    owners = [await book.merchant_of(store) for store in stores]
    for store, merchant in zip(stores, owners, strict=True):
        if not merchant:
            raise UsageError(f"no campaign has a store {store}")
    return replace(wanted, merchants=tuple(owners), stores=stores) if stores else wanted


async def _by_day(ledger: Ledger, wanted: Wanted, late_ms: int) -> AsyncIterator[tuple[StatementRow, ...]]:
    """The rows, a day at a time."""
    day: date = wanted.first
    while day <= wanted.last:
        found = await statement_on(ledger, replace(wanted, first=day, last=day), late_ms, _ROWS_A_DAY_MAX)
        if isinstance(found, TooManyRows):
            raise UsageError(f"more than {found.rows_max:,} rows on {day}: name stores or merchants")
        yield found.rows
        day += timedelta(days=1)


def _shown(row: Mapping[str, Any], column: str) -> str:
    cell = row[column]
    if column == "day" and row["going_on"]:
        return f"{cell} …"
    return f"{cell:,}" if isinstance(cell, int) else str(cell or "")
