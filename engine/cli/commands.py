"""Which module has which command. It is read when the command is asked for: one command starts in half the time of all.

A role that is started again after it died is back the sooner, and so is a person's next line.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Final

import click

MODULES: Final[Mapping[str, str]] = {
    "up": "roles",
    "gateway": "roles",
    "writer": "roles",
    "steward": "roles",
    "migrate": "roles",
    "campaign": "campaigns",
    "wave": "waves",
    "stop-all": "stop",
    "start-all": "stop",
    "rehearse": "rehearse",
    "audit": "audit",
    "report": "report",
    "statement": "statement",
    "quarantine": "quarantine",
    "voucher": "vouchers",
    "trail": "trail",
    "token": "tokens",
    "tickets": "tokens",
}
"""The module of engine.cli, by the command's name."""


class Commands(click.Group):
    """A group whose commands are found by name."""

    def list_commands(self, _context: click.Context) -> list[str]:
        """Every name, in the order of the alphabet."""
        return sorted(MODULES)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        """That command; None where there is none of the name."""
        module = MODULES.get(name)
        if module is None:
            return None
        command: click.Command = getattr(import_module(f"engine.cli.{module}"), name.replace("-", "_"))
        return command
