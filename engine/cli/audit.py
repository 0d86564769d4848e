"""`dropwave audit`: a verdict from the stores."""

import click

from engine.audit.audit import audit as judge
from engine.cli.options import console, json_option, on_installation
from engine.cli.verdicts import end
from engine.errors import UsageError
from engine.ledger.campaigns import all_catalogues, find_wave, read_catalogue
from engine.ledger.database import Ledger
from engine.settings import Settings
from engine.wiring import connected


@click.command()
@click.argument("subject", metavar="[WAVE|CAMPAIGN]", required=False)
@json_option
@on_installation
async def audit(settings: Settings, subject: str | None, as_json: bool) -> None:
    """Say whether the promises P1 to P7 were kept, from the stores: in one wave, one campaign, or all of them.

    Changes nothing and may run during a drop. Exit status 1 if a promise broke.
    """
    async with connected(settings) as stores:
        subjects = await _subjects(stores.ledger, subject)
        verdicts = [await judge(stores.ledger, stores.hot_store, campaign, wave) for campaign, wave in subjects]
    end(verdicts, as_json=as_json, console=console)


async def _subjects(ledger: Ledger, name: str | None) -> list[tuple[str, str | None]]:
    """(campaign, wave) for what is to be judged; a wave of None stands for all of the campaign's."""
    if name is None:
        campaigns = [catalogue.id for catalogue in await all_catalogues(ledger)]
        if not campaigns:
            raise UsageError("no campaign is applied: there is nothing to judge")
        return [(campaign, None) for campaign in campaigns]
    found = await find_wave(ledger, name)
    if found is not None:
        return [(found[0].id, name)]
    if await read_catalogue(ledger, name) is None:
        raise UsageError(f"{name} is neither a wave nor a campaign that is applied")
    return [(name, None)]
