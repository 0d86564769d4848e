"""The table of states: as it is drawn, right at every instant, and nothing revives an expired voucher."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain import voucher
from engine.domain.voucher import STEPS, Kept, Period, State, StepKind, period, state_at
from engine.scheduling.files import read_campaign_file
from tests.domain.test_vouchers import EXAMPLES, ms

USED_OR_VOID = ("redeemed", "invalidated", "cancelled", "deleted")
GOOD = Period(1_000, 2_000)


def drawn() -> dict[tuple[str, str], str]:
    """The table in the docstring: what a step makes of a state."""
    lines = (voucher.__doc__ or "").splitlines()
    head = next(n for n, line in enumerate(lines) if line.split()[:2] == ["state", "lock"])
    kinds = lines[head].split()[1:]
    found: dict[tuple[str, str], str] = {}
    for line in lines[head + 1 : head + 1 + len(get_args(State))]:
        state, *after = line.split()
        found |= {(state, kind): kept for kind, kept in zip(kinds, after, strict=True) if kept != "·"}
    return found


def test_the_table_is_as_it_is_drawn() -> None:
    assert drawn() == dict(STEPS)
    assert {kind for _, kind in STEPS} == set(get_args(StepKind))


@pytest.mark.parametrize(
    ("at", "state"),
    [("2021-09-17T20:00:00", "pending"), ("2021-09-23T23:59:59.999", "pending"), ("2021-09-24T00:00:00", "expired")],
)
def test_the_reference_voucher_needs_no_job_to_expire(at: str, state: State) -> None:
    campaign = read_campaign_file(EXAMPLES / "hubei-2021.yaml")
    good = period(campaign.terms_of(campaign.offers[0]), "2021-09-17", ms("2021-09-17T20:00:00+08:00"))
    assert state_at("pending", good, ms(at + "+08:00")) == state


@pytest.mark.parametrize(
    ("kept", "now_ms", "state"),
    [
        ("pending", 999, "not_yet_effective"),
        ("pending", 1_000, "pending"),
        ("locked", 1_499, "locked"),
        ("locked", 1_500, "pending"),
        ("locked", 2_000, "expired"),
    ],
)
def test_time_alone_moves_it(kept: Kept, now_ms: int, state: State) -> None:
    assert state_at(kept, GOOD, now_ms, locked_until_ms=1_500) == state


def test_a_lock_in_time_holds_past_the_expiry_and_ends_in_nothing() -> None:
    assert state_at("locked", GOOD, 2_100, locked_until_ms=2_200) == "locked"
    assert state_at("locked", GOOD, 2_200, locked_until_ms=2_200) == "expired"


@given(st.sampled_from(get_args(Kept)), st.integers(0, 3_000), st.integers(0, 3_000), st.integers(0, 3_000))
def test_nothing_revives_an_expired_voucher(kept: Kept, now_ms: int, later_ms: int, until_ms: int) -> None:
    """Neither time nor any step; and what is used or void is so at any instant."""
    state = state_at(kept, GOOD, now_ms, until_ms)
    if kept in USED_OR_VOID:
        assert state == kept
    if state != "expired":
        return
    for after in {kept} | {made for (before, _), made in STEPS.items() if before == "expired"}:
        assert state_at(after, GOOD, max(now_ms, later_ms), until_ms) == "expired"
