"""The audit trail: who did what to a campaign, when and why, with what was before and after.

An entry is written in the transaction of what it tells of, so there is both or neither. The entries of a
campaign are numbered from 1 without gaps, and each carries the hash of the one before it. `hash` is the
SHA-256, in hex, of the UTF-8 text of this JSON array, without spaces, keys of objects sorted by code points:

    [previous_hash, campaign_no, position, at, actor, reason, kind, subject, before, after]

`at` is in Unix microseconds; `previous_hash` of the first entry is the empty string. Postgres keeps `before`
and `after` as values, not as text (jsonb), so the hash is made of the values: their numbers are whole and
below 2**63, which every reader of JSON gives back as they were.

Whoever can change the tables can write the whole trail anew. To find that out too, keep the last hash
somewhere else: `dropwave trail verify` prints it.
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from engine.domain.campaign import Campaign
from engine.errors import UsageError
from engine.ledger.database import Ledger
from engine.ledger.queries import load_queries

ENTRIES_MAX = 200
"""Entries in one answer: what a person reads; each can hold two whole campaigns."""
_CHUNK = 50
"""Entries read at a time while a chain is verified, for the same reason."""
BROKEN_MAX = 100
"""What is broken, in one answer. A trail with more is not mended by reading on."""

_SQL = load_queries("trail")
_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Told = dict[str, Any]
"""A state as an entry holds it: the values of its JSON."""


class Happening(Struct, frozen=True):
    """What an entry tells of. `subject` is the id of the wave or campaign.

    `kind` is `apply`, that of an act, how a quarantine ended (quarantine_ends.KINDS), or how a voucher was taken back
    (voucher_acts.TRAIL_KINDS).
    """

    at: datetime
    actor: str
    reason: str
    kind: str
    subject: str
    before: Told | None
    after: Told | None


class Entry(Struct, frozen=True):
    """One entry of a campaign's trail."""

    campaign_no: int
    position: int
    happening: Happening
    previous_hash: str
    hash: str


class End(Struct, frozen=True):
    """Where a trail ends: position and hash of its last entry; 0 and empty where it has none."""

    position: int
    hash: str


class Broken(Struct, frozen=True):
    """Something in a trail that is not as it was written. `position` is that of the entry it shows at."""

    position: int
    why: str


def told(value: Struct | None) -> Told | None:
    """A value as an entry holds it."""
    if value is None:
        return None
    state: Told = msgspec.json.decode(msgspec.json.encode(value))
    return state


def told_campaign(campaign: Campaign) -> Told:
    """A campaign as an entry holds it. Lists of accounts can be megabytes: their size and a hash stand for them."""
    told_all = told(campaign)
    assert told_all is not None
    rules = [(campaign.eligibility, told_all["eligibility"])]
    rules += [
        (wave.eligibility, told_wave["eligibility"])
        for wave, told_wave in zip(campaign.waves, told_all["waves"], strict=True)
        if wave.eligibility is not None
    ]
    for eligibility, told_rules in rules:
        for name, accounts in (("allow", eligibility.allow), ("deny", eligibility.deny)):
            if accounts is not None:
                text = "\n".join(sorted(accounts)).encode()
                told_rules[name] = {"accounts": len(accounts), "sha256": hashlib.sha256(text).hexdigest()}
    return told_all


async def add_entries(connection: Any, campaign_no: int, end: End, happenings: Iterable[Happening]) -> End:
    """Add entries behind the end, in the caller's transaction, which holds the cursor's row; the new end."""
    rows = []
    for happening in happenings:
        position, previous = end.position + 1, end.hash
        end = End(position, entry_hash(previous, campaign_no, position, happening))
        states = (None if state is None else _canonical(state) for state in (happening.before, happening.after))
        told_by = (happening.at, happening.actor, happening.reason, happening.kind, happening.subject)
        rows.append((campaign_no, position, *told_by, *states, previous, end.hash))
    await connection.executemany(_SQL["add_entry"], rows)
    await connection.execute(_SQL["move_end"], campaign_no, end.position, end.hash)
    return end


def entry_hash(previous: str, campaign_no: int, position: int, happening: Happening) -> str:
    """The hash of an entry, as the head of this file specifies it."""
    at_us = (happening.at - _EPOCH) // _MICROSECOND
    words = [happening.actor, happening.reason, happening.kind, happening.subject]
    fields = [previous, campaign_no, position, at_us, *words, happening.before, happening.after]
    return hashlib.sha256(_canonical(fields).encode()).hexdigest()


async def read_trail(
    ledger: Ledger, campaign_no: int, wave: str | None = None, limit: int = ENTRIES_MAX
) -> list[Entry]:
    """The newest `limit` entries (at most ENTRIES_MAX) of a campaign, oldest first.

    With a wave's id: those on that wave, applies that changed it, and stops of the whole campaign.
    """
    rows = await ledger.fetch(_SQL["entries"], campaign_no, wave, min(limit, ENTRIES_MAX))
    return [_entry(row) for row in reversed(rows)]


async def read_end(ledger: Ledger, campaign_no: int) -> End:
    """Where the trail of that campaign should end. UsageError where there is no such campaign."""
    row = await ledger.fetch_row(_SQL["chain_end"], campaign_no)
    if row is None:
        raise UsageError(f"the ledger has no campaign number {campaign_no}")
    return End(row["trail_position"], row["trail_hash"])


async def verify_trail(ledger: Ledger, campaign_no: int) -> list[Broken]:
    """What is broken in a campaign's trail, by position, at most BROKEN_MAX; empty where it is whole.

    Besides the chain itself the trail is held against what it tells of: the acts, and the campaign as applied.
    """
    async with ledger.snapshot() as connection:
        row = await connection.fetchrow(_SQL["chain_end"], campaign_no)
        if row is None:
            raise UsageError(f"the ledger has no campaign number {campaign_no}")
        broken, end = await _verify_chain(connection, campaign_no)
        should = End(row["trail_position"], row["trail_hash"])
        if end != should and not broken:
            lost = (
                f"it ended at entry {should.position}" if end.position != should.position else "its last hash differs"
            )
            broken.append(Broken(max(end.position, 1), f"the trail has lost its end, or got another one: {lost}"))
        broken += await _verify_against_acts(connection, campaign_no)
        definition = told_campaign(msgspec.json.decode(row["definition"], type=Campaign))
        if row["applied"] is not None and msgspec.json.decode(row["applied"]) != definition:
            broken.append(Broken(should.position, "the campaign is not as the last apply in the trail left it"))
    return sorted(broken, key=lambda each: each.position)[:BROKEN_MAX]


async def _verify_chain(connection: Any, campaign_no: int) -> tuple[list[Broken], End]:
    broken: list[Broken] = []
    end = End(0, "")
    cursor = await connection.cursor(_SQL["chain"], campaign_no)
    while len(broken) < BROKEN_MAX and (rows := await cursor.fetch(_CHUNK)):
        for entry in map(_entry, rows):
            if flaw := _flaw(entry, end):
                broken.append(Broken(entry.position, flaw))
            end = End(entry.position, entry.hash)
    return broken, end


def _flaw(entry: Entry, end: End) -> str:
    """What is wrong with the entry behind that end; empty where nothing is."""
    if entry.hash != entry_hash(entry.previous_hash, entry.campaign_no, entry.position, entry.happening):
        return "was changed: its hash does not fit what it says"
    if entry.position != end.position + 1:
        first, last = end.position + 1, entry.position - 1
        return (
            f"entry {last} before it is missing"
            if first == last
            else f"entries {first} to {last} before it are missing"
        )
    if entry.previous_hash != end.hash:
        return f"does not follow entry {end.position}: that one was another when this one was written"
    return ""


async def _verify_against_acts(connection: Any, campaign_no: int) -> list[Broken]:
    broken = []
    for row in await connection.fetch(_SQL["acts_untold"], campaign_no, BROKEN_MAX):
        why = "is missing" if row["missing"] else "tells something else"
        broken.append(Broken(row["trail_position"], f"act {row['number']} was entered here, and the entry {why}"))
    for row in await connection.fetch(_SQL["entries_without_act"], campaign_no, BROKEN_MAX):
        broken.append(Broken(row["position"], "tells of an act that the ledger does not have"))
    return broken


def _entry(row: Any) -> Entry:
    before, after = (
        None if row[name] is None else msgspec.json.decode(row[name], type=Told) for name in ("before", "after")
    )
    happening = Happening(row["at"], row["actor"], row["reason"], row["kind"], row["subject"], before, after)
    return Entry(row["campaign_no"], row["position"], happening, row["previous_hash"], row["hash"])


def _canonical(values: Any) -> str:
    return msgspec.json.encode(values, order="sorted").decode()
