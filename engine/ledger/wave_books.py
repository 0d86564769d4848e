"""The books of one wave, all of them at one instant, for a report: what was put, done and given out.

The claims themselves stay in Postgres: only counts, versions and instants leave it, and so no claimant. Each count
reads the wave's claims once, by the index over their units: a quarter of a second in all for 100,000.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from msgspec import Struct

from engine.domain.campaign import Catalogue, CatalogueWave
from engine.domain.decisions import LogEntry, WaveState
from engine.ledger.acts import ACTS_MAX, entry_of_row
from engine.ledger.catalogues import WaveRow, find_wave_within
from engine.ledger.cursors import Cursor, cursor_of
from engine.ledger.database import Ledger
from engine.ledger.instants import instant, unix_ms
from engine.ledger.queries import load_queries

PACE_SECONDS = 60
"""Seconds from the opening on that are counted one by one: by then the rush is over."""

_SQL = load_queries("wave_books")
_CURSORS = load_queries("cursors")


class Given(Struct, frozen=True):
    """Claims of one offer under one version of its terms, and when the first and the last of them were made."""

    offer_no: int
    terms_version: int
    claims: int
    first_ms: int
    last_ms: int


class Apart(Struct, frozen=True):
    """Claims of one offer that the ledger keeps in quarantine, and those that were voided there."""

    held: int = 0
    voided: int = 0


class Pace(Struct, frozen=True):
    """Claims by second since the opening: of the first PACE_SECONDS by offer number, and of the busiest one of all.

    `peak_second` is None where nothing was claimed.
    """

    by_second: dict[int, tuple[int, ...]]
    peak_second: int | None = None
    peak_claims: int = 0


class WaveBooks(Struct, frozen=True):
    """What the ledger held of the wave when its clock stood at `read_ms`."""

    catalogue: Catalogue
    wave: CatalogueWave
    row: WaveRow
    planned_ms: tuple[int, int]
    """Opening and closing as the campaign file has them."""
    state: WaveState
    """As the last act put it; where none has, as the steward will."""
    cursor: Cursor
    acts: tuple[LogEntry, ...]
    """On the wave, and stops and starts of its campaign: oldest first, the newest ACTS_MAX where there are more."""
    given: tuple[Given, ...]
    apart: dict[int, Apart]
    """By offer number; in none of the other figures."""
    pace: Pace
    accounts: int
    """Distinct accounts that claimed."""
    persons: int | None
    """Distinct persons; None where limits count accounts."""
    read_ms: int


async def read_wave_books(ledger: Ledger, wave: str) -> WaveBooks | None:
    """The books of the wave with that id; None where no campaign has it now. Raises LedgerUnavailable."""
    async with ledger.snapshot() as connection:
        read_ms = unix_ms(await connection.fetchval(_SQL["clock"]))
        found = await find_wave_within(connection, wave)
        if found is None:
            return None
        catalogue, listed, row = found
        place = catalogue.campaign_no, listed.no
        acts = [entry_of_row(each) for each in reversed(await connection.fetch(_SQL["acts"], *place, ACTS_MAX))]
        state = _last_state(acts) or WaveState.of(catalogue, listed)
        planned = await connection.fetchrow(_SQL["planned"], catalogue.campaign_no, wave)
        counts_persons = catalogue.by == "person"
        return WaveBooks(
            catalogue=catalogue,
            wave=listed,
            row=row,
            planned_ms=(unix_ms(planned["opens_at"]), unix_ms(planned["closes_at"])),
            state=state,
            cursor=cursor_of(await connection.fetchrow(_CURSORS["read_cursor"], catalogue.campaign_no)),
            acts=tuple(acts),
            given=tuple(_given(each) for each in await connection.fetch(_SQL["given"], *place)),
            apart={
                row["offer_no"]: Apart(row["held"], row["voided"])
                for row in await connection.fetch(_SQL["apart"], *place)
            },
            pace=await _pace(connection, place, state.opens_ms),
            accounts=await connection.fetchval(_SQL["accounts"], *place),
            persons=await connection.fetchval(_SQL["claimants"], *place) if counts_persons else None,
            read_ms=read_ms,
        )


def _last_state(acts: Sequence[LogEntry]) -> WaveState | None:
    return next((entry.act.state for entry in reversed(acts) if entry.act and entry.act.state), None)


def _given(row: Any) -> Given:
    return Given(
        row["offer_no"], row["terms_version"], row["claims"], unix_ms(row["first_at"]), unix_ms(row["last_at"])
    )


async def _pace(connection: Any, place: tuple[int, int], opens_ms: int) -> Pace:
    rows = await connection.fetch(_SQL["pace"], *place, instant(opens_ms), timedelta(seconds=PACE_SECONDS))
    if not rows:
        return Pace({})
    *counted, peak = rows
    by_second: dict[int, list[int]] = {}
    for row in counted:
        by_second.setdefault(row["offer_no"], [0] * PACE_SECONDS)[_seconds(row["since"])] = row["claims"]
    return Pace(
        {offer_no: tuple(claims) for offer_no, claims in by_second.items()}, _seconds(peak["since"]), peak["claims"]
    )


def _seconds(since: timedelta) -> int:
    return since // timedelta(seconds=1)
