"""The books of one campaign, all of them at one instant, for an audit.

`checks` counts inside Postgres; this hands the rows themselves over, in the order in which they were
decided, because some things only show in that order.
"""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from msgspec import Struct

from engine.domain.decisions import WaveState
from engine.domain.outcome import Claim
from engine.errors import UsageError
from engine.ledger.cursors import Cursor, cursor_of
from engine.ledger.database import Ledger
from engine.ledger.quarantine import State, kept_claims
from engine.ledger.queries import load_queries

_SQL = load_queries("audit")
_CURSORS = load_queries("cursors")
_EPOCHS = load_queries("epochs")
_STATE = msgspec.json.Decoder(WaveState)

Place = tuple[int, int]
"""(wave_no, offer_no)."""


class Stray(Struct, frozen=True):
    """A claim whose voucher is missing, or a voucher that names a claim which is not there."""

    epoch: int
    sequence: int
    is_claim: bool


class Books:
    """What the ledger holds of one campaign. Good inside `open_books` only."""

    def __init__(self, connection: Any, cursor: Cursor) -> None:
        self._connection = connection
        self.cursor = cursor

    async def stocks(self) -> dict[Place, int]:
        """Units in all by (wave_no, offer_no): what the campaign gives the wave, and what was rolled over."""
        states = await self._connection.fetch(_EPOCHS["latest_wave_states"], self.cursor.campaign_no)
        waves = {row["wave_no"]: _STATE.decode(row["state"]) for row in states}
        rows = await self._connection.fetch(_SQL["stocks"], self.cursor.campaign_no)
        stocks = {(row["wave_no"], row["offer_no"]): row["total"] for row in rows}
        for (wave_no, offer_no), total in stocks.items():
            if wave_no in waves:
                stocks[wave_no, offer_no] = total + waves[wave_no].moved_units(str(offer_no))
        return stocks

    async def claims(self, chunk: int) -> AsyncGenerator[list[Claim], None]:
        """Every claim in order of (epoch, sequence), in lists of about `chunk`.

        Claims in quarantine are among them, voided ones too: they were decided, and their units are used up.
        """
        apart = deque(claim for claim, _ in await self.quarantined())
        cursor = await self._connection.cursor(_SQL["claims"], self.cursor.campaign_no)
        while rows := await cursor.fetch(chunk):
            claims = [Claim(*row) for row in rows]
            extra = []
            while apart and _number(apart[0]) < _number(claims[-1]):
                extra.append(apart.popleft())
            yield sorted([*claims, *extra], key=_number) if extra else claims
        if apart:
            yield list(apart)

    async def quarantined(self) -> list[tuple[Claim, State]]:
        """Claims that Postgres refused and that are held or voided, in order of (epoch, sequence)."""
        return await kept_claims(self._connection, self.cursor.campaign_no, ["held", "voided"])

    async def last_number(self) -> int:
        """The highest number of a claim or act in the cursor's epoch; 0 where there is none."""
        rows = await self._connection.fetch(_EPOCHS["last_of_epoch"], self.cursor.campaign_no, self.cursor.epoch)
        last: int = rows[0]["last"]
        return last

    async def repeated_codes(self, code_prefix: str) -> tuple[int, int]:
        """Claims with a code that another claim has too, and claims with a code of another campaign."""
        rows = await self._connection.fetch(_SQL["repeated_codes"], self.cursor.campaign_no, code_prefix)
        return rows[0]["repeated"], rows[0]["foreign_codes"]

    async def strays(self, most: int) -> list[Stray]:
        """Claims without a voucher and vouchers without a claim, the first of them."""
        rows = await self._connection.fetch(_SQL["strays"], self.cursor.campaign_no, most)
        return [Stray(*row) for row in rows]


def _number(claim: Claim) -> tuple[int, int]:
    return claim.epoch, claim.sequence


@asynccontextmanager
async def open_books(ledger: Ledger, campaign_no: int) -> AsyncIterator[Books]:
    """The books as they are now; they stay so for the time of the block.

    Holds one connection. Who lets more than `ledger_timeout_ms` pass between two looks gets
    LedgerUnavailable at the next. UsageError where there is no such campaign.
    """
    async with ledger.snapshot() as connection:
        rows = await connection.fetch(_CURSORS["read_cursor"], campaign_no)
        if not rows:
            raise UsageError(f"the ledger has no campaign number {campaign_no}")
        yield Books(connection, cursor_of(rows[0]))
