"""The trail: written once with what it tells of, never changed, and whatever is done to it shows."""

import asyncio
import hashlib
import json
from datetime import timedelta

import asyncpg
import pytest
from msgspec.structs import replace

from engine.domain.campaign import Catalogue, Eligibility, Limit
from engine.domain.decisions import LogEntry, Rules
from engine.errors import CursorMoved, LedgerRefused, LedgerUnavailable
from engine.ledger.acts import read_acts
from engine.ledger.campaigns import apply_campaign
from engine.ledger.cursors import Cursor, read_cursor
from engine.ledger.database import Ledger
from engine.ledger.settlement import settle
from engine.ledger.trail import Broken, Entry, read_end, read_trail, verify_trail
from engine.settings import Settings
from tests.ledger.proxy import CutProxy
from tests.ledger.samples import FUTURE, campaign, claims, entry_of_act, rows_of, state_of, vouchers_of, wave
from tests.support.waiting import wait_until


@pytest.fixture
async def catalogue(ledger: Ledger) -> Catalogue:
    return (await apply_campaign(ledger, campaign(), "ann", reason="the season begins")).catalogue


@pytest.fixture
async def cursor(ledger: Ledger, catalogue: Catalogue) -> Cursor:
    return await read_cursor(ledger, catalogue.campaign_no)


def three_acts(catalogue: Catalogue, first: int = 1) -> list[LogEntry]:
    """A wave is put, paused by bob, and the campaign stopped."""
    live = state_of(catalogue, 1)
    return [
        entry_of_act(first, "put_wave", wave_no=1, state=live),
        entry_of_act(
            first + 1,
            "pause",
            wave_no=1,
            state=replace(live, state="paused", reason="a fault"),
            actor="bob",
            reason="a fault",
        ),
        entry_of_act(first + 2, "stop", rules=Rules((Limit(1, "campaign"),), stopped="a flood"), reason="a flood"),
    ]


async def settle_acts(ledger: Ledger, cursor: Cursor, catalogue: Catalogue) -> Cursor:
    """Acts and a claim between them."""
    acts = three_acts(catalogue, 2)
    return await settle(ledger, cursor, 4, claims(1, 1), vouchers_of(catalogue, claims(1, 1)), acts)


def said(entries: list[Entry]) -> list[tuple[int, str, str, str]]:
    return [(each.position, each.happening.actor, each.happening.kind, each.happening.subject) for each in entries]


async def test_an_apply_and_acts_are_told_in_order(ledger: Ledger, catalogue: Catalogue, cursor: Cursor) -> None:
    cursor = await settle_acts(ledger, cursor, catalogue)
    later = campaign(title="Summer vouchers")
    await apply_campaign(ledger, later, "eve", reason="another season")
    await apply_campaign(ledger, later, "eve", reason="nothing changes, so nothing is told")
    entries = await read_trail(ledger, 0)
    assert said(entries) == [
        (1, "ann", "apply", "spring"),
        (2, "ann", "put_wave", "spring-past"),
        (3, "bob", "pause", "spring-past"),
        (4, "ann", "stop", "spring"),
        (5, "eve", "apply", "spring"),
    ]
    first, put, paused, stopped, last = (each.happening for each in entries)
    assert (first.before, first.reason) == (None, "the season begins")
    assert first.after is not None
    assert first.after["title"] == "Spring vouchers"
    assert (put.before, put.after) == (None, paused.before)
    assert paused.before is not None
    assert paused.after is not None
    assert (paused.before["state"], paused.after["state"], paused.after["reason"]) == ("live", "paused", "a fault")
    assert stopped.after == {
        "limits": [{"max": 1, "per": "campaign"}],
        "cap": {"claims": None, "value": None},
        "stopped": "a flood",
    }
    assert last.before == first.after
    assert last.after is not None
    assert last.after["title"] == "Summer vouchers"
    assert await verify_trail(ledger, 0) == []
    assert (await read_end(ledger, 0)).position == 5
    assert [entry.act for entry in await read_acts(ledger, 0)] == [entry.act for entry in three_acts(catalogue, 2)]


async def test_the_hash_is_what_the_specification_says(ledger: Ledger, catalogue: Catalogue, cursor: Cursor) -> None:
    """Worked out here with nothing but the standard library, from what Postgres holds."""
    await settle_acts(ledger, cursor, catalogue)
    previous = ""
    for entry in await read_trail(ledger, 0):
        told = entry.happening
        at_us = int(told.at.timestamp()) * 1_000_000 + told.at.microsecond
        fields = [
            previous,
            0,
            entry.position,
            at_us,
            told.actor,
            told.reason,
            told.kind,
            told.subject,
            told.before,
            told.after,
        ]
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert entry.hash == hashlib.sha256(text.encode()).hexdigest()
        assert entry.previous_hash == previous
        previous = entry.hash


async def test_before_is_what_the_last_act_left_in_whatever_batch(
    ledger: Ledger, catalogue: Catalogue, cursor: Cursor
) -> None:
    cursor = await settle(ledger, cursor, 3, [], [], three_acts(catalogue))
    live, start = state_of(catalogue, 1), Rules((Limit(1, "campaign"),))
    acts = [
        entry_of_act(4, "resume", wave_no=1, state=live),
        entry_of_act(5, "put_wave", wave_no=2, state=state_of(catalogue, 2)),
        entry_of_act(6, "start", rules=start),
    ]
    await settle(ledger, cursor, 6, [], [], acts)
    paused, stopped, resumed, put, started = [each.happening for each in await read_trail(ledger, 0)][2:]
    assert resumed.before == paused.after
    assert put.before is None
    assert started.before == stopped.after


async def test_the_trail_of_one_wave(ledger: Ledger, catalogue: Catalogue, cursor: Cursor) -> None:
    cursor = await settle_acts(ledger, cursor, catalogue)
    await apply_campaign(ledger, campaign(title="Summer"), "eve")
    moved = campaign(
        title="Summer",
        waves=(*campaign().waves[:1], wave("spring-next", FUTURE + timedelta(hours=1)), *campaign().waves[2:]),
    )
    await apply_campaign(ledger, moved, "eve")
    assert [each.position for each in await read_trail(ledger, 0, "spring-past")] == [1, 2, 3, 4]
    assert [each.position for each in await read_trail(ledger, 0, "spring-next")] == [1, 4, 6]
    assert [each.position for each in await read_trail(ledger, 0, limit=2)] == [5, 6]


async def test_a_list_of_accounts_is_told_by_its_size_and_hash(ledger: Ledger) -> None:
    """A hundred thousand accounts, twice for each apply, would make the trail larger than the ledger."""
    closed = campaign(eligibility=Eligibility(allow=frozenset(f"u{number}" for number in range(5_000))))
    await apply_campaign(ledger, closed, "ann")
    (entry,) = await read_trail(ledger, 0)
    assert entry.happening.after is not None
    rules = entry.happening.after["eligibility"]
    assert rules["allow"]["accounts"] == 5_000
    assert rules["deny"] == {"accounts": 0, "sha256": hashlib.sha256().hexdigest()}
    assert await verify_trail(ledger, 0) == []


# Exactly once, with what it tells of


async def test_of_racing_writers_one_tells(
    ledger: Ledger, catalogue: Catalogue, cursor: Cursor, database_url: str
) -> None:
    """Writers and an operator who applies, all at once: every act and every apply has one entry."""
    for turn in range(8):
        last = cursor.last + 3
        outcomes = await asyncio.gather(
            *(settle(ledger, cursor, last, [], [], three_acts(catalogue, cursor.last + 1)) for _ in range(3)),
            apply_campaign(ledger, campaign(title=f"Title {turn}"), "eve"),
            return_exceptions=True,
        )
        (cursor,) = [each for each in outcomes if isinstance(each, Cursor)]
        assert sum(isinstance(each, CursorMoved) for each in outcomes) == 2
    entries = await read_trail(ledger, 0)
    assert [each.position for each in entries] == list(range(1, 34))
    assert [each.happening.kind for each in entries].count("apply") == 9
    assert await verify_trail(ledger, 0) == []
    told = await rows_of(database_url, "select trail_position from acts order by number")
    assert sorted(row["trail_position"] for row in told) == [
        each.position for each in entries if each.happening.kind != "apply"
    ]


async def test_campaigns_have_trails_of_their_own(ledger: Ledger) -> None:
    await asyncio.gather(*(apply_campaign(ledger, campaign(name), name) for name in ("one", "two", "three")))
    for campaign_no in range(3):
        (entry,) = await read_trail(ledger, campaign_no)
        assert (entry.position, entry.happening.subject) == (1, entry.happening.actor)
        assert await verify_trail(ledger, campaign_no) == []


@pytest.mark.parametrize("work", ["settle", "apply"])
async def test_a_backend_that_is_killed_leaves_both_or_neither(
    work: str, ledger: Ledger, catalogue: Catalogue, cursor: Cursor, database_url: str
) -> None:
    async with ledger.transaction() as connection:
        await connection.execute("lock table trail in exclusive mode")
        doing = asyncio.ensure_future(
            settle(ledger, cursor, 3, [], [], three_acts(catalogue))
            if work == "settle"
            else apply_campaign(ledger, campaign(title="Killed"), "eve")
        )
        blocked = "select pid from pg_stat_activity where wait_event_type = 'Lock' and query like '%into trail%'"
        (row,) = await wait_until(lambda: rows_of(database_url, blocked), what="the entry waits for the lock")
        await rows_of(database_url, "select pg_terminate_backend($1)", row["pid"])
        with pytest.raises(LedgerUnavailable):
            await doing
    assert await read_cursor(ledger, 0) == cursor
    assert await read_acts(ledger, 0) == []
    assert [row["revision"] for row in await rows_of(database_url, "select revision from campaigns")] == [1]
    assert len(await read_trail(ledger, 0)) == 1
    assert await verify_trail(ledger, 0) == []
    await settle(ledger, cursor, 3, [], [], three_acts(catalogue))
    assert len(await read_trail(ledger, 0)) == 4
    assert await verify_trail(ledger, 0) == []


@pytest.mark.parametrize("cut_at", ["before", "after"])
async def test_a_line_that_is_cut_at_the_commit_leaves_both_or_neither(
    cut_at: str, catalogue: Catalogue, cursor: Cursor, ledger: Ledger, database_url: str, settings: Settings
) -> None:
    async with CutProxy(database_url) as proxy:
        shaky = await Ledger.connect(proxy.url, settings)
        proxy.cut_at = cut_at
        with pytest.raises(LedgerUnavailable):
            await settle(shaky, cursor, 3, [], [], three_acts(catalogue))
        await shaky.close()
    done = 3 if cut_at == "after" else 0
    assert len(await read_acts(ledger, 0)) == done
    assert len(await read_trail(ledger, 0)) == 1 + done
    assert await verify_trail(ledger, 0) == []


async def test_what_is_refused_is_not_told(ledger: Ledger, catalogue: Catalogue, cursor: Cursor) -> None:
    stranger = replace(state_of(catalogue, 1), id="elsewhere")
    with pytest.raises(LedgerRefused):
        await settle(ledger, cursor, 1, [], [], [entry_of_act(1, "put_wave", wave_no=1, state=stranger)])
    assert len(await read_trail(ledger, 0)) == 1


# Only ever added to


@pytest.mark.parametrize(
    "statement",
    [
        "update trail set actor = 'nobody'",
        "update trail set actor = 'nobody' where false",
        "delete from trail where position = 2",
        "truncate trail",
        "truncate campaigns cascade",
        "set session_replication_role = replica; delete from trail",
    ],
)
async def test_postgres_refuses_to_change_it(
    statement: str, ledger: Ledger, catalogue: Catalogue, cursor: Cursor, database_url: str
) -> None:
    await settle_acts(ledger, cursor, catalogue)
    connection = await asyncpg.connect(database_url)
    try:
        with pytest.raises(asyncpg.RestrictViolationError, match="only ever added to"):
            await connection.execute(statement)
    finally:
        await connection.close()
    assert len(await read_trail(ledger, 0)) == 4


async def tamper(database_url: str, statement: str) -> None:
    """As somebody can who owns the tables."""
    await rows_of(database_url, "alter table trail disable trigger trail_is_only_added_to")
    await rows_of(database_url, statement)


TAMPERED = [
    "at = at + interval '1 microsecond'",
    "actor = 'nobody'",
    "reason = reason || ' '",
    "kind = 'resume'",
    "subject = 'spring-next'",
    "before = null",
    "before = jsonb_set(before, '{state}', '\"closed\"')",
    "after = jsonb_set(after, '{offers,1,total}', '101')",
    "after = after - 'reason'",
    "previous_hash = repeat('0', 64)",
    "hash = repeat('0', 64)",
    "position = 9",
    "campaign_no = 1, position = 1",
]


@pytest.mark.parametrize("change", TAMPERED)
async def test_whatever_is_changed_shows(
    change: str, ledger: Ledger, catalogue: Catalogue, cursor: Cursor, database_url: str
) -> None:
    await settle_acts(ledger, cursor, catalogue)
    await rows_of(database_url, "insert into campaigns values (1, 'other', 'zzz', 1, '{}', 'ann')")
    await tamper(database_url, f"update trail set {change} where campaign_no = 0 and position = 3")
    broken = await verify_trail(ledger, 0)
    assert broken
    assert broken[0].position in (3, 4), "at the entry, or where it is missing"


async def test_what_is_broken_is_named(ledger: Ledger, catalogue: Catalogue, cursor: Cursor, database_url: str) -> None:
    await settle_acts(ledger, cursor, catalogue)
    await tamper(database_url, "update trail set actor = 'nobody' where position = 3")
    assert await verify_trail(ledger, 0) == [
        Broken(3, "was changed: its hash does not fit what it says"),
        Broken(3, "act 3 was entered here, and the entry tells something else"),
    ]


async def test_an_entry_that_was_taken_out_shows(
    ledger: Ledger, catalogue: Catalogue, cursor: Cursor, database_url: str
) -> None:
    await settle_acts(ledger, cursor, catalogue)
    await tamper(database_url, "delete from trail where position = 2")
    assert Broken(3, "entry 2 before it is missing") in await verify_trail(ledger, 0)


async def test_an_end_that_was_cut_off_shows(
    ledger: Ledger, catalogue: Catalogue, cursor: Cursor, database_url: str
) -> None:
    await settle_acts(ledger, cursor, catalogue)
    await apply_campaign(ledger, campaign(title="Summer"), "eve")
    await tamper(database_url, "delete from trail where position = 5")
    assert await verify_trail(ledger, 0) == [
        Broken(4, "the trail has lost its end, or got another one: it ended at entry 5"),
        Broken(5, "the campaign is not as the last apply in the trail left it"),
    ]


async def test_a_trail_that_was_written_anew_does_not_fit_what_it_tells_of(
    ledger: Ledger, catalogue: Catalogue, cursor: Cursor, database_url: str
) -> None:
    """Every hash is right, the end too, and still it tells of an act that never was."""
    await settle_acts(ledger, cursor, catalogue)
    await rows_of(database_url, "update acts set actor = 'nobody', reason = 'never' where number = 3")
    await rows_of(database_url, "update campaigns set definition = jsonb_set(definition, '{title}', '\"Other\"')")
    assert await verify_trail(ledger, 0) == [
        Broken(3, "act 3 was entered here, and the entry tells something else"),
        Broken(4, "the campaign is not as the last apply in the trail left it"),
    ]
    await rows_of(database_url, "delete from acts where number = 2")
    assert Broken(2, "tells of an act that the ledger does not have") in await verify_trail(ledger, 0)


async def test_a_long_trail_is_read_piece_by_piece(
    ledger: Ledger, catalogue: Catalogue, cursor: Cursor, database_url: str
) -> None:
    live = state_of(catalogue, 1)
    acts = [
        entry_of_act(number, "restock", wave_no=1, state=replace(live, void_before_ms=number))
        for number in range(1, 121)
    ]
    await settle(ledger, cursor, 120, [], [], acts)
    assert await verify_trail(ledger, 0) == []
    await tamper(database_url, "update trail set reason = 'x' where position = 111")
    assert {each.position for each in await verify_trail(ledger, 0)} == {111}
