"""Commands that run: everything on one machine, or one role each."""

from typing import get_args

import click

from engine.cli.options import data_option, on_installation, role_settings, run
from engine.domain.outcome import Ack
from engine.embedded.running import Running
from engine.embedded.up import up as run_up
from engine.ledger.migrate import migrate as run_migrations
from engine.settings import Settings
from engine.wiring import (
    connected,
    hot_store_first,
    require_address,
    run_role,
    steward_services,
    writer_services,
)


@click.command()
@data_option
@click.option("--host", help="Address to listen on (default: 127.0.0.1).")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one (default: 8080).")
@click.option("--workers", type=int, help="Gateway processes on that port (default: 1).")
@click.option("--ack", type=click.Choice(get_args(Ack)), help="What a reply waits for.")
def up(data: str | None, host: str | None, port: int | None, workers: int | None, ack: str | None) -> None:
    """Run everything on this machine: Redis, Postgres, steward, writer, gateways. Ctrl-C stops it."""
    settings = role_settings("up", data=data, host=host, port=port, workers=workers, ack=ack)
    run(settings, run_up(settings, on_ready=_say_ready))


def _say_ready(running: Running) -> None:
    click.echo(f"dropwave is ready at {running.url}   (Ctrl-C stops it)")


@click.command()
def gateway() -> None:
    """Run one gateway process."""
    settings = role_settings("gateway")
    run(settings, _gateway(settings))


@click.command()
def writer() -> None:
    """Run the writer: it settles claims from the log to the ledger."""
    settings = role_settings("writer")
    run(settings, _writer(settings))


@click.command()
def steward() -> None:
    """Run the steward: it puts waves, closes them, and recovers."""
    settings = role_settings("steward")
    run(settings, _steward(settings))


@click.command()
@on_installation
async def migrate(settings: Settings) -> None:
    """Bring the ledger's schema up to this version."""
    require_address("database_url", settings.database_url)
    done = await run_migrations(settings.database_url, settings)
    click.echo("\n".join(f"applied {name}" for name in done) or "the ledger is up to date")


async def _gateway(settings: Settings) -> None:
    from engine.gateway_wiring import gateway_services  # a web server's modules: no other role waits for them

    async with hot_store_first(settings) as stores:
        await run_role("gateway", gateway_services(stores, settings), settings)


async def _writer(settings: Settings) -> None:
    async with connected(settings) as stores:
        await run_role("writer", writer_services(stores, settings), settings)


async def _steward(settings: Settings) -> None:
    async with connected(settings) as stores:
        await run_role("steward", steward_services(stores, settings), settings)
