"""Rows for COPY that are packed here: byte for byte what asyncpg and Postgres make of the same values."""

import io
import random
import struct
from collections.abc import Sequence
from typing import Any

import pytest

from engine.domain.outcome import Claim
from engine.ledger.database import Ledger
from engine.ledger.instants import instant
from engine.ledger.rows import (
    CLAIM_COLUMNS,
    COPY_BEGIN,
    COPY_END,
    VOUCHER_COLUMNS,
    VoucherRow,
    claim_rows,
    voucher_rows,
)
from tests.ledger.samples import CLAIMED_AT_MS, claim

CAMPAIGN_NO = 7
CLAIMS: list[Claim] = [
    claim(1),
    claim(2, claimant="person", account="账号"),
    claim(3, claimant="\x01" * 300, account="", code="é" * 16),
    claim(2**63 - 1, epoch=2**63 - 1, wave_no=2**15 - 1, offer_no=2**15 - 1, unit=2**31 - 1, nth=2**15 - 1),
    claim(-(2**63), epoch=0, wave_no=-1, unit=-1, request_no=2**15 - 1, terms_version=2**31 - 1),
    claim(4, claimed_at_ms=0),
    claim(5, claimed_at_ms=253_402_300_799_999),  # the last instant of the year 9999
    claim(6, claimed_at_ms=-62_135_596_799_999),  # the second of the year 1: asyncpg takes the first for -infinity
]


async def made_by_asyncpg(ledger: Ledger, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> bytes:
    """Put in value by value by asyncpg, and taken out by Postgres."""
    out = io.BytesIO()
    async with ledger.transaction() as connection:
        await connection.execute(f"create temporary table kept (like {table} including defaults) on commit drop")
        await connection.copy_records_to_table("kept", columns=columns, records=rows)
        await connection.copy_from_table("kept", columns=columns, output=out, format="binary")
    return out.getvalue()


async def test_claims_are_packed_as_postgres_has_them(ledger: Ledger, seed: int) -> None:
    draw = random.Random(seed)
    drawn = [claim(number, claimed_at_ms=CLAIMED_AT_MS + draw.randrange(10**9)) for number in range(7, 100)]
    rows = [
        (
            CAMPAIGN_NO,
            each.epoch,
            each.sequence,
            each.wave_no,
            each.offer_no,
            each.unit,
            each.nth,
            each.request_no,
            each.terms_version,
            instant(each.claimed_at_ms),
            each.claimant,
            None if each.account == each.claimant else each.account,
            each.code,
        )
        for each in (*CLAIMS, *drawn)
    ]
    packed = COPY_BEGIN + claim_rows(CAMPAIGN_NO, [*CLAIMS, *drawn]) + COPY_END
    assert packed == await made_by_asyncpg(ledger, "claims", CLAIM_COLUMNS, rows)


async def test_vouchers_are_packed_as_postgres_has_them(ledger: Ledger) -> None:
    vouchers = [
        VoucherRow(each.code, each.epoch, each.sequence, each.claimed_at_ms, CLAIMED_AT_MS + place)
        for place, each in enumerate(CLAIMS)
    ]
    rows = [
        (CAMPAIGN_NO, each.epoch, each.sequence, instant(each.valid_from_ms), instant(each.expires_at_ms), each.code)
        for each in vouchers
    ]
    expected = await made_by_asyncpg(ledger, "vouchers", VOUCHER_COLUMNS, rows)
    assert COPY_BEGIN + voucher_rows(CAMPAIGN_NO, vouchers) + COPY_END == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"unit": 2**31},
        {"wave_no": 2**15},
        {"sequence": 2**63},
        {"code": "\ud800"},
        {"account": "\ud800"},
        {"claimed_at_ms": 253_402_300_800_000},  # Postgres would take it, and Python could not read it
        {"claimed_at_ms": -62_135_596_800_001},
    ],
)
def test_what_fits_no_column_is_not_packed(wrong: dict[str, Any]) -> None:
    with pytest.raises((struct.error, OverflowError, ValueError)):
        claim_rows(CAMPAIGN_NO, [claim(**{"sequence": 1, **wrong})])
