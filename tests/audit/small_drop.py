"""A small drop by hand: two waves, two offers, real servers, every step in this process and in order."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from engine.domain.campaign import Campaign, Catalogue, Limit, Offer, Store, Validity, Wave
from engine.domain.codes import new_code
from engine.domain.decisions import WaveState
from engine.domain.outcome import Ask, Claim, Claimed, Outcome
from engine.hotstore.decide import Late, decide
from engine.hotstore.log import read_log
from engine.hotstore.store import HotStore
from engine.hotstore.view import bound_epoch
from engine.ledger.campaigns import apply_campaign
from engine.ledger.cursors import read_cursor
from engine.ledger.database import Ledger
from engine.scheduling import acts
from engine.scheduling.acts import Actor
from engine.settings import Settings
from engine.settling.recovery import Recovery
from engine.settling.settler import Settler

TERM = 1
OPS = Actor("ops", "a reason")
HOUR = timedelta(hours=1)
MORNING, EVENING = 1, 2
"""Wave numbers. MORNING is sold out of offer A, EVENING was paused, resumed and closed."""
A, B = 1, 2
"""Offer numbers; 20 and 10 units in each wave."""


def two_waves(now: datetime, units: int) -> Campaign:
    """Both waves open, `units` of A and half as many of B in each; one claim a wave and two in all."""
    offers = tuple(Offer(name, name, "instant", ("s1",), face=100) for name in ("a", "b"))
    waves = tuple(
        Wave(name, now - HOUR, now + HOUR, (now - HOUR).date(), {"a": units, "b": units // 2})
        for name in ("morning", "evening")
    )
    return Campaign(
        id="two",
        title="two",
        timezone="Asia/Shanghai",
        currency="CNY",
        validity=Validity(natural_days=7),
        offers=offers,
        waves=waves,
        stores={"s1": Store("s1", "m1", "武汉")},
        limits=(Limit(1, "wave"), Limit(2, "campaign")),
    )


class SmallDrop:
    """The engine without processes: claims go to the script, the log is settled when a test says so."""

    def __init__(self, ledger: Ledger, store: HotStore, settings: Settings, seed: int) -> None:
        self.ledger = ledger
        self.store = store
        self.settings = settings
        self.settler = Settler(ledger)
        self.recovery = Recovery(store, ledger, self.settler, settings)
        self._random = random.Random(seed)
        self.catalogue: Catalogue
        self.claims: dict[tuple[int, str], Claim] = {}

    async def start(self, units: int = 20) -> None:
        """Apply, load, put: what the steward does."""
        campaign = two_waves(datetime.now(UTC).replace(microsecond=0), units)
        applied = await apply_campaign(self.ledger, campaign, "tests")
        self.catalogue = applied.catalogue
        await self.recover()
        steward = Actor("steward", "put", TERM)
        for wave in self.catalogue.waves:
            state = WaveState.of(self.catalogue, wave)
            await acts.put_wave(self.store, self.catalogue.id, wave.no, state, steward)
        await acts.put_campaign(self.store, self.catalogue, steward)

    async def recover(self) -> None:
        await self.recovery.recover(self.catalogue, TERM)

    async def claim(self, wave_no: int, offer_no: int, users: Sequence[int]) -> list[Outcome | Late]:
        """One batch: each of these users asks for that offer."""
        epoch = await bound_epoch(self.store, self.catalogue.id)
        assert epoch is not None
        asks = [
            (
                Ask(wave_no, 1, (offer_no,), f"u{user}", f"u{user}"),
                new_code(self.catalogue.code_prefix, self._random.getrandbits),
            )
            for user in users
        ]
        not_after_ms = await self.store.time_ms() + 60_000
        batch = await decide(self.store, self.catalogue.id, epoch, asks, not_after_ms, 10_000_000)
        for user, answer in zip(users, batch.answers, strict=True):
            if isinstance(answer, Claimed):
                self.claims[wave_no, f"u{user}"] = answer.claim
        return list(batch.answers)

    async def settle(self, entries: int = 1_000) -> None:
        """Carry so many entries of the log into the ledger."""
        cursor = await read_cursor(self.ledger, self.catalogue.campaign_no)
        if due := await read_log(self.store, self.catalogue.id, cursor.place, entries):
            await self.settler.settle(cursor, due)

    async def run(self) -> None:
        """A drop with all that can happen to one, settled to its end."""
        await self.start()
        campaign = self.catalogue.id
        for first in range(0, 25, 5):  # 25 ask for 20 units
            await self.claim(MORNING, A, range(first, first + 5))
        await self.claim(MORNING, B, range(30, 35))
        await self.claim(EVENING, A, [0, 1])
        await acts.pause(self.store, campaign, EVENING, OPS)
        await self.claim(EVENING, A, [2])
        await acts.resume(self.store, campaign, EVENING, OPS)
        await self.claim(EVENING, A, [2, 3])
        await acts.close(self.store, campaign, EVENING, OPS, now_ms=await self.store.time_ms())
        await self.claim(EVENING, A, [4])
        await self.settle()

    async def write(self, statement: str) -> None:
        """Change the ledger behind the engine's back. `$no` is the campaign's number."""
        for each in statement.split(";"):
            await self.ledger.fetch(each.replace("$no", str(self.catalogue.campaign_no)))
