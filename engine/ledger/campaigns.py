"""Campaigns: applying one, whole and in one transaction, and reading them back.

The same file applied again changes nothing. Reading is in `ledger.catalogues`, what forbids an apply in
`ledger.refusals`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine.domain.campaign import Campaign, Catalogue, Promise, Wave
from engine.domain.codes import campaign_prefix
from engine.errors import RevisionMoved, UsageError
from engine.ledger.catalogues import WaveRow, all_catalogues, catalogues_within, find_wave, read_catalogue
from engine.ledger.changes import Change
from engine.ledger.database import Ledger
from engine.ledger.plans import Plan, make_plan
from engine.ledger.queries import load_queries
from engine.ledger.standings import Claimed, Standing, WaveStanding, as_it_will_stand
from engine.ledger.trail import End, Happening, add_entries, told_campaign

__all__ = [
    "Applied",
    "Change",
    "Plan",
    "WaveRow",
    "all_catalogues",
    "apply_campaign",
    "find_wave",
    "plan_campaign",
    "read_catalogue",
]

_SQL = load_queries("campaigns")
_CAMPAIGN = msgspec.json.Decoder(Campaign)
_PROMISE = msgspec.json.Decoder(Promise)

CAMPAIGN_NO_MAX = 32_767
"""Three characters begin a voucher code: see domain.codes.campaign_prefix."""
NUMBER_MAX = 32_767
"""Offers and waves of one campaign over its whole life: smallint."""


class Applied(Struct, frozen=True):
    """The campaign after an apply; `changed` says whether this apply changed anything."""

    catalogue: Catalogue
    changed: bool


class _Found(Struct, frozen=True):
    """What the ledger has of the campaign before an apply; `definition` is None for a new one."""

    campaign_no: int
    definition: Campaign | None
    standing: Standing
    elsewhere: tuple[tuple[str, str], ...]
    """(wave, campaign) for ids of this file's waves that other campaigns have."""
    applied: str = ""
    """By whom and when it was applied last, in words."""
    trail_end: End = End(0, "")
    put_revision: int = 0
    """Of the last put that is settled; above the standing's where the ledger went back and lost that revision."""


async def apply_campaign(
    ledger: Ledger, campaign: Campaign, actor: str, *, reason: str = "", expected_revision: int | None = None
) -> Applied:
    """Make the ledger say what the campaign says; numbers once given stay, terms that changed get a new version.

    With `expected_revision` (0: not applied yet) it does so only where the campaign is still at that one, else
    it raises RevisionMoved; what is so already is no matter. Raises UsageError with every reason where a wave that
    has opened would change or go away, an offer that such a wave has would go away, or another campaign has a
    wave of that id. LedgerUnavailable leaves open whether it was done; applying again is safe.
    """
    campaign = _normal(campaign)
    async with ledger.transaction() as connection:
        await connection.execute(_SQL["lock_campaigns"])
        found = await _find(connection, campaign)
        plan = _plan(found, campaign)
        if plan.changes and expected_revision not in (None, found.standing.revision):
            raise _revision_moved(campaign.id, found)
        if plan.refusals:
            raise UsageError(f"campaign {campaign.id} was refused:\n" + "\n".join(f"  {why}" for why in plan.refusals))
        if plan.changes:
            await _write(connection, found, campaign, actor)
            await _tell(connection, found, campaign, actor, reason)
        catalogues = await catalogues_within(connection, campaign.id)
    return Applied(catalogues[campaign.id], bool(plan.changes))


async def plan_campaign(ledger: Ledger, campaign: Campaign) -> Plan:
    """What `apply_campaign` would do now, without doing it."""
    campaign = _normal(campaign)
    async with ledger.snapshot() as connection:
        return _plan(await _find(connection, campaign, hold=False), campaign)


def _revision_moved(campaign: str, found: _Found) -> RevisionMoved:
    revision = found.standing.revision
    is_at = f"is at revision {revision}, {found.applied}" if revision else "is not applied yet"
    return RevisionMoved(f"campaign {campaign} {is_at}: look at the plan again", revision)


async def _tell(connection: Any, found: _Found, campaign: Campaign, actor: str, reason: str) -> None:
    at = await connection.fetchval(_SQL["clock"])
    before = None if found.definition is None else told_campaign(found.definition)
    happening = Happening(at, actor, reason, "apply", campaign.id, before, told_campaign(campaign))
    await add_entries(connection, found.campaign_no, found.trail_end, [happening])


def _normal(campaign: Campaign) -> Campaign:
    """The campaign as it comes back from the ledger.

    Both sides of a comparison have to be made alike: Python holds a time in the hour that a clock change
    repeats for unequal to the same instant in another zone object.
    """
    return _CAMPAIGN.decode(msgspec.json.encode(campaign))


async def _find(connection: Any, campaign: Campaign, hold: bool = True) -> _Found:
    row = await connection.fetchrow(_SQL["read_definition"], campaign.id)
    ids = [wave.id for wave in campaign.waves]
    elsewhere = tuple(map(tuple, await connection.fetch(_SQL["waves_elsewhere"], ids, campaign.id)))
    if row is None:
        return _Found(await connection.fetchval(_SQL["next_campaign_no"]), None, Standing(), elsewhere)
    no, trail_end, put_revision = row["campaign_no"], End(0, ""), 0
    if hold:
        held = await connection.fetchrow(_SQL["hold_cursor"], no)
        trail_end, put_revision = End(held["trail_position"], held["trail_hash"]), held["revision"]
    before = _CAMPAIGN.decode(row["definition"])
    counted = before.cap != campaign.cap or before.sandbox != campaign.sandbox
    standing = Standing(
        revision=row["revision"],
        waves=await _wave_standings(connection, no),
        terms={each["id"]: (each["version"], each["hash"]) for each in await _offers_with_terms(connection, no)},
        claimed=await _claimed(connection, no) if counted else Claimed(),
        now=await connection.fetchval(_SQL["clock"]),
    )
    applied = f"applied by {row['applied_by']} at {row['applied_at']:%Y-%m-%d %H:%M:%S} UTC"
    return _Found(no, before, standing, elsewhere, applied, trail_end, put_revision)


async def _wave_standings(connection: Any, campaign_no: int) -> dict[str, WaveStanding]:
    stocks: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for row in await connection.fetch(_SQL["stocks_of_waves"], campaign_no):
        stocks[row["wave_no"]][row["offer"]] = row["total"]
    return {
        row["id"]: WaveStanding(
            no=row["wave_no"],
            opened=row["opened"],
            past=row["past"],
            state=row["state"],
            withdrawn=row["withdrawn"],
            opens_at=row["opens_at"],
            closes_at=row["closes_at"],
            day=row["day"],
            stock=stocks[row["wave_no"]],
        )
        for row in await connection.fetch(_SQL["wave_standings"], campaign_no)
    }


async def _offers_with_terms(connection: Any, campaign_no: int) -> list[Any]:
    rows: list[Any] = await connection.fetch(_SQL["offers_with_terms"], campaign_no)
    return rows


async def _claimed(connection: Any, campaign_no: int) -> Claimed:
    claims = value = 0
    for row in await connection.fetch(_SQL["claimed"], campaign_no):
        claims += row["claims"]
        value += row["claims"] * _PROMISE.decode(row["promise"]).offer.value
    return Claimed(claims, value)


def _plan(found: _Found, campaign: Campaign) -> Plan:
    plan = make_plan(found.definition, campaign, found.standing)
    refusals = [*plan.refusals, *(f"wave {wave} belongs to campaign {other}" for wave, other in found.elsewhere)]
    if found.campaign_no > CAMPAIGN_NO_MAX:
        refusals.append(f"the ledger has {CAMPAIGN_NO_MAX + 1} campaigns, as many as codes can tell apart")
    return replace(plan, refusals=tuple(refusals))


async def _write(connection: Any, found: _Found, campaign: Campaign, actor: str) -> None:
    no, revision = found.campaign_no, max(found.standing.revision, found.put_revision) + 1
    definition = msgspec.json.encode(campaign).decode()
    if found.definition is None:
        prefix = campaign_prefix(no)
        await connection.execute(_SQL["insert_campaign"], no, campaign.id, prefix, definition, actor)
        await connection.execute(_SQL["insert_cursor"], no)
    else:
        await connection.execute(_SQL["update_campaign"], no, revision, definition, actor)
    offer_nos = await _write_offers(connection, no, campaign)
    await _write_waves(connection, found, campaign, revision, offer_nos)


async def _write_offers(connection: Any, campaign_no: int, campaign: Campaign) -> dict[str, int]:
    """Number new offers, add a version of the terms where the promise changed; the numbers of all offers by id."""
    rows = {row["id"]: row for row in await _offers_with_terms(connection, campaign_no)}
    numbers = _numbered({id: row["offer_no"] for id, row in rows.items()}, (offer.id for offer in campaign.offers))
    new_offers = [(campaign_no, numbers[offer.id], offer.id) for offer in campaign.offers if offer.id not in rows]
    new_terms = []
    for offer in campaign.offers:
        promise, row = campaign.terms_of(offer), rows.get(offer.id)
        version, content_hash = (0, "") if row is None else (row["version"], row["hash"])
        if promise.hash() != content_hash:
            text = msgspec.json.encode(promise).decode()
            new_terms.append((campaign_no, numbers[offer.id], version + 1, promise.hash(), text))
    await connection.executemany(_SQL["insert_offer"], new_offers)
    await connection.executemany(_SQL["insert_terms"], new_terms)
    return numbers


async def _write_waves(
    connection: Any, found: _Found, campaign: Campaign, revision: int, offer_nos: Mapping[str, int]
) -> None:
    """Write the waves that are new, changed or back again, with their stock; mark those that left the file.

    Where only eligibility or rollover changed, the row stays alone: an act that is not settled yet may be newer.
    """
    no, standings = found.campaign_no, found.standing.waves
    numbers = _numbered({id: each.no for id, each in standings.items()}, (wave.id for wave in campaign.waves))
    before = {wave.id: wave for wave in found.definition.waves} if found.definition else {}
    written = [
        as_it_will_stand(before[wave.id], wave, standings[wave.id]) if wave.id in before else wave
        for wave in campaign.waves
        if wave.id not in before or _row_of(before[wave.id]) != _row_of(wave)
    ]
    kept = {wave.id for wave in campaign.waves}
    withdrawn = [each.no for id, each in standings.items() if id not in kept and not each.withdrawn]
    await connection.executemany(
        _SQL["put_wave"],
        [
            (no, numbers[wave.id], wave.id, wave.round, wave.day, wave.opens_at, wave.closes_at, revision)
            for wave in written
        ],
    )
    await connection.execute(_SQL["withdraw_waves"], no, withdrawn, revision)
    await connection.execute(_SQL["clear_stocks"], no, [numbers[wave.id] for wave in written])
    await connection.executemany(_SQL["insert_stock"], _stock_rows(no, written, numbers, offer_nos))


def _row_of(wave: Wave) -> tuple[object, ...]:
    """What the tables hold of a wave; the rest stands in the definition."""
    return wave.round, wave.day, wave.opens_at, wave.closes_at, wave.stock


def _stock_rows(
    campaign_no: int, waves: Iterable[Wave], wave_nos: Mapping[str, int], offer_nos: Mapping[str, int]
) -> list[tuple[int, int, int, int]]:
    return [
        (campaign_no, wave_nos[wave.id], offer_nos[offer], total)
        for wave in waves
        for offer, total in wave.stock.items()
    ]


def _numbered(given: Mapping[str, int], ids: Iterable[str]) -> dict[str, int]:
    """The numbers given already, and the next free ones, from 1, for the ids that have none."""
    numbers = dict(given)
    highest = max(numbers.values(), default=0)
    for id in ids:
        if id not in numbers:
            highest += 1
            numbers[id] = highest
    if highest > NUMBER_MAX:
        raise UsageError(
            f"a campaign can have {NUMBER_MAX} offers and {NUMBER_MAX} waves in its life; no number is left"
        )
    return numbers
