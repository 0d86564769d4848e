"""Turns that sides take: one after the other, prepared before, and alone where a lock says so."""

import asyncio
import fcntl
from pathlib import Path

import pytest

from loadtests.bench.bench import Bench, Options
from loadtests.bench.samples import Result, Sample


class Recorder:
    """A side that writes down what is done to it."""

    does = "nothing"

    def __init__(self, name: str, said: list[str]) -> None:
        self.name = name
        self._said = said

    async def start(self) -> None:
        self._said.append(f"{self.name} starts")

    async def stop(self) -> None:
        self._said.append(f"{self.name} stops")

    def rest(self) -> None:
        self._said.append(f"{self.name} rests")

    def wake(self) -> None:
        self._said.append(f"{self.name} wakes")

    async def verdict(self) -> tuple[bool, str]:
        return self.name != "broken", "P1"


RESULT = Result("s", "S", "How.", ("claims_per_second",), ())


async def act(side: Recorder, number: int) -> Sample:
    if side.name == "late":
        raise TimeoutError("nothing came")
    return Sample(side.name, number, {"claims_per_second": 1.0})


def bench(tmp_path: Path, said: list[str], locks: tuple[str, ...] = ()) -> Bench:
    return Bench(tmp_path, Options(rounds=2, locks=locks), said.append)


async def test_sides_take_turns_and_rest_in_between(tmp_path: Path) -> None:
    said: list[str] = []
    sides = [Recorder("a", said), Recorder("b", said)]

    async def prepare(side: Recorder) -> None:
        said.append(f"{side.name} is prepared")

    told = await bench(tmp_path, []).in_turns(RESULT, sides, act, steps=[prepare], audits=False)
    assert [(each.round, each.side) for each in told.samples] == [(1, "a"), (1, "b"), (2, "a"), (2, "b")]
    turn = ["a wakes", "a rests", "b wakes", "b rests"]
    ready = ["a wakes", "a is prepared", "a rests", "b wakes", "b is prepared", "b rests"]
    assert said == ["a starts", "a rests", "b starts", "b rests", *ready, *turn, *turn, "b stops", "a stops"]
    assert told.does == {"a": "nothing", "b": "nothing"}


async def test_it_ends_when_there_is_enough(tmp_path: Path) -> None:
    told = await bench(tmp_path, []).in_turns(
        RESULT, [Recorder("a", [])], act, enough=lambda samples: len(samples) >= 3, audits=False
    )
    assert len(told.samples) == 3


async def test_a_round_that_fails_and_books_that_do_not_hold_are_wrong(tmp_path: Path) -> None:
    told = await bench(tmp_path, []).in_turns(RESULT, [Recorder("late", []), Recorder("broken", [])], act)
    assert told.wrong == ["late, round 1: TimeoutError: nothing came", "late, round 2: TimeoutError: nothing came",
                          "broken, round 2: P1"]  # fmt: skip
    assert told.notes == ("late: P1",)


async def test_a_turn_waits_for_the_lock(tmp_path: Path) -> None:
    said: list[str] = []
    lock = tmp_path / "lock"
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        run = asyncio.create_task(
            bench(tmp_path, [], (str(lock),)).in_turns(RESULT, [Recorder("a", said)], act, audits=False)
        )
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(run), 0.1)
        assert said == []
        fcntl.flock(held, fcntl.LOCK_UN)
        await run
    assert said[0] == "a starts"
