"""One timer sees to the deadlines of all."""

import asyncio

from engine.domain.redemption import Redeem
from engine.redeeming.steps import Nothing, Outcome
from engine.redeeming.waiting import BUSY, OUTCOME_UNKNOWN, Deadlines, Waiting
from tests.support.waiting import wait_until

DEADLINE_S = 0.05


class Till(Waiting):
    """Notes what it is told."""

    def __init__(self, number: int) -> None:
        super().__init__(Redeem("CODE", "m1", "mall", "li", "", "", 100, (), f"q{number}"))
        self.told: list[Outcome] = []

    def decided(self, outcome: Outcome) -> None:
        self.told.append(outcome)


class Broken(Till):
    """Cannot be told."""

    def decided(self, outcome: Outcome) -> None:
        super().decided(outcome)
        raise OSError("no space left on device")


async def test_each_ends_by_its_deadline_and_once() -> None:
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    deadlines = Deadlines(DEADLINE_S)
    first, answered, broken, sent, lost = Till(1), Till(2), Broken(3), Till(4), Till(5)
    for till in (first, answered, broken, sent, lost):
        till.arrived_s = first.arrived_s
        deadlines.watch(till)
    sent.is_sent, lost.lost_step = True, 1
    answered.end(Nothing())
    await wait_until(lambda: bool(first.told))
    assert sent.told == lost.told == [OUTCOME_UNKNOWN], "one that cannot be told holds nobody up"
    later = Till(6)
    deadlines.watch(later)
    await wait_until(lambda: bool(later.told))
    last = Till(7)
    deadlines.watch(last)
    await wait_until(lambda: bool(last.told))
    first.end(Nothing())
    told = [till.told for till in (first, answered, broken, sent, lost, later, last)]
    assert told == [[BUSY], [Nothing()], [BUSY], [OUTCOME_UNKNOWN], [OUTCOME_UNKNOWN], [BUSY], [BUSY]]


async def test_who_comes_while_another_waits_has_a_deadline_of_its_own() -> None:
    deadlines = Deadlines(DEADLINE_S)
    first, second = Till(1), Till(2)
    deadlines.watch(first)
    second.arrived_s += DEADLINE_S / 2
    deadlines.watch(second)
    await wait_until(lambda: bool(first.told))
    await wait_until(lambda: bool(second.told))
    assert second.told == [BUSY]
