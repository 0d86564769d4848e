"""Who comes to a rehearsal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.rehearsal.plan import DEMAND, Plan, draw_plan, first_choices, users_needed
from engine.rehearsal.users import STRANGERS, TRUE_REFUSALS, Kind

STOCK = {"a": 40, "b": 20}


def plan(
    seed: int = 1, users: int = 400, claims_max: int = 1, tokens: bool = True, stock: dict[str, int] = STOCK
) -> Plan:
    return draw_plan("w", stock, users, seed, claims_max=claims_max, countdown_ms=10_000, tokens=tokens)


@given(
    seed=st.integers(0, 2**32),
    stock=st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 30), min_size=1),
    more=st.integers(0, 200),
    claims_max=st.integers(1, 3),
)
def test_every_offer_is_wanted_twice_for_each_unit(
    seed: int, stock: dict[str, int], more: int, claims_max: int
) -> None:
    users = users_needed(stock) + more
    drawn = plan(seed, users, claims_max, stock=stock)
    wanted = first_choices(drawn.users)
    assert len(drawn.users) == users
    assert len({user.number for user in drawn.users}) == users
    assert all(wanted.get(offer, 0) >= DEMAND * units for offer, units in stock.items())
    assert {user.kind for user in drawn.users} >= {*STRANGERS, Kind.VANISHING}
    assert [user.arrives_ms for user in drawn.users] == sorted(user.arrives_ms for user in drawn.users)
    assert all(user.arrives_ms < 0 for user in drawn.users if user.kind in (Kind.EARLY, Kind.TICKETED))


def test_the_same_seed_gives_the_same_users() -> None:
    assert plan(7) == plan(7)
    assert plan(7).users != plan(8).users


def test_a_large_plan_has_every_kind_that_its_rules_allow() -> None:
    kinds = {user.kind for user in plan(users=2_000).users}
    assert kinds == set(Kind) - {Kind.MORE}
    kinds = {user.kind for user in plan(users=2_000, claims_max=3).users}
    assert kinds == set(Kind) - {Kind.GREEDY}
    kinds = {user.kind for user in plan(users=2_000, tokens=False).users}
    assert kinds == set(Kind) - {Kind.MORE, Kind.TICKETED, Kind.BEARER}
    kinds = {user.kind for user in plan(users=2_000, stock={"a": 10}).users}
    assert kinds == set(Kind) - {Kind.MORE, Kind.GREEDY, Kind.CHOOSING}


def test_every_stranger_has_a_true_refusal() -> None:
    assert set(TRUE_REFUSALS) == set(STRANGERS)


def test_too_few_users_are_refused_with_the_number_it_takes() -> None:
    with pytest.raises(UsageError, match=rf"--users {users_needed(STOCK)} or more"):
        plan(users=users_needed(STOCK) - 1)


def test_a_wave_without_stock_is_refused() -> None:
    with pytest.raises(UsageError, match="no stock"):
        plan(stock={"a": 0})
