"""What commands share: options, the settings of a running installation, output, and how a run ends."""

import asyncio
import functools
import getpass
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import click
import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from engine.embedded.files import kept_secret
from engine.embedded.running import find_running
from engine.settings import Settings, load_settings
from engine.telemetry import configure_logging

Result = TypeVar("Result")

console = Console()

data_option = click.option(
    "--data", metavar="DIR", help="Data folder of the installation (default: DROPWAVE_DATA, else ./.dropwave)."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
actor_option = click.option("--as", "actor", default=getpass.getuser, help="Who acts (default: your login name).")
reason_option = click.option("--reason", required=True, help="Why; it stands in the log, and users may see it.")


def role_settings(role: str, **overrides: Any) -> Settings:
    """The settings of a long-running role, with its logs set up by them."""
    settings = load_settings(**overrides)
    configure_logging(settings.log_format, settings.log_level, role)
    return settings


def installation_settings(data: str | None) -> Settings:
    """The settings of the installation that a command talks to.

    Addresses that are not set are those of the `up` that runs on the data folder, and so is its secret.
    """
    settings = load_settings(data=data)
    configure_logging(settings.log_format, "warning")
    running = find_running(settings.data_folder)
    if running is None:
        return settings
    return msgspec.structs.replace(
        settings,
        redis_url=settings.redis_url or running.redis_url,
        database_url=settings.database_url or running.database_url,
        secret=settings.secret or kept_secret(settings.data_folder / "secret"),
    )


def run(settings: Settings, main: Coroutine[Any, Any, Result]) -> Result:
    """Run that on the event loop of the settings."""
    factory = uvloop.new_event_loop if settings.event_loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


def command_of(settings_of: Callable[..., Settings]) -> Callable[..., Any]:
    """Make a command of a coroutine function that takes settings first; `data` picks the installation."""

    def decorate(function: Callable[..., Coroutine[Any, Any, Result]]) -> Callable[..., Result]:
        @functools.wraps(function)
        def command(data: str | None = None, **arguments: Any) -> Result:
            settings = settings_of(data)
            return run(settings, function(settings, **arguments))

        return data_option(command)

    return decorate


on_installation = command_of(installation_settings)


def print_json(value: Any) -> None:
    """Print a value as JSON, indented."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def print_table(columns: list[str], rows: list[list[str]], *, empty: str) -> None:
    """Print rows as a table; `empty` says what it means that there are none."""
    if not rows:
        console.print(empty)
        return
    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold")  # an id that is cut is no id
    for row in rows:
        table.add_row(*row)
    console.print(table)


def wall_clock(instant: str) -> str:
    """A time of a table, as a clock on the campaign's wall shows it: `2027-03-01 10:00`, seconds where there are any.

    `instant` is RFC 3339 in the campaign's zone; JSON output keeps it whole.
    """
    return instant[:10] + " " + instant[11:19].removesuffix(":00")
