"""What was redeemed in a campaign, as the ledger has it."""

from msgspec import Struct

from engine.ledger.database import Ledger
from engine.ledger.queries import load_queries

_SQL = load_queries("taken")


class Taken(Struct, frozen=True):
    """A redemption: the version of the terms that was read, and what was given in minor units."""

    code: str
    terms_version: int
    discount: int


async def taken_in(ledger: Ledger, campaign_no: int) -> list[Taken]:
    """Every redemption of that campaign, those that were given back included. Raises LedgerError."""
    rows = await ledger.fetch(_SQL["taken"], campaign_no)
    return [Taken(row["code"], row["terms_version"], row["discount"]) for row in rows]
