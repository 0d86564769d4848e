"""Claims that are settled."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from msgspec import Struct

from engine.domain.outcome import Claim
from engine.ledger.database import Ledger
from engine.ledger.queries import load_queries

CLAIMS_OF_ACCOUNT_MAX = 500
"""Claims in one card pack: some sixteen campaigns in which an account held all that a campaign allows."""

_SQL = load_queries("claims")


class OfferCount(Struct, frozen=True):
    """What an offer of a wave gave out, as far as settled: claims, and the highest unit."""

    claims: int
    unit_max: int


async def counts(ledger: Ledger, campaign_no: int) -> dict[tuple[int, int], OfferCount]:
    """Claims per (wave_no, offer_no); an offer of which nothing was claimed is not there."""
    rows = await ledger.fetch(_SQL["counts"], campaign_no)
    return {(row["wave_no"], row["offer_no"]): OfferCount(row["claims"], row["unit_max"]) for row in rows}


async def read_holdings(ledger: Ledger, campaign_no: int, chunk: int) -> AsyncGenerator[list[Claim], None]:
    """All claims of the campaign, ordered by (claimant, nth), as they were at the first look.

    Yields lists of about `chunk` claims, by whole claimants: all claims of one are in one list. Holds a
    connection until it is read to its end or closed (contextlib.aclosing); who takes longer than
    `ledger_timeout_ms` over one list gets LedgerUnavailable at the next.
    """
    async with ledger.snapshot() as connection:
        cursor = await connection.cursor(_SQL["holdings"], campaign_no)
        rest: list[Claim] = []
        while rows := await cursor.fetch(chunk):
            claims = [*rest, *(Claim(*row) for row in rows)]
            whole = _end_of_whole_claimants(claims)
            rest = claims[whole:]
            if whole:
                yield claims[:whole]
        if rest:
            yield rest


async def claims_of_claimant(ledger: Ledger, campaign_no: int, claimant: str) -> list[Claim]:
    """The claims of one claimant in one campaign, in order of `nth`."""
    return _claims(await ledger.fetch(_SQL["of_claimant"], campaign_no, claimant))


async def claims_of_account(ledger: Ledger, account: str) -> list[tuple[str, Claim]]:
    """(campaign id, claim) of an account in all campaigns: the newest CLAIMS_OF_ACCOUNT_MAX, newest first."""
    rows = await ledger.fetch(_SQL["of_account"], account, CLAIMS_OF_ACCOUNT_MAX)
    return [(campaign, Claim(*fields)) for campaign, *fields in rows]


def _claims(rows: Sequence[Any]) -> list[Claim]:
    """Each query names its columns in the order of Claim's fields."""
    return [Claim(*row) for row in rows]


def _end_of_whole_claimants(claims: list[Claim]) -> int:
    """How many of these claims surely belong to claimants of whom none is still to come: all but the last one's."""
    end = len(claims)
    while end and claims[end - 1].claimant == claims[-1].claimant:
        end -= 1
    return end
