"""Desks on one real Postgres, vouchers to bring there, and a clock that a test sets.

The instant that counts is `statement_timestamp()` of Postgres. A function of that name, in a schema that this database
looks in first, takes its place: engine and SQL are as they are everywhere.
"""

import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
from msgspec.structs import replace

from engine.domain.campaign import Catalogue, Validity
from engine.domain.locking import Lock, Release
from engine.domain.redemption import Redeem
from engine.domain.reversal import By, Redeemed, Reverse
from engine.domain.voucher import Period
from engine.ledger.campaigns import apply_campaign
from engine.ledger.cursors import Cursor, read_cursor
from engine.ledger.database import Ledger
from engine.ledger.instants import instant
from engine.ledger.promise_book import PromiseBook
from engine.ledger.settlement import settle
from engine.ledger.voucher_steps import Step
from engine.redeeming.desk import RedemptionDesk
from engine.settings import Settings
from tests.ledger.samples import CLAIMED_AT_MS, campaign, claims, vouchers_of

AMOUNT = 20_000
"""Of every order: the voucher takes 5,000 off, from 15,000 on."""
STORE, MERCHANT = "s-1", "m-1"
_CLOCK = """
create schema clock;
create table clock.reading (at timestamptz not null);
insert into clock.reading values ('{at}');
create function clock.statement_timestamp() returns timestamptz language sql stable
    as 'select at from clock.reading';
alter database {name} set search_path = clock, pg_catalog, public"""


class Counter:
    """What a test needs of shops. `now_ms` is what Postgres's clock says."""

    def __init__(self, admin: asyncpg.Connection, ledger: Ledger, catalogue: Catalogue, cursor: Cursor) -> None:
        self.admin = admin
        self.catalogue = catalogue
        self.now_ms = CLAIMED_AT_MS
        self.desks: list[RedemptionDesk] = []
        self._ledger = ledger
        self._cursor = cursor
        self._numbers = itertools.count(1)

    async def vouchers(self, count: int) -> list[tuple[str, Period]]:
        """As many vouchers of their own, claimed just now: codes and periods."""
        first = self._cursor.last + 1
        prefix = self.catalogue.code_prefix
        batch = [
            replace(each, code=f"{prefix}{each.sequence:013d}", epoch=self._cursor.epoch, unit=each.sequence)
            for each in claims(first, first + count - 1, claimed_at_ms=self.now_ms)
        ]
        rows = vouchers_of(self.catalogue, batch)
        self._cursor = await settle(self._ledger, self._cursor, first + count - 1, batch, rows, [])
        return [(row.code, Period(row.valid_from_ms, row.expires_at_ms)) for row in rows]

    async def set_clock(self, now_ms: int) -> None:
        """From the next statement on it is then."""
        self.now_ms = now_ms
        await self.admin.execute("update clock.reading set at = $1", instant(now_ms))

    def redeem(self, code: str, **changes: Any) -> Redeem:
        """A redemption of an order, payment and request of its own."""
        number = next(self._numbers)
        plain: dict[str, Any] = {"order_no": f"o{number}", "payment_no": f"p{number}", "request_no": f"q{number}"}
        plain |= {"code": code, "merchant": MERCHANT, "store": STORE, "clerk": "li", "amount": AMOUNT, "lines": ()}
        return Redeem(**(plain | changes))

    def lock(self, code: str, order_no: str, hold_ms: int) -> Lock:
        """A lock for that order."""
        number = next(self._numbers)
        return Lock(code, MERCHANT, STORE, "li", order_no, AMOUNT, (), hold_ms, f"q{number}")

    def release(self, lock: Step) -> Release:
        """The end of that lock."""
        return Release(lock.request, lock.code, lock.merchant, lock.store, "li", lock.order_no, lock.step)

    def reverse(self, made: Step, by: By, is_completed: bool, amount: int | None = None) -> Reverse:
        """A reversal of that redemption, of all that is left or of so much."""
        of = Redeemed(
            made.request,
            made.code,
            made.step,
            made.merchant,
            made.store,
            made.order_no,
            made.payment_no,
            made.amount,
            made.discount,
        )
        return Reverse(of, "li", by, is_completed, amount, f"q{next(self._numbers)}")


@asynccontextmanager
async def counter_at(
    database_url: str, settings: Settings, *lines: str, first: Settings | None = None
) -> AsyncIterator[Counter]:
    """A counter with a desk for each of these addresses of Postgres; where none is given, two at the plain one.

    `first`: the settings of the first desk, where they are others.
    """
    async with AsyncExitStack() as stack:
        admin = await asyncpg.connect(database_url)
        stack.push_async_callback(admin.close)
        await admin.execute(_CLOCK.format(at=instant(CLAIMED_AT_MS), name=database_url.rpartition("/")[2]))
        ledger = await _ledger(stack, database_url, settings)
        catalogue = (await apply_campaign(ledger, campaign(validity=Validity(days_after_claim=7)), "tests")).catalogue
        counter = Counter(admin, ledger, catalogue, await read_cursor(ledger, catalogue.campaign_no))
        for no, url in enumerate(lines or (database_url, database_url)):
            its_own = first if first and not no else settings
            of_desk = await _ledger(stack, url, its_own)
            desk = RedemptionDesk(of_desk, PromiseBook(of_desk), its_own)
            await desk.start()
            stack.push_async_callback(desk.stop)
            counter.desks.append(desk)
        yield counter


async def _ledger(stack: AsyncExitStack, url: str, settings: Settings) -> Ledger:
    ledger = await Ledger.connect(url, settings)
    stack.push_async_callback(ledger.close)
    return ledger
