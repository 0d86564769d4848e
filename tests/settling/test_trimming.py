"""How far a log may be trimmed."""

from hypothesis import given
from hypothesis import strategies as st

from engine.settling.trimming import SAMPLES, PlaceHistory


def test_a_place_is_due_once_it_is_old_enough() -> None:
    history = PlaceHistory(300.0)
    history.note(0.0, (1, 10))
    assert history.due(299.9) is None
    history.note(100.0, (1, 20))
    assert history.due(300.0) == (1, 10)
    assert history.due(399.0) is None
    assert history.due(500.0) == (1, 20)
    assert history.due(9_999.0) is None


def test_a_cursor_that_stands_still_is_trimmed_to_once() -> None:
    history = PlaceHistory(100.0)
    places = set()
    for second in range(1_000):
        history.note(float(second), (3, 7))
        places.add(history.due(float(second)))
    assert places == {None, (3, 7)}
    history.note(2_000.0, (3, 7))
    assert history.due(3_000.0) is None


@given(steps=st.lists(st.tuples(st.floats(0.001, 50), st.integers(0, 1_000)), min_size=1, max_size=300))
def test_nothing_younger_is_ever_due_and_memory_is_bounded(steps: list[tuple[float, int]]) -> None:
    behind_s = 100.0
    history = PlaceHistory(behind_s)
    now_s, last, passed = 0.0, 0, []
    for pause_s, more in steps:
        now_s, last = now_s + pause_s, last + more
        passed.append((now_s, last))
        history.note(now_s, (1, last))
        place = history.due(now_s)
        if place is not None:
            assert any(now_s - seen_s >= behind_s and place == (1, at) for seen_s, at in passed)
        assert len(history._seen) <= SAMPLES + 1
