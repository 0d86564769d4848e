"""Where a rehearsal takes place: a `dropwave up` of its own, or an installation that runs already.

With servers of its own the campaign is applied as it is, its wave about to open; elsewhere a sandbox copy is.
"""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from dataclasses import replace as replace_scene
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from msgspec.structs import replace

from engine.audit.audit import audit
from engine.cli.options import console
from engine.domain.campaign import Campaign, Catalogue, CatalogueWave, Wave
from engine.domain.eligibility import Identity
from engine.domain.tickets import TicketBook
from engine.domain.verdict import Verdict
from engine.embedded.child import Child, Insistence
from engine.embedded.role import PROGRAM
from engine.embedded.running import Running, find_running
from engine.embedded.up import environment_of
from engine.errors import CannotRun
from engine.gateway.identity.minting import marks_of, mint_token
from engine.gateway.keyring import Keyring
from engine.gateway.problems import KINDS
from engine.hotstore.store import HotStore
from engine.hotstore.view import read_shard
from engine.ledger.campaigns import apply_campaign
from engine.ledger.taken import set_periods, taken_in
from engine.rehearsal.client import Address
from engine.rehearsal.credentials import MintTicket, MintToken
from engine.rehearsal.drop import Scene, rehearse
from engine.rehearsal.own_stores import OwnStores
from engine.rehearsal.plan import Plan
from engine.rehearsal.revision import worse_terms
from engine.rehearsal.sandbox import SandboxIds, moved_validity
from engine.rehearsal.screen import screen_for
from engine.rehearsal.tills import Merchants
from engine.rehearsal.visit import Visit, rehearse_at
from engine.scheduling import acts
from engine.scheduling.files import moved
from engine.scheduling.performing import Actor
from engine.settings import Settings
from engine.wiring import Stores, connected

UP_READY_S = 60.0
"""Past it something hangs: `up` gives up by itself on what it waits for, and says so."""
WAVE_PUT_S = 10.0
"""The steward looks several times a second."""
LOOK_S = 0.05
STOP_S = 30.0
"""`up` stops within seconds; its writer settles first."""
ACTOR = "rehearsal"
OPERATOR_TOKEN_S = 6 * 3_600
"""Beyond the longest drop: the wave is closed with this token at the end."""
TILL_TOKEN_S = 3_600
DOCUMENTED = {code: kind.status for code, kind in KINDS.items()}


@dataclass(frozen=True)
class Wish:
    """What is to be rehearsed, from the command line. `silent`: only the verdict is wanted."""

    campaign: Campaign
    plan: Plan
    opens_in_s: int
    silent: bool
    redeems: bool = False
    """Whether it goes on into shops."""


async def put_on_stage(settings: Settings, wish: Wish) -> Verdict:
    """Start everything, run the drop, stop everything. CannotRun where that is not possible."""
    _announce(wish)
    async with _up(settings) as running:
        settings = replace(settings, redis_url=running.redis_url, database_url=running.database_url)
        async with connected(settings) as stores:
            opens_at = datetime.now(UTC) + timedelta(seconds=wish.opens_in_s)
            campaign = opening_soon(wish.campaign, wish.plan.wave, opens_at)
            applied = await apply_campaign(stores.ledger, campaign, ACTOR)
            wave = next(wave for wave in applied.catalogue.waves if wave.id == wish.plan.wave)
            await _until_put(stores.hot_store, applied.catalogue, wave)
            scene = _scene(settings, stores, running, applied.catalogue, wave)
            if wish.redeems:
                scene = replace_scene(scene, merchants=_merchants(settings, stores, campaign, applied.catalogue))
            with screen_for(console, silent=wish.silent) as screen:
                return await rehearse(wish.plan, scene, screen)


def opening_soon(campaign: Campaign, wave_id: str, opens_at: datetime) -> Campaign:
    """The same campaign with that wave opening then, and the instants of its validity moved with the wave: nobody could
    use what is claimed in a wave of years ago."""
    soon = moved(campaign, wave_id, opens_at)
    [(before, after)] = [pair for pair in zip(campaign.waves, soon.waves, strict=True) if pair[0].id == wave_id]
    return replace(soon, validity=moved_validity(campaign.validity, before, after))


def _announce(wish: Wish) -> None:
    if not wish.silent:
        click.echo(f"rehearsal of {wish.plan.wave}: {len(wish.plan.users):,} users, seed {wish.plan.seed}")


@asynccontextmanager
async def _up(settings: Settings) -> AsyncIterator[Running]:
    """`dropwave up` with these settings for the time of the block."""
    folder = settings.data_folder
    child = Child("up", folder / "up.log", [Insistence(signal.SIGTERM, STOP_S)], at_parents_death=signal.SIGTERM)
    child.start([*PROGRAM, "up"], environment=environment_of(settings), folder=Path.cwd())
    with _sigterm_cancels():
        try:
            yield await _ready(child, folder)
            if not child.runs:
                raise CannotRun(f"`dropwave up` ended during the rehearsal:\n{child.tail()}")
        finally:
            await child.stop()


async def _ready(child: Child, folder: Path) -> Running:
    deadline_s = time.monotonic() + UP_READY_S
    while time.monotonic() < deadline_s:
        running = find_running(folder)
        if running is not None:
            return running
        if not child.runs:
            raise CannotRun(f"`dropwave up` did not start:\n{child.tail()}")
        await asyncio.sleep(LOOK_S)
    raise CannotRun(f"`dropwave up` was not ready after {UP_READY_S:.0f} s:\n{child.tail()}")


@contextmanager
def _sigterm_cancels() -> Iterator[None]:
    """SIGTERM ends a rehearsal as Ctrl-C does: in order, and nothing is left behind."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


async def _until_put(store: HotStore, catalogue: Catalogue, wave: CatalogueWave) -> None:
    deadline_s = time.monotonic() + WAVE_PUT_S
    while time.monotonic() < deadline_s:
        shard = await read_shard(store, catalogue.id)
        if shard is not None and shard.bound and wave.no in shard.waves:
            return
        await asyncio.sleep(LOOK_S)
    raise CannotRun(f"the steward has not put wave {wave.id} within {WAVE_PUT_S:.0f} s")


def _scene(settings: Settings, stores: Stores, running: Running, catalogue: Catalogue, wave: CatalogueWave) -> Scene:
    """What the rehearsal is lent: the keys of this installation, the acts of an operator, the audit."""
    store, lent = stores.hot_store, _Lent.by(settings)
    actor = Actor(ACTOR, "rehearsal")

    async def close() -> None:
        await acts.close(store, catalogue.id, wave.no, actor, now_ms=await store.time_ms())

    return Scene(
        address=Address.of(running.url),
        backstage=OwnStores(stores.ledger, store, catalogue, wave),
        catalogue=catalogue,
        wave=wave,
        mint_ticket=lent.mint_ticket,
        mint_token=lent.mint_token,
        pause=lambda: acts.pause(store, catalogue.id, wave.no, actor),
        resume=lambda: acts.resume(store, catalogue.id, wave.no, actor),
        close=close,
        audit=lambda: audit(stores.ledger, store, catalogue.id, wave.id),
        documented=DOCUMENTED,
    )


def _merchants(settings: Settings, stores: Stores, campaign: Campaign, catalogue: Catalogue) -> Merchants:
    """Tills of every store of the campaign, and an operator who makes its terms worse."""
    key, marks = Keyring.of(settings).signing_key, marks_of(settings)

    def till(store: str) -> str:
        return mint_token(key, f"{ACTOR}-{store}", ttl_s=TILL_TOKEN_S, scope="merchant", stores=[store], marks=marks)

    return Merchants(
        stores=campaign.stores,
        mint_till=till,
        revise=lambda: apply_campaign(stores.ledger, worse_terms(campaign), ACTOR, reason="rehearsal"),
        set_periods=lambda periods: set_periods(stores.ledger, catalogue.campaign_no, periods),
        taken=lambda: taken_in(stores.ledger, catalogue.campaign_no),
    )


@dataclass(frozen=True)
class _Lent:
    """What an installation's secret lets one make."""

    mint_ticket: MintTicket
    mint_token: MintToken
    operator_token: str

    @classmethod
    def by(cls, settings: Settings) -> "_Lent":
        keyring = Keyring.of(settings)
        key, marks = keyring.signing_key, marks_of(settings)

        def token(identity: Identity, expires_in_s: int) -> str:
            return mint_token(
                key,
                identity.account,
                ttl_s=expires_in_s,
                city=identity.city,
                tags=identity.tags,
                person=identity.person,
                marks=marks,
            )

        operator = mint_token(key, ACTOR, ttl_s=OPERATOR_TOKEN_S, scope="ops", role="operator", marks=marks)
        return cls(TicketBook(keyring.ticket_keys).mint, token, operator)


async def visit_stage(settings: Settings, address: Address, ids: SandboxIds, wave: Wave, wish: Wish) -> Verdict:
    """The drop in a running installation, as a sandbox with those ids. CannotRun where that is not possible."""
    _announce(wish)
    lent = _Lent.by(settings)
    visit = Visit(
        address=address,
        campaign=wish.campaign,
        wave=wave,
        ids=ids,
        plan=wish.plan,
        opens_in_s=wish.opens_in_s,
        operator_token=lent.operator_token,
        mint_ticket=lent.mint_ticket,
        mint_token=lent.mint_token,
        documented=DOCUMENTED,
    )
    with _sigterm_cancels(), screen_for(console, silent=wish.silent) as screen:
        return await rehearse_at(visit, screen)
