"""What an apply would change, and what forbids it. Pure: two campaigns are compared, nothing is read.

Compared is what the file says now with what it said at the last apply, so that what operators did to a
wave in between (a restock, a move) neither counts as a change of the file nor is undone by an apply.
"""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from engine.domain.campaign import Campaign, Wave

FIXED_ONCE_OPENED = {
    "by": "claims before and after would be counted for different claimants",
    "currency": "the amounts already promised would be summed with others",
}


class WaveStanding(Struct, frozen=True):
    """A wave as the ledger has it before an apply. `opened`: its opening is past by the ledger's clock."""

    no: int
    opened: bool
    state: str
    withdrawn: bool


class Plan(Struct, frozen=True):
    """What an apply would do: a line for each change. With any refusal it does nothing at all."""

    changes: tuple[str, ...]
    refusals: tuple[str, ...]


def plan_changes(before: Campaign | None, after: Campaign, standings: Mapping[str, WaveStanding]) -> Plan:
    """The plan for a campaign that was last applied as `before` (None: never) and whose waves stand like that."""
    refusals = [*_unknown_offers(after)]
    if before is None:
        changes = [f"new campaign: {len(after.offers)} offers, {len(after.waves)} waves"]
        return Plan(tuple(changes), tuple(refusals))
    opened = {wave.id for wave in before.waves if wave.id in standings and standings[wave.id].opened}
    changes = [*_campaign_changes(before, after), *_offer_changes(before, after), *_wave_changes(before, after)]
    if not changes and before != after:
        changes.append("the order of offers or waves changes")
    refusals += _campaign_refusals(before, after, opened)
    refusals += _wave_refusals(before, after, standings)
    refusals += _offer_refusals(before, after, opened)
    return Plan(tuple(changes), tuple(refusals))


def differing(before: Wave, after: Wave) -> list[str]:
    """Names of the fields in which two versions of a wave differ."""
    return [field for field in Wave.__struct_fields__ if getattr(before, field) != getattr(after, field)]


def _unknown_offers(after: Campaign) -> Iterator[str]:
    known = {offer.id for offer in after.offers}
    for wave in after.waves:
        for offer in wave.stock:
            if offer not in known:
                yield f"wave {wave.id} has stock of {offer}, which is not an offer of the campaign"


def _campaign_changes(before: Campaign, after: Campaign) -> Iterator[str]:
    for field in Campaign.__struct_fields__:
        if field not in ("offers", "waves") and getattr(before, field) != getattr(after, field):
            yield f"{field} changes"


def _campaign_refusals(before: Campaign, after: Campaign, opened: set[str]) -> Iterator[str]:
    for field, why in FIXED_ONCE_OPENED.items():
        if opened and getattr(before, field) != getattr(after, field):
            yield f"{field} cannot change once a wave has opened: {why}"


def _offer_changes(before: Campaign, after: Campaign) -> Iterator[str]:
    old = {offer.id: offer for offer in before.offers}
    new = {offer.id: offer for offer in after.offers}
    for offer in after.offers:
        if offer.id not in old:
            yield f"new offer {offer.id}"
        elif before.terms_of(old[offer.id]).hash() != after.terms_of(offer).hash():
            yield f"offer {offer.id} gets a new version of its terms, for claims from now on"
    for offer in before.offers:
        if offer.id not in new:
            yield f"offer {offer.id} goes away"


def _offer_refusals(before: Campaign, after: Campaign, opened: set[str]) -> Iterator[str]:
    kept = {offer.id for offer in after.offers}
    for offer in before.offers:
        had = [wave.id for wave in before.waves if wave.id in opened and offer.id in wave.stock]
        if offer.id not in kept and had:
            yield f"offer {offer.id} cannot go away: wave {had[0]} opened with it"


def _wave_changes(before: Campaign, after: Campaign) -> Iterator[str]:
    old = {wave.id: wave for wave in before.waves}
    new = {wave.id: wave for wave in after.waves}
    for wave in after.waves:
        if wave.id not in old:
            yield f"new wave {wave.id}"
        elif fields := differing(old[wave.id], wave):
            yield f"wave {wave.id}: {', '.join(fields)} changes"
    for wave in before.waves:
        if wave.id not in new:
            yield f"wave {wave.id} goes away"


def _wave_refusals(before: Campaign, after: Campaign, standings: Mapping[str, WaveStanding]) -> Iterator[str]:
    new = {wave.id: wave for wave in after.waves}
    for wave in before.waves:
        standing = standings[wave.id]
        if standing.opened and wave.id not in new:
            yield f"wave {wave.id} has opened: it cannot go away"
        elif standing.opened and (fields := differing(wave, new[wave.id])):
            yield f"wave {wave.id} has opened: {', '.join(fields)} cannot change"
        elif wave.id not in new and standing.state in ("live", "paused"):
            # It stands in the hot store and would open there, whatever the file says
            yield f"wave {wave.id} is being watched for its opening already: close it before you take it out"
