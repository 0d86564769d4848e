"""What was redeemed in a campaign, as the ledger has it; and vouchers out of their time, for rehearsals."""

from collections.abc import Mapping

from msgspec import Struct

from engine.domain.voucher import Period
from engine.ledger.database import Ledger
from engine.ledger.instants import instant
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


async def set_periods(ledger: Ledger, campaign_no: int, periods: Mapping[str, Period]) -> None:
    """Give these vouchers of the campaign, by code, another period than their claims gave them. Raises LedgerError.

    Only for the ledger that a rehearsal has made for itself: anywhere else the period is fixed by the claim.
    """
    begins = [instant(each.valid_from_ms) for each in periods.values()]
    ends = [instant(each.expires_at_ms) for each in periods.values()]
    await ledger.fetch(_SQL["set_periods"], campaign_no, list(periods), begins, ends)
