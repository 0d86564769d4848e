"""Statements (对账): what the vouchers came to, by merchant, store and day, for those who settle up.

All sums are the ledger's. A day belongs to the zone of the campaign whose voucher it was. A day that is not over there
is marked: more may come. So is the first minute after it, roughly: a redemption that was decided before midnight may be
written down a moment after.
"""

from datetime import date
from typing import Final

from msgspec import Struct

from engine.domain.voucher import midnight_after
from engine.ledger.database import Ledger
from engine.ledger.statements import Sums, merchants, read_sums
from engine.settings import Settings

DAYS_MAX: Final = 92
"""Days of one statement: a quarter."""
ROWS_MAX: Final = 10_000
"""Rows of one statement that is made in memory: some 3 MB of JSON. A month of all stores that a token can have has
fewer."""


class Wanted(Struct, frozen=True):
    """What a statement is to be about: days from `first` to `last`, both included.

    `merchants` None: all. Each of `stores` belongs to the merchant at its place in `merchants`; None: all of theirs.
    """

    first: date
    last: date
    merchants: tuple[str, ...] | None = None
    stores: tuple[str, ...] | None = None
    by_line: bool = False


class StatementRow(Struct, frozen=True):
    """Sums, and whether their day was not over when they were read."""

    sums: Sums
    is_going_on: bool


class Statement(Struct, frozen=True):
    """All rows, at `as_of_ms` of the ledger's clock."""

    wanted: Wanted
    as_of_ms: int
    rows: tuple[StatementRow, ...]


class TooManyRows(Struct, frozen=True):
    """There are more than can be told at once."""

    rows_max: int


def late_ms(settings: Settings) -> int:
    """How long after a day's end a step of that day may still be written: the look at the voucher, the terms, the
    statement that takes the step, each by its bound."""
    return settings.redeem_deadline_ms + 2 * settings.ledger_timeout_ms


async def statement_on(
    ledger: Ledger, wanted: Wanted, late_ms: int, rows_max: int = ROWS_MAX
) -> Statement | TooManyRows:
    """The statement. Raises LedgerError."""
    all_of = await merchants(ledger) if wanted.merchants is None else wanted.merchants
    days = (wanted.first, wanted.last)
    read = await read_sums(ledger, all_of, wanted.stores, days, rows_max + 1, by_line=wanted.by_line)
    if len(read.sums) > rows_max:
        return TooManyRows(rows_max)
    days_of_zones = {(sums.day, sums.timezone) for sums in read.sums}
    going_on = {each for each in days_of_zones if is_going_on(*each, read.now_ms - late_ms)}
    rows = [StatementRow(sums, (sums.day, sums.timezone) in going_on) for sums in read.sums]
    return Statement(wanted, read.now_ms, tuple(rows))


def is_going_on(day: date, timezone: str, now_ms: int) -> bool:
    """Whether that day is not over yet in that zone."""
    return now_ms < midnight_after(day, 1, timezone)
