"""Vouchers: from when until when one is good, and what can become of it.

The life of a voucher. Boxes are kept in the ledger; where no word stands on an arrow, time alone goes along it, and
no job has to notice: `state_at` tells the state at any instant.

    not_yet_effective ──(valid_from)──▶ pending ◀───────────────┐
            │                            │  ▲ │                  │
            │                       lock │  │ │ redeem           │ give_back  (the merchant's refund
            │                            ▼  │ │                  │             before the order is completed)
            │                         locked │ └────────▶ redeemed ⟲ refund   (any other: it stays used)
            │                            │  release, or its time  ▲
            │                            └────────────────────────┘ redeem, by the order that locked it
            │
            ├── invalidate ──▶ invalidated     from not_yet_effective and pending, with a reason
            ├── cancel ──────▶ cancelled       likewise: the claim itself is taken back
            └── delete ──────▶ deleted         likewise, by its holder; of what is used or void it hides the card alone

    pending ──(expires_at)──▶ expired          for good: what comes back after that is expired, and not pending
    locked ──(expires_at)──▶ locked            whose lock was in time may still pay within it

    state              lock     redeem    release   give_back  refund    invalidate   cancel     delete
    not_yet_effective  ·        ·         ·         ·          ·         invalidated  cancelled  deleted
    pending            locked   redeemed  ·         ·          ·         invalidated  cancelled  deleted
    locked             ·        redeemed  pending   ·          ·         ·            ·          ·
    redeemed           ·        ·         ·         pending    redeemed  ·            ·          redeemed
    expired            ·        ·         ·         ·          ·         ·            ·          expired
    invalidated        ·        ·         ·         ·          ·         ·            ·          invalidated
    cancelled          ·        ·         ·         ·          ·         ·            ·          cancelled
    deleted            ·        ·         ·         ·          ·         ·            ·          deleted

`STEPS` is that table. Who may take a step, and for which order, is not a matter of states: `domain/redemption.py`.

The expiry is fixed by the claim and printed on the voucher; it is an exclusive instant. It depends
on nothing but the terms version that the claim was given, the day of its wave and the instant of
the claim, so gateway and writer work it out by themselves and agree.
"""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from types import MappingProxyType
from typing import Final, Literal
from zoneinfo import ZoneInfo

from msgspec import UNSET, Struct

from engine.domain.campaign import Promise, Validity

DAY_MS = 24 * 60 * 60 * 1000

Kept = Literal["pending", "locked", "redeemed", "invalidated", "cancelled", "deleted", "expired"]
"""What the ledger keeps of a voucher. `expired` is written down for the reports; nothing depends on it."""
State = Literal["not_yet_effective", "pending", "locked", "redeemed", "expired", "invalidated", "cancelled", "deleted"]
"""What a voucher is at an instant, as people are told."""
StepKind = Literal["lock", "redeem", "release", "give_back", "refund", "invalidate", "cancel", "delete"]
"""What can be done with a voucher."""

STEPS: Final[Mapping[tuple[State, StepKind], Kept]] = MappingProxyType(
    {
        ("not_yet_effective", "invalidate"): "invalidated",
        ("not_yet_effective", "cancel"): "cancelled",
        ("not_yet_effective", "delete"): "deleted",
        ("pending", "lock"): "locked",
        ("pending", "redeem"): "redeemed",
        ("pending", "invalidate"): "invalidated",
        ("pending", "cancel"): "cancelled",
        ("pending", "delete"): "deleted",
        ("locked", "redeem"): "redeemed",
        ("locked", "release"): "pending",
        ("redeemed", "give_back"): "pending",
        ("redeemed", "refund"): "redeemed",
        ("redeemed", "delete"): "redeemed",
        ("expired", "delete"): "expired",
        ("invalidated", "delete"): "invalidated",
        ("cancelled", "delete"): "cancelled",
        ("deleted", "delete"): "deleted",
    }
)
"""What a step makes of a voucher in that state; what is not there is not possible."""


class Period(Struct, frozen=True):
    """When a voucher can be used: from `valid_from_ms` on, until just before `expires_at_ms`."""

    valid_from_ms: int
    expires_at_ms: int


def state_at(kept: Kept, period: Period, now_ms: int, locked_until_ms: int = 0) -> State:
    """The state of a voucher at that instant. `locked_until_ms` (exclusive) counts for one that is kept as locked."""
    if kept == "locked" and now_ms < locked_until_ms:
        return "locked"
    if kept in ("pending", "locked", "expired"):
        if now_ms >= period.expires_at_ms:
            return "expired"
        return "pending" if now_ms >= period.valid_from_ms else "not_yet_effective"
    return kept


def period(promise: Promise, wave_day: str, claimed_at_ms: int) -> Period:
    """The period of a voucher claimed at that instant in the wave of that day (ISO date)."""
    return period_of(promise.validity, promise.timezone, wave_day, claimed_at_ms)


def period_of(validity: Validity, timezone: str, wave_day: str, claimed_at_ms: int) -> Period:
    """The same, of terms that are not made yet."""
    valid_from_ms = claimed_at_ms
    if validity.from_ms is not UNSET:
        valid_from_ms = max(validity.from_ms, claimed_at_ms)
    elif validity.from_day is not UNSET:
        begins_ms = midnight_after(date.fromisoformat(wave_day), validity.from_day - 1, timezone)
        valid_from_ms = max(begins_ms, claimed_at_ms)
    return Period(valid_from_ms, _expiry_ms(validity, timezone, wave_day, claimed_at_ms))


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
