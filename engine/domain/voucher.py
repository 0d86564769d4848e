"""Vouchers: from when until when one is good.

The expiry is fixed by the claim and printed on the voucher; it is an exclusive instant. It depends
on nothing but the terms version that the claim was given, the day of its wave and the instant of
the claim, so gateway and writer work it out by themselves and agree.
"""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

from engine.domain.campaign import Promise, Validity

DAY_MS = 24 * 60 * 60 * 1000


class Period(Struct, frozen=True):
    """When a voucher can be used: from `valid_from_ms` on, until just before `expires_at_ms`."""

    valid_from_ms: int
    expires_at_ms: int


def period(promise: Promise, wave_day: str, claimed_at_ms: int) -> Period:
    """The period of a voucher claimed at that instant in the wave of that day (ISO date)."""
    return Period(claimed_at_ms, _expiry_ms(promise.validity, promise.timezone, wave_day, claimed_at_ms))


def _expiry_ms(validity: Validity, timezone: str, wave_day: str, claimed_at_ms: int) -> int:
    if validity.until_ms is not None:
        return validity.until_ms
    if validity.days_after_claim is not None:
        return claimed_at_ms + validity.days_after_claim * DAY_MS
    assert validity.natural_days is not None
    return midnight_after(date.fromisoformat(wave_day), validity.natural_days, timezone)


def midnight_after(first_day: date, days: int, timezone: str) -> int:
    """24:00 of the last of that many days, the first being `first_day`, as Unix milliseconds.

    Where a clock change skips or repeats midnight, zoneinfo's first reading (fold 0) is taken.
    """
    midnight = datetime.combine(first_day + timedelta(days=days), time(), ZoneInfo(timezone))
    return int(midnight.timestamp() * 1000)
