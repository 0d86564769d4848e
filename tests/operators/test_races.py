"""Acts against claims: two desks hammer while an operator acts. The log has one order, and everybody was told it."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

import pytest

from engine.domain.campaign import Campaign, Limit
from engine.domain.decisions import LogEntry
from engine.domain.outcome import Claimed, RefusalCode, Refused
from engine.errors import ActRefused
from engine.scheduling import acts
from tests.operators.house import OPS, House, crowd
from tests.support.drop import HOUR_MS, campaign, wave
from tests.support.waiting import wait_until

USERS = 40
"""At each desk at a time: batches of about as many."""


async def running(house: House, stock: int, waves: int = 1) -> Campaign:
    """Waves that have been open for an hour."""
    now_ms = await house.store.time_ms()
    several = [wave(f"w{no}", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": stock}) for no in range(1, waves + 1)]
    return campaign(several, limits=[Limit(1, "wave")])


def sequence_of(log: list[LogEntry], kind: str) -> int:
    (sequence,) = [entry.last for entry in log if entry.act and entry.act.kind == kind]
    return sequence


async def test_a_restock_of_100_in_mid_drop_gives_exactly_100_more(house: House, redis_url: str, seed: int) -> None:
    await house.begin(await running(house, 300))
    async with crowd(house, redis_url, seed) as people:
        people.hammer([1], USERS)
        await people.reach(100)
        assert await acts.restock(house.store, "spring", 1, {1: 400}, OPS)
        assert not await acts.restock(house.store, "spring", 1, {1: 400}, OPS), "a total, not a difference"
        await people.reach(400)
        await people.more(500)
        assert people.granted == 400
        assert await acts.restock(house.store, "spring", 1, {1: 500}, OPS), "and once more where it is sold out"
        await people.reach(500)
        await people.more(500)
    assert people.granted == 500
    assert sorted(claim.unit for claim in (out.claim for out in people.outcomes if isinstance(out, Claimed))) == list(
        range(1, 501)
    )
    await house.one_truth(people.outcomes)


async def test_a_restock_downward_stops_where_claims_are(house: House, redis_url: str, seed: int) -> None:
    """Down to any total that is not below the claims of that instant; the claims end exactly there."""
    chance = random.Random(seed)
    await house.begin(await running(house, 5_000))
    async with crowd(house, redis_url, seed) as people:
        people.hammer([1], USERS)
        total = 0
        while not total:
            await people.more(50)
            wished = people.granted + chance.randint(-30, 60)
            with contextlib.suppress(ActRefused):  # below what was claimed meanwhile
                await acts.restock(house.store, "spring", 1, {1: wished}, OPS)
                total = wished
        await people.reach(total)
        await people.more(300)
    assert people.granted == total
    await house.one_truth(people.outcomes)


async def test_a_pause_stops_within_the_next_batch_until_the_resume(house: House, redis_url: str, seed: int) -> None:
    await house.begin(await running(house, 50_000))
    async with crowd(house, redis_url, seed) as people:
        people.hammer([1], USERS)
        for _ in range(3):
            await people.more(300)
            await acts.pause(house.store, "spring", 1, OPS)
            paused = (await house.view()).last
            await people.more(600)
            assert (await house.view()).last == paused, "nothing is decided while it is paused"
            await acts.resume(house.store, "spring", 1, OPS)
            before = people.granted
            await people.reach(before + 100)
    assert Refused(RefusalCode.PAUSED, reason="a reason") in people.outcomes
    await house.one_truth(people.outcomes)


Ending = Callable[[House], Awaitable[bool]]
ENDINGS: dict[str, Ending] = {
    "cancel": lambda house: acts.cancel(house.store, "spring", 1, OPS),
    "stop": lambda house: acts.stop(house.store, "spring", OPS),
}


async def _close(house: House) -> bool:
    return await acts.close(house.store, "spring", 1, OPS, now_ms=await house.store.time_ms())


ENDINGS["close"] = _close


@pytest.mark.parametrize("kind", ENDINGS)
async def test_an_end_in_the_same_millisecond_is_one_truth(house: House, redis_url: str, seed: int, kind: str) -> None:
    """Nobody is granted behind it, and what was granted before it stands and is in the ledger."""
    await house.begin(await running(house, 50_000))
    async with crowd(house, redis_url, seed) as people:
        people.hammer([1], USERS)
        await people.more(random.Random(seed).randint(200, 800))
        # Twice at the same time, by two operators: one of them did it
        assert sorted(await asyncio.gather(ENDINGS[kind](house), ENDINGS[kind](house))) == [False, True]
        await people.more(500)
    log = await house.log()
    ended = sequence_of(log, kind)
    granted = [out.claim.sequence for out in people.outcomes if isinstance(out, Claimed)]
    assert max(granted) < ended == (await house.view()).last
    assert isinstance(people.outcomes[-1], Refused)
    await house.one_truth(people.outcomes)
    if kind == "stop":
        assert await acts.start(house.store, "spring", OPS)


async def test_acts_of_all_kinds_while_all_claim(house: House, redis_url: str, seed: int) -> None:
    """Three operators, ten acts each on three waves, while two desks hammer them: one order, obeyed by every claim."""
    await house.begin(await running(house, 100, waves=3))

    async def operate(chance: random.Random) -> int:
        done = 0
        for _ in range(10):
            wave_no = chance.randint(1, 3)
            act: Callable[[], Awaitable[bool]] = chance.choice(
                [
                    lambda: acts.pause(house.store, "spring", wave_no, OPS),  # noqa: B023 - awaited in this turn
                    lambda: acts.resume(house.store, "spring", wave_no, OPS),  # noqa: B023
                    lambda: acts.restock(house.store, "spring", wave_no, {1: chance.randint(100, 600)}, OPS),  # noqa: B023
                    lambda: acts.stop(house.store, "spring", OPS),
                    lambda: acts.start(house.store, "spring", OPS),
                    lambda: acts.void_tickets(house.store, "spring", wave_no, chance.randint(1, 10_000), OPS),  # noqa: B023
                ]
            )
            try:
                done += await act()
            except ActRefused:
                continue
        return done

    async with crowd(house, redis_url, seed) as people:
        people.hammer([1, 2, 3], USERS)
        await people.more(100)
        before = len(await house.acts())
        done = await asyncio.gather(*(operate(random.Random(seed + nth)) for nth in range(3)))
        assert len(await house.acts()) - before == sum(done)
        await acts.start(house.store, "spring", OPS)
        for wave_no in (1, 2, 3):
            await acts.resume(house.store, "spring", wave_no, OPS)
        await people.more(300)
    lines = await house.acts()
    assert [line.number for line in lines] == list(range(1, len(lines) + 1))
    assert len({line.id for line in lines}) == len(lines)
    await house.one_truth(people.outcomes)


async def test_a_move_is_possible_until_the_opening_and_never_after(house: House, redis_url: str, seed: int) -> None:
    """Eight waves open in the same millisecond; a move of each comes some milliseconds before or after it."""
    chance, waves = random.Random(seed), range(1, 9)
    now_ms = await house.store.time_ms()
    closes_ms = now_ms + 2 * HOUR_MS
    to_come = [wave(f"w{no}", now_ms + HOUR_MS, closes_ms, {"o1": 9_000}) for no in waves]
    await house.begin(campaign(to_come, limits=[Limit(1, "wave")]))
    moved: dict[int, bool] = {}

    async def move(wave_no: int, at_ms: int) -> None:
        await wait_until(lambda: _reached(house, at_ms), what="the instant to move")
        try:
            moved[wave_no] = await acts.move(house.store, "spring", wave_no, later_ms, closes_ms, "2026-11-11", OPS)
        except ActRefused:
            moved[wave_no] = False

    async with crowd(house, redis_url, seed) as people:
        people.hammer(list(waves), 10)
        opens_ms = await house.store.time_ms() + 800
        later_ms = opens_ms + 400
        for no in waves:  # to an opening soon, however long it took to get here
            assert await acts.move(house.store, "spring", no, opens_ms, closes_ms, "2026-11-11", OPS)
        early = [move(no, 0) for no in waves[:2]]
        close = [move(no, opens_ms - chance.randint(0, 25)) for no in waves[2:6]]
        late = [move(no, opens_ms + chance.randint(0, 25)) for no in waves[6:]]
        await asyncio.gather(*early, *close, *late)
        await wait_until(lambda: _reached(house, later_ms))
        await people.more(200)
    assert [moved[no] for no in (1, 2, 7, 8)] == [True, True, False, False]
    first = dict.fromkeys(waves, closes_ms)
    for entry in await house.log():
        for claim in entry.claims:
            first[claim.wave_no] = min(first[claim.wave_no], claim.claimed_at_ms)
    for no in waves:
        assert first[no] >= (later_ms if moved[no] else opens_ms)
        assert (await house.wave(no)).opens_ms == (later_ms if moved[no] else opens_ms)
    await house.one_truth(people.outcomes)


async def _reached(house: House, at_ms: int) -> bool:
    return await house.store.time_ms() >= at_ms
