"""The month of deploy/campaigns/daily-ten.yaml in seconds: thirty days with rollover, steward and writer at work.

The days keep their dates, which limits count, and their order; opening and closing are moved close together. What a
person does to it in the middle, and what machines do, must not cost or make a single unit.
"""

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.domain.campaign import Campaign
from engine.domain.outcome import Ask, Claim, Claimed, RefusalCode
from engine.hotstore.view import read_shard
from engine.scheduling import acts
from engine.scheduling.files import read_campaign_file
from engine.settling.writer import Writer
from tests.operators.house import FULL, OPS, Crowd, House, crowd
from tests.support.waiting import wait_until

DAILY_TEN = Path(__file__).parents[2] / "deploy" / "campaigns" / "daily-ten.yaml"
STOCK = {"coffee-10": 40, "coffee-20off": 15}
DAY_MS, OPEN_MS = 220, 150
LEAD_MS = 900
"""Before the first day opens: most of the time everything is put by then; where it is not, that day is late."""
AGAIN = {
    RefusalCode.NOT_OPEN,
    RefusalCode.UNKNOWN_WAVE,
    RefusalCode.RECOVERING,
    RefusalCode.BUSY,
    RefusalCode.PAUSED,
    RefusalCode.OUTCOME_UNKNOWN,
}
"""Whoever hears this asks again."""


def month(begins: datetime) -> Campaign:
    """Thirty waves, each open for a moment."""
    written = read_campaign_file(DAILY_TEN)
    waves = []
    for place, wave in enumerate(written.waves):
        opens = begins + timedelta(milliseconds=place * DAY_MS)
        closes = opens + timedelta(milliseconds=OPEN_MS)
        waves.append(replace(wave, opens_at=opens, closes_at=closes, stock=dict(STOCK)))
    return replace(written, waves=tuple(waves))


class Month:
    """Thirty days of demand, some of it by people who come every day."""

    def __init__(self, house: House, people: Crowd, seed: int) -> None:
        self._house = house
        self._people = people
        self._random = random.Random(seed)
        self.claims: list[Claim] = []

    async def live_through(self) -> None:
        """Everybody asks when their day opens, and hears something that stays."""
        await asyncio.gather(*(self._day(wave.no, wave.opens_at_ms) for wave in self._house.catalogue.waves))

    async def _day(self, wave_no: int, opens_ms: int) -> None:
        demand = self._random.randint(0, 90)
        regulars = self._random.sample(range(30), self._random.randint(0, 30))
        names = [f"d{wave_no}-{nth}" for nth in range(demand)] + [f"regular-{nth}" for nth in regulars]
        wishes = [self._random.choice([(1,), (2,), (1, 2), (2, 1)]) for _ in names]

        async def opened() -> bool:
            return await self._house.store.time_ms() >= opens_ms

        await wait_until(opened, 30)
        await asyncio.gather(*(self._user(wave_no, name, wish) for name, wish in zip(names, wishes, strict=True)))

    async def _user(self, wave_no: int, name: str, wish: tuple[int, ...]) -> None:
        async def answered() -> bool:
            outcome = await self._people.ask(Ask(wave_no, 1, wish, name, name))
            if isinstance(outcome, Claimed):
                self.claims.append(outcome.claim)
                return True
            return outcome.code not in AGAIN

        await wait_until(answered, 30)


async def is_over(house: House) -> bool:
    """Every day is over, and every unit that was on its way has arrived."""
    shard = await read_shard(house.store, house.campaign)
    if shard is None or not shard.bound:
        return False
    numbers = {wave.id: wave.no for wave in house.catalogue.waves}
    for wave in house.catalogue.waves:
        state = shard.waves[wave.no]
        if state.state not in acts.OVER:
            return False
        if state.state == "closed" and wave.rollover:
            arrived = str(wave.no) in shard.waves[numbers[wave.rollover]].rolled_in
            if state.rolled_out is None or (state.rolled_out and not arrived):
                return False
    return True


async def _nothing(_: House) -> int:
    return 0


async def _meddle(house: House) -> int:
    """What people do in a month; the units that they add."""
    waves = house.catalogue.waves

    async def day(place: int) -> None:
        async def begun() -> bool:
            return await house.store.time_ms() >= waves[place].opens_at_ms + 20

        await wait_until(begun, 30)

    await acts.cancel(house.store, house.campaign, waves[20].no, OPS)
    await day(2)
    added = await acts.restock(house.store, house.campaign, waves[4].no, {1: 140, 2: 15}, OPS)
    await day(6)
    now_ms = await house.store.time_ms()
    await acts.close(house.store, house.campaign, waves[6].no, OPS, now_ms=now_ms)
    await day(8)
    await acts.pause(house.store, house.campaign, waves[8].no, OPS)
    await acts.pause(house.store, house.campaign, waves[9].no, OPS)
    await day(9)
    await acts.resume(house.store, house.campaign, waves[9].no, OPS)
    await acts.cancel(house.store, house.campaign, waves[12].no, OPS)
    await day(14)
    await acts.stop(house.store, house.campaign, OPS)
    await day(15)
    await acts.start(house.store, house.campaign, OPS)
    return 100 * added


async def _break(house: House) -> int:
    """What machines do in a month: the steward dies in the middle of something, twice, and Redis is emptied."""
    for place in (5, 11, 17):
        opens_ms = house.catalogue.waves[place].opens_at_ms

        async def begun(opens_ms: int = opens_ms) -> bool:
            return await house.store.time_ms() >= opens_ms + 70

        await wait_until(begun, 30)
        if place == 11:
            await house.store.call("FLUSHALL")
            continue
        await house.steward._passes.stop()  # dies: it lets nobody know, and its lease runs out
        await house.steward._leading.stop()
        house.steward = house.new_steward()
        await house.steward.start()
    return 0


HAPPENINGS = {"people": _meddle, "machines": _break}
if FULL:
    HAPPENINGS["nothing"] = _nothing


@pytest.mark.parametrize(
    "happening",
    [
        pytest.param(each, id=name, marks=[] if each is _break else [pytest.mark.long])
        for name, each in HAPPENINGS.items()
    ],
)
async def test_a_month_gives_or_lapses_exactly_its_stock(
    house: House, redis_url: str, seed: int, happening: object
) -> None:
    house.settings = replace(house.settings, lease_ms=400)
    house.steward = house.new_steward()
    await house.apply(month(datetime.now(UTC) + timedelta(milliseconds=LEAD_MS)))
    writer = Writer(house.ledger, house.store, house.settings, "month")
    await house.steward.start()
    await writer.start()
    try:
        await wait_until(lambda: _put(house))
        async with crowd(house, redis_url, seed) as people:
            lived = Month(house, people, seed)
            _, added = await asyncio.gather(lived.live_through(), happening(house))  # type: ignore[operator]
        await wait_until(lambda: is_over(house), 20, "the month is over")
    finally:
        await house.steward.stop()
        await writer.stop()
    await check(house, lived, added, lost_some=happening is _break)


async def _put(house: House) -> bool:
    shard = await read_shard(house.store, house.campaign)
    return shard is not None and shard.catalogue == house.catalogue


async def check(house: House, lived: Month, added: int, *, lost_some: bool) -> None:
    """The sum over the whole month, unit by unit."""
    shard, settled = await house.view(), await house.settled_claims()
    stock = 30 * sum(STOCK.values()) + added
    left = sum(shard.left.values())
    assert len(settled) + left == stock
    units = Counter((claim.wave_no, claim.offer_no, claim.unit) for claim in settled)
    assert max(units.values()) == 1
    given = Counter((claim.wave_no, claim.offer_no) for claim in settled)
    for wave_no, state in shard.waves.items():
        for no, offer in state.offers.items():
            assert given[wave_no, int(no)] + shard.left[wave_no, int(no)] == offer.total
    moved = sum(sum(units.values()) for state in shard.waves.values() for units in state.rolled_in.values())
    assert moved > 0, "days with little demand are among thirty"
    assert moved == sum(sum((state.rolled_out or {}).values()) for state in shard.waves.values())
    codes = {claim.code for claim in settled}
    told = {claim.code for claim in lived.claims}
    # What an emptied Redis had not given to the ledger is gone (only `settled` promises more); nothing else is
    assert (codes >= told) if not lost_some else (len(told - codes) < len(told) / 4)
    await house.audit()
