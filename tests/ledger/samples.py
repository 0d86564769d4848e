"""Campaigns, decisions and rows to test with. Times are given; nothing here reads a clock."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from msgspec.structs import replace

from engine.domain.campaign import Campaign, Catalogue, Offer, Store, Validity, Wave
from engine.domain.decisions import ActKind, ActLine, LogEntry, WaveFlag, WaveState
from engine.domain.outcome import Claim
from engine.domain.voucher import period
from engine.ledger.rows import VoucherRow

FUTURE = datetime(2090, 5, 1, 12, tzinfo=UTC)
PAST = datetime(2021, 9, 17, 12, tzinfo=UTC)
CLAIMED_AT_MS = int(PAST.timestamp() * 1000) + 5

OFFERS = (
    Offer(id="mall-50", title="Fifty off", kind="threshold", stores=("s-1",), face=5_000, min_spend=15_000),
    Offer(id="food-20", title="Twenty off", kind="threshold", stores=("s-1", "s-2"), face=2_000, min_spend=6_000),
)
STORES = {"s-1": Store("First", "m-1", "武汉"), "s-2": Store("Second", "m-2", "武汉")}


def wave(wave_id: str, opens_at: datetime = FUTURE, **changes: Any) -> Wave:
    """A wave of four hours with stock of both offers."""
    plain = Wave(
        id=wave_id,
        opens_at=opens_at,
        closes_at=opens_at + timedelta(hours=4),
        day=opens_at.date(),
        stock={"mall-50": 100, "food-20": 200},
        round="first",
    )
    return replace(plain, **changes)


def campaign(campaign_id: str = "spring", **changes: Any) -> Campaign:
    """A campaign with a wave that opened long ago (number 1) and two to come (2 and 3)."""
    plain = Campaign(
        id=campaign_id,
        title="Spring vouchers",
        timezone="Asia/Shanghai",
        currency="CNY",
        validity=Validity(natural_days=7),
        offers=OFFERS,
        waves=(
            wave(f"{campaign_id}-past", PAST),
            wave(f"{campaign_id}-next"),
            wave(f"{campaign_id}-last", FUTURE + timedelta(days=7)),
        ),
        stores=STORES,
    )
    return replace(plain, **changes)


def claim(sequence: int, **changes: Any) -> Claim:
    """The claim with that number: unit and claimant follow from it, so that many of them go together."""
    plain = Claim(
        wave_no=1,
        offer_no=1,
        request_no=1,
        epoch=1,
        sequence=sequence,
        unit=sequence,
        nth=1,
        terms_version=1,
        claimed_at_ms=CLAIMED_AT_MS,
        code=f"CODE{sequence:012d}",
        claimant=f"u{sequence}",
        account=f"u{sequence}",
    )
    return replace(plain, **changes)


def claims(first: int, last: int, **changes: Any) -> list[Claim]:
    """The claims with numbers `first` to `last`."""
    return [claim(sequence, **changes) for sequence in range(first, last + 1)]


def vouchers_of(catalogue: Catalogue, settled: Sequence[Claim]) -> list[VoucherRow]:
    """The vouchers that these claims issue."""
    offers = {offer.no: offer for offer in catalogue.offers}
    days = {each.no: each.day for each in catalogue.waves}
    rows = []
    for each in settled:
        promise = offers[each.offer_no].version(each.terms_version).promise
        good = period(promise, days[each.wave_no], each.claimed_at_ms)
        rows.append(VoucherRow(each.code, each.epoch, each.sequence, good.valid_from_ms, good.expires_at_ms))
    return rows


def entry_of_claims(settled: Sequence[Claim]) -> LogEntry:
    """One log entry with these claims."""
    first, last = settled[0], settled[-1]
    return LogEntry(first.epoch, first.sequence, last.sequence, first.claimed_at_ms, claims=tuple(settled))


def entry_of_act(sequence: int, kind: ActKind, *, epoch: int = 1, **act: Any) -> LogEntry:
    """One log entry with an act; its number is its place in the log unless given."""
    plain: dict[str, Any] = {"number": sequence, "id": f"act-{sequence}", "actor": "ann", "reason": "asked"}
    line = ActLine(**(plain | {"kind": kind} | act))
    return LogEntry(epoch, sequence, sequence, CLAIMED_AT_MS, act=line)


def state_of(catalogue: Catalogue, wave_no: int, state: WaveFlag = "live", **changes: Any) -> WaveState:
    """The state of that wave as it is put first, with changes."""
    listed = next(each for each in catalogue.waves if each.no == wave_no)
    return replace(WaveState.of(catalogue, listed), state=state, **changes)


async def rows_of(database_url: str, query: str, *arguments: Any) -> list[asyncpg.Record]:
    """What Postgres says, past the engine."""
    connection = await asyncpg.connect(database_url)
    try:
        return list(await connection.fetch(query, *arguments))
    finally:
        await connection.close()
