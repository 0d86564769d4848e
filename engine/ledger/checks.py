"""The figures by which an audit judges what the ledger holds. They say what is; the audit says what it means.

Each reads whole tables of one campaign: seconds for a million claims, so nothing on a claim's path calls them.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

from msgspec import Struct

from engine.domain.campaign import Limit
from engine.ledger.database import Ledger
from engine.ledger.queries import load_queries

_SQL = load_queries("checks")


class EpochNumbers(Struct, frozen=True):
    """Numbers of claims and acts in one epoch: lowest, highest, how many decisions, how many different numbers."""

    epoch: int
    first: int
    last: int
    decisions: int
    numbers: int

    @property
    def missing(self) -> int:
        """Numbers from 1 to the highest that no decision has (P7)."""
        return self.last - self.numbers

    @property
    def duplicates(self) -> int:
        """Decisions that have a number which another one has too (P7)."""
        return self.decisions - self.numbers


class StockFigures(Struct, frozen=True):
    """One offer of one wave: units in all (0 where the ledger has no stock of it), claims, lowest and highest unit."""

    wave_no: int
    offer_no: int
    total: int
    claims: int
    unit_min: int
    unit_max: int


class WindowFigures(Struct, frozen=True):
    """One wave: claims, those before its opening, those at its end or later, those while an act had shut it."""

    wave_no: int
    claims: int
    early: int
    late: int
    shut: int


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


class TermsFigures(Struct, frozen=True):
    """Claims of one version of an offer's terms, and whether the ledger knows that version (P8)."""

    offer_no: int
    version: int
    claims: int
    known: bool


async def numbering(ledger: Ledger, campaign_no: int) -> list[EpochNumbers]:
    """Numbers of claims and acts together, by epoch."""
    return _all(EpochNumbers, await ledger.fetch(_SQL["numbering"], campaign_no))


async def stock_figures(ledger: Ledger, campaign_no: int) -> list[StockFigures]:
    """Every offer of every wave that has stock or claims (P1)."""
    return _all(StockFigures, await ledger.fetch(_SQL["stock"], campaign_no))


async def window_figures(ledger: Ledger, campaign_no: int) -> list[WindowFigures]:
    """Every wave (P6). The window is the one that the wave has now."""
    return _all(WindowFigures, await ledger.fetch(_SQL["windows"], campaign_no))


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


async def terms_figures(ledger: Ledger, campaign_no: int) -> list[TermsFigures]:
    """Claims by the terms they were given; with the promises' values, the sum that a cap counts."""
    return _all(TermsFigures, await ledger.fetch(_SQL["terms"], campaign_no))


_Figures = TypeVar("_Figures", bound=Struct)


def _all(figures: type[_Figures], rows: Sequence[Any]) -> list[_Figures]:
    """Each query names its columns in the order of the Struct's fields."""
    return [figures(*row) for row in rows]
