"""Giving the ledger back what it has lost, where a shard still has it: claims, and how waves and campaign stand.

Claims come back as they were. An act that neither ledger nor log knows any more leaves its number; an entry of the kind
`refill` stands in its place, and the last of them put the states that came of the lost acts.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, count

from msgspec import Struct

from engine.domain.decisions import ActKind, ActLine, LogEntry, Rules, WaveState
from engine.domain.outcome import Claim
from engine.errors import ActRefused, CursorMoved, LedgerRefused, UsageError
from engine.ledger import quarantine
from engine.ledger.cursors import Cursor
from engine.ledger.database import Ledger
from engine.ledger.epochs import latest_wave_states, read_stopped
from engine.ledger.quarantine_ends import void_quarantined
from engine.ledger.queries import load_queries
from engine.ledger.rows import VoucherRow
from engine.ledger.settlement import Keep, copy_claims, keep_acts, steps_of
from engine.ledger.sieve import Sieve

_SQL = load_queries("refill")

ACTS_MAX = 10_000
"""Lost acts that get their numbers back: far more than minutes of operators and stewards bring about."""
ACTOR = "recovery"


class Put(Struct, frozen=True):
    """How a shard stands: number of its last act, revision of its catalogue, its waves and rules."""

    act: int
    revision: int
    waves: Mapping[int, WaveState]
    rules: Rules


async def known_codes(ledger: Ledger, campaign_no: int, claims: Sequence[Claim]) -> dict[tuple[int, int], str]:
    """Of these decisions (epoch, sequence) those that the ledger has as claims, with their codes as `lookup_text`."""
    async with ledger.snapshot() as connection:
        return await quarantine.known_codes(connection, campaign_no, claims)


async def add_claims(ledger: Ledger, cursor: Cursor, claims: Sequence[Claim], vouchers: Sequence[VoucherRow]) -> None:
    """Add claims that the ledger lacks; the cursor stays. Raises as `settlement.settle` does.

    What Postgres refuses as data goes to the quarantine, as far as the sieve lets it.
    """
    try:
        await _add(ledger, cursor, claims, vouchers, copy_claims)
    except LedgerRefused as error:
        if not error.is_data:
            raise
        await _add(ledger, cursor, claims, vouchers, Sieve().keep)


async def _add(
    ledger: Ledger, cursor: Cursor, claims: Sequence[Claim], vouchers: Sequence[VoucherRow], keep: Keep
) -> None:
    async with ledger.transaction() as connection:
        held = await connection.fetchrow(_SQL["hold_cursor"], cursor.campaign_no, cursor.epoch, cursor.last)
        if held is None:
            raise _moved(cursor)
        await keep(connection, cursor.campaign_no, claims, vouchers)


async def void_again(ledger: Ledger, cursor: Cursor, claim: Claim) -> bool:
    """Take a claim back that was voided in a ledger that went back since; False where it is settled by now: it stands.

    Where the ledger does not know the claim, it does afterwards: its unit and its number are used up. Raises
    CursorMoved, LedgerRefused where the number is another claim's, LedgerUnavailable.
    """
    async with ledger.transaction() as connection:
        if await connection.fetchrow(_SQL["hold_cursor"], cursor.campaign_no, cursor.epoch, cursor.last) is None:
            raise _moved(cursor)
        known = await quarantine.known_codes(connection, cursor.campaign_no, [claim])
        code = known.get((claim.epoch, claim.sequence))
        if code is None:
            lost = quarantine.Refusal(claim, "", "", "it was lost when the ledger went back in time")
            await quarantine.add_refusals(connection, cursor.campaign_no, [lost])
        elif code != quarantine.lookup_text(claim.code):
            raise LedgerRefused(f"decision {claim.epoch}-{claim.sequence}, which was voided, is another claim there")
    place = quarantine.Place(cursor.campaign, claim.epoch, claim.sequence)
    try:
        await void_quarantined(ledger, place, ACTOR, "it had been voided before the ledger went back in time")
    except (ActRefused, UsageError):
        return False
    return True


async def end(
    ledger: Ledger, cursor: Cursor, epoch: int, last: int, acts: Sequence[LogEntry], put: Put, now_ms: int
) -> Cursor:
    """Everything up to (epoch, last) is in the ledger now; the cursor there. Raises as `settlement.settle` does.

    `acts` are those behind the cursor that the log still has, in order.
    """
    no = cursor.campaign_no
    found = {entry.last for entry in acts if entry.epoch == epoch}
    rows = await ledger.fetch(_SQL["missing_numbers"], no, epoch, last, ACTS_MAX)
    free = [row["sequence"] for row in rows if row["sequence"] not in found]
    lines = list(_lines(cursor, acts, put, await _changed(ledger, no, acts, put), len(free)))
    places = chain(free, count(last + 1))
    entries = [
        *acts,
        *(LogEntry(epoch, place, place, now_ms, act=line) for place, line in zip(places, lines, strict=False)),
    ]
    last = max([last, *(entry.last for entry in entries if entry.epoch == epoch)])
    steps, act, revision = steps_of(cursor, entries)
    async with ledger.transaction() as connection:
        values = (cursor.epoch, cursor.last, epoch, last, max(act, put.act), max(revision, put.revision))
        moved = await connection.fetchrow(_SQL["end_refill"], no, *values)
        if moved is None:
            raise _moved(cursor)
        await keep_acts(connection, cursor, steps, moved)
    return Cursor(no, cursor.campaign, epoch, last, moved["act"], moved["revision"])


class _Changed(Struct, frozen=True):
    """What the lost acts have changed, as far as it stays."""

    waves: Mapping[int, WaveState]
    rules: Rules | None


async def _changed(ledger: Ledger, campaign_no: int, acts: Sequence[LogEntry], put: Put) -> _Changed:
    waves, stopped = await latest_wave_states(ledger, campaign_no), await read_stopped(ledger, campaign_no)
    for entry in acts:
        assert entry.act is not None, "the caller gives acts"
        if entry.act.state is not None:
            waves[entry.act.wave_no] = entry.act.state
        if entry.act.rules is not None:
            stopped = entry.act.rules.stopped
    changed = {no: state for no, state in put.waves.items() if waves.get(no) != state}
    return _Changed(changed, put.rules if stopped != put.rules.stopped else None)


def _lines(
    cursor: Cursor, acts: Sequence[LogEntry], put: Put, changed: _Changed, numbers_free: int
) -> Iterator[ActLine]:
    """The lost acts: those of which nothing is known first, since the last one put counts."""
    told = {entry.act.number for entry in acts if entry.act}
    lost = [number for number in range(cursor.act + 1, put.act + 1) if number not in told]
    states = len(changed.waves) + (changed.rules is not None)
    numbers = chain(lost, count(max([put.act, *told]) + 1))
    if len(lost) > max(numbers_free, states):  # of an epoch whose end nobody knows any more
        numbers = chain(lost[-max(numbers_free, states) :], count(put.act + 1))

    def line(kind: ActKind, wave_no: int = 0, state: WaveState | None = None, rules: Rules | None = None) -> ActLine:
        number = next(numbers)
        name, why = f"refill-{cursor.epoch}-{number}", "the ledger had gone back in time"
        return ActLine(number, name, kind, ACTOR, why, wave_no, put.revision, state, rules)

    for _ in range(numbers_free - states):
        yield line("refill")
    for wave_no, state in changed.waves.items():
        yield line("refill", wave_no, state)
    if changed.rules is not None:
        yield line("stop" if changed.rules.stopped else "start", rules=changed.rules)


def _moved(cursor: Cursor) -> CursorMoved:
    return CursorMoved(f"{cursor.campaign}: the cursor is no longer at {cursor.epoch}-{cursor.last}")
