"""`dropwave quarantine`: claims that Postgres refused, and what is to become of them."""

import re
from typing import Any

import click

from engine.cli.options import (
    actor_option,
    json_option,
    on_installation,
    print_json,
    print_table,
    reason_option,
    wall_clock,
)
from engine.domain.campaign import Catalogue
from engine.domain.codes import claim_id
from engine.errors import UsageError
from engine.gateway.instants import rfc3339
from engine.ledger.catalogues import all_catalogues, read_catalogue
from engine.ledger.database import Ledger
from engine.ledger.quarantine import STATES, Place, Quarantined, State, list_quarantined, read_quarantined
from engine.scheduling.performing import Actor
from engine.settings import Settings
from engine.settling.quarantine import retry as settle_after_all
from engine.settling.quarantine import void as take_back
from engine.wiring import connected, ledger_only

Members = dict[str, Any]

_PLACE = re.compile(r"(?P<campaign>[^/]+)/(?P<epoch>[0-9]{1,18})-(?P<sequence>[0-9]{1,18})")

place_argument = click.argument("place", metavar="ID")


@click.group()
def quarantine() -> None:
    """Claims that were granted and that Postgres refuses as data: see them, settle them, take them back.

    A held claim counts: its claimant has it, its unit is used. An ID is CAMPAIGN/EPOCH-NUMBER, as `list` shows it.
    """


@quarantine.command("list")
@click.argument("campaign", required=False)
@click.option("--all", "ended", is_flag=True, help="Also those that were settled or voided since.")
@json_option
@on_installation
async def list_claims(settings: Settings, campaign: str | None, ended: bool, as_json: bool) -> None:
    """List claims in quarantine, of one campaign or of all: the newest first."""
    states: tuple[State, ...] = STATES if ended else ("held",)
    async with ledger_only(settings) as ledger:
        if campaign is not None:
            await _catalogue(ledger, campaign)
        catalogues = {each.id: each for each in await all_catalogues(ledger)}
        shown = [
            _members(catalogues[found.campaign], found) for found in await list_quarantined(ledger, campaign, states)
        ]
    if as_json:
        print_json(shown)
        return
    print_table(
        ["id", "wave", "offer", "since", "state", "why"],
        [
            [
                each["id"],
                each["wave"],
                each["offer"],
                wall_clock(each["quarantined_at"]),
                each["state"],
                each["constraint"] or each["sqlstate"],
            ]
            for each in shown
        ],
        empty="Nothing is in quarantine.",
    )


@quarantine.command()
@place_argument
@json_option
@on_installation
async def show(settings: Settings, place: str, as_json: bool) -> None:
    """Show one claim: what it is, what Postgres said, what became of it."""
    async with ledger_only(settings) as ledger:
        found = await read_quarantined(ledger, _place(place))
        if found is None:
            raise UsageError(f"{place} is not in quarantine, and never was")
        members = _members(await _catalogue(ledger, found.campaign), found, whole=True)
    if as_json:
        print_json(members)
        return
    for name, value in members.items():
        if value not in ("", None):
            click.echo(f"{name}: {_printable(value)}")


@quarantine.command()
@place_argument
@click.option("--reason", default="what was in its way is mended", help="Why; it stands in the audit trail.")
@actor_option
@json_option
@on_installation
async def retry(settings: Settings, place: str, reason: str, actor: str, as_json: bool) -> None:
    """Settle a claim after all, once what was in its way is mended.

    Exit status 3 where Postgres refuses it again; it stays in quarantine then.
    """
    by = Actor(actor, reason)
    async with ledger_only(settings) as ledger:
        ended = await settle_after_all(ledger, _place(place), by.name, by.reason)
        members = _members(await _catalogue(ledger, ended.claim.campaign), ended.claim) | {"done": ended.done}
    _end(members, as_json, f"{place}: settled" if ended.done else f"{place}: was settled already, nothing done")


@quarantine.command()
@place_argument
@reason_option
@actor_option
@json_option
@on_installation
async def void(settings: Settings, place: str, reason: str, actor: str, as_json: bool) -> None:
    """Take a claim back for good: its claimant may claim again, its unit stays used.

    Exit status 3 where the hot store could not be told: do it again.
    """
    by = Actor(actor, reason)
    async with connected(settings) as stores:
        voided = await take_back(
            stores.ledger,
            stores.hot_store,
            _place(place),
            by.name,
            by.reason,
            unload_after_ms=settings.unload_after_ms,
        )
        ended = voided.ended
        members = _members(await _catalogue(stores.ledger, ended.claim.campaign), ended.claim) | {"done": ended.done}
    _end(members, as_json, f"{place}: voided" if ended.done else f"{place}: was voided already, nothing done")


def _place(text: str) -> Place:
    match = _PLACE.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is not CAMPAIGN/EPOCH-NUMBER, as `dropwave quarantine list` shows it")
    return Place(match["campaign"], int(match["epoch"]), int(match["sequence"]))


def _end(members: Members, as_json: bool, said: str) -> None:
    if as_json:
        print_json(members)
    else:
        click.echo(said)


async def _catalogue(ledger: Ledger, campaign: str) -> Catalogue:
    catalogue = await read_catalogue(ledger, campaign)
    if catalogue is None:
        raise UsageError(f"the ledger has no campaign {campaign}")
    return catalogue


def _members(catalogue: Catalogue, found: Quarantined, *, whole: bool = False) -> Members:
    """What is shown of a claim; the account only of one that was asked for by its name, the code of none."""
    claim, zone = found.claim, catalogue.timezone
    wave, offer = _names(catalogue, found)
    members: Members = {
        "id": str(found.place),
        "claim": claim_id(claim.code),
        "campaign": found.campaign,
        "wave": wave,
        "offer": offer,
        "state": found.state,
        "quarantined_at": rfc3339(found.quarantined_ms, zone),
        "sqlstate": found.sqlstate,
        "constraint": found.constraint,
        "error": found.error,
        "ended_by": found.ended_by,
        "ended_reason": found.ended_reason,
        "ended_at": None if found.ended_ms is None else rfc3339(found.ended_ms, zone),
    }
    if whole:
        members |= {name: getattr(claim, name) for name in ("account", "unit", "nth", "request_no", "terms_version")}
        members["claimed_at_ms"] = claim.claimed_at_ms
    return members


def _names(catalogue: Catalogue, found: Quarantined) -> tuple[str, str]:
    """Ids of wave and offer; their numbers where the campaign has them no more."""
    waves = {wave.no: wave.id for wave in catalogue.waves}
    offers = {offer.no: offer.id for offer in catalogue.offers}
    claim = found.claim
    return waves.get(claim.wave_no, f"number {claim.wave_no}"), offers.get(claim.offer_no, f"number {claim.offer_no}")


def _printable(value: object) -> str:
    """As it is, or with what a terminal would act on written out: such a thing may be why it was refused."""
    text = str(value)
    return text if text.isprintable() else repr(text)
