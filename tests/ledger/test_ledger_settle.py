"""Settling: every decision exactly once, whoever settles, sleeps, dies or loses the line."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from engine.domain.campaign import Catalogue
from engine.errors import CursorMoved, LedgerRefused, LedgerUnavailable
from engine.ledger.acts import read_acts
from engine.ledger.campaigns import apply_campaign, find_wave
from engine.ledger.claims import claims_of_claimant, counts
from engine.ledger.cursors import Cursor, next_epoch, raise_epoch, read_cursor
from engine.ledger.database import Ledger
from engine.ledger.queries import load_queries
from engine.ledger.rows import VoucherRow
from engine.ledger.settlement import settle
from engine.settings import Settings
from tests.ledger.proxy import CutProxy
from tests.ledger.samples import (
    CLAIMED_AT_MS,
    campaign,
    claim,
    claims,
    entry_of_act,
    rows_of,
    state_of,
    vouchers_of,
    wave,
)
from tests.support.waiting import wait_until


@pytest.fixture
async def catalogue(ledger: Ledger) -> Catalogue:
    return (await apply_campaign(ledger, campaign(), "ann")).catalogue


@pytest.fixture
async def cursor(ledger: Ledger, catalogue: Catalogue) -> Cursor:
    return await read_cursor(ledger, catalogue.campaign_no)


@pytest.fixture
async def other(database_url: str, settings: Settings) -> AsyncIterator[Ledger]:
    """A second writer's connections, impatient: it gives up after half a second."""
    connected = await Ledger.connect(database_url, replace(settings, ledger_timeout_ms=500))
    yield connected
    await connected.close()


async def kept(database_url: str) -> list[int]:
    """The sequence numbers in the ledger, with repetitions if there were any."""
    rows = await rows_of(database_url, "select sequence from claims order by sequence")
    vouchers = await rows_of(database_url, "select sequence from vouchers order by sequence")
    assert rows == vouchers
    return [row["sequence"] for row in rows]


async def test_claims_vouchers_and_cursor_go_together(
    ledger: Ledger, catalogue: Catalogue, cursor: Cursor, database_url: str
) -> None:
    some = [
        claim(1),
        claim(2, offer_no=2, unit=1, claimant="person", account="u2", request_no=1),
        claim(3, claimant="u1", account="u1", nth=2, request_no=2, claimed_at_ms=CLAIMED_AT_MS + 1),
    ]
    after = await settle(ledger, cursor, 3, some, vouchers_of(catalogue, some), [])
    assert after == replace(cursor, last=3) == await read_cursor(ledger, catalogue.campaign_no)
    assert await claims_of_claimant(ledger, catalogue.campaign_no, "u1") == [some[0], some[2]]
    assert await claims_of_claimant(ledger, catalogue.campaign_no, "person") == [some[1]]
    vouchers = await rows_of(database_url, "select * from vouchers order by sequence")
    assert [row["code"] for row in vouchers] == [each.code for each in some]
    # claimed on 17 September, seven natural days in Shanghai: until 24:00 of the 23rd there, 16:00 UTC
    assert {row["expires_at"].isoformat() for row in vouchers} == {"2021-09-23T16:00:00+00:00"}
    assert {row["state"] for row in vouchers} == {"pending"}


async def test_two_writers_race_on_the_same_entries(
    ledger: Ledger, other: Ledger, catalogue: Catalogue, cursor: Cursor, database_url: str
) -> None:
    for first in range(1, 200, 20):
        batch = claims(first, first + 19)
        vouchers = vouchers_of(catalogue, batch)
        outcomes = await asyncio.gather(
            settle(ledger, cursor, first + 19, batch, vouchers, []),
            settle(other, cursor, first + 19, batch, vouchers, []),
            return_exceptions=True,
        )
        won = [each for each in outcomes if isinstance(each, Cursor)]
        assert len(won) == 1
        assert sum(isinstance(each, CursorMoved) for each in outcomes) == 1
        cursor = won[0]
    assert await kept(database_url) == list(range(1, 201))


async def test_a_writer_that_slept_changes_nothing(
    ledger: Ledger, other: Ledger, catalogue: Catalogue, cursor: Cursor, database_url: str
) -> None:
    batch = claims(1, 10)
    now = await settle(ledger, cursor, 10, batch, vouchers_of(catalogue, batch), [])
    for late in (claims(1, 10), claims(1, 4)):
        with pytest.raises(CursorMoved):
            await settle(other, cursor, late[-1].sequence, late, vouchers_of(catalogue, late), [])
    fenced = await raise_epoch(ledger, now, 2)
    with pytest.raises(CursorMoved):
        await settle(other, now, 11, claims(11, 11), vouchers_of(catalogue, claims(11, 11)), [])
    assert await read_cursor(ledger, cursor.campaign_no) == fenced
    assert await kept(database_url) == list(range(1, 11))


async def test_a_raised_epoch_fences_a_writer_whose_numbers_fit(
    ledger: Ledger, other: Ledger, catalogue: Catalogue, cursor: Cursor, database_url: str
) -> None:
    """Numbers begin at 1 again in each epoch, so the number alone would let it through."""
    fenced = await raise_epoch(ledger, cursor, 2)
    assert fenced.last == cursor.last == 0
    batch = claims(1, 3)
    with pytest.raises(CursorMoved):
        await settle(other, cursor, 3, batch, vouchers_of(catalogue, batch), [])
    with pytest.raises(CursorMoved):
        await raise_epoch(other, cursor, 3)
    assert await read_cursor(ledger, cursor.campaign_no) == fenced
    assert await kept(database_url) == []


async def test_a_writer_that_sleeps_in_its_transaction_is_ended(
    ledger: Ledger, other: Ledger, catalogue: Catalogue, cursor: Cursor, database_url: str
) -> None:
    """It holds the cursor's row; Postgres ends its session after `ledger_timeout_ms` of its settings."""
    batch = claims(1, 5)
    move = load_queries("settlement")["move_cursor"]
    with pytest.raises(LedgerUnavailable):  # noqa: PT012 - the block is the transaction
        async with other.transaction() as connection:
            moved = await connection.fetchrow(move, cursor.campaign_no, cursor.epoch, 0, 5, 0, 0)
            assert moved is not None
            await settle(ledger, cursor, 5, batch, vouchers_of(catalogue, batch), [])
    assert await kept(database_url) == [1, 2, 3, 4, 5]


async def test_postgres_ends_the_session_in_the_middle(
    ledger: Ledger, catalogue: Catalogue, cursor: Cursor, database_url: str
) -> None:
    batch = claims(1, 5)
    async with ledger.transaction() as connection:
        await connection.execute("lock table vouchers in exclusive mode")
        settling = asyncio.create_task(settle(ledger, cursor, 5, batch, vouchers_of(catalogue, batch), []))
        blocked = "select pid from pg_stat_activity where wait_event_type = 'Lock' and query like '%vouchers%'"
        (row,) = await wait_until(lambda: rows_of(database_url, blocked), what="the COPY waits for the lock")
        await rows_of(database_url, "select pg_terminate_backend($1)", row["pid"])
        with pytest.raises(LedgerUnavailable):
            await settling
    assert await read_cursor(ledger, cursor.campaign_no) == cursor
    assert await kept(database_url) == []
    await settle(ledger, cursor, 5, batch, vouchers_of(catalogue, batch), [])
    assert await kept(database_url) == [1, 2, 3, 4, 5]


@pytest.mark.loops
@pytest.mark.parametrize("cut_at", ["before", "after"])
async def test_a_commit_in_doubt_is_settled_by_the_cursor(
    cut_at: str, ledger: Ledger, catalogue: Catalogue, cursor: Cursor, database_url: str, settings: Settings
) -> None:
    batch = claims(1, 5)
    vouchers = vouchers_of(catalogue, batch)
    async with CutProxy(database_url) as proxy:
        shaky = await Ledger.connect(proxy.url, settings)
        proxy.cut_at = cut_at
        with pytest.raises(LedgerUnavailable):
            await settle(shaky, cursor, 5, batch, vouchers, [])
        assert proxy.cuts == 1
        now = await read_cursor(shaky, cursor.campaign_no)  # by a new connection of the same pool
        if cut_at == "after":
            assert now == replace(cursor, last=5)
            with pytest.raises(CursorMoved):
                await settle(shaky, cursor, 5, batch, vouchers, [])
        else:
            assert now == cursor
            assert await settle(shaky, cursor, 5, batch, vouchers, []) == replace(cursor, last=5)
        await shaky.close()
    assert await kept(database_url) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("wrong", "constraint"),
    [
        (claim(3, unit=1), "claims_one_unit"),  # P1
        (claim(3, claimant="u1", account="u1"), "claims_one_claimant_nth"),  # P2
    ],
)
async def test_the_last_line_of_p1_and_p2(
    wrong: object, constraint: str, ledger: Ledger, catalogue: Catalogue, cursor: Cursor, database_url: str
) -> None:
    batch = [*claims(1, 2), wrong]
    with pytest.raises(LedgerRefused) as refused:
        await settle(ledger, cursor, 3, batch, vouchers_of(catalogue, batch), [])  # type: ignore[arg-type]  # from parametrize
    assert (refused.value.sqlstate, refused.value.constraint) == ("23505", constraint)
    assert "u1" not in str(refused.value)
    assert await read_cursor(ledger, cursor.campaign_no) == cursor
    assert await kept(database_url) == []


async def test_a_code_given_twice_is_refused(ledger: Ledger, catalogue: Catalogue, cursor: Cursor) -> None:
    batch = [claim(1), claim(2, code=claim(1).code)]
    with pytest.raises(LedgerRefused, match="vouchers_pkey") as refused:
        await settle(ledger, cursor, 2, batch, vouchers_of(catalogue, batch), [])
    assert batch[0].code not in str(refused.value)


@pytest.mark.parametrize("wrong", [claim(1, claimant="u\x00"), claim(1, unit=2**31), claim(1, wave_no=40_000)])
async def test_values_that_no_column_takes_are_refused(
    wrong: object, ledger: Ledger, cursor: Cursor, database_url: str
) -> None:
    with pytest.raises(LedgerRefused):
        await settle(ledger, cursor, 1, [wrong], [VoucherRow("C", 1, 1, 0, 1)], [])  # type: ignore[list-item]  # from parametrize
    assert await kept(database_url) == []
    assert await read_cursor(ledger, cursor.campaign_no) == cursor


async def test_numbers_that_do_not_add_up_are_refused(ledger: Ledger, cursor: Cursor) -> None:
    with pytest.raises(LedgerRefused, match="2 claims and 0 acts behind 0 do not end at 3"):
        await settle(ledger, cursor, 3, claims(1, 2), [], [])


async def test_acts_are_kept_and_shape_their_wave(ledger: Ledger, catalogue: Catalogue, cursor: Cursor) -> None:
    live = state_of(catalogue, 1)
    paused = replace(live, state="paused", reason="a fault")
    closed = replace(
        live, state="closed", reason="over", closed_ms=CLAIMED_AT_MS + 9, closes_ms=live.closes_ms + 60_000
    )
    more = replace(closed, offers=closed.offers | {"1": replace(closed.offers["1"], total=150)})
    acts = [
        entry_of_act(1, "put_campaign", revision=1),
        entry_of_act(2, "put_wave", wave_no=1, state=live),
        entry_of_act(4, "pause", wave_no=1, state=paused, number=3),
    ]
    cursor = await settle(ledger, cursor, 4, claims(3, 3), vouchers_of(catalogue, claims(3, 3)), acts)
    assert (cursor.last, cursor.act, cursor.revision) == (4, 3, 1)
    found = await find_wave(ledger, "spring-past")
    assert found is not None
    assert (found[2].state, found[2].reason, found[2].closed_at_ms) == ("paused", "a fault", 0)
    cursor = await settle(ledger, cursor, 5, [], [], [entry_of_act(5, "close", wave_no=1, state=more, number=4)])
    assert cursor == await read_cursor(ledger, cursor.campaign_no)
    found = await find_wave(ledger, "spring-past")
    assert found is not None
    assert (found[2].state, found[2].reason, found[2].closed_at_ms) == ("closed", "over", CLAIMED_AT_MS + 9)
    assert (found[1].closes_at_ms, found[1].stock) == (live.closes_ms + 60_000, {1: 150, 2: 200})
    assert [entry.act and entry.act.number for entry in await read_acts(ledger, cursor.campaign_no)] == [1, 2, 3, 4]
    assert await read_acts(ledger, cursor.campaign_no, wave_no=1) == [
        *acts[1:],
        entry_of_act(5, "close", wave_no=1, state=more, number=4),
    ]


async def test_an_act_that_is_older_than_the_last_apply_does_not_undo_it(
    ledger: Ledger, catalogue: Catalogue, cursor: Cursor
) -> None:
    """The steward put revision 1; revision 2 was applied before that was settled."""
    moved = campaign(waves=(*campaign().waves[:1], wave("spring-next", stock={"mall-50": 7}), *campaign().waves[2:]))
    applied = (await apply_campaign(ledger, moved, "ann")).catalogue
    late = [
        entry_of_act(1, "put_wave", wave_no=2, state=state_of(catalogue, 2)),
        entry_of_act(2, "put_campaign", revision=1),
    ]
    cursor = await settle(ledger, cursor, 2, [], [], late)
    found = await find_wave(ledger, "spring-next")
    assert found is not None
    assert (found[1].stock, found[2].state) == ({1: 7}, "live")
    fresh = replace(state_of(applied, 2), opens_ms=state_of(applied, 2).opens_ms + 1000)
    acts = [
        entry_of_act(3, "put_campaign", revision=2),
        entry_of_act(4, "put_wave", wave_no=2, state=fresh),
    ]
    await settle(ledger, cursor, 4, [], [], acts)
    found = await find_wave(ledger, "spring-next")
    assert found is not None
    assert found[1].opens_at_ms == fresh.opens_ms


async def test_an_act_on_a_wave_that_the_ledger_lacks_is_refused(
    ledger: Ledger, catalogue: Catalogue, cursor: Cursor
) -> None:
    stranger = replace(state_of(catalogue, 1), id="elsewhere")
    with pytest.raises(LedgerRefused, match="elsewhere"):
        await settle(ledger, cursor, 1, [], [], [entry_of_act(1, "put_wave", wave_no=1, state=stranger)])
    assert await read_cursor(ledger, cursor.campaign_no) == cursor


async def test_an_act_number_given_twice_is_refused(ledger: Ledger, cursor: Cursor) -> None:
    twice = [entry_of_act(1, "put_campaign", number=1), entry_of_act(2, "put_campaign", number=1, id="another")]
    with pytest.raises(LedgerRefused):
        await settle(ledger, cursor, 2, [], [], twice)


async def test_an_epoch_is_raised_once_and_only_up(ledger: Ledger, catalogue: Catalogue, cursor: Cursor) -> None:
    batch = claims(1, 2)
    cursor = await settle(ledger, cursor, 2, batch, vouchers_of(catalogue, batch), [])
    outcomes = await asyncio.gather(
        *(raise_epoch(ledger, cursor, epoch) for epoch in (4, 4, 5)), return_exceptions=True
    )
    won = [each for each in outcomes if isinstance(each, Cursor)]
    assert len(won) == 1
    assert won[0].place in [(4, 0), (5, 0)]
    assert sum(isinstance(each, CursorMoved) for each in outcomes) == 2
    with pytest.raises(CursorMoved):
        await raise_epoch(ledger, won[0], won[0].epoch)
    new = claim(1, epoch=won[0].epoch, unit=3, claimant="u9", account="u9", code="CODE9")
    after = await settle(ledger, won[0], 1, [new], vouchers_of(catalogue, [new]), [])
    assert after.place == (won[0].epoch, 1)
    assert (await counts(ledger, cursor.campaign_no))[1, 1].claims == 3


async def test_an_epoch_is_never_given_again_though_the_ledger_went_back(ledger: Ledger, cursor: Cursor) -> None:
    """It is an instant by Postgres's clock, which a backup does not take back."""

    async def is_past(epoch: int) -> bool:
        row = await ledger.fetch_row("select extract(epoch from clock_timestamp()) * 1000 > $1 as past", epoch)
        return row is not None and row["past"]

    given = [await next_epoch(ledger, cursor)]
    given.append(await next_epoch(ledger, given[0]))
    await wait_until(lambda: is_past(given[-1].epoch + 1))
    await ledger.fetch("update cursors set epoch = $2 where campaign_no = $1", cursor.campaign_no, cursor.epoch)
    given.append(await next_epoch(ledger, cursor))
    epochs = [each.epoch for each in given]
    assert epochs == sorted(set(epochs))
    assert [each.last for each in given] == [0, 0, 0]
    with pytest.raises(CursorMoved):
        await next_epoch(ledger, cursor)


async def test_epochs_rise_whatever_the_clock_says(ledger: Ledger, cursor: Cursor) -> None:
    future = await raise_epoch(ledger, cursor, 9_000_000_000_000_000)
    assert (await next_epoch(ledger, future)).epoch == future.epoch + 1
