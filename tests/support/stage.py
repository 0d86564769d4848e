"""Ledger, hot store and what lies between them, step by step in one process: applied, loaded, claimed, settled."""

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from engine.domain.campaign import Campaign, Catalogue
from engine.domain.decisions import WaveState
from engine.domain.outcome import Claim
from engine.hotstore.log import read_log, tell_settled
from engine.hotstore.store import HotStore
from engine.hotstore.view import read_holders
from engine.ledger.campaigns import apply_campaign
from engine.ledger.claims import read_holdings
from engine.ledger.cursors import Cursor, read_cursor
from engine.ledger.database import Ledger
from engine.scheduling import acts
from engine.scheduling.performing import Actor
from engine.settings import Settings
from engine.settling.recovery import Recovered, Recovery
from engine.settling.settler import Settler
from tests.support.drop import EVERYTHING, Drop

STEWARD = Actor("steward", "put")


class Stage:
    """One campaign from the ledger to the hot store and back."""

    def __init__(self, store: HotStore, ledger: Ledger, settings: Settings) -> None:
        self.store = store
        self.ledger = ledger
        self.settings = settings
        self.settler = Settler(ledger)
        self.recovery = Recovery(store, ledger, Settler(ledger), settings)
        self.catalogue: Catalogue
        self.drop: Drop

    async def begin(self, campaign: Campaign) -> None:
        """Apply it, load it, put its waves: what a steward does at first sight."""
        await self.apply(campaign)
        await self.recover(1)
        await self.put()

    async def apply(self, campaign: Campaign) -> None:
        """Into the ledger."""
        self.catalogue = (await apply_campaign(self.ledger, campaign, "tester")).catalogue
        self.drop = Drop(self.store, self.catalogue)

    async def put(self) -> None:
        """Waves, then the campaign."""
        for wave in self.catalogue.waves:
            await acts.put_wave(self.store, self.catalogue.id, wave.no, WaveState.of(self.catalogue, wave), STEWARD)
        await acts.put_campaign(self.store, self.catalogue, STEWARD)

    async def recover(self, term: int = 1) -> Recovered:
        """By the one procedure; claims go to the new epoch from then on."""
        recovered = await self.recovery.recover(self.catalogue, term)
        self.drop.epoch = recovered.epoch
        return recovered

    async def cursor(self) -> Cursor:
        """How far the ledger is."""
        return await read_cursor(self.ledger, self.catalogue.campaign_no)

    async def settle(self) -> None:
        """Everything that is in the log."""
        cursor = await self.cursor()
        while entries := await read_log(self.store, cursor.campaign, cursor.place, 64):
            cursor = await self.settler.settle(cursor, entries)
        await tell_settled(self.store, cursor.campaign, cursor.place)

    async def settled_claims(self) -> list[Claim]:
        """What the ledger holds, by claimant."""
        chunks = [chunk async for chunk in read_holdings(self.ledger, self.catalogue.campaign_no, EVERYTHING)]
        claims = [claim for chunk in chunks for claim in chunk]
        return sorted(claims, key=lambda claim: (claim.claimant, claim.nth))

    async def held_claims(self) -> list[Claim]:
        """What the hot store holds, by claimant."""
        held = {claimant: claims async for claimant, claims in read_holders(self.store, self.catalogue.id)}
        return [claim for claimant in sorted(held) for claim in held[claimant]]

    async def keys(self) -> set[str]:
        """Names of all keys in the hot store, without the campaign's tag."""
        found = await self.store.call("KEYS", "*")
        return {key.decode().replace(f"{{{self.catalogue.id}/0}}:", "") for key in found}

    async def whole(self) -> None:
        """What has to be so after any recovery: bound in the ledger's epoch, listed, nothing else left, both agree."""
        view = await self.drop.view()
        assert view.bound
        assert view.epoch == (await self.cursor()).epoch
        keys = {"dropwave:campaigns", "head", "log", *(f"{view.epoch}:{name}" for name in ("meta", "left", "holders"))}
        assert await self.keys() - {"log", "voided"} == keys - {"log"}
        assert await self.store.call("SMEMBERS", "dropwave:campaigns") == [self.catalogue.id.encode()]
        self.drop.epoch = view.epoch


class Interrupted(Exception):
    """What a test throws into a step: no failure of the tree, so nobody handles it."""


Hook = Callable[[int], Awaitable[None]]
"""Called with the number of the step, from 1."""


def hook_store(store: HotStore, before: Hook | None = None, after: Hook | None = None) -> None:
    """Do something around every exchange of this store with Redis."""
    exchange, steps = store._exchange, iter(range(1, EVERYTHING))

    async def hooked(*arguments: Any) -> list[Any]:
        step = next(steps)
        if before:
            await before(step)
        answer = await exchange(*arguments)
        if after:
            await after(step)
        return answer

    store._exchange = hooked  # type: ignore[method-assign, assignment]  # everything goes through it


def hook_ledger(ledger: Ledger, before: Hook | None = None, after: Hook | None = None) -> None:
    """Do something around every statement, transaction or snapshot of this ledger; `after` once it is committed."""
    connection, steps = ledger._connection, iter(range(1, EVERYTHING))

    @asynccontextmanager
    async def hooked() -> Any:
        step = next(steps)
        if before:
            await before(step)
        async with connection() as connected:
            yield connected
        if after:
            await after(step)

    ledger._connection = hooked  # type: ignore[method-assign]  # everything goes through it


def hook(place: HotStore | Ledger, before: Hook | None = None, after: Hook | None = None) -> None:
    """The one or the other."""
    if isinstance(place, HotStore):
        hook_store(place, before, after)
    else:
        hook_ledger(place, before, after)
