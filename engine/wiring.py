"""The one place that builds objects and connects them: a role is a list of services.

Services are started in order and stopped in reverse. What a room needs of another room is handed to it
here, so that the rooms need not know each other. What a gateway is made of stands in gateway_wiring: a writer, a
steward and most commands start in half the time without its modules.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from msgspec.structs import replace

from engine.embedded.running import address_of
from engine.errors import CannotRun, HotStoreError
from engine.hotstore.store import HotStore
from engine.ledger.database import Ledger
from engine.ledger.migrate import require_migrated
from engine.ledger.watch import LedgerWatch
from engine.readiness import announce_ready
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
