"""`dropwave campaign`: check a file, see what it would change, apply it, see what is applied."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from engine.cli.options import actor_option, json_option, on_installation, print_json, print_table, wall_clock
from engine.domain.campaign import Campaign, Catalogue
from engine.errors import UsageError
from engine.gateway.instants import rfc3339
from engine.ledger.campaigns import all_catalogues, apply_campaign, plan_campaign, read_catalogue
from engine.ledger.plans import Plan
from engine.ledger.wording import cap, eligibility, limits, listed, plain
from engine.scheduling.files import read_campaign_file
from engine.scheduling.performing import Actor
from engine.settings import Settings
from engine.wiring import ledger_only

file_argument = click.argument("file", type=click.Path(path_type=Path))


@click.group()
def campaign() -> None:
    """Campaign files: check them, see what they would change, apply them, list what is applied."""


@campaign.command()
@file_argument
def check(file: Path) -> None:
    """Say everything that is wrong with a campaign file, or what it holds."""
    click.echo(f"{file}: fine. {_summary(read_campaign_file(file))}")


@campaign.command()
@file_argument
@json_option
@on_installation
async def plan(settings: Settings, file: Path, as_json: bool) -> None:
    """Say what applying the file would change, from what to what, and why it would be refused. Changes nothing.

    Exit status 2 if it would be refused.
    """
    read = read_campaign_file(file)
    async with ledger_only(settings) as ledger:
        made = await plan_campaign(ledger, read)
    if as_json:
        print_json(made)
    else:
        for line in plan_lines(made):
            click.echo(line)
    if made.refusals:
        sys.exit(UsageError.exit_status)


@campaign.command()
@file_argument
@click.option(
    "--expect",
    type=click.IntRange(0),
    metavar="REVISION",
    help="Only where the campaign is still at this revision (0: not applied yet), as the plan that you saw.",
)
@click.option("--reason", help="Why; it stands in the trail (default: the name of the file).")
@actor_option
@on_installation
async def apply(settings: Settings, file: Path, expect: int | None, reason: str | None, actor: str) -> None:
    """Put a campaign file into force. Applying the same file again changes nothing."""
    read = read_campaign_file(file)
    who = Actor(actor, reason or file.name)
    async with ledger_only(settings) as ledger:
        applied = await apply_campaign(ledger, read, who.name, reason=who.reason, expected_revision=expect)
    what = f"revision {applied.catalogue.revision}" if applied.changed else "nothing changed"
    click.echo(f"{read.id}: {what}. {_summary(read)}")


@campaign.command("list")
@click.option("--sandboxes/--no-sandboxes", default=True, help="With campaigns that are for trying out, or without.")
@json_option
@on_installation
async def list_campaigns(settings: Settings, sandboxes: bool, as_json: bool) -> None:
    """List applied campaigns."""
    async with ledger_only(settings) as ledger:
        catalogues = await all_catalogues(ledger, sandboxes)
    if as_json:
        print_json([_row(catalogue) for catalogue in catalogues])
        return
    columns = ["campaign", "title", "revision", "offers", "waves", "timezone", "sandbox"]
    rows = [[plain(_row(catalogue)[column]) for column in columns] for catalogue in catalogues]
    print_table(columns, rows, empty="No campaign is applied.")


@campaign.command()
@click.argument("campaign_id", metavar="CAMPAIGN")
@json_option
@on_installation
async def show(settings: Settings, campaign_id: str, as_json: bool) -> None:
    """Show a campaign as it is applied: offers with their terms, waves with their stock."""
    async with ledger_only(settings) as ledger:
        catalogue = await read_catalogue(ledger, campaign_id)
    if catalogue is None:
        raise UsageError(f"no campaign {campaign_id} is applied; `dropwave campaign list` shows which are")
    if as_json:
        print_json(catalogue)
        return
    sandbox = ", sandbox" if catalogue.sandbox else ""
    click.echo(
        f"{catalogue.title} ({catalogue.id}), revision {catalogue.revision}{sandbox}: "
        f"{limits(catalogue.limits)} by {catalogue.by}, cap {cap(catalogue.cap)}, "
        f"eligible: {eligibility(catalogue.eligibility)}"
    )
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
                wall_clock(rfc3339(wave.opens_at_ms, catalogue.timezone)),
                wall_clock(rfc3339(wave.closes_at_ms, catalogue.timezone)),
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
        "sandbox": catalogue.sandbox,
    }


def plan_lines(made: Plan) -> Iterator[str]:
    """A plan for a person. What is the same for many waves, as after a repeat was changed, is one line."""
    now = f"revision {made.revision}" if made.revision else "not applied yet"
    if not made.changes:
        yield f"{made.campaign}: nothing changes, {now}"
    else:
        yield f"{made.campaign}: {now}; an apply makes revision {made.revision + 1}"
        yield "Changes:"
        for text, ids in _alike(made).items():
            yield f"  {text.format(waves=listed(ids))}" if ids else f"  {text}"
        stays = [(made.offers_kept, "terms of"), (made.waves_kept, "waves")]
        kept = "; ".join(f"{what} {listed(ids)}" for ids, what in stays if ids)
        yield f"Stays: {kept or 'nothing'}"
    if made.refusals:
        yield "Refused, so nothing would change at all:"
        yield from (f"  {why}" for why in made.refusals)


def _alike(made: Plan) -> dict[str, list[str]]:
    """Lines in order; those of waves without their id, with the ids for which they are the same."""
    lines: dict[str, list[str]] = {}
    for change in made.changes:
        lead = f"wave {change.id}: "
        if change.part == "wave" and change.text.startswith(lead):
            rest = change.text.removeprefix(lead).replace("{", "{{").replace("}", "}}")
            lines.setdefault(f"wave {{waves}}: {rest}", []).append(change.id)
        else:
            lines[change.text] = []
    return lines


def _summary(campaign: Campaign) -> str:
    stock = sum(units for wave in campaign.waves for units in wave.stock.values())
    return f"{len(campaign.offers)} offers, {len(campaign.waves)} waves, {stock} units in all"
