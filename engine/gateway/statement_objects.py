"""A statement as plain members of a JSON object and as CSV, over HTTP and for `dropwave statement`.

CSV is RFC 4180: lines end in CR LF, the first one names the columns, and those never change their order; new ones come
last. Texts come from campaign files and tills, and a spreadsheet would run one that begins like a formula; such a cell
gets an apostrophe in front (as OWASP advises against "CSV injection"). Numbers stay numbers.
"""

import csv
import io
from collections.abc import Iterable
from typing import Any, Final

from engine.reporting.statement import Statement, StatementRow

CSV_TYPE: Final = "text/csv; charset=utf-8; header=present"
CSV_COLUMNS: Final = (
    "day",
    "timezone",
    "going_on",
    "merchant",
    "store",
    "campaign",
    "sandbox",
    "funder",
    "currency",
    "redemptions",
    "given_back",
    "refunded",
    "amount",
    "discount",
    "reversed_amount",
    "taken_back",
    "net_discount",
    "line",
    "gifts",
    "gifts_given_back",
    "gift_value",
    "gift_discount",
)
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Beginnings that a spreadsheet takes for a formula, full-width ones included."""


def statement_members(statement: Statement) -> dict[str, Any]:
    """The whole statement. Money in minor units of the row's currency."""
    wanted = statement.wanted
    return {
        "from": wanted.first.isoformat(),
        "to": wanted.last.isoformat(),
        "as_of_ms": statement.as_of_ms,
        "rows": [row_members(row) for row in statement.rows],
    }


def row_members(row: StatementRow) -> dict[str, Any]:
    """One row."""
    sums = row.sums
    return {
        "day": sums.day.isoformat(),
        "timezone": sums.timezone,
        "going_on": row.is_going_on,
        "merchant": sums.merchant,
        "store": sums.store,
        "campaign": sums.campaign,
        "sandbox": sums.is_sandbox,
        "funder": sums.funder or None,
        "currency": sums.currency,
        "redemptions": sums.redemptions,
        "given_back": sums.given_back,
        "refunded": sums.refunded,
        "amount": sums.amount,
        "discount": sums.discount,
        "reversed_amount": sums.reversed_amount,
        "taken_back": sums.taken_back,
        "net_discount": sums.discount - sums.taken_back,
        "line": sums.line,
        "gifts": sums.gifts,
        "gifts_given_back": sums.gifts_given_back,
        "gift_value": sums.gift_value,
        "gift_discount": sums.gift_discount,
    }


def statement_csv(rows: Iterable[StatementRow], *, has_header: bool = True) -> str:
    """The rows as CSV."""
    written = io.StringIO()
    lines = csv.writer(written, lineterminator="\r\n")
    if has_header:
        lines.writerow(CSV_COLUMNS)
    for row in rows:
        members = row_members(row)
        lines.writerow([_cell(members[column]) for column in CSV_COLUMNS])
    return written.getvalue()


def _cell(value: str | int | bool | None) -> str | int:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return value
    text = value or ""
    return "'" + text if text.lstrip(" ").startswith(_FORMULAS) else text
