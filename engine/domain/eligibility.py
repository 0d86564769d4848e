"""Who may claim: the gateway's verdict, bound into the ticket and told to the script."""

from typing import Literal

from msgspec import Struct

from engine.domain.campaign import ClaimantKind, Eligibility

Rule = Literal["person_required", "city", "tags", "list"]


class Identity(Struct, frozen=True, gc=False):
    """What a verified token says of its bearer. `person` is the natural person, already hashed."""

    account: str
    city: str = ""
    tags: tuple[str, ...] = ()
    person: str = ""


def claimant_of(identity: Identity, by: ClaimantKind) -> str:
    """The identity that limits count; empty where a person is needed and the token names none."""
    return identity.person if by == "person" else identity.account


def broken_rule(identity: Identity, by: ClaimantKind, rules: tuple[Eligibility, ...]) -> Rule | None:
    """The first rule that forbids this identity to claim, or None.

    `rules` are the campaign's and, where it has its own, the wave's: all have to hold.
    """
    if not claimant_of(identity, by):
        return "person_required"
    for rule in rules:
        if rule.cities and identity.city not in rule.cities:
            return "city"
        if not _tags_fit(identity.tags, rule):
            return "tags"
        if identity.account in rule.deny or (rule.allow is not None and identity.account not in rule.allow):
            return "list"
    return None


def _tags_fit(tags: tuple[str, ...], rule: Eligibility) -> bool:
    held = set(tags)
    return (
        (not rule.tags.any or not held.isdisjoint(rule.tags.any))
        and held.issuperset(rule.tags.all)
        and held.isdisjoint(rule.tags.none)
    )
