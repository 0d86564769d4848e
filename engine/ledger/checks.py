"""The figures by which an audit judges what the ledger holds. They say what is; the audit says what it means.

Each reads whole tables of one campaign: seconds for a million claims, so nothing on a claim's path calls them.
"""

from msgspec import Struct

from engine.domain.campaign import Limit
from engine.ledger.database import Ledger
from engine.ledger.queries import load_queries

_SQL = load_queries("checks")


class VoucherFigures(Struct, frozen=True):
    """Claims and vouchers, and those of each that have no counterpart of the same number and code."""

    claims: int
    vouchers: int
    claims_without: int
    vouchers_without: int


class ClaimantFigures(Struct, frozen=True):
    """Claimants, the most claims of one, and how many have an `nth` missing."""

    claimants: int
    claims_max: int
    misnumbered: int


class LimitFigures(Struct, frozen=True):
    """One limit: the most claims of one claimant within its scope, and in how many cases that is too many."""

    claims_max: int
    over: int


async def voucher_figures(ledger: Ledger, campaign_no: int) -> VoucherFigures:
    """Claims against vouchers (P3)."""
    return VoucherFigures(*(await ledger.fetch(_SQL["vouchers"], campaign_no))[0])


async def claimant_figures(ledger: Ledger, campaign_no: int) -> ClaimantFigures:
    """Claims by claimant (P2)."""
    return ClaimantFigures(*(await ledger.fetch(_SQL["claimants"], campaign_no))[0])


async def repeated_requests(ledger: Ledger, campaign_no: int) -> int:
    """Claims that an account got for a wave and request number for which it had one already (P5)."""
    repeated: int = (await ledger.fetch(_SQL["repeated_requests"], campaign_no))[0]["repeated"]
    return repeated


async def limit_figures(ledger: Ledger, campaign_no: int, limit: Limit) -> LimitFigures:
    """One of the campaign's limits (P2)."""
    return LimitFigures(*(await ledger.fetch(_SQL["limit"], campaign_no, limit.per, limit.max))[0])
