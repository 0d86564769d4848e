"""The figures for an audit, over books that are in order and over books that are not."""

import pytest
from msgspec.structs import replace

from engine.domain.campaign import Limit
from engine.ledger.campaigns import apply_campaign
from engine.ledger.checks import (
    ClaimantFigures,
    LimitFigures,
    VoucherFigures,
    claimant_figures,
    limit_figures,
    repeated_requests,
    voucher_figures,
)
from engine.ledger.cursors import read_cursor
from engine.ledger.database import Ledger
from engine.ledger.settlement import settle
from tests.ledger.samples import campaign, claim, rows_of, vouchers_of, wave


@pytest.fixture
async def campaign_no(ledger: Ledger) -> int:
    """Claims of u1 in waves 1, 2 and 3 (two rounds, one day in common), of u2 in wave 1; another campaign beside it."""
    waves = (wave("a"), wave("b"), wave("c", round="second"))
    for name in ("spring", "other"):
        named = tuple(replace(each, id=f"{name}-{each.id}") for each in waves)
        catalogue = (await apply_campaign(ledger, campaign(name, waves=named), "ann")).catalogue
        batch = [
            claim(1, claimant="u1", account="u1", nth=1, wave_no=1),
            claim(2, claimant="u1", account="u1", nth=2, wave_no=2),
            claim(3, claimant="u1", account="u1", nth=3, wave_no=3),
            claim(4, claimant="u2", account="u2", nth=1, wave_no=1),
        ]
        cursor = await read_cursor(ledger, catalogue.campaign_no)
        await settle(ledger, cursor, 4, batch, vouchers_of(catalogue, batch), [])
    return 0


async def test_books_in_order(ledger: Ledger, campaign_no: int) -> None:
    assert await voucher_figures(ledger, campaign_no) == VoucherFigures(4, 4, 0, 0)
    assert await claimant_figures(ledger, campaign_no) == ClaimantFigures(claimants=2, claims_max=3, misnumbered=0)
    assert await repeated_requests(ledger, campaign_no) == 0
    assert await claimant_figures(ledger, 7) == ClaimantFigures(0, 0, 0)


@pytest.mark.parametrize(
    ("limit", "figures"),
    [
        (Limit(2, "campaign"), LimitFigures(claims_max=3, over=1)),
        (Limit(3, "campaign"), LimitFigures(claims_max=3, over=0)),
        (Limit(1, "round"), LimitFigures(claims_max=2, over=1)),
        (Limit(1, "wave"), LimitFigures(claims_max=1, over=0)),
        (Limit(2, "day"), LimitFigures(claims_max=3, over=1)),
    ],
)
async def test_limits(limit: Limit, figures: LimitFigures, ledger: Ledger, campaign_no: int) -> None:
    assert await limit_figures(ledger, campaign_no, limit) == figures


async def test_vouchers_and_claims_that_stand_alone(ledger: Ledger, campaign_no: int, database_url: str) -> None:
    await rows_of(database_url, "delete from vouchers where campaign_no = 0 and sequence = 2")
    await rows_of(database_url, "delete from claims where campaign_no = 0 and sequence = 4")
    await rows_of(database_url, "update vouchers set code = 'ANOTHER' where campaign_no = 0 and sequence = 1")
    assert await voucher_figures(ledger, campaign_no) == VoucherFigures(3, 3, claims_without=2, vouchers_without=2)


async def test_an_nth_that_is_missing_and_a_request_granted_twice(
    ledger: Ledger, campaign_no: int, database_url: str
) -> None:
    await rows_of(database_url, "delete from claims where campaign_no = 0 and sequence = 1")
    await rows_of(database_url, "update claims set wave_no = 3, unit = 9 where campaign_no = 0 and sequence = 2")
    assert await claimant_figures(ledger, campaign_no) == ClaimantFigures(claimants=2, claims_max=2, misnumbered=1)
    assert await repeated_requests(ledger, campaign_no) == 1
