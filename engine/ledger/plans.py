"""What an apply would do, before anybody does it. Pure: nothing is read."""

from msgspec import Struct

from engine.domain.campaign import Campaign
from engine.ledger.changes import Change, changes_of
from engine.ledger.refusals import refusals_of
from engine.ledger.standings import Standing


class Plan(Struct, frozen=True):
    """What an apply would do. With any refusal it does nothing at all."""

    campaign: str
    revision: int
    """At which the campaign is now; 0 where it is not applied yet. An apply that changes anything makes the next."""
    changes: tuple[Change, ...]
    refusals: tuple[str, ...]
    offers_kept: tuple[str, ...]
    """Ids of the offers whose terms stay as they are."""
    waves_kept: tuple[str, ...]
    """Ids of the waves that stay as they are."""


def make_plan(before: Campaign | None, after: Campaign, standing: Standing) -> Plan:
    """The plan for a campaign that was last applied as `before` (None: never) and that stands like that."""
    changes = changes_of(before, after, standing)
    touched = {(change.part, change.id) for change in changes}
    return Plan(
        campaign=after.id,
        revision=standing.revision,
        changes=tuple(changes),
        refusals=tuple(refusals_of(before, after, standing)),
        offers_kept=tuple(offer.id for offer in after.offers if ("offer", offer.id) not in touched),
        waves_kept=tuple(wave.id for wave in after.waves if ("wave", wave.id) not in touched),
    )
