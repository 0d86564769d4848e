"""Settling: decisions of the log become rows, in one transaction with the cursor that counts them.

The first statement is a compare-and-set of the cursor. Whoever slept, or runs beside another one, loses
it and changes nothing, so that each decision is settled exactly once without a lock that outlives its
holder. Tens of thousands of claims a second come through here: rows go by binary COPY (engine/ledger/rows.py).
"""

import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import date
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine.domain.decisions import ActLine, LogEntry, WaveState
from engine.domain.outcome import Claim
from engine.errors import CursorMoved, LedgerRefused
from engine.ledger.cursors import Cursor
from engine.ledger.database import Ledger
from engine.ledger.instants import instant
from engine.ledger.queries import load_queries
from engine.ledger.revisions import refuse_overtaken
from engine.ledger.rows import (
    CLAIM_COLUMNS,
    COPY_BEGIN,
    COPY_END,
    VOUCHER_COLUMNS,
    VoucherRow,
    claim_rows,
    voucher_rows,
)
from engine.ledger.trail import End, Happening, Told, add_entries, told

_SQL = load_queries("settlement")

DATA = "22000"
"""SQLSTATE of data that cannot be: of a value that does not fit its column, found before Postgres has seen it."""
PIECE_ROWS = 512
"""Rows that are packed at once: Postgres works some milliseconds on so many, the packing takes half a one."""


async def settle(
    ledger: Ledger,
    cursor: Cursor,
    last: int,
    claims: Sequence[Claim],
    vouchers: Sequence[VoucherRow],
    acts: Sequence[LogEntry],
    keep: "Keep | None" = None,
) -> Cursor:
    """Settle the decisions behind the cursor up to number `last`, all of the cursor's epoch; the cursor after it.

    `keep` puts the claims into the ledger, in the transaction that moves the cursor; `copy_claims` by default.
    Raises CursorMoved where somebody else has settled since or the epoch was raised (nothing was changed),
    LedgerRefused where the data contradict the ledger (nothing was changed), LedgerUnavailable where it is
    not known whether the commit was done: the cursor, read again, tells.
    """
    if cursor.last + len(claims) + len(acts) != last:
        raise LedgerRefused(
            f"{cursor.campaign}: {len(claims)} claims and {len(acts)} acts behind {cursor.last} do not end at {last}"
        )
    no = cursor.campaign_no
    steps, act, revision = steps_of(cursor, acts)
    async with ledger.transaction() as connection:
        moved = await connection.fetchrow(_SQL["move_cursor"], no, cursor.epoch, cursor.last, last, act, revision)
        if moved is None:
            raise CursorMoved(f"{cursor.campaign}: the cursor is no longer at {cursor.epoch}-{cursor.last}")
        await (keep or copy_claims)(connection, no, claims, vouchers)
        if steps:
            await keep_acts(connection, cursor, steps, moved)
    return replace(cursor, last=last, act=moved["act"], revision=moved["revision"])


Keep = Callable[[Any, int, Sequence[Claim], Sequence[VoucherRow]], Awaitable[None]]

Step = tuple[LogEntry, int]
"""An act, and the catalogue revision that the hot store had at it."""


def steps_of(cursor: Cursor, acts: Sequence[LogEntry]) -> tuple[list[Step], int, int]:
    """The acts as steps; number of the last act and revision of the catalogue behind them."""
    act, revision, steps = cursor.act, cursor.revision, []
    for entry in acts:
        line = _act(entry)
        act = max(act, line.number)
        revision = max(revision, line.revision if line.kind == "put_campaign" else 0)
        steps.append((entry, max(revision, line.revision)))
    return steps, act, revision


async def copy_claims(
    connection: Any, campaign_no: int, claims: Sequence[Claim], vouchers: Sequence[VoucherRow]
) -> None:
    """Add claims and their vouchers, in the caller's transaction, which holds the cursor's row."""
    claims_packed = _packed(claim_rows, campaign_no, claims)
    await connection.copy_to_table("claims", columns=CLAIM_COLUMNS, source=claims_packed, format="binary")
    vouchers_packed = _packed(voucher_rows, campaign_no, vouchers)
    await connection.copy_to_table("vouchers", columns=VOUCHER_COLUMNS, source=vouchers_packed, format="binary")


async def _packed(
    pack: Callable[[int, Any], bytearray], campaign_no: int, things: Sequence[Any]
) -> AsyncIterator[bytearray]:
    """A COPY piece by piece: Postgres takes one in while the next is packed."""
    piece = bytearray(COPY_BEGIN)
    for start in range(0, len(things), PIECE_ROWS):
        if start:
            yield piece
            piece = bytearray()
        try:
            piece += pack(campaign_no, things[start : start + PIECE_ROWS])
        except (struct.error, OverflowError, TypeError, ValueError) as error:  # its message could quote the value
            raise LedgerRefused(f"a value does not fit its column ({type(error).__name__})", DATA) from error
    yield piece + COPY_END


async def keep_acts(connection: Any, cursor: Cursor, steps: Sequence[Step], held: Any) -> None:
    """Keep the acts, each with its entry in the trail, and make the waves' rows say what the acts put.

    In the caller's transaction; `held` is the cursor's row, which it holds, with the end of the trail.
    """
    no, end = cursor.campaign_no, End(held["trail_position"], held["trail_hash"])
    await refuse_overtaken(connection, cursor, (_act(entry) for entry, _ in steps))
    wave_nos = sorted({_act(entry).wave_no for entry, _ in steps})
    rows = await connection.fetch(_SQL["last_states"], no, wave_nos)
    states: dict[int, Told | None] = {row["wave_no"]: msgspec.json.decode(row["state"]) for row in rows}
    happenings = []
    for place, (entry, made_from) in enumerate(steps, start=end.position + 1):
        act = _act(entry)
        before, after = states.get(act.wave_no), told(act.state or act.rules)
        subject = act.state.id if act.state else cursor.campaign
        at = instant(entry.at_ms)
        happenings.append(Happening(at, act.actor, act.reason, act.kind, subject, before, after))
        states[act.wave_no] = after or before
        await _keep_act(connection, no, entry, place)
        if act.state is not None:
            await _put_wave(connection, no, act, act.state, before, made_from)
    await add_entries(connection, no, end, happenings)


async def _keep_act(connection: Any, campaign_no: int, entry: LogEntry, trail_position: int) -> None:
    act = _act(entry)
    await connection.execute(
        _SQL["insert_act"],
        campaign_no,
        entry.epoch,
        entry.last,
        act.number,
        act.id,
        act.kind,
        act.wave_no,
        act.revision,
        act.actor,
        act.reason,
        instant(entry.at_ms),
        _json(act.state),
        _json(act.rules),
        trail_position,
    )


def _json(value: Struct | None) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


async def _put_wave(
    connection: Any, campaign_no: int, act: ActLine, state: WaveState, before: Told | None, made_from: int
) -> None:
    """Make the wave's row say what the act put.

    `made_from` is the catalogue revision that the hot store had at this act. Where apply has written the wave
    since, its times and stock are newer than the act's and stay: the steward puts them next. But what an operator
    moved or restocked in between counts, or a file that does not even speak of it would undo it.
    """
    closed_at = instant(state.closed_ms) if state.closed_ms else None
    row = await connection.fetchrow(
        _SQL["put_wave_state"], campaign_no, act.wave_no, state.id, state.state, state.reason, closed_at
    )
    if row is None:
        raise LedgerRefused(f"an act names wave {act.wave_no} ({state.id}), which the ledger does not have")
    newest = made_from >= row["revision"]
    # The row holds what the campaign gives the wave; units that were rolled over stand in the act's state alone.
    totals = {int(no): offer.total - state.moved_units(no) for no, offer in state.offers.items()}
    if newest or act.kind == "move":
        day, opens_at, closes_at = date.fromisoformat(state.day), instant(state.opens_ms), instant(state.closes_ms)
        times = (state.round if newest else None, day, opens_at, closes_at)
        await connection.execute(_SQL["put_wave_times"], campaign_no, act.wave_no, *times)
    if not newest:
        totals = _restocked(act, state, before, totals)
    await connection.execute(_SQL["put_stocks"], campaign_no, act.wave_no, list(totals), list(totals.values()))


def _restocked(act: ActLine, state: WaveState, before: Told | None, totals: Mapping[int, int]) -> dict[int, int]:
    """Those of the totals that this act itself changed, where it is an operator's restock."""
    if act.kind != "restock" or before is None:
        return {}
    was = {no: offer["total"] for no, offer in before["offers"].items()}
    return {int(no): totals[int(no)] for no, offer in state.offers.items() if was.get(no) != offer.total}


def _act(entry: LogEntry) -> ActLine:
    if entry.act is None:
        raise LedgerRefused(f"log entry {entry.epoch}-{entry.last} was given as an act and is none")
    return entry.act
