"""Statements against sums of our own over the raw steps, on a real Postgres."""

import asyncio
import csv
import io
import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.domain.campaign import Offer
from engine.gateway.statement_objects import CSV_COLUMNS, row_members, statement_csv
from engine.ledger.campaigns import apply_campaign
from engine.ledger.database import Ledger
from engine.ledger.statements import Sums
from engine.redeeming.steps import day_of
from engine.reporting.statement import Statement, StatementRow, TooManyRows, Wanted, is_going_on, statement_on
from engine.settings import Settings
from tests.ledger.samples import OFFERS, campaign

FIRST = date(2026, 10, 30)
GIFTS = ("gifts", "gifts_given_back", "gift_value", "gift_discount")
SUMMED = ("redemptions", "given_back", "refunded", "amount", "discount", "reversed_amount", "taken_back", *GIFTS)
CUP = Offer("cup", "杯子", "gift", OFFERS[0].stores, face=13_800, price=1_300)
FUNDED = tuple(
    replace(offer, funder=funder) for offer, funder in zip((*OFFERS, CUP), ("市商务局", "=商会", "=商会"), strict=True)
)
PLACES = (("m-1", "s-1"), ("m-1", "s-3"), ("m-2", "s-2"), ("m-1", "s-2"))
"""The last one: a store that belonged to another merchant once."""

LINES = st.lists(
    st.tuples(st.sampled_from(["", "tea", "cake"]), st.integers(0, 1 << 53), st.integers(0, 900)), max_size=3
)
STEPS = st.lists(
    st.fixed_dictionaries(
        {
            "campaign_no": st.integers(0, 1),
            "offer_no": st.integers(1, 3),
            "place": st.sampled_from(PLACES),
            "day": st.integers(0, 4),
            "kind": st.sampled_from(["redeem", "redeem", "redeem", "give_back", "refund", "lock", "invalidate"]),
            "amount": st.integers(0, 1 << 53),
            "discount": st.integers(0, 1 << 53),
            "lines": LINES,
        }
    ),
    max_size=40,
)
WANTED = st.tuples(
    st.integers(0, 4),
    st.integers(0, 4),
    st.one_of(st.none(), st.lists(st.sampled_from(["m-1", "m-2", "nobody"]), unique=True)),
    st.one_of(st.none(), st.lists(st.sampled_from(PLACES), unique=True)),
)


def test_sums_are_those_of_the_raw_steps(database_url: str, settings: Settings) -> None:
    async def begin() -> tuple[Ledger, Any]:
        ledger = await Ledger.connect(database_url, settings)
        await apply_campaign(ledger, campaign(offers=FUNDED), "ann")
        await apply_campaign(
            ledger,
            campaign("far", offers=(*OFFERS, CUP), timezone="America/New_York", currency="USD", sandbox=True),
            "ann",
        )
        return ledger, await asyncpg.connect(database_url)

    with asyncio.Runner() as runner:
        ledger, raw = runner.run(begin())

        @examples(deadline=None, max_examples=40)
        @given(steps=STEPS, wanted=WANTED, by_line=...)
        def hold(steps: list[dict[str, Any]], wanted: Any, by_line: bool) -> None:
            runner.run(compare(ledger, raw, steps, wanted, by_line))

        hold()
        runner.run(raw.close())
        runner.run(ledger.close())


async def compare(ledger: Ledger, raw: Any, steps: list[dict[str, Any]], asked: Any, by_line: bool) -> None:
    await write(raw, steps)
    low, high, merchants, places = asked
    first, last = FIRST + timedelta(min(low, high)), FIRST + timedelta(max(low, high))
    wanted = Wanted(first, last, merchants=None if merchants is None else tuple(merchants), by_line=by_line)
    if places is not None:
        wanted = replace(wanted, merchants=tuple(m for m, _ in places), stores=tuple(s for _, s in places))
    read = await statement_on(ledger, wanted, late_ms=0)
    assert isinstance(read, Statement)
    told: dict[Any, dict[str, int]] = {}
    for row in read.rows:
        key = key_of(row.sums)
        assert key not in told, "each row stands once"
        told[key] = {name: getattr(row.sums, name) for name in SUMMED}
    assert told == by_hand(steps, wanted, by_line)
    total = sum(step["discount"] for step in steps if step["kind"] == "redeem" and is_wanted(step, wanted))
    assert sum(row.sums.discount for row in read.rows) == total or by_line


def by_hand(steps: list[dict[str, Any]], wanted: Wanted, by_line: bool) -> dict[Any, dict[str, int]]:
    """The same sums, one step after the other."""
    found: dict[Any, Counter[str]] = {}
    for step in steps:
        if not is_wanted(step, wanted):
            continue
        is_redeemed = step["kind"] == "redeem"
        lines = step["lines"] if by_line and is_redeemed and step["lines"] else [("", step["amount"], step["discount"])]
        counted: set[str] = set()
        for name, amount, discount in lines:
            sums = found.setdefault(key_by_hand(step, name if by_line else ""), Counter(dict.fromkeys(SUMMED, 0)))
            if is_redeemed:
                sums["redemptions"] += name not in counted
                sums["amount"] += amount
                sums["discount"] += discount
            else:
                sums["given_back" if step["kind"] == "give_back" else "refunded"] += 1
                sums["reversed_amount"] += amount
                sums["taken_back"] += discount
            if step["offer_no"] == 3:
                is_back = step["kind"] == "give_back"
                handed_over = name not in counted if is_redeemed else -is_back
                sums["gifts"] += max(0, handed_over)
                sums["gifts_given_back"] += is_back
                sums["gift_value"] += handed_over * (13_800 - 1_300)
                sums["gift_discount"] += discount if is_redeemed else -discount
            counted.add(name)
    return {key: {name: sums[name] for name in SUMMED} for key, sums in found.items()}


def is_wanted(step: dict[str, Any], wanted: Wanted) -> bool:
    merchant, store = step["place"]
    if step["kind"] not in ("redeem", "give_back", "refund"):
        return False
    if not wanted.first <= FIRST + timedelta(step["day"]) <= wanted.last:
        return False
    if wanted.stores is not None and wanted.merchants is not None:
        return (merchant, store) in set(zip(wanted.merchants, wanted.stores, strict=True))
    return wanted.merchants is None or merchant in wanted.merchants


def key_of(sums: Sums) -> Any:
    named = (sums.campaign, sums.is_sandbox, sums.funder, sums.currency, sums.timezone)
    return (sums.day, sums.merchant, sums.store, *named, sums.line)


def key_by_hand(step: dict[str, Any], line: str) -> Any:
    funder = FUNDED[step["offer_no"] - 1].funder
    named = ("far", True, "", "USD", "America/New_York")
    if step["campaign_no"] == 0:
        named = ("spring", False, str(funder), "CNY", "Asia/Shanghai")
    return (FIRST + timedelta(step["day"]), *step["place"], *named, line or None)


async def write(raw: Any, steps: list[dict[str, Any]]) -> None:
    """The steps as a till's would be, each of a voucher of its own."""
    await raw.execute("truncate voucher_steps")
    rows = []
    for number, step in enumerate(steps):
        merchant, store = step["place"]
        lines = [{"id": name, "amount": amount, "discount": share} for name, amount, share in step["lines"]]
        rows.append(
            (
                *(step["campaign_no"], f"code-{number}", 1 + number % 3, step["kind"], datetime.now(UTC)),
                *(step["offer_no"], 1, merchant, store, FIRST + timedelta(step["day"])),
                *(step["amount"], step["discount"], str(lines).replace("'", '"') if lines else None),
            )
        )
    columns = (
        "campaign_no, code, step, kind, at, offer_no, terms_version, merchant, store, day, amount, discount, lines"
    )
    places = ", ".join(f"${place}" for place in range(1, 14))
    await raw.executemany(f"insert into voucher_steps ({columns}) values ({places})", rows)


async def test_more_rows_than_can_be_told_are_not_cut(ledger: Ledger, database_url: str) -> None:
    await apply_campaign(ledger, campaign(), "ann")
    raw = await asyncpg.connect(database_url)
    step = {"campaign_no": 0, "offer_no": 1, "kind": "redeem", "amount": 5, "discount": 2, "lines": []}
    await write(raw, [step | {"place": ("m-1", f"s-{number}"), "day": 0} for number in range(4)])
    await raw.close()
    wanted = Wanted(FIRST, FIRST)
    assert await statement_on(ledger, wanted, 0, rows_max=3) == TooManyRows(3)
    told = await statement_on(ledger, wanted, 0, rows_max=4)
    assert isinstance(told, Statement)
    assert len(told.rows) == 4


def test_a_day_is_one_of_the_campaigns_zone() -> None:
    midnight_ms = int(datetime(2026, 11, 23, 16, tzinfo=UTC).timestamp() * 1000)  # 24:00 of the 23rd in Shanghai
    day = date(2026, 11, 23)
    assert day_of(midnight_ms - 1, "Asia/Shanghai") == "2026-11-23"
    assert day_of(midnight_ms, "Asia/Shanghai") == "2026-11-24"
    assert is_going_on(day, "Asia/Shanghai", midnight_ms - 1)
    assert not is_going_on(day, "Asia/Shanghai", midnight_ms)
    assert is_going_on(day, "America/New_York", midnight_ms)


# CSV


def a_row(**changes: Any) -> StatementRow:
    plain = Sums(
        *(FIRST, "m-1", "s-1", "spring", False, "市商务局", "CNY", "Asia/Shanghai", None),
        *(2, 1, 0, 8500, 1000, 4250, 1500),
    )
    return StatementRow(replace(plain, **changes), is_going_on=True)


def test_csv_is_as_rfc_4180_has_it() -> None:
    text = statement_csv([a_row(merchant='a "b", c'), a_row(line="two\nlines")])
    assert re.fullmatch(r'(?:(?:[^"\r\n,]*|"(?:[^"]|"")*")(?:,|\r\n))*', text), text
    assert text.startswith(",".join(CSV_COLUMNS) + "\r\n")
    read = list(csv.DictReader(io.StringIO(text, newline="")))
    assert (read[0]["merchant"], read[1]["line"]) == ('a "b", c', "two\nlines")
    assert (read[0]["net_discount"], read[0]["going_on"], read[0]["funder"]) == ("-500", "true", "市商务局")
    assert set(row_members(a_row())) == set(CSV_COLUMNS)
    assert statement_csv([a_row()], has_header=False) == statement_csv([a_row()]).partition("\r\n")[2]


@given(
    text=st.text(max_size=6),
    start=st.sampled_from(["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", " =", "a"]),
)
def test_no_cell_is_a_formula(text: str, start: str) -> None:
    read = list(csv.reader(io.StringIO(statement_csv([a_row(line=start + text)]), newline="")))
    cell = read[1][CSV_COLUMNS.index("line")]
    assert cell.lstrip("'") == (start + text).lstrip("'")
    assert start == "a" or cell[0] == "'"
