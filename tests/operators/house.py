"""Both stores with a steward on them, desks that hammer, and what the log must look like after any act."""

import asyncio
import itertools
import os
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from engine.audit.audit import audit
from engine.claiming.clock import StoreClock
from engine.claiming.desk import Desk
from engine.domain.campaign import Campaign, Catalogue
from engine.domain.decisions import ActLine, LogEntry, WaveState
from engine.domain.outcome import Ask, Claim, Claimed, Outcome
from engine.hotstore.log import read_log
from engine.hotstore.store import HotStore
from engine.hotstore.view import ShardView, read_shard
from engine.ledger.campaigns import apply_campaign
from engine.ledger.claims import read_holdings
from engine.ledger.cursors import read_cursor
from engine.ledger.database import Ledger
from engine.scheduling.performing import Actor
from engine.scheduling.steward import Steward
from engine.settings import Settings
from engine.settling.recovery import Recovery
from engine.settling.settler import Settler

FULL = os.environ.get("TEST_OPERATORS") == "full"
"""Every step and more examples, in minutes; otherwise a choice of them by the seed."""
OPS = Actor("ops", "a reason")
EVERYTHING = 100_000
"""Log entries, or claims, that a test could ever write."""


class House:
    """One campaign at a time, its stores, and a steward that looks when it is told to."""

    def __init__(self, store: HotStore, ledger: Ledger, settings: Settings) -> None:
        self.store = store
        self.ledger = ledger
        self.settings = settings
        self.settler = Settler(ledger)
        self.steward = self.new_steward()
        self.catalogue: Catalogue

    def new_steward(self) -> Steward:
        recovery = Recovery(self.store, self.ledger, Settler(self.ledger), self.settings)
        return Steward(self.store, self.ledger, recovery.recover, recovery.retire, self.settings)

    async def begin(self, campaign: Campaign) -> Catalogue:
        """Apply it, and let the steward lead and put it."""
        await self.apply(campaign)
        await self.steward._lead()
        await self.steward.look_once()
        assert (await self.view()).catalogue == self.catalogue
        return self.catalogue

    async def apply(self, campaign: Campaign) -> Catalogue:
        self.catalogue = (await apply_campaign(self.ledger, campaign, "tester")).catalogue
        return self.catalogue

    async def look(self, times: int = 1) -> None:
        """So many passes of the steward, each with all that came before it settled."""
        for _ in range(times):
            await self.settle()
            await self.steward.look_once()

    async def look_until_quiet(self) -> None:
        """Passes until one does nothing."""
        last = None
        for _ in range(50):
            await self.look()
            if (now := (await self.view()).last) == last:
                return
            last = now
        raise AssertionError("the steward does not come to rest")

    @property
    def campaign(self) -> str:
        return self.catalogue.id

    async def view(self) -> ShardView:
        shard = await read_shard(self.store, self.campaign)
        assert shard is not None, f"{self.campaign} is not in the hot store"
        return shard

    async def wave(self, wave_no: int) -> WaveState:
        return (await self.view()).waves[wave_no]

    async def log(self) -> list[LogEntry]:
        return await read_log(self.store, self.campaign, (0, 0), EVERYTHING)

    async def acts(self) -> list[ActLine]:
        return [entry.act for entry in await self.log() if entry.act is not None]

    async def settle(self) -> None:
        """Everything that is in the log."""
        if await read_shard(self.store, self.campaign) is None:
            return
        cursor = await read_cursor(self.ledger, self.catalogue.campaign_no)
        while entries := await read_log(self.store, self.campaign, cursor.place, 64):
            cursor = await self.settler.settle(cursor, entries)

    async def settled_claims(self) -> list[Claim]:
        chunks = [chunk async for chunk in read_holdings(self.ledger, self.catalogue.campaign_no, EVERYTHING)]
        return [claim for chunk in chunks for claim in chunk]

    async def audit(self) -> None:
        """Every promise that stores can tell of was kept."""
        verdict = await audit(self.ledger, self.store, self.campaign, settle_wait_ms=0)
        assert [finding for finding in verdict.findings if finding.held is not True] == []

    async def one_truth(self, outcomes: Sequence[Outcome]) -> None:
        """What people were told, what the log says and what the ledger has are the same; no act was disobeyed."""
        told = sorted(claims_of(outcomes), key=lambda claim: (claim.epoch, claim.sequence))
        log = await self.log()
        obeyed(log)
        assert [claim for entry in log for claim in entry.claims] == told
        await self.settle()
        assert sorted(await self.settled_claims(), key=lambda claim: (claim.epoch, claim.sequence)) == told
        await self.audit()


def claims_of(outcomes: Sequence[Outcome]) -> list[Claim]:
    """Those that were granted; a replay is the same claim again."""
    return [outcome.claim for outcome in outcomes if isinstance(outcome, Claimed) and not outcome.replayed]


def obeyed(log: Sequence[LogEntry]) -> None:
    """Number for number: no gap, no claim where the acts before it do not allow one, no unit twice or too many."""
    waves: dict[int, WaveState] = {}
    given: defaultdict[tuple[int, int], Counter[int]] = defaultdict(Counter)
    stopped, epoch, last = "", 0, 0
    for entry in log:
        assert entry.first == (last + 1 if entry.epoch == epoch else 1), "numbers have no gaps"
        epoch, last = entry.epoch, entry.last
        if entry.act is not None:
            if entry.act.state is not None:
                waves[entry.act.wave_no] = entry.act.state
            if entry.act.rules is not None:
                stopped = entry.act.rules.stopped
        for claim in entry.claims:
            wave = waves[claim.wave_no]
            assert not stopped, claim
            assert wave.state == "live", (wave.state, claim)
            assert wave.opens_ms <= claim.claimed_at_ms < wave.closes_ms, claim
            assert 1 <= claim.unit <= wave.offers[str(claim.offer_no)].total, claim
            units = given[claim.wave_no, claim.offer_no]
            units[claim.unit] += 1
            assert units[claim.unit] == 1, claim


class Crowd:
    """Desks as several gateways have them, and users who keep asking. Nobody asks twice."""

    def __init__(self, desks: Sequence[Desk], seed: int) -> None:
        self._desks = desks
        self._random = random.Random(seed)
        self._names = itertools.count(1)
        self._running = True
        self._tasks: list[asyncio.Task[None]] = []
        self.outcomes: list[Outcome] = []

    def hammer(self, waves: Sequence[int], users: int, offers: Sequence[int] = (1,)) -> None:
        """So many users ask for something in one of these waves, each for the next thing when answered."""
        self._tasks += [
            asyncio.create_task(self._ask_on(desk, waves, offers)) for desk in self._desks for _ in range(users)
        ]

    async def _ask_on(self, desk: Desk, waves: Sequence[int], offers: Sequence[int]) -> None:
        while self._running:
            name = f"u{next(self._names)}"
            ask = Ask(self._random.choice(waves), 1, (self._random.choice(offers),), name, name)
            self.outcomes.append(await desk.claim(ask))

    async def ask(self, ask: Ask) -> Outcome:
        """One ask at any of the desks."""
        return await self._random.choice(self._desks).claim(ask)

    @property
    def granted(self) -> int:
        return sum(isinstance(outcome, Claimed) for outcome in self.outcomes)

    async def more(self, answers: int) -> None:
        """Until so many more were given, whatever they say."""
        enough = len(self.outcomes) + answers
        async with asyncio.timeout(20):
            while len(self.outcomes) < enough:
                await asyncio.sleep(0)  # a turn of the loop, not a wait

    async def reach(self, granted: int) -> None:
        """Until so many were granted in all."""
        async with asyncio.timeout(20):
            while self.granted < granted:
                await asyncio.sleep(0)

    async def end(self) -> None:
        """Every answer is in."""
        self._running = False
        await asyncio.gather(*self._tasks)


@asynccontextmanager
async def crowd(house: House, redis_url: str, seed: int, gateways: int = 2) -> AsyncIterator[Crowd]:
    """A crowd before so many gateway-like desks, each with a connection and an idea of the time of its own."""
    stores, desks = [], []
    for _ in range(gateways):
        store = await HotStore.connect(redis_url, house.settings)
        clock = StoreClock()
        clock.heard(await store.time_ms())
        epoch = (await house.view()).epoch
        desk = Desk(store, house.campaign, house.catalogue.code_prefix, epoch, clock, house.settings)
        await desk.start()
        stores.append(store)
        desks.append(desk)
    gathered = Crowd(desks, seed)
    try:
        yield gathered
    finally:
        await gathered.end()
        for desk in desks:
            await desk.stop()
        for store in stores:
            await store.close()
