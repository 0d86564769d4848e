"""Reading settled claims back."""

from contextlib import aclosing
from itertools import groupby

import pytest
from msgspec.structs import replace

from engine.domain.outcome import Claim
from engine.ledger import claims as claims_module
from engine.ledger.campaigns import apply_campaign
from engine.ledger.claims import (
    CLAIMS_OF_ACCOUNT_MAX,
    OfferCount,
    claims_of_account,
    claims_of_claimant,
    counts,
    read_holdings,
)
from engine.ledger.cursors import read_cursor
from engine.ledger.database import Ledger
from engine.ledger.settlement import settle
from engine.settings import Settings
from tests.ledger.samples import CLAIMED_AT_MS, campaign, claim, vouchers_of


async def settled(ledger: Ledger, campaign_id: str, batch: list[Claim]) -> int:
    """Settle these claims as the first ones of a campaign; its number."""
    catalogue = (await apply_campaign(ledger, campaign(campaign_id), "ann")).catalogue
    cursor = await read_cursor(ledger, catalogue.campaign_no)
    await settle(ledger, cursor, batch[-1].sequence, batch, vouchers_of(catalogue, batch), [])
    return catalogue.campaign_no


async def test_counts(ledger: Ledger) -> None:
    batch = [claim(1), claim(2), claim(3, offer_no=2, unit=5)]
    no = await settled(ledger, "spring", batch)
    assert await counts(ledger, no) == {(1, 1): OfferCount(2, 2), (1, 2): OfferCount(1, 5)}
    assert await counts(ledger, no + 1) == {}


@pytest.mark.parametrize("aside_max", [7, 6], ids=["as they lie", "by the index"])
@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 100])
async def test_holdings_keep_claimants_together(
    chunk: int, aside_max: int, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six claims are not the first of their claimants; those of one person lie far apart in the table."""
    monkeypatch.setattr(claims_module, "LATER_CLAIMS_MAX", aside_max - 1)
    held = {"a": 3, "b": 1, "c": 4, "d": 2, "é": 1, "武": 1}
    batch: list[Claim] = []
    for nth in range(1, 5):
        for claimant in (name for name, count in held.items() if count >= nth):
            batch.append(
                claim(len(batch) + 1, claimant=claimant, account=f"{claimant}-account", nth=nth, request_no=nth)
            )
    no = await settled(ledger, "spring", batch)
    lists = [chunk async for chunk in read_holdings(ledger, no, chunk)]
    assert sorted((each for lot in lists for each in lot), key=lambda each: each.sequence) == batch
    owners = [{each.claimant for each in lot} for lot in lists]
    assert sum(len(names) for names in owners) == len(held), "a claimant is in one list only"
    for lot in lists:
        for claimant, own in groupby(lot, key=lambda each: each.claimant):
            assert [each.nth for each in own] == list(range(1, held[claimant] + 1)), "together, and in order"


async def test_holdings_may_be_left_early(ledger: Ledger, database_url: str, settings: Settings) -> None:
    no = await settled(ledger, "spring", [claim(sequence) for sequence in range(1, 30)])
    narrow = await Ledger.connect(database_url, replace(settings, ledger_connections_max=1, ledger_timeout_ms=2_000))
    for _ in range(3):
        async with aclosing(read_holdings(narrow, no, 5)) as lists:
            async for _lot in lists:
                break
    assert len(await claims_of_claimant(narrow, no, "u1")) == 1, "the only connection is free again"
    await narrow.close()


async def test_claims_of_an_account_over_all_campaigns(ledger: Ledger) -> None:
    await settled(ledger, "spring", [claim(1, claimant="me", account="me"), claim(2)])
    await settled(
        ledger,
        "summer",
        [
            claim(1, claimant="person", account="me", claimed_at_ms=CLAIMED_AT_MS + 9),
            claim(2, claimant="person", account="my other one", nth=2, request_no=2),
            claim(3, claimant="me", account="somebody"),  # an account's name that is a person's elsewhere
        ],
    )
    mine = await claims_of_account(ledger, "me")
    assert [(name, each.sequence, each.account) for name, each in mine] == [("summer", 1, "me"), ("spring", 1, "me")]
    assert await claims_of_account(ledger, "nobody") == []


async def test_a_card_pack_is_bounded(ledger: Ledger) -> None:
    many = CLAIMS_OF_ACCOUNT_MAX + 5
    batch = [
        claim(number, claimant="me", account="me", nth=number, claimed_at_ms=CLAIMED_AT_MS + number)
        for number in range(1, many + 1)
    ]
    await settled(ledger, "spring", batch)
    assert [each.sequence for _, each in await claims_of_account(ledger, "me")] == list(range(many, 5, -1))
