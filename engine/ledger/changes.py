"""What an apply would change, as a person reads it and as a program does. Pure: nothing is read.

Compared is what the file says now with what it said at the last apply, so that what operators did to a
wave in between (a restock, a move) neither counts as a change of the file nor is undone by an apply. Where
they did something, a change is told from what stands.
"""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct

from engine.domain.campaign import Campaign, Eligibility, Offer, Wave
from engine.ledger import wording
from engine.ledger.standings import Standing, WaveStanding, as_it_stands

Part = Literal["campaign", "store", "offer", "wave"]


class Change(Struct, frozen=True):
    """One thing that changes. `field` is empty where the whole part comes or goes; `text` is the line for a person.

    `before` and `after` are the values as JSON has them; None where there is none. Lists of accounts are told by
    their length.
    """

    part: Part
    id: str
    field: str
    before: Any
    after: Any
    text: str

    def __str__(self) -> str:
        return self.text


def changes_of(before: Campaign | None, after: Campaign, standing: Standing) -> list[Change]:
    """Every change, the campaign's first, then stores, offers and waves in the order of the file."""
    if before is None:
        return [*_new_campaign(after), *(_new_offer(offer, standing) for offer in after.offers), *_new_waves(after)]
    return [
        *_campaign_changes(before, after),
        *_store_changes(before, after),
        *_offer_changes(before, after, standing),
        *_wave_changes(before, after, standing),
        *_orders(before, after),
    ]


def _new_campaign(after: Campaign) -> Iterator[Change]:
    rules = f"{wording.limits(after.limits)} by {after.by}, cap {wording.cap(after.cap)}"
    what = "new sandbox campaign" if after.sandbox else "new campaign"
    text = f"{what} {after.title}: {len(after.offers)} offers, {len(after.waves)} waves; {rules}"
    yield Change("campaign", after.id, "", None, after.title, text)


def _campaign_changes(before: Campaign, after: Campaign) -> Iterator[Change]:
    for field in ("title", "timezone", "currency", "limits", "by", "validity", "cap", "sandbox"):
        old, new = getattr(before, field), getattr(after, field)
        if old != new:
            text = f"{field}: {_rule_in_words(before, field)} → {_rule_in_words(after, field)}"
            yield _change("campaign", after.id, field, old, new, text)
    for field in ("cities", "per_payment"):
        old, new = getattr(before.use, field), getattr(after.use, field)
        if old != new:
            text = f"use, {field}: {wording.plain(old)} → {wording.plain(new)}"
            yield _change("campaign", after.id, f"use.{field}", old, new, text)
    yield from _eligibility_changes("campaign", after.id, "", before.eligibility, after.eligibility)


def _rule_in_words(campaign: Campaign, field: str) -> str:
    match field:
        case "limits":
            return wording.limits(campaign.limits)
        case "cap":
            return wording.cap(campaign.cap)
        case "validity":
            return wording.validity(campaign.validity, campaign.timezone)
        case _:
            return wording.plain(getattr(campaign, field))


def _eligibility_changes(
    part: Part, id: str, lead: str, before: Eligibility | None, after: Eligibility | None
) -> Iterator[Change]:
    if before is None or after is None:
        if before != after:
            text = f"{lead}eligibility: {wording.eligibility(before)} → {wording.eligibility(after)}"
            yield Change(part, id, "eligibility", _rules_json(before), _rules_json(after), text)
        return
    if before.cities != after.cities:
        text = f"{lead}eligibility, cities: {wording.plain(before.cities)} → {wording.plain(after.cities)}"
        yield _change(part, id, "eligibility.cities", before.cities, after.cities, text)
    if before.tags != after.tags:
        old, new = (wording.tags(rule.tags) or "any tags" for rule in (before, after))
        yield _change(part, id, "eligibility.tags", before.tags, after.tags, f"{lead}eligibility, tags: {old} → {new}")
    for field in ("allow", "deny"):
        old_list, new_list = getattr(before, field), getattr(after, field)
        if old_list != new_list:
            old_size, new_size = (None if each is None else len(each) for each in (old_list, new_list))
            text = f"{lead}eligibility, {field} list: {wording.accounts(old_list, new_list)}"
            yield Change(part, id, f"eligibility.{field}", old_size, new_size, text)


def _store_changes(before: Campaign, after: Campaign) -> Iterator[Change]:
    for id, new in after.stores.items():
        old = before.stores.get(id)
        if old is None:
            yield _change("store", id, "", None, new, f"store {id}: new, {new.title} in {new.city}")
            continue
        for field in old.__struct_fields__:
            was, will = getattr(old, field), getattr(new, field)
            if was != will:
                yield _change("store", id, field, was, will, f"store {id}: {field} {was} → {will}")
    for id, old in before.stores.items():
        if id not in after.stores:
            yield _change("store", id, "", old, None, f"store {id}: goes away")


def _new_offer(offer: Offer, standing: Standing) -> Change:
    version = standing.terms.get(offer.id, (0, ""))[0] + 1
    return _change(
        "offer", offer.id, "", None, offer, f"offer {offer.id}: new, {wording.offer(offer)}; terms version {version}"
    )


def _offer_changes(before: Campaign, after: Campaign, standing: Standing) -> Iterator[Change]:
    old = {offer.id: offer for offer in before.offers}
    kept = {offer.id for offer in after.offers}
    for offer in after.offers:
        version, content_hash = standing.terms.get(offer.id, (0, ""))
        will = version if after.terms_of(offer).hash() == content_hash else version + 1
        if offer.id in old:
            if will != version:
                yield _new_terms(before, after, old[offer.id], offer, version)
        elif version == 0:
            yield _new_offer(offer, standing)
        else:
            text = f"offer {offer.id}: comes back, {wording.offer(offer)}; terms version {will}"
            yield _change("offer", offer.id, "", None, offer, text)
    for offer in before.offers:
        if offer.id not in kept:
            text = f"offer {offer.id}: goes away; vouchers that were claimed stay good"
            yield _change("offer", offer.id, "", offer, None, text)


def _new_terms(before: Campaign, after: Campaign, old: Offer, new: Offer, version: int) -> Change:
    was: dict[str, Any] = {"version": version}
    will: dict[str, Any] = {"version": version + 1}
    parts = []
    for field in Offer.__struct_fields__:
        one, other = (None if (value := getattr(each, field)) is UNSET else value for each in (old, new))
        if one != other:
            was[field], will[field] = one, other
            parts.append(f"{field} {wording.plain(one)} → {wording.plain(other)}")
    parts += [
        field
        for field in ("use", "validity", "timezone", "currency")
        if getattr(before, field) != getattr(after, field)
    ]
    if {store: before.stores[store] for store in old.stores} != {store: after.stores[store] for store in new.stores}:
        parts += [] if old.stores != new.stores else ["stores as above"]
    text = (
        f"offer {new.id}: terms version {version} → {version + 1} ({', '.join(parts)}); "
        "for claims from then on, earlier ones keep theirs"
    )
    return _change("offer", new.id, "terms", was, will, text)


def _new_waves(after: Campaign) -> Iterator[Change]:
    for wave in after.waves:
        yield _change("wave", wave.id, "", None, wave, f"wave {wave.id}: new, {wording.wave(wave, after.timezone)}")


def _wave_changes(before: Campaign, after: Campaign, standing: Standing) -> Iterator[Change]:
    old = {wave.id: wave for wave in before.waves}
    kept = {wave.id for wave in after.waves}
    for wave in after.waves:
        if wave.id not in old:
            how = "comes back" if wave.id in standing.waves else "new"
            text = f"wave {wave.id}: {how}, {wording.wave(wave, after.timezone)}"
            yield _change("wave", wave.id, "", None, wave, text)
        elif old[wave.id] != wave:
            yield from _one_wave(old[wave.id], wave, standing.waves[wave.id], before.timezone, after.timezone)
    for wave in before.waves:
        if wave.id not in kept:
            yield _change("wave", wave.id, "", wave, None, f"wave {wave.id}: goes away")


def _one_wave(before: Wave, after: Wave, standing: WaveStanding, old_zone: str, zone: str) -> Iterator[Change]:
    stands, lead = as_it_stands(before, standing), f"wave {after.id}: "
    for field, verb in (("opens_at", "opens"), ("closes_at", "closes")):
        said, is_now, will = getattr(before, field), getattr(stands, field), getattr(after, field)
        if said != will:
            old, new = wording.moment(is_now, old_zone), wording.moment(will, zone)
            since = (
                ""
                if said == is_now
                else f" (an operator moved it since the file said {wording.moment(said, old_zone)})"
            )
            yield Change("wave", after.id, field, old, new, f"{lead}{verb} {old} → {new}{since}")
    if before.day != after.day and before.opens_at == after.opens_at:
        yield _change("wave", after.id, "day", before.day, after.day, f"{lead}day {before.day} → {after.day}")
    for offer in {**after.stock, **before.stock}:
        said, is_now, will = before.stock.get(offer), stands.stock.get(offer), after.stock.get(offer)
        if said != will:
            since = "" if said == is_now else f" (an operator restocked it since the file said {said})"
            text = f"{lead}stock of {offer} {wording.plain(is_now)} → {wording.plain(will)}{since}"
            yield Change("wave", after.id, f"stock.{offer}", is_now, will, text)
    if before.round != after.round:
        text = f"{lead}round {wording.plain(before.round)} → {wording.plain(after.round)}"
        yield Change("wave", after.id, "round", before.round, after.round, text)
    if before.rollover != after.rollover:
        text = f"{lead}unsold stock goes to: {before.rollover or 'nowhere'} → {after.rollover or 'nowhere'}"
        yield Change("wave", after.id, "rollover", before.rollover, after.rollover, text)
    yield from _eligibility_changes("wave", after.id, lead, before.eligibility, after.eligibility)


def _orders(before: Campaign, after: Campaign) -> Iterator[Change]:
    for field in ("offers", "waves"):
        old, new = ([each.id for each in getattr(campaign, field)] for campaign in (before, after))
        both = set(old) & set(new)
        if [id for id in old if id in both] != [id for id in new if id in both]:
            yield Change("campaign", after.id, field, old, new, f"the order of {field}: {wording.listed(new)}")


def _change(part: Part, id: str, field: str, before: Any, after: Any, text: str) -> Change:
    return Change(part, id, field, _json(before), _json(after), text)


def _json(value: Any) -> Any:
    if isinstance(value, Wave):
        return msgspec.to_builtins(value) | {"eligibility": _rules_json(value.eligibility)}
    return msgspec.to_builtins(value)


def _rules_json(rule: Eligibility | None) -> Any:
    if rule is None:
        return None
    sizes = {"allow": None if rule.allow is None else len(rule.allow), "deny": len(rule.deny)}
    return {"cities": list(rule.cities), "tags": msgspec.to_builtins(rule.tags), **sizes}
