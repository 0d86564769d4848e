"""One batch: what follows the cursor is settled, what does not is refused, vouchers are what was promised."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from engine.domain.campaign import Campaign, Catalogue, Validity
from engine.domain.decisions import LogEntry
from engine.errors import CursorMoved, LedgerRefused, ShardBroken
from engine.ledger.campaigns import apply_campaign
from engine.ledger.cursors import Cursor, raise_epoch, read_cursor
from engine.ledger.database import Ledger
from engine.settling.settler import Settler
from tests.ledger.samples import (
    CLAIMED_AT_MS,
    OFFERS,
    campaign,
    claim,
    claims,
    entry_of_act,
    entry_of_claims,
    state_of,
)

DAY_MS = 24 * 3_600_000


async def applied(ledger: Ledger, changed: Campaign | None = None) -> tuple[Catalogue, Cursor]:
    catalogue = (await apply_campaign(ledger, changed or campaign(), "ann")).catalogue
    return catalogue, await read_cursor(ledger, catalogue.campaign_no)


async def expiries(ledger: Ledger) -> list[datetime]:
    rows = await ledger.fetch("select expires_at from vouchers order by epoch, sequence")
    return [row["expires_at"] for row in rows]


def log_of(*parts: Sequence[int]) -> list[LogEntry]:
    """Entries with the claims `first` to `last` each."""
    return [entry_of_claims(claims(first, last)) for first, last in parts]


async def test_entries_become_one_batch(ledger: Ledger) -> None:
    catalogue, cursor = await applied(ledger)
    put = entry_of_act(1, "put_wave", wave_no=1, state=state_of(catalogue, 1))
    entries = [put, *log_of((2, 40), (41, 41)), entry_of_act(42, "put_campaign", revision=1, number=2)]
    settler = Settler(ledger)
    after = await settler.settle(cursor, entries)
    assert after == replace(cursor, last=42, act=2, revision=1)
    assert await settler.settle(after, log_of((43, 50))) == replace(after, last=50)
    assert await settler.settle(after, []) == after
    assert (await ledger.fetch("select count(*) as claims from claims"))[0]["claims"] == 48


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        (log_of((2, 3)), "the ledger is at 1-0, and the log goes on with 1-2"),
        ([entry_of_claims(claims(1, 2, epoch=2))], "and the log goes on with 2-1"),
    ],
)
async def test_what_does_not_follow_is_refused(entries: list[LogEntry], complaint: str, ledger: Ledger) -> None:
    _, cursor = await applied(ledger)
    with pytest.raises(ShardBroken, match=complaint):
        await Settler(ledger).settle(cursor, entries)
    assert await read_cursor(ledger, cursor.campaign_no) == cursor


async def test_what_stands_before_a_gap_is_settled_first(ledger: Ledger) -> None:
    _, cursor = await applied(ledger)
    entries = log_of((1, 5), (6, 9), (11, 12))
    after = await Settler(ledger).settle(cursor, entries)
    assert after.last == 9
    with pytest.raises(ShardBroken):
        await Settler(ledger).settle(after, entries[2:])


@pytest.mark.parametrize("stranger", [claim(1, terms_version=9), claim(1, offer_no=9), claim(1, wave_no=9)])
async def test_a_claim_that_the_ledger_cannot_place_is_refused(stranger: object, ledger: Ledger) -> None:
    _, cursor = await applied(ledger)
    with pytest.raises(ShardBroken, match="which the ledger does not know"):
        await Settler(ledger).settle(cursor, [entry_of_claims([stranger])])  # type: ignore[list-item]  # parametrize


async def test_a_stale_cursor_changes_nothing_and_the_settler_learns(ledger: Ledger) -> None:
    catalogue, cursor = await applied(ledger)
    mine, others = Settler(ledger), Settler(ledger)
    now = await others.settle(cursor, log_of((1, 5)))
    with pytest.raises(CursorMoved):
        await mine.settle(cursor, log_of((1, 3)))
    assert (await mine.settle(now, log_of((6, 7)))).last == 7
    unknown = entry_of_act(8, "put_wave", wave_no=9, state=replace(state_of(catalogue, 1), id="unknown"))
    with pytest.raises(LedgerRefused):
        await mine.settle(await read_cursor(ledger, 0), [unknown])


async def test_natural_days_end_at_midnight_of_the_campaign(ledger: Ledger) -> None:
    _, cursor = await applied(ledger)
    await Settler(ledger).settle(cursor, log_of((1, 1)))
    assert await expiries(ledger) == [datetime(2021, 9, 23, 16, tzinfo=UTC)]


async def test_days_after_the_claim_count_from_each_claim(ledger: Ledger) -> None:
    _, cursor = await applied(ledger, campaign(validity=Validity(days_after_claim=14)))
    batch = [claim(1), claim(2, claimed_at_ms=CLAIMED_AT_MS + 1)]
    await Settler(ledger).settle(cursor, [entry_of_claims(batch)])
    assert [round(each.timestamp() * 1000) for each in await expiries(ledger)] == [
        CLAIMED_AT_MS + 14 * DAY_MS,
        CLAIMED_AT_MS + 14 * DAY_MS + 1,
    ]


async def test_each_claim_has_the_terms_it_was_given(ledger: Ledger) -> None:
    """P8. New terms come while claims of the old ones are still in the log."""
    plain = campaign(validity=Validity(days_after_claim=1))
    catalogue, cursor = await applied(ledger, plain)
    settler = Settler(ledger)
    first = entry_of_act(1, "put_wave", wave_no=1, state=state_of(catalogue, 1))
    cursor = await settler.settle(cursor, [first, entry_of_claims([claim(2)])])
    later = (await apply_campaign(ledger, replace(plain, validity=Validity(days_after_claim=30)), "ann")).catalogue
    second = entry_of_act(4, "put_wave", wave_no=1, state=state_of(later, 1), number=2)
    new = claim(5, terms_version=2)
    await settler.settle(cursor, [entry_of_claims([claim(3)]), second, entry_of_claims([new])])
    days = [(round(each.timestamp() * 1000) - CLAIMED_AT_MS) // DAY_MS for each in await expiries(ledger)]
    assert days == [1, 1, 30]


async def test_the_day_is_the_one_that_the_hot_store_had(ledger: Ledger) -> None:
    """A wave was moved to another day in the ledger, and opened in the hot store before it heard of that."""
    catalogue, cursor = await applied(ledger)
    put = entry_of_act(1, "put_wave", wave_no=2, state=replace(state_of(catalogue, 2), day="2021-09-17"))
    settler = Settler(ledger)
    after = await settler.settle(cursor, [put, entry_of_claims([claim(2, wave_no=2)])])
    assert await Settler(ledger).settle(after, [entry_of_claims([claim(3, wave_no=2)])])
    assert await expiries(ledger) == [datetime(2021, 9, 23, 16, tzinfo=UTC)] * 2


async def test_what_another_settler_did_is_not_overlooked(ledger: Ledger) -> None:
    """It settles while somebody else leads; then it leads again, and a wave has another day by then."""
    catalogue, cursor = await applied(ledger)
    mine, others = Settler(ledger), Settler(ledger)
    put = entry_of_act(1, "put_wave", wave_no=2, state=replace(state_of(catalogue, 2), day="2021-09-01"))
    cursor = await mine.settle(cursor, [put])
    moved = entry_of_act(2, "put_wave", wave_no=2, state=replace(state_of(catalogue, 2), day="2021-09-17"))
    cursor = await others.settle(cursor, [moved])
    await mine.settle(cursor, [entry_of_claims([claim(3, wave_no=2)])])
    assert await expiries(ledger) == [datetime(2021, 9, 23, 16, tzinfo=UTC)]


async def test_offers_that_left_the_file_are_still_known(ledger: Ledger) -> None:
    """The hot store may have had the offer for a moment longer."""
    future = campaign(waves=campaign().waves[1:])
    _, cursor = await applied(ledger, future)
    without = tuple(replace(each, stock={"food-20": 5}) for each in future.waves)
    await apply_campaign(ledger, replace(future, offers=OFFERS[1:], waves=without), "ann")
    await Settler(ledger).settle(cursor, [entry_of_claims([claim(1, offer_no=1)])])
    assert len(await expiries(ledger)) == 1


async def test_an_epoch_that_was_raised_refuses_the_old_one(ledger: Ledger) -> None:
    _, cursor = await applied(ledger)
    settler = Settler(ledger)
    cursor = await settler.settle(cursor, log_of((1, 3)))
    await raise_epoch(ledger, cursor, 2)
    with pytest.raises(CursorMoved):
        await settler.settle(cursor, log_of((4, 6)))
