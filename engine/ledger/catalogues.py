"""Reading campaigns as they were applied."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from engine.domain.campaign import Campaign, Catalogue, CatalogueOffer, CatalogueWave, Promise, Terms, Wave
from engine.ledger.database import Ledger
from engine.ledger.instants import unix_ms
from engine.ledger.queries import load_queries

_SQL = load_queries("catalogues")
_CAMPAIGN = msgspec.json.Decoder(Campaign)
_PROMISE = msgspec.json.Decoder(Promise)


class WaveRow(Struct, frozen=True):
    """What the ledger knows of a wave's course: scheduled, live, paused, closed or cancelled.

    `closed_at_ms` is 0 while no act has closed it.
    """

    state: str
    reason: str
    closed_at_ms: int


class Promises(Struct, frozen=True):
    """All that vouchers of a campaign depend on: every version of every offer's terms, and each wave's day.

    Offers and waves that have left the campaign's file since are there too: a claim may still name them.
    """

    terms: dict[tuple[int, int], Promise]
    """Keyed by (offer_no, version)."""
    days: dict[int, str]
    """ISO dates, keyed by wave_no."""


async def read_catalogue(ledger: Ledger, campaign: str) -> Catalogue | None:
    """The campaign with that id, or None."""
    async with ledger.snapshot() as connection:
        return (await catalogues_within(connection, campaign)).get(campaign)


async def all_catalogues(ledger: Ledger, sandboxes: bool = True) -> list[Catalogue]:
    """Every campaign, in the order of their numbers; without `sandboxes` those that are none."""
    async with ledger.snapshot() as connection:
        catalogues = await catalogues_within(connection, None)
    return [catalogue for catalogue in catalogues.values() if sandboxes or not catalogue.sandbox]


async def find_wave(ledger: Ledger, wave: str) -> tuple[Catalogue, CatalogueWave, WaveRow] | None:
    """The wave with that id, its campaign, and how it stands; None where no campaign has it now."""
    async with ledger.snapshot() as connection:
        return await find_wave_within(connection, wave)


async def find_wave_within(connection: Any, wave: str) -> tuple[Catalogue, CatalogueWave, WaveRow] | None:
    """The same, read on a connection that sees one state of the ledger."""
    campaign = await connection.fetchval(_SQL["campaign_of_wave"], wave)
    if campaign is None:
        return None
    catalogue, rows = await _with_rows(connection, campaign)
    found = next(each for each in catalogue.waves if each.id == wave)
    return catalogue, found, rows[found.no]


async def find_campaign(ledger: Ledger, campaign: str) -> tuple[Catalogue, dict[int, WaveRow]] | None:
    """The campaign with that id, and how each of its waves stands, by number; None where there is none such."""
    async with ledger.snapshot() as connection:
        if await connection.fetchval(_SQL["campaign_no"], campaign) is None:
            return None
        return await _with_rows(connection, campaign)


async def _with_rows(connection: Any, campaign: str) -> tuple[Catalogue, dict[int, WaveRow]]:
    """A campaign that is there, and its waves as they stand. Waves that left its file are not among them."""
    catalogue = (await catalogues_within(connection, campaign))[campaign]
    rows = await connection.fetch(_SQL["waves"], campaign)
    return catalogue, {row["wave_no"]: _standing(row) for row in rows}


def _standing(row: Any) -> WaveRow:
    return WaveRow(row["state"], row["reason"], 0 if row["closed_at"] is None else unix_ms(row["closed_at"]))


async def read_promises(ledger: Ledger, campaign_no: int) -> Promises:
    """What the vouchers of that campaign depend on."""
    async with ledger.snapshot() as connection:
        promises = await connection.fetch(_SQL["promises"], campaign_no)
        days = await connection.fetch(_SQL["days"], campaign_no)
    return Promises(
        {(row["offer_no"], row["version"]): _PROMISE.decode(row["promise"]) for row in promises},
        {row["wave_no"]: row["day"].isoformat() for row in days},
    )


async def catalogues_within(connection: Any, campaign: str | None) -> dict[str, Catalogue]:
    """The catalogues by id (of one campaign, or of all), read on a connection that sees one state of the ledger."""
    campaigns = await connection.fetch(_SQL["campaigns"], campaign)
    offers = _by_campaign(await connection.fetch(_SQL["offers"], campaign))
    terms = _by_campaign(await connection.fetch(_SQL["terms"], campaign))
    waves = _by_campaign(await connection.fetch(_SQL["waves"], campaign))
    stocks = _by_campaign(await connection.fetch(_SQL["stocks"], campaign))
    return {
        row["id"]: _catalogue(row, offers[no], terms[no], waves[no], stocks[no])
        for row in campaigns
        for no in [row["campaign_no"]]
    }


def _by_campaign(rows: list[Any]) -> defaultdict[int, list[Any]]:
    grouped: defaultdict[int, list[Any]] = defaultdict(list)
    for row in rows:
        grouped[row["campaign_no"]].append(row)
    return grouped


def _catalogue(row: Any, offers: list[Any], terms: list[Any], waves: list[Any], stocks: list[Any]) -> Catalogue:
    """Offers and waves come in the order of the file, which is the order in which people want to see them."""
    definition = _CAMPAIGN.decode(row["definition"])
    versions: defaultdict[int, list[Terms]] = defaultdict(list)
    for each in terms:
        versions[each["offer_no"]].append(Terms(each["version"], each["hash"], _PROMISE.decode(each["promise"])))
    totals: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for each in stocks:
        totals[each["wave_no"]][each["offer_no"]] = each["total"]
    offer_nos = {each["id"]: each["offer_no"] for each in offers}
    wave_rows = {each["id"]: each for each in waves}
    return Catalogue.of(
        definition,
        [
            CatalogueOffer(offer_nos[offer.id], offer.id, tuple(versions[offer_nos[offer.id]]))
            for offer in definition.offers
        ],
        [_wave(wave, wave_rows[wave.id], totals) for wave in definition.waves],
        campaign_no=row["campaign_no"],
        revision=row["revision"],
        code_prefix=row["code_prefix"],
        applied_ms=unix_ms(row["applied_at"]),
    )


def _wave(wave: Wave, row: Any, totals: Mapping[int, dict[int, int]]) -> CatalogueWave:
    """The wave as its row has it, where an act may have moved or restocked it; the file states the rest."""
    return CatalogueWave(
        no=row["wave_no"],
        id=wave.id,
        round=row["round"],
        day=row["day"].isoformat(),
        opens_at_ms=unix_ms(row["opens_at"]),
        closes_at_ms=unix_ms(row["closes_at"]),
        stock=totals[row["wave_no"]],
        eligibility=wave.eligibility,
        rollover=wave.rollover,
    )
