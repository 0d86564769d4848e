"""A campaign that is over leaves nothing in Redis, whoever comes late; and what was promised is still answered."""

from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace

from engine.domain.campaign import Limit
from engine.domain.outcome import Ask, Claim, Claimed
from engine.errors import HotStoreError
from engine.hotstore import load
from engine.hotstore.forget import forget, keep_voided
from engine.hotstore.log import tell_settled, trim_log
from engine.hotstore.scripts import Fenced
from engine.hotstore.store import HotStore
from engine.ledger.campaigns import apply_campaign
from engine.ledger.database import Ledger
from engine.scheduling.steward import Steward
from engine.settings import Settings
from tests.support.drop import HOUR_MS, ask, campaign, wave
from tests.support.stage import Stage

TERM = 1
"""Of the steward that loads and retires."""
LATE_EPOCH = 2**50
"""Above any that was live."""


class Ended(Stage):
    """A campaign that was loaded, gave out a claim and voided another, closed, settled and left the hot store."""

    ann: Claim
    ben: Claim

    async def live_and_end(self) -> None:
        now_ms = await self.store.time_ms()
        waves = [wave("spring-1", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": 9})]
        self.written = campaign(waves, limits=[Limit(1, "wave")])
        await self.begin(self.written)
        self.ann, self.ben = [(await self.drop.granted(ask(name))).claim for name in ("ann", "ben")]
        await self.settle()
        await forget(self.store, "spring", self.drop.epoch, self.ben, value=500)
        await self.drop.change(state="closed", closed_ms=now_ms)
        await self.settle()
        assert await self.keys_left() > 4
        await self.recovery.retire(self.catalogue, TERM)

    async def keys_left(self) -> int:
        """In all of Redis."""
        return int(await self.store.call("DBSIZE"))


@pytest.fixture
async def ended(store: HotStore, ledger: Ledger, settings: Settings) -> Ended:
    assert await store.call("DBSIZE") == 0
    ended = Ended(store, ledger, settings)
    await ended.live_and_end()
    return ended


async def claim(ended: Ended) -> None:
    with pytest.raises(Fenced):
        await ended.drop.batch(ask("ann"), ask("cui"))


async def act(ended: Ended) -> None:
    with pytest.raises(HotStoreError):
        await ended.put()


async def settled(ended: Ended) -> None:
    await tell_settled(ended.store, "spring", (ended.drop.epoch, 10))
    await trim_log(ended.store, "spring", (ended.drop.epoch, 10))


async def void(ended: Ended) -> None:
    with pytest.raises(Fenced):
        await forget(ended.store, "spring", ended.drop.epoch, ended.ann, value=500)


async def load_holders(ended: Ended) -> None:
    with pytest.raises(HotStoreError, match="gone"):
        await load.begin_epoch(ended.store, "spring", LATE_EPOCH, TERM)
    with pytest.raises(HotStoreError, match="gone"):
        await load.load_holders(ended.store, "spring", LATE_EPOCH, TERM, [[ended.ann]])


async def keep(ended: Ended) -> None:
    with pytest.raises(HotStoreError, match="gone"):
        await keep_voided(ended.store, "spring", TERM, [ended.ben])


@pytest.mark.parametrize("late", [claim, act, settled, void, load_holders, keep])
async def test_nothing_is_left_and_whoever_comes_late_leaves_nothing(
    ended: Ended, late: Callable[[Ended], Awaitable[None]]
) -> None:
    """A gateway, an operator, a writer, and a steward that slept in the middle of a recovery."""
    assert await ended.keys_left() == 0
    await late(ended)
    assert await ended.keys_left() == 0


async def test_a_retirement_that_comes_twice_leaves_nothing(ended: Ended) -> None:
    await ended.recovery.retire(ended.catalogue, TERM)
    assert await ended.keys_left() == 0


@pytest.mark.parametrize("slept_before", ["the flip", "rebinding"])
async def test_what_a_late_steward_lists_is_taken_off_by_the_next_look(ended: Ended, slept_before: str) -> None:
    store, old, new = ended.store, ended.drop.epoch, LATE_EPOCH
    incarnation = await store.incarnation()
    if slept_before == "the flip":
        step = load.bind(store, "spring", new, TERM, incarnation, claimants=0, old_epoch=old)
    else:
        step = load.rebind(store, "spring", old, 5, new, TERM, incarnation)
    with pytest.raises(HotStoreError, match="changed"):
        await step
    assert await ended.keys_left() == 1, "the list"
    async with ended.ledger.transaction() as connection:
        await connection.execute(
            "update waves set opens_at = now() - interval '9 days', closes_at = now() - interval '8 days'"
        )
    settings = replace(ended.settings, unload_after_ms=0)
    steward = Steward(store, ended.ledger, ended.recovery.recover, ended.recovery.retire, settings)
    await steward._lead()
    await steward.look_once()
    assert await ended.keys_left() == 0


async def test_the_same_campaign_applied_again_knows_what_it_gave(ended: Ended) -> None:
    """With a wave more it is loaded anew: replays, units and limits go on, in an epoch above every one before."""
    before = ended.drop.epoch
    now_ms = await ended.store.time_ms()
    later = wave("spring-2", now_ms - HOUR_MS, now_ms + 2 * HOUR_MS, {"o1": 3})
    again = replace(ended.written, waves=(*ended.written.waves, later))
    ended.catalogue = (await apply_campaign(ended.ledger, again, "tester")).catalogue
    await ended.recover(TERM)
    await ended.put()
    assert ended.drop.epoch > before
    assert await ended.drop.claim(Ask(1, 1, (1,), "ann", "ann")) == Claimed(ended.ann, replayed=True)
    given = (await ended.drop.granted(ask("ann", wave=2))).claim
    assert (given.unit, given.nth, given.epoch) == (1, 2, ended.drop.epoch)
