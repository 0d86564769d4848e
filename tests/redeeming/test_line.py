"""Whom the desk waits for before it begins a batch, and whom it does not."""

import asyncio

import pytest
from msgspec.structs import replace

from engine.domain.redemption import Redeem
from engine.redeeming.line import ENOUGH, Line
from engine.redeeming.steps import Outcome
from engine.redeeming.waiting import Waiting
from engine.settings import Settings

FOR_EVER = 1_000
"""Milliseconds: more than a test takes that is not held up, and it would fail of its own accord."""


class Till(Waiting):
    """Asks for a voucher of its own."""

    def __init__(self, number: int) -> None:
        super().__init__(Redeem(f"CODE{number}", "m1", "mall", "li", "", "", 100, (), f"q{number}"))

    def decided(self, outcome: Outcome) -> None:
        """Nobody is told anything here."""


def line_of(gather_ms: int, *tills: Till, batch_max: int = 128) -> Line:
    line = Line(replace(Settings(), redeem_gather_ms=gather_ms, redeem_batch_max=batch_max))
    assert all(line.join(till) for till in tills)
    return line


async def begun(line: Line) -> asyncio.Task[list[Waiting]]:
    """The wait for the next batch, as far as it gets by itself."""
    batch = asyncio.create_task(line.next_batch())
    await asyncio.sleep(0)
    return batch


async def test_who_is_alone_waits_for_nobody() -> None:
    first, second, third = Till(1), Till(2), Till(3)
    line = line_of(FOR_EVER, first)
    assert (await begun(line)).result() == [first]
    batch = await begun(line)
    assert not batch.done(), "nobody is there"
    assert line.join(second)
    assert await batch == [second]
    assert line.join(third)
    assert (await begun(line)).result() == [third]


async def test_where_many_come_the_next_wait_for_enough() -> None:
    tills = [Till(number) for number in range(ENOUGH + 3)]
    line = line_of(FOR_EVER, *tills[:2])
    assert (await begun(line)).result() == tills[:2]
    batch = await begun(line)
    for till in tills[2:-2]:
        assert line.join(till)
        await asyncio.sleep(0)
        assert not batch.done()
    assert line.join(tills[-2])
    assert line.join(tills[-1])
    assert await batch == tills[2:], "and who came with the last of them goes along"


@pytest.mark.parametrize("gather_ms", [0, 1])
async def test_nobody_waits_longer_than_the_bound(gather_ms: int) -> None:
    line = line_of(gather_ms, Till(1), Till(2))
    await line.next_batch()
    third, fourth = Till(3), Till(4)
    assert line.join(third)
    batch = await begun(line)
    assert batch.done() == (not gather_ms)
    assert await batch == [third]
    assert line.join(fourth)
    assert (await begun(line)).result() == [fourth], "the crowd is over"


async def test_a_batch_that_is_full_is_enough() -> None:
    tills = [Till(number) for number in range(4)]
    line = line_of(FOR_EVER, *tills, batch_max=2)
    assert [(await begun(line)).result() for _ in range(2)] == [tills[:2], tills[2:]]


async def test_a_line_that_closes_holds_nobody_up() -> None:
    tills = [Till(number) for number in range(3)]
    line = line_of(FOR_EVER, *tills[:2])
    await line.next_batch()
    assert line.join(tills[2])
    batch = await begun(line)
    line.close()
    await asyncio.sleep(0)
    assert batch.result() == [tills[2]], "at once"
    assert not line.join(Till(9))
    assert await line.next_batch() == []


async def test_whoever_has_gone_is_left_out() -> None:
    gone, there = Till(1), Till(2)
    gone.is_over = True
    line = line_of(FOR_EVER, gone, there)
    assert await line.next_batch() == [there]
