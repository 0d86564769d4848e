"""What recovery has to know of earlier epochs: how far one got, and how each wave was last put."""

import msgspec

from engine.domain.decisions import WaveState
from engine.ledger.database import Ledger
from engine.ledger.queries import load_queries

_SQL = load_queries("epochs")
_STATE = msgspec.json.Decoder(WaveState)


async def last_of_epoch(ledger: Ledger, campaign_no: int, epoch: int) -> int:
    """The highest number of that epoch in the ledger; 0 where it holds none."""
    row = await ledger.fetch_row(_SQL["last_of_epoch"], campaign_no, epoch)
    assert row is not None, "an aggregate always gives a row"
    last: int = row["last"]
    return last


async def latest_wave_states(ledger: Ledger, campaign_no: int) -> dict[int, WaveState]:
    """The absolute state that the last act on each wave put, by wave number; without waves that were never put."""
    rows = await ledger.fetch(_SQL["latest_wave_states"], campaign_no)
    return {row["wave_no"]: _STATE.decode(row["state"]) for row in rows}


async def read_stopped(ledger: Ledger, campaign_no: int) -> str:
    """Why the whole campaign is stopped, by the last act on that; empty where it is not."""
    row = await ledger.fetch_row(_SQL["stopped"], campaign_no)
    return "" if row is None else str(row["stopped"])
