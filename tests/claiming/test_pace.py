"""How long a claim will wait, judged by how long the last batches took."""

import pytest

from engine.claiming.pace import Pace


def paced(*batches_s: float) -> Pace:
    """A desk that has just sent batches that took so long, one after another, and is idle at 0."""
    pace = Pace()
    for took_s in batches_s:
        pace.began(-took_s)
        pace.ended(-took_s, 0)
    return pace


def test_nobody_waits_for_an_idle_desk() -> None:
    assert Pace().wait_s(0, 0) == 0
    assert paced(5.0, 5.0).wait_s(0, 100) == 0, "however bad its last batches were"


def test_batches_in_front_take_what_batches_take() -> None:
    pace = paced(*[0.004] * 10)
    assert pace.wait_s(10, 0) == pytest.approx(0.04, rel=0.01)
    pace.began(0)
    assert pace.wait_s(10, 0.001) == pytest.approx(0.043, rel=0.01), "and what is left of the one under way"


def test_a_call_that_hangs_is_expected_to_hang_as_long_again() -> None:
    pace = paced(*[0.004] * 10)
    pace.began(0)
    assert pace.wait_s(0, 1.0) == 1.0
    assert pace.wait_s(2, 1.0) == 3.0


def test_a_stall_is_forgotten_within_a_few_batches() -> None:
    pace = paced(5.0)
    for batches in range(10):
        assert (pace.wait_s(1, 0) < 0.05) == (batches >= 6)
        pace.began(0)
        pace.ended(0, 0.004)


def test_two_calls_at_a_time() -> None:
    pace = Pace(calls_max=2)
    for _ in range(10):
        pace.began(0)
        pace.ended(0, 0.004)
    pace.began(0)
    assert pace.wait_s(0, 0.001) == 0, "the other one is free"
    pace.began(0.002)
    assert pace.wait_s(0, 0.003) == pytest.approx(0.001, rel=0.01), "until the older one ends"
    assert pace.wait_s(10, 0.003) == pytest.approx(0.021, rel=0.01), "two batches go in the time of one"
    pace.ended(0, 0.004)
    pace.began(0.004)
    assert pace.wait_s(0, 0.005) == pytest.approx(0.001, rel=0.01)
