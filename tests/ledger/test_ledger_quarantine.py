"""What Postgres refuses as data is kept apart, whole, in the transaction of the cursor; what is not data never is."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import pytest

from engine.domain.campaign import Catalogue
from engine.domain.decisions import LogEntry
from engine.domain.outcome import Claim
from engine.errors import ActRefused, CursorMoved, LedgerRefused, LedgerUnavailable, ShardBroken, UsageError
from engine.ledger import sieve
from engine.ledger.campaigns import apply_campaign
from engine.ledger.claims import OfferCount, claims_of_account, claims_of_claimant, counts, read_holdings
from engine.ledger.cursors import Cursor, read_cursor
from engine.ledger.database import Ledger
from engine.ledger.epochs import last_of_epoch
from engine.ledger.quarantine import Place, held_everywhere, list_quarantined, read_quarantined
from engine.ledger.quarantine_ends import Ended, void_quarantined
from engine.ledger.trail import read_trail, verify_trail
from engine.settling.quarantine import retry
from engine.settling.settler import Settler
from tests.ledger.samples import campaign, claim, claims, entry_of_act, entry_of_claims, rows_of

BAD = 1_234
"""The claim that is refused, among thousands."""

SPOILED: dict[str, dict[str, Any]] = {
    "a NUL in the account": {"account": "a\0b", "claimant": "a\0b"},
    "a NUL in the code": {"code": "CODE\0"},
    "a number too long for its column": {"request_no": 40_000},
    "a number too long for any column": {"unit": 10**40},
    "a unit that another claim has": {"unit": 7},
    "an nth that another claim has": {"claimant": "u7", "account": "u7"},
    "a code that another voucher has": {"code": "CODE000000000007"},
    "an instant that no calendar has": {"claimed_at_ms": 10**18},
    "an instant before every calendar": {"claimed_at_ms": -(10**14)},
}


@pytest.fixture
async def catalogue(ledger: Ledger) -> Catalogue:
    return (await apply_campaign(ledger, campaign(), "ann")).catalogue


@pytest.fixture
async def cursor(ledger: Ledger, catalogue: Catalogue) -> Cursor:
    return await read_cursor(ledger, catalogue.campaign_no)


def log_of(batch: Sequence[Claim], entry_claims: int = 500) -> list[LogEntry]:
    return [entry_of_claims(batch[start : start + entry_claims]) for start in range(0, len(batch), entry_claims)]


async def forbid(ledger: Ledger, *claimants: str) -> None:
    """A rule of Postgres that somebody added, and that these claimants break."""
    names = ", ".join(f"'{name}'" for name in claimants)
    await ledger.fetch(f"alter table claims add constraint not_these check (claimant not in ({names}))")


async def numbers(database_url: str, table: str) -> list[int]:
    return [row["sequence"] for row in await rows_of(database_url, f"select sequence from {table} order by sequence")]


async def held_claims(ledger: Ledger) -> list[Claim]:
    return [found.claim for found in await list_quarantined(ledger, states=["held"])]


@pytest.mark.parametrize("spoiled", SPOILED.values(), ids=SPOILED)
async def test_one_bad_claim_among_thousands(
    spoiled: dict[str, Any], ledger: Ledger, cursor: Cursor, database_url: str
) -> None:
    batch = claims(1, 3_000)
    batch[BAD - 1] = bad = claim(BAD, **spoiled)
    after = await Settler(ledger).settle(cursor, log_of(batch))
    assert after.last == 3_000
    assert await read_cursor(ledger, 0) == after
    (found,) = await list_quarantined(ledger)
    assert found.claim == bad, "kept as it was"
    assert (found.place, found.state) == (Place("spring", 1, BAD), "held")
    assert found.sqlstate[:2] in ("22", "23")
    assert not any(str(value) in found.error for value in (bad.code, bad.claimant, bad.unit, bad.claimed_at_ms))
    expected = [number for number in range(1, 3_001) if number != BAD]
    assert await numbers(database_url, "claims") == expected
    assert await numbers(database_url, "vouchers") == expected
    # held like a settled one
    assert (await counts(ledger, 0))[1, 1] == OfferCount(3_000, max(each.unit for each in batch))
    assert bad in await claims_of_claimant(ledger, 0, bad.claimant)
    assert ("spring", bad) in await claims_of_account(ledger, bad.account)


@pytest.mark.parametrize("bad", [1, 10])
async def test_up_to_ten_of_a_batch_are_kept_apart(bad: int, ledger: Ledger, cursor: Cursor) -> None:
    spoiled = range(7, 7 + 13 * bad, 13)
    await forbid(ledger, *(f"u{number}" for number in spoiled))
    batch = claims(1, 400)
    assert (await Settler(ledger).settle(cursor, log_of(batch, 50))).last == 400
    assert sorted(each.sequence for each in await held_claims(ledger)) == list(spoiled)
    assert (await held_everywhere(ledger)) == {"spring": bad}


async def test_eleven_of_a_batch_change_nothing(ledger: Ledger, cursor: Cursor, database_url: str) -> None:
    await forbid(ledger, *(f"u{number}" for number in range(20, 31)))
    with pytest.raises(ShardBroken, match=r"more than 10 claims of one batch are refused.*not_these"):
        await Settler(ledger).settle(cursor, log_of(claims(1, 400)))
    assert await read_cursor(ledger, 0) == cursor
    assert await numbers(database_url, "claims") == await numbers(database_url, "quarantine") == []


async def test_a_fault_that_spoils_every_claim_ends(
    ledger: Ledger, cursor: Cursor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches can be small: the quarantine has a bound of its own."""
    monkeypatch.setattr(sieve, "HELD_MAX", 12)
    await forbid(ledger, *(f"u{number}" for number in range(1, 31)))
    settler = Settler(ledger)
    for first in (1, 7):
        cursor = await settler.settle(cursor, log_of(claims(first, first + 5)))
    with pytest.raises(ShardBroken, match="18 claims would be in quarantine"):
        await settler.settle(cursor, log_of(claims(13, 18)))
    assert await read_cursor(ledger, 0) == cursor


async def test_a_refusal_at_the_commit_is_found_before(ledger: Ledger, cursor: Cursor) -> None:
    await ledger.fetch(
        "alter table claims add constraint late unique (campaign_no, account) deferrable initially deferred"
    )
    await Settler(ledger).settle(cursor, log_of([claim(1, account="one"), *claims(2, 20), claim(21, account="one")]))
    assert [each.sequence for each in await held_claims(ledger)] == [21]


@pytest.mark.parametrize(
    ("sqlstate", "message"),
    [("23514", "no partition of relation"), ("53100", "could not extend file"), ("40P01", "deadlock detected")],
)
async def test_what_is_not_the_datas_fault_is_not_kept_apart(
    sqlstate: str, message: str, ledger: Ledger, cursor: Cursor, database_url: str
) -> None:
    """No partition, no disk, a deadlock: the row is fine, and goes in later."""
    await ledger.fetch(
        "create function fail() returns trigger language plpgsql as "
        f"$$ begin raise exception '{message}' using errcode = '{sqlstate}'; end $$"
    )
    await ledger.fetch("create trigger fails before insert on claims for each row execute function fail()")
    with pytest.raises(LedgerUnavailable):
        await Settler(ledger).settle(cursor, log_of(claims(1, 50)))
    assert await read_cursor(ledger, 0) == cursor
    assert await numbers(database_url, "quarantine") == []


async def test_a_claim_that_is_there_already_is_no_fault(ledger: Ledger, cursor: Cursor, database_url: str) -> None:
    """A refill had given some of them back when it broke off; one of them had gone to the quarantine."""
    await forbid(ledger, "u5")
    batch = claims(1, 40)
    await Settler(ledger).settle(cursor, log_of(batch))
    await ledger.fetch("update cursors set last = 0")
    await ledger.fetch("delete from claims where sequence > 30")
    await ledger.fetch("delete from vouchers where sequence > 30")
    assert (await Settler(ledger).settle(cursor, log_of(batch))).last == 40
    assert [each.sequence for each in await held_claims(ledger)] == [5]
    assert await numbers(database_url, "claims") == [number for number in range(1, 41) if number != 5]


async def test_a_number_that_is_another_claims_stops_the_shard(ledger: Ledger, cursor: Cursor) -> None:
    await Settler(ledger).settle(cursor, log_of(claims(1, 4)))
    await ledger.fetch("update cursors set last = 0")
    with pytest.raises(ShardBroken, match="decision 1-3 is another claim in the ledger"):
        await Settler(ledger).settle(cursor, log_of([*claims(1, 2), claim(3, code="CODE000000000099"), claim(4)]))


async def test_an_act_is_never_kept_apart(ledger: Ledger, cursor: Cursor, database_url: str) -> None:
    await ledger.fetch("alter table acts add constraint no_pause check (kind <> 'pause')")
    entries = [*log_of(claims(1, 20)), entry_of_act(21, "pause", wave_no=1), *log_of(claims(22, 40))]
    with pytest.raises(LedgerRefused, match="no_pause"):
        await Settler(ledger).settle(cursor, entries)
    assert await read_cursor(ledger, 0) == cursor
    assert await numbers(database_url, "quarantine") == []


async def test_two_writers_sift_the_same_batch(ledger: Ledger, cursor: Cursor) -> None:
    await forbid(ledger, "u5")
    entries = log_of(claims(1, 200))
    ends = await asyncio.gather(*(Settler(ledger).settle(cursor, entries) for _ in range(4)), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["Cursor", "CursorMoved", "CursorMoved", "CursorMoved"]
    assert [each.sequence for each in await held_claims(ledger)] == [5]


@pytest.mark.parametrize("chunk", [1, 3, 100])
async def test_held_claims_are_loaded_with_their_claimants(chunk: int, ledger: Ledger, cursor: Cursor) -> None:
    batch = [
        claim(1, claimant="b"),
        claim(2, claimant="a"),
        claim(3, claimant="b", nth=2, request_no=40_000),
        claim(4, claimant="b", nth=3, request_no=3),
        claim(5, claimant="alone", request_no=40_000),
        claim(6, claimant="b", nth=4, request_no=40_001),
        claim(7, claimant="c"),
    ]
    await Settler(ledger).settle(cursor, log_of(batch))
    await void_quarantined(ledger, Place("spring", 1, 6), "bob", "a test")
    async with aclosing(read_holdings(ledger, 0, chunk)) as lists:
        read = [each for lot in [lot async for lot in lists] for each in lot]
    by_claimant = {name: [each for each in read if each.claimant == name] for name in ("a", "b", "c", "alone")}
    assert by_claimant == {"a": [batch[1]], "b": [batch[0], batch[2], batch[3]], "c": [batch[6]], "alone": [batch[4]]}
    at = [place for place, each in enumerate(read) if each.claimant == "b"]
    assert at == list(range(at[0], at[0] + 3)), "claims of one claimant stand together"


async def test_the_end_of_an_epoch_may_be_in_quarantine(ledger: Ledger, cursor: Cursor) -> None:
    await forbid(ledger, "u9")
    await Settler(ledger).settle(cursor, log_of(claims(1, 9)))
    assert await last_of_epoch(ledger, 0, 1) == 9


async def test_retry_settles_what_was_mended(ledger: Ledger, cursor: Cursor, database_url: str) -> None:
    await forbid(ledger, "u5")
    await Settler(ledger).settle(cursor, log_of(claims(1, 9)))
    place = Place("spring", 1, 5)
    with pytest.raises(LedgerRefused, match="not_these"):
        await retry(ledger, place, "bob", "hope")
    assert [each.sequence for each in await held_claims(ledger)] == [5]
    await ledger.fetch("alter table claims drop constraint not_these")
    before = await counts(ledger, 0)
    ended = await retry(ledger, place, "bob", "the constraint is gone")
    assert (ended.done, ended.claim.state, ended.claim.ended_by) == (True, "retried", "bob")
    assert await numbers(database_url, "claims") == await numbers(database_url, "vouchers") == list(range(1, 10))
    assert await counts(ledger, 0) == before
    vouchers = await rows_of(database_url, "select distinct valid_from, expires_at from vouchers")
    assert len(vouchers) == 1, "the voucher that the claim would have had"
    assert await claims_of_claimant(ledger, 0, "u5") == [claim(5)]
    assert not (await retry(ledger, place, "eve", "again")).done
    with pytest.raises(ActRefused, match="was retried by bob: the constraint is gone"):
        await void_quarantined(ledger, place, "eve", "no")
    assert await verify_trail(ledger, 0) == []


async def test_void_takes_the_claim_and_leaves_the_unit_used(ledger: Ledger, cursor: Cursor) -> None:
    await forbid(ledger, "u9")
    await Settler(ledger).settle(cursor, log_of(claims(1, 9)))
    place = Place("spring", 1, 9)
    assert (await void_quarantined(ledger, place, "bob", "a duplicate")).done
    assert await counts(ledger, 0) == {(1, 1): OfferCount(8, 9, voided=1)}
    assert await claims_of_claimant(ledger, 0, "u9") == []
    assert await claims_of_account(ledger, "u9") == []
    with pytest.raises(ActRefused, match="was voided by bob: a duplicate"):
        await retry(ledger, place, "eve", "no")
    entry = (await read_trail(ledger, 0))[-1].happening
    assert (entry.kind, entry.actor, entry.reason, entry.subject) == (
        "void_quarantined",
        "bob",
        "a duplicate",
        "spring-past",
    )
    assert "u9" not in str(entry), "nobody is named"
    assert await verify_trail(ledger, 0) == []


async def test_twenty_voids_and_retries_at_once_are_one(ledger: Ledger, cursor: Cursor, database_url: str) -> None:
    await forbid(ledger, "u5")
    await Settler(ledger).settle(cursor, log_of(claims(1, 9)))
    await ledger.fetch("alter table claims drop constraint not_these")
    place = Place("spring", 1, 5)
    ends = await asyncio.gather(
        *(void_quarantined(ledger, place, f"void-{number}", "all at once") for number in range(20)),
        *(retry(ledger, place, f"retry-{number}", "all at once") for number in range(20)),
        Settler(ledger).settle(await read_cursor(ledger, 0), log_of(claims(10, 40))),
        return_exceptions=True,
    )
    done = [end for end in ends if isinstance(end, Ended) and end.done]
    refused = [end for end in ends if isinstance(end, ActRefused)]
    assert len(done) == 1
    assert len(refused) == 20, "the others of its kind are told that it is so, those of the other kind are refused"
    assert not [end for end in ends if isinstance(end, Exception) and not isinstance(end, ActRefused | CursorMoved)]
    found = await read_quarantined(ledger, place)
    assert found is not None
    assert found.ended_by == done[0].claim.ended_by
    assert (5 in await numbers(database_url, "claims")) == (found.state == "retried")
    assert len([entry for entry in await read_trail(ledger, 0) if entry.happening.kind != "apply"]) == 1
    assert await verify_trail(ledger, 0) == []


@pytest.mark.parametrize("place", [Place("spring", 1, 3), Place("spring", 2, 5), Place("autumn", 1, 5)])
async def test_what_never_was_in_quarantine(place: Place, ledger: Ledger, cursor: Cursor) -> None:
    await forbid(ledger, "u5")
    await Settler(ledger).settle(cursor, log_of(claims(1, 9)))
    for attempt in (retry, void_quarantined):
        with pytest.raises(UsageError, match="never was"):
            await attempt(ledger, place, "bob", "a mistake")
