"""The one place that builds objects and connects them: a role is a list of services.

Services are started in order and stopped in reverse. What a room needs of another room is handed to it
here, so that the rooms need not know each other.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import structlog
from msgspec.structs import replace

from engine.audit.audit import audit
from engine.claiming.archive import Archive
from engine.claiming.board import Board
from engine.claiming.clock import StoreClock
from engine.claiming.desks import Desks
from engine.claiming.figures import BoardFigures
from engine.claiming.holdings import Holdings
from engine.claiming.live_campaigns import LiveCampaigns
from engine.claiming.settled import SettledWatch
from engine.domain.campaign import Campaign
from engine.domain.tickets import TicketBook
from engine.embedded.running import address_of
from engine.errors import CannotRun, HotStoreError
from engine.gateway.identity.upkeep import TokenUpkeep
from engine.gateway.keyring import Keyring
from engine.gateway.parts import GatewayParts, OpsPart
from engine.gateway.server import Gateway
from engine.hotstore.store import HotStore
from engine.hotstore.watch import PromiseWatch
from engine.ledger.campaigns import Applied, all_catalogues, apply_campaign, plan_campaign
from engine.ledger.claims import settled_codes
from engine.ledger.cursors import all_cursors
from engine.ledger.database import Ledger
from engine.ledger.migrate import require_migrated
from engine.ledger.promise_book import PromiseBook
from engine.ledger.watch import LedgerWatch
from engine.readiness import announce_ready
from engine.redeeming.arrivals import Arrivals
from engine.redeeming.desk import RedemptionDesk
from engine.redeeming.quoting import Quoting
from engine.redeeming.shops import Shops
from engine.redeeming.taking_back import TakingBack
from engine.reporting.statement import late_ms, statement_on
from engine.reporting.wave_report import report_on
from engine.scheduling.operations import Operations
from engine.scheduling.performing import Actor
from engine.scheduling.steward import Steward
from engine.service import Service
from engine.settings import Settings
from engine.settling.expiry import ExpiryJob
from engine.settling.lag import LagWatch
from engine.settling.quarantine import QuarantineWatch
from engine.settling.recovery import Recovery
from engine.settling.settler import Settler
from engine.settling.writer import Writer
from engine.telemetry import forget_process
from engine.telemetry.serving import MetricsServer
from engine.telemetry.tracing import Tracing, wants_traces
from engine.telemetry.vitals import Vitals
from engine.wallet.card_pack import CardPack

log = structlog.get_logger(__name__)

SHUTDOWN = (signal.SIGINT, signal.SIGTERM)


class Stores:
    """The two stores of an installation, connected; the ledger at its first use, where it was away until then."""

    def __init__(self, hot_store: HotStore, ledger: Ledger) -> None:
        self.hot_store = hot_store
        self.ledger = ledger


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Stores]:
    """Both stores for the time of the block. Raises CannotRun where an address is missing."""
    require_address("redis_url", settings.redis_url)
    require_address("database_url", settings.database_url)
    async with AsyncExitStack() as stack:
        hot_store = await HotStore.connect(settings.redis_url, settings)
        stack.push_async_callback(hot_store.close)
        ledger = await Ledger.connect(settings.database_url, settings)
        stack.push_async_callback(ledger.close)
        await require_migrated(ledger)
        yield Stores(hot_store, ledger)


@asynccontextmanager
async def hot_store_first(settings: Settings) -> AsyncIterator[Stores]:
    """Both stores, for a gateway: Postgres may be away, and is used from when it is there.

    Raises CannotRun like `connected`, also where Postgres is there and does not have this program's schema.
    """
    require_address("redis_url", settings.redis_url)
    require_address("database_url", settings.database_url)
    async with AsyncExitStack() as stack:
        hot_store = await HotStore.connect(settings.redis_url, settings)
        stack.push_async_callback(hot_store.close)
        ledger = await Ledger.connect(settings.database_url, settings, at_once=False)
        stack.push_async_callback(ledger.close)
        await LedgerWatch(ledger, settings).first_look()
        yield Stores(hot_store, ledger)


@asynccontextmanager
async def hot_store_only(settings: Settings) -> AsyncIterator[HotStore]:
    """The hot store alone, for acts that have to work while Postgres does not. Raises CannotRun like `connected`."""
    require_address("redis_url", settings.redis_url)
    # A Redis whose settings cannot keep `ack` is one more reason to stop everything, and none to refuse that.
    hot_store = await HotStore.connect(settings.redis_url, replace(settings, ack="memory"))
    try:
        yield hot_store
    finally:
        await hot_store.close()


@asynccontextmanager
async def ledger_only(settings: Settings) -> AsyncIterator[Ledger]:
    """The ledger alone, for what it knows by itself. Raises CannotRun like `connected`."""
    require_address("database_url", settings.database_url)
    ledger = await Ledger.connect(settings.database_url, settings)
    try:
        await require_migrated(ledger)
        yield ledger
    finally:
        await ledger.close()


@asynccontextmanager
async def ledger_first(settings: Settings) -> AsyncIterator[tuple[Ledger, HotStore | None, str]]:
    """The ledger, and the hot store where it can be reached; else None, and why. Raises CannotRun like `connected`."""
    async with ledger_only(settings) as ledger, AsyncExitStack() as stack:
        try:
            store = await stack.enter_async_context(hot_store_only(settings))
        except (CannotRun, HotStoreError) as error:
            yield ledger, None, str(error)
        else:
            yield ledger, store, ""


def require_address(name: str, url: str) -> None:
    """Raise CannotRun, with the way out, where that address is not known."""
    if not url:
        raise CannotRun(
            f"no {name}: set DROPWAVE_{name.upper()}, or start `dropwave up` and name its folder with --data"
        )


def gateway_services(stores: Stores, settings: Settings) -> list[Service]:
    """Board, desks and the HTTP server, in the order in which they start."""
    clock = StoreClock()
    archive = Archive(stores.ledger, settings)
    board = Board(stores.hot_store, clock, archive, settings)
    board.watchers.append(BoardFigures(board).see)

    async def places() -> Mapping[str, tuple[int, int]]:
        return {cursor.campaign: cursor.place for cursor in await all_cursors(stores.ledger)}

    find_claims = partial(settled_codes, stores.ledger)
    settled_watch = SettledWatch(places, find_claims, settings) if settings.ack == "settled" else None
    promise_watch, ledger_watch = PromiseWatch(stores.hot_store), LedgerWatch(stores.ledger, settings)

    def keeps_promise() -> bool:
        return promise_watch.kept and ledger_watch.keeps_promise

    desks = Desks(stores.hot_store, board, clock, archive, settled_watch, settings, keeps_promise)
    keyring = Keyring.of(settings)
    tokens = TokenUpkeep(keyring.token_keys, settings)
    holdings = Holdings(stores.hot_store, stores.ledger, board)
    book = PromiseBook(stores.ledger)
    redemption_desk = RedemptionDesk(stores.ledger, book, settings)
    arrivals = Arrivals(stores.hot_store, stores.ledger, settings)
    parts = GatewayParts(
        settings=settings,
        desks=desks,
        board=board,
        holdings=holdings,
        card_pack=CardPack(holdings.newest, arrivals.wait, stores.ledger, book),
        shops=Shops(stores.ledger, book, redemption_desk, arrivals),
        quoting=Quoting(
            stores.ledger, stores.hot_store, book, arrivals, LiveCampaigns(stores.hot_store, board).of_merchant
        ),
        tickets=TicketBook(keyring.ticket_keys),
        tokens=tokens.reader,
        ops=ops_part(stores, settings, TakingBack(stores.ledger, book, arrivals)),
        can_acknowledge=lambda: keeps_promise() and (settings.ack != "settled" or ledger_watch.ready),
    )
    # The desks hear from the board's first reading; the server comes last and goes first.
    return [desks, redemption_desk, board, tokens, promise_watch, ledger_watch, Gateway(parts)]


def ops_part(stores: Stores, settings: Settings, taking_back: TakingBack) -> OpsPart:
    """What operators reach through a gateway."""
    ledger = stores.ledger
    unload_after_ms = settings.unload_after_ms

    async def apply(campaign: Campaign, actor: Actor, revision: int | None) -> Applied:
        return await apply_campaign(ledger, campaign, actor.name, reason=actor.reason, expected_revision=revision)

    return OpsPart(
        operations=Operations(stores.hot_store),
        catalogues=lambda: all_catalogues(ledger),
        plan=lambda campaign: plan_campaign(ledger, campaign),
        apply=apply,
        audit=lambda campaign, wave: audit(ledger, stores.hot_store, campaign, wave),
        statement=lambda wanted: statement_on(ledger, wanted, late_ms(settings)),
        report=lambda wave: report_on(ledger, stores.hot_store, wave, unload_after_ms=unload_after_ms),
        taking_back=taking_back,
    )


def writer_services(stores: Stores, settings: Settings) -> list[Service]:
    """The writer, how far the ledger is behind, what it refused, and the job that writes down what has expired."""
    watches: list[Service] = [LagWatch(stores.hot_store), QuarantineWatch(stores.ledger)]
    writer = Writer(stores.ledger, stores.hot_store, settings)
    return [*watches, writer, ExpiryJob(stores.ledger, settings, lambda: writer.leads)]


def steward_services(stores: Stores, settings: Settings) -> list[Service]:
    """The steward with what it recovers by."""
    recovery = recovery_of(stores, settings)
    return [Steward(stores.hot_store, stores.ledger, recovery.recover, recovery.retire, settings)]


def recovery_of(stores: Stores, settings: Settings) -> Recovery:
    """The procedure that brings shards into the hot store."""
    return Recovery(stores.hot_store, stores.ledger, Settler(stores.ledger), settings)


def watching_services(role: str, settings: Settings) -> list[Service]:
    """What tells of a process, whatever its role: traces and metrics, as far as they are wanted."""
    services: list[Service] = [Vitals(role)]
    if wants_traces(settings.otel_endpoint):
        services.append(Tracing(role, settings.otel_endpoint, settings.trace_ratio, settings.traces_per_second_max))
    if settings.metrics_port:
        services.append(MetricsServer(settings.metrics_host, settings.metrics_port))
    return services


@asynccontextmanager
async def running(services: list[Service]) -> AsyncIterator[None]:
    """Start the services in order; stop those that started in reverse, whatever happens."""
    async with AsyncExitStack() as stack:
        for service in services:
            stack.push_async_callback(service.stop)
            await service.start()
        yield


async def run_role(name: str, services: list[Service], settings: Settings) -> None:
    """Run until SIGINT or SIGTERM. Whoever started this process hears when it is ready."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in SHUTDOWN:
        loop.add_signal_handler(number, stop.set)
    try:
        await _run_until(stop, name, services, settings)
    finally:
        forget_process(os.getpid())
    log.info("stopped", role=name)


async def _run_until(stop: asyncio.Event, name: str, services: list[Service], settings: Settings) -> None:
    async with running([*watching_services(name, settings), *services]):
        connected_to = f"Redis {address_of(settings.redis_url)}, Postgres {address_of(settings.database_url)}"
        announce_ready(connected_to)
        log.info("ready", role=name, connected_to=connected_to)
        await stop.wait()
        log.info("stopping", role=name)
