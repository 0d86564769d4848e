"""Whose trail there is: campaigns and waves by id, those that left their file too, and what their numbers mean."""

from collections.abc import Mapping

from msgspec import Struct

from engine.ledger.database import Ledger
from engine.ledger.queries import load_queries

_SQL = load_queries("trail")


class Subject(Struct, frozen=True):
    """A campaign, or one wave of it."""

    campaign_no: int
    campaign: str
    wave: str | None
    timezone: str


class Names(Struct, frozen=True):
    """Ids by the numbers that acts name offers and waves by."""

    offers: Mapping[int, str]
    waves: Mapping[int, str]


async def find_subject(ledger: Ledger, id: str) -> Subject | None:
    """The campaign with that id, else the wave with it, else None."""
    row = await ledger.fetch_row(_SQL["subject"], id)
    return None if row is None else Subject(*row)


async def all_subjects(ledger: Ledger) -> list[Subject]:
    """Every campaign, in the order of their numbers."""
    return [Subject(*row) for row in await ledger.fetch(_SQL["subjects"])]


async def names_of(ledger: Ledger, campaign_no: int) -> Names:
    """The ids of a campaign's offers and waves, of all its time."""
    offers = await ledger.fetch(_SQL["offer_names"], campaign_no)
    waves = await ledger.fetch(_SQL["wave_names"], campaign_no)
    return Names({row["no"]: row["id"] for row in offers}, {row["no"]: row["id"] for row in waves})
