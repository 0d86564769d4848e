"""The command line. `main` is what `dropwave` runs.

Exit status: 0 fine, 1 a promise broke, 2 wrong usage or a refused file, 3 could not run. A failure that has a
name is one line on stderr; only one that has none shows where it came from.
"""

import sys

import click

from engine.cli.audit import audit
from engine.cli.campaigns import campaign
from engine.cli.quarantine import quarantine
from engine.cli.rehearse import rehearse
from engine.cli.report import report
from engine.cli.roles import gateway, migrate, steward, up, writer
from engine.cli.statement import statement
from engine.cli.stop import start_all, stop_all
from engine.cli.tokens import tickets, token
from engine.cli.trail import trail
from engine.cli.vouchers import voucher
from engine.cli.waves import wave
from engine.errors import DropwaveError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="dropwave", message="%(version)s")
def dropwave() -> None:
    """Timed drops of vouchers: first come, first served, exact stock, nothing lost."""


for command in (
    up,
    gateway,
    writer,
    steward,
    migrate,
    campaign,
    wave,
    stop_all,
    start_all,
    rehearse,
    audit,
    report,
    statement,
    quarantine,
    voucher,
    trail,
    token,
    tickets,
):
    dropwave.add_command(command)


def main() -> None:
    """Run the command line and end the process with its status."""
    try:
        dropwave.main(standalone_mode=False)
    except DropwaveError as error:
        click.echo(f"dropwave: {error}", err=True)
        sys.exit(error.exit_status)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
