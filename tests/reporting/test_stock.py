"""Where an offer's units came from, by the acts: whatever happened, the parts add up to what is there."""

import random

import pytest
from msgspec.structs import replace

from engine.domain.decisions import ActKind, ActLine, LogEntry, OfferState, WaveState
from engine.reporting.stock import Stock, StockCourse, stock_course

EMPTY = WaveState("w", "", "2026-11-11", 0, 1, {})


def state(total: int | None, before: WaveState = EMPTY) -> WaveState:
    return replace(before, offers={} if total is None else {"1": OfferState(total, 1, 500)})


def entry(number: int, kind: ActKind, after: WaveState) -> LogEntry:
    return LogEntry(
        1, number, number, number * 1_000, act=ActLine(number, f"a{number}", kind, "li", "why", 1, state=after)
    )


def course(*steps: tuple[ActKind, WaveState]) -> StockCourse:
    entries = [entry(number, kind, after) for number, (kind, after) in enumerate(steps, start=1)]
    return stock_course(1, steps[-1][1], entries)


def test_without_an_act_it_is_what_the_steward_will_put() -> None:
    assert stock_course(1, state(5), []) == StockCourse(Stock(put=5))
    assert stock_course(1, state(None), []) == StockCourse(Stock())


@pytest.mark.parametrize(
    ("steps", "stock", "changed_ms"),
    [
        ([("put_wave", 5)], Stock(put=5), 0),
        ([("put_wave", 5), ("pause", 5), ("restock", 8)], Stock(put=5, restocked=3), 3_000),
        ([("put_wave", 5), ("restock", 8), ("restock", 2)], Stock(put=5, restocked=-3), 3_000),
        ([("put_wave", 5), ("restock", 8), ("put_wave", 8)], Stock(put=5, restocked=3), 2_000),
        ([("put_wave", 5), ("restock", 8), ("put_wave", 20)], Stock(put=20), 3_000),
        ([("put_wave", None), ("put_wave", 4)], Stock(put=4), 2_000),
        ([("put_wave", 4), ("put_wave", None)], Stock(), 2_000),
    ],
    ids=["put", "restocked", "less", "a file that leaves it alone", "a file that says another", "new", "gone"],
)
def test_puts_and_restocks(steps: list[tuple[ActKind, int | None]], stock: Stock, changed_ms: int) -> None:
    assert course(*((kind, state(total)) for kind, total in steps)) == StockCourse(stock, changed_ms)


def test_a_lapse_leaves_the_units_where_they_were() -> None:
    out = replace(state(2), rolled_out={"1": 3})
    assert course(("put_wave", state(5)), ("roll_out", out)).stock == Stock(put=5, rolled_out=3)
    assert course(
        ("put_wave", state(5)), ("roll_out", out), ("lapse", replace(state(5), rolled_out={}))
    ).stock == Stock(put=5)


def test_whatever_happens_the_parts_add_up(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(300):
        now, steps = state(draw.randrange(50)), []
        for _ in range(draw.randrange(1, 9)):
            match draw.choice(("put_wave", "restock", "roll_in", "roll_out")):
                case "put_wave":
                    own = draw.randrange(50)
                    now = state(own + now.moved_units("1"), now)
                    steps.append(("put_wave", now))
                case "restock":
                    now = state(draw.randrange(50) + now.moved_units("1"), now)
                    steps.append(("restock", now))
                case "roll_in":
                    units = draw.randrange(5)
                    rolled = {**now.rolled_in, str(draw.randrange(2, 99)): {"1": units}}
                    gained = replace(now, rolled_in=rolled).moved_units("1") - now.moved_units("1")
                    now = replace(state(now.offers["1"].total + gained, now), rolled_in=rolled)
                    steps.append(("roll_in", now))
                case _ if now.rolled_out is None:
                    units = draw.randrange(max(1, now.offers["1"].total))
                    now = replace(state(now.offers["1"].total - units, now), rolled_out={"1": units})
                    steps.append(("roll_out", now))
        if steps:
            assert course(*steps).stock.total == now.offers["1"].total, steps
