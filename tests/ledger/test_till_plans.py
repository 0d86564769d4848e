"""However little the statistics know of the tables, tills reach vouchers by their whole keys."""

from dataclasses import dataclass
from typing import Any

from engine.domain.redemption import request_id
from engine.ledger.campaigns import apply_campaign
from engine.ledger.cursors import read_cursor
from engine.ledger.database import Ledger
from engine.ledger.settlement import settle
from engine.ledger.voucher_steps import Question, Step, look_up, take
from tests.ledger.samples import CLAIMED_AT_MS, campaign, claim, vouchers_of

DROPPED = 3_000
ASKED = 40
_ROWS_READ = """
    select relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) as rows from pg_stat_xact_user_tables
    where relname in ('vouchers', 'claims', 'voucher_steps')"""


@dataclass
class OneConnection:
    """A ledger whose statements are all of one transaction."""

    connection: Any

    async def fetch(self, query: str, *arguments: Any) -> list[Any]:
        rows: list[Any] = await self.connection.fetch(query, *arguments)
        return rows


def step_of(campaign_no: int, code: str) -> Step:
    """The redemption of that voucher."""
    order: dict[str, Any] = {
        "order_no": "o",
        "payment_no": f"p{code}",
        "payment_place": 1,
        "amount": 100,
        "discount": 10,
        "lines": (),
    }
    named: dict[str, Any] = {
        "request": request_id("m1", code),
        "request_no": code,
        "merchant": "m1",
        "store": "s1",
        "clerk": "li",
    }
    return Step(
        campaign_no=campaign_no, code=code, step=1, kept="redeemed", kind="redeem", at_ms=CLAIMED_AT_MS, offer_no=1,
        terms_version=1, digest=b"d" * 16, day="2021-09-17", **order, **named,
    )  # fmt: skip


async def test_a_look_after_a_drop_reads_what_was_asked_for(ledger: Ledger) -> None:
    """Statistics that were taken before it say that there are no vouchers."""
    catalogue = (await apply_campaign(ledger, campaign(), "ann")).catalogue
    await ledger.fetch("analyze")
    batch = [claim(number, code=f"{catalogue.code_prefix}{number:013d}") for number in range(1, DROPPED + 1)]
    cursor = await read_cursor(ledger, catalogue.campaign_no)
    await settle(ledger, cursor, DROPPED, batch, vouchers_of(catalogue, batch), [])
    codes = sorted(each.code for each in batch[:: DROPPED // ASKED])[:ASKED]
    questions = [Question(code, request_id("m1", code), "m1", f"p{code}") for code in codes]
    async with ledger.transaction() as connection:
        here: Any = OneConnection(connection)
        entries = await look_up(here, questions)
        taken = await take(here, [step_of(catalogue.campaign_no, code) for code in codes])
        read = {row["relname"]: row["rows"] for row in await connection.fetch(_ROWS_READ)}
    assert [entry.standing.code for entry in entries if entry.standing] == codes
    assert len(taken) == ASKED
    assert all(rows <= 3 * ASKED for rows in read.values()), read
