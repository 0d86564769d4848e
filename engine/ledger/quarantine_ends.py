"""How a quarantine ends: the claim is settled after all, or taken back. Each in one transaction with its entry in the
audit trail, under the lock of the cursor's row, so that of many who do it at once one does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct

from engine.domain.codes import claim_id
from engine.errors import ActRefused, LedgerRefused, UsageError
from engine.ledger.database import Ledger
from engine.ledger.quarantine import Place, Quarantined, State, quarantined_of
from engine.ledger.queries import load_queries
from engine.ledger.rows import VoucherRow
from engine.ledger.settlement import copy_claims
from engine.ledger.trail import End, Happening, add_entries

_SQL = load_queries("quarantine")

KINDS: dict[State, str] = {"retried": "settle_quarantined", "voided": "void_quarantined"}
"""Of the entries in the trail, by what became of the claim."""


class Ended(Struct, frozen=True):
    """A claim whose quarantine is over; `done` is false where it was so already."""

    claim: Quarantined
    done: bool


async def settle_quarantined(ledger: Ledger, place: Place, voucher: VoucherRow, actor: str, reason: str) -> Ended:
    """Settle a held claim after all, with its voucher.

    Raises LedgerRefused where Postgres still refuses it (nothing was changed), ActRefused where it was voided,
    UsageError where there is none such.
    """
    async with _held(ledger, place, "retried") as (connection, found, row):
        if found.state == "retried":
            return Ended(found, done=False)
        claim = found.claim
        settled = await connection.fetchval(_SQL["settled_code"], found.campaign_no, claim.epoch, claim.sequence)
        if settled is None:
            await copy_claims(connection, found.campaign_no, [claim], [voucher])
        elif settled != claim.code:
            raise LedgerRefused(f"{place}: the number is another claim's in the ledger")
        return await _end(connection, found, row, "retried", actor, reason)


async def void_quarantined(ledger: Ledger, place: Place, actor: str, reason: str) -> Ended:
    """Take a held claim back. Raises ActRefused where it was settled, UsageError where there is none such."""
    async with _held(ledger, place, "voided") as (connection, found, row):
        if found.state == "voided":
            return Ended(found, done=False)
        return await _end(connection, found, row, "voided", actor, reason)


@asynccontextmanager
async def _held(ledger: Ledger, place: Place, to: State) -> AsyncIterator[tuple[Any, Quarantined, Any]]:
    """The claim, to be brought to that state, and the cursor's row, which is held until the end of the block."""
    async with ledger.transaction() as connection:
        row = await connection.fetchrow(_SQL["hold_cursor"], place.campaign)
        kept = await connection.fetchrow(_SQL["one"], place.campaign, place.epoch, place.sequence)
        if row is None or kept is None:
            raise UsageError(f"{place} is not in quarantine, and never was")
        found = quarantined_of(kept)
        if found.state not in ("held", to):
            raise ActRefused(
                f"{place} was {found.state} by {found.ended_by}: {found.ended_reason or 'no reason given'}"
            )
        yield connection, found, row


async def _end(connection: Any, found: Quarantined, row: Any, state: State, actor: str, reason: str) -> Ended:
    claim, no = found.claim, found.campaign_no
    await connection.execute(_SQL["end"], no, claim.epoch, claim.sequence, state, actor, reason, row["now"])
    wave = await connection.fetchval(_SQL["wave_id"], no, claim.wave_no)
    # The id of a claim and its number name nobody; the code and the claimant stay out of the trail.
    told = {"claim": claim_id(claim.code), "number": f"{claim.epoch}-{claim.sequence}"}
    entry = Happening(
        row["now"],
        actor,
        reason,
        KINDS[state],
        wave or found.campaign,
        told | {"state": "held"},
        told | {"state": state},
    )
    await add_entries(connection, no, End(row["trail_position"], row["trail_hash"]), [entry])
    ended = await connection.fetchrow(_SQL["one"], found.campaign, claim.epoch, claim.sequence)
    return Ended(quarantined_of(ended), done=True)
