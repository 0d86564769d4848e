"""Acts that are settled: what operators and the steward did to a campaign, in order."""

from typing import Any

import msgspec

from engine.domain.decisions import ActLine, LogEntry, Rules, WaveState
from engine.ledger.database import Ledger
from engine.ledger.instants import unix_ms
from engine.ledger.queries import load_queries

ACTS_MAX = 10_000
"""Acts in one answer: far above what people do to a campaign, and below what hurts to hold."""

_SQL = load_queries("acts")
_STATE = msgspec.json.Decoder(WaveState)
_RULES = msgspec.json.Decoder(Rules)


async def read_acts(ledger: Ledger, campaign_no: int, wave_no: int | None = None) -> list[LogEntry]:
    """The acts on that campaign (or on one of its waves), oldest first; the newest ACTS_MAX where there are more."""
    rows = await ledger.fetch(_SQL["acts"], campaign_no, wave_no, ACTS_MAX)
    return [entry_of_row(row) for row in reversed(rows)]


def entry_of_row(row: Any) -> LogEntry:
    """An act as it stood in the log."""
    act = ActLine(
        number=row["number"],
        id=row["id"],
        kind=row["kind"],
        actor=row["actor"],
        reason=row["reason"],
        wave_no=row["wave_no"],
        revision=row["revision"],
        state=None if row["state"] is None else _STATE.decode(row["state"]),
        rules=None if row["rules"] is None else _RULES.decode(row["rules"]),
    )
    return LogEntry(row["epoch"], row["sequence"], row["sequence"], unix_ms(row["decided_at"]), act=act)
