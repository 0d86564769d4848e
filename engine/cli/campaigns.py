"""`dropwave campaign`: check a file, apply it, see what is applied."""

from pathlib import Path

import click

from engine.cli.options import actor_option, console, json_option, on_installation, print_json, print_table
from engine.domain.campaign import Campaign, Catalogue
from engine.errors import UsageError
from engine.gateway.instants import rfc3339
from engine.ledger.campaigns import all_catalogues, apply_campaign, read_catalogue
from engine.scheduling.files import read_campaign_file
from engine.settings import Settings
from engine.wiring import connected

file_argument = click.argument("file", type=click.Path(path_type=Path))


@click.group()
def campaign() -> None:
    """Campaign files: check and apply them, list what is applied."""


@campaign.command()
@file_argument
def check(file: Path) -> None:
    """Say everything that is wrong with a campaign file, or what it holds."""
    click.echo(f"{file}: fine. {_summary(read_campaign_file(file))}")


@campaign.command()
@file_argument
@actor_option
@on_installation
async def apply(settings: Settings, file: Path, actor: str) -> None:
    """Put a campaign file into force. Applying the same file again changes nothing."""
    read = read_campaign_file(file)
    async with connected(settings) as stores:
        applied = await apply_campaign(stores.ledger, read, actor)
    what = f"revision {applied.catalogue.revision}" if applied.changed else "nothing changed"
    click.echo(f"{read.id}: {what}. {_summary(read)}")


@campaign.command("list")
@json_option
@on_installation
async def list_campaigns(settings: Settings, as_json: bool) -> None:
    """List applied campaigns."""
    async with connected(settings) as stores:
        catalogues = await all_catalogues(stores.ledger)
    if as_json:
        print_json([_row(catalogue) for catalogue in catalogues])
        return
    rows = [[str(value) for value in _row(catalogue).values()] for catalogue in catalogues]
    print_table(["campaign", "title", "revision", "offers", "waves", "timezone"], rows, empty="No campaign is applied.")


@campaign.command()
@click.argument("campaign_id", metavar="CAMPAIGN")
@json_option
@on_installation
async def show(settings: Settings, campaign_id: str, as_json: bool) -> None:
    """Show a campaign as it is applied: offers with their terms, waves with their stock."""
    async with connected(settings) as stores:
        catalogue = await read_catalogue(stores.ledger, campaign_id)
    if catalogue is None:
        raise UsageError(f"no campaign {campaign_id} is applied; `dropwave campaign list` shows which are")
    if as_json:
        print_json(catalogue)
        return
    limits = ", ".join(f"{limit.max} per {limit.per}" for limit in catalogue.limits)
    console.print(f"{catalogue.title} ({catalogue.id}), revision {catalogue.revision}, {limits} by {catalogue.by}")
    offers = {offer.no: offer for offer in catalogue.offers}
    print_table(
        ["offer", "title", "kind", "terms"],
        [
            [offer.id, offer.current.promise.offer.title, offer.current.promise.offer.kind, str(offer.current.version)]
            for offer in offers.values()
        ],
        empty="No offers.",
    )
    print_table(
        ["wave", "round", "opens", "closes", "stock"],
        [
            [
                wave.id,
                wave.round,
                rfc3339(wave.opens_at_ms, catalogue.timezone),
                rfc3339(wave.closes_at_ms, catalogue.timezone),
                ", ".join(f"{offers[no].id} {units}" for no, units in wave.stock.items()),
            ]
            for wave in catalogue.waves
        ],
        empty="No waves.",
    )


def _row(catalogue: Catalogue) -> dict[str, str | int]:
    return {
        "campaign": catalogue.id,
        "title": catalogue.title,
        "revision": catalogue.revision,
        "offers": len(catalogue.offers),
        "waves": len(catalogue.waves),
        "timezone": catalogue.timezone,
    }


def _summary(campaign: Campaign) -> str:
    stock = sum(units for wave in campaign.waves for units in wave.stock.values())
    return f"{len(campaign.offers)} offers, {len(campaign.waves)} waves, {stock} units in all"
