"""The command line. `main` is what `dropwave` runs.

Exit status: 0 fine, 1 a promise broke, 2 wrong usage or a refused file, 3 could not run. A failure that has a
name is one line on stderr; only one that has none shows where it came from.
"""

import sys

import click

from engine.cli.commands import Commands
from engine.errors import DropwaveError


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="dropwave", message="%(version)s")
def dropwave() -> None:
    """Timed drops of vouchers: first come, first served, exact stock, nothing lost."""


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
