"""What is not on the board: one look for a crowd, a rate for all, and what is remembered for how long."""

import asyncio

import pytest

from engine.claiming.elsewhere import FRESH_FOR_S, LOOKS_PER_SECOND_MAX, UNKNOWN_FOR_S, Allowance, Elsewhere, Seen
from engine.errors import HotStoreUnavailable, LedgerUnavailable
from tests.support.waiting import wait_until


class Archive:
    """Answers looks, when it is let; counts them."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.looks = 0
        self.has: dict[str, str] = {"past": "as it was"}
        self.is_away = False
        self.lasts = True
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def look(self, id: str) -> Seen[str]:
        self.looks += 1
        await self.may_answer.wait()
        if self.is_away:
            raise LedgerUnavailable("away")
        return Seen(self.has.get(id), self.lasts)

    def clock(self) -> float:
        return self.now_s

    def elsewhere(self, kept_max: int = 3) -> Elsewhere[str]:
        return Elsewhere(self.look, Allowance(self.clock), kept_max, self.clock)


@pytest.fixture
async def archive() -> Archive:
    return Archive()


@pytest.mark.loops
@pytest.mark.parametrize("id", ["past", "made up"])
async def test_a_crowd_shares_one_look(archive: Archive, id: str) -> None:
    elsewhere = archive.elsewhere()
    archive.may_answer.clear()
    crowd = [asyncio.create_task(elsewhere.find(id)) for _ in range(100)]
    await wait_until(lambda: archive.looks)
    crowd[0].cancel()  # whoever began to look may leave
    archive.may_answer.set()
    found = await asyncio.gather(*crowd, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert set(found[1:]) == {archive.has.get(id)}
    assert await elsewhere.find(id) == archive.has.get(id)
    assert archive.looks == 1


async def test_what_is_nowhere_is_asked_for_again_after_a_moment(archive: Archive) -> None:
    elsewhere = archive.elsewhere()
    assert await elsewhere.find("new") is None
    archive.has["new"] = "just applied"
    archive.now_s += UNKNOWN_FOR_S * 0.9
    assert await elsewhere.find("new") is None
    archive.now_s += UNKNOWN_FOR_S * 0.2
    assert await elsewhere.find("new") == "just applied"


async def test_made_up_ids_are_bounded_and_what_is_kept_is_not(archive: Archive) -> None:
    elsewhere = archive.elsewhere()
    assert await elsewhere.find("past") == "as it was"
    for n in range(LOOKS_PER_SECOND_MAX - 1):
        assert await elsewhere.find(f"made up {n}") is None
    with pytest.raises(HotStoreUnavailable, match="too many looks"):
        await elsewhere.find("one too many")
    assert (await elsewhere.find("past"), await elsewhere.find("made up 3")) == ("as it was", None)
    assert archive.looks == LOOKS_PER_SECOND_MAX
    archive.now_s += 1.5 / LOOKS_PER_SECOND_MAX
    assert await elsewhere.find("one too many") is None


async def test_what_was_corrected_shows_after_a_while_and_nobody_waits_for_it(archive: Archive) -> None:
    elsewhere = archive.elsewhere()
    await elsewhere.find("past")
    archive.has["past"] = "as it should have been"
    archive.now_s += FRESH_FOR_S
    archive.is_away = True
    assert await elsewhere.find("past") == "as it was"
    await wait_until(lambda: archive.looks == 2)
    assert await elsewhere.find("past") == "as it was", "a store that is away takes nothing from what is known"
    await wait_until(lambda: archive.looks == 3)
    archive.is_away = False
    await wait_until(lambda: _equals(elsewhere, "past", "as it should have been"))


async def _equals(elsewhere: Elsewhere[str], id: str, what: str) -> bool:
    return await elsewhere.find(id) == what


async def test_what_does_not_last_is_looked_for_each_time(archive: Archive) -> None:
    elsewhere = archive.elsewhere()
    archive.lasts = False
    for _ in range(2):
        assert await elsewhere.find("past") == "as it was"
    assert archive.looks == 2


async def test_room_is_bounded_and_what_is_on_the_board_is_forgotten(archive: Archive) -> None:
    elsewhere = archive.elsewhere(kept_max=2)
    archive.has |= {"a": "A", "b": "B", "c": "C"}
    for id in ("a", "b", "c", "b", "c"):
        await elsewhere.find(id)
    assert archive.looks == 3
    await elsewhere.find("a")
    assert archive.looks == 4, "the oldest had to go"
    elsewhere.forget(["a", "never seen"])
    await elsewhere.find("a")
    assert archive.looks == 5


async def test_a_failure_reaches_everybody_who_waits_and_is_not_remembered(archive: Archive) -> None:
    elsewhere = archive.elsewhere()
    archive.is_away = True
    told = await asyncio.gather(*(elsewhere.find("past") for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in told] == [LedgerUnavailable] * 3
    archive.is_away = False
    assert await elsewhere.find("past") == "as it was"


async def test_stopping_gives_up_looking(archive: Archive) -> None:
    elsewhere = archive.elsewhere()
    archive.may_answer.clear()
    waiting = asyncio.create_task(elsewhere.find("past"))
    await wait_until(lambda: archive.looks)
    await elsewhere.stop()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await elsewhere.stop()
