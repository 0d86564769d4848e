"""The rules of a campaign as its file states them: limits, who may claim, use, validity, cap."""

from datetime import datetime
from typing import cast, get_args

from msgspec import Struct

from engine.domain.campaign import CLAIMS_PER_CLAIMANT_MAX, Cap, Eligibility, Limit, Scope, TagRule, Use
from engine.scheduling.lists import AccountLists
from engine.scheduling.mistakes import shown
from engine.scheduling.places import LABEL_CHARACTERS_MAX, Place
from engine.scheduling.times import LOCAL_EXAMPLE, read_end, read_start

SCOPES: tuple[Scope, ...] = get_args(Scope)
LIMIT_KEYS = {"max": "1", "per": "campaign"}
ELIGIBILITY_KEYS = ("cities", "tags", "allow", "deny")
TAG_KEYS = ("any", "all", "none")
USE_KEYS = ("cities", "per_payment")
VALIDITY_KEYS = ("natural_days", "days_after_claim", "until", "from", "from_day")
CAP_KEYS = ("claims", "value")

NAMES_MAX = 1_000
"""Cities or tags in one rule: it is read at every ticket."""
VALIDITY_DAYS_MAX = 3_650
"""Ten years; past it a slip of the finger is more likely than a promise."""
CAP_CLAIMS_MAX = 10_000_000_000
CAP_VALUE_MAX = 1_000_000_000_000_000
"""Minor units. The script adds up what claims are worth in doubles, which are exact to 9 × 10^15."""

_INSIDE: dict[Scope, tuple[Scope, ...]] = {
    "wave": ("round", "day", "campaign"),
    "round": ("campaign",),
    "day": ("campaign",),
    "campaign": (),
}
"""Which scopes contain which: a claim in a wave is one in its round, its day and the campaign."""


class WrittenValidity(Struct, frozen=True):
    """Validity before its times have met the campaign's zone: naive where they are local."""

    natural_days: int | None = None
    days_after_claim: int | None = None
    until: datetime | None = None
    begins: datetime | None = None
    from_day: int | None = None


def read_limits(place: Place) -> tuple[Limit, ...] | None:
    """The limits; an empty list is no mistake, it means the default."""
    items = place.items("{max: 1, per: campaign}", 0, len(SCOPES))
    if items is None:
        return None
    read = [(item, _limit(item)) for item in items]
    known = {limit.per: limit for _, limit in reversed(read) if limit}
    for item, limit in read:
        if limit is None:
            continue
        if known[limit.per] is not limit:
            item.wrong(f"limits per {limit.per} stand here twice: keep one")
        for wider in _INSIDE[limit.per]:
            if wider in known and known[wider].max <= limit.max:
                most = known[wider].max
                less = f"write less than {most}, or " if most > 1 else ""
                item.wrong(f"can never bind: at most {most} per {wider} are possible anyway; {less}remove it")
                break
    limits = tuple(limit for _, limit in read if limit)
    return limits if len(limits) == len(items) else None


def _limit(place: Place) -> Limit | None:
    found = place.fields(LIMIT_KEYS, LIMIT_KEYS, "{max: 1, per: campaign}")
    if found is None:
        return None
    most = found["max"].whole(1, CLAIMS_PER_CLAIMANT_MAX) if "max" in found else None
    per = found["per"].choice(SCOPES) if "per" in found else None
    return Limit(most, cast(Scope, per)) if most and per else None


def read_eligibility(place: Place, lists: AccountLists) -> Eligibility | None:
    """Who may claim. `{}` lets everybody claim."""
    found = place.fields(ELIGIBILITY_KEYS, {}, "{cities: [武汉]}")
    if found is None:
        return None
    cities = read_names(found["cities"], "[武汉]") if "cities" in found else ()
    tags = _tags(found["tags"]) if "tags" in found else TagRule()
    allow = lists.read(found["allow"]) if "allow" in found else None
    deny = lists.read(found["deny"], may_be_empty=True) if "deny" in found else frozenset[str]()
    if cities is None or tags is None or deny is None or ("allow" in found and allow is None):
        return None
    return Eligibility(cities=cities, tags=tags, allow=allow, deny=deny)


def _tags(place: Place) -> TagRule | None:
    if place.is_list():
        place.wrong("say which of these a user needs: write {any: […]}, {all: […]} or {none: […]}")
        return None
    found = place.fields(TAG_KEYS, {}, "{any: [member]}")
    if found is None:
        return None
    read = {key: read_names(found[key], "[member]") for key in found}
    forbidden = set(read.get("none") or ())
    for key in ("any", "all"):
        for tag in read.get(key) or ():
            if tag in forbidden:
                found[key].wrong(f"{shown(tag)} is in none too: nobody can have it and not have it; remove it from one")
    if None in read.values():
        return None
    return TagRule(**{key: names for key, names in read.items() if names})


def read_names(place: Place, example: str) -> tuple[str, ...] | None:
    """A list of labels that come from tokens and stores, each once."""
    items = place.items(example, 1, NAMES_MAX)
    if items is None:
        return None
    names = [item.text(LABEL_CHARACTERS_MAX, example.strip("[]")) for item in items]
    return once(items, names)


def once(items: list[Place], names: list[str | None]) -> tuple[str, ...] | None:
    """The names, None where one of them could not be read; a name that is there twice is noted."""
    seen: set[str] = set()
    for item, name in zip(items, names, strict=True):
        if name is not None and name in seen:
            item.wrong(f"{shown(name)} is in this list twice: remove one")
        elif name is not None:
            seen.add(name)
    read = tuple(name for name in names if name is not None)
    return read if len(read) == len(names) else None


def read_use(place: Place) -> Use | None:
    """Where and how vouchers are used."""
    found = place.fields(USE_KEYS, {}, "{cities: [武汉], per_payment: 1}")
    if found is None:
        return None
    cities = read_names(found["cities"], "[武汉]") if "cities" in found else ()
    # a claimant never holds more vouchers than the limits can allow
    each = found["per_payment"].whole(1, CLAIMS_PER_CLAIMANT_MAX) if "per_payment" in found else 1
    return Use(cities, each) if cities is not None and each else None


def read_validity(place: Place) -> WrittenValidity | None:
    """How long vouchers are good, by one of the three kinds, and from when on."""
    found = place.fields(VALIDITY_KEYS, {}, "{natural_days: 7}")
    if found is None:
        return None
    ends = [name for name in ("natural_days", "days_after_claim", "until") if name in found]
    if len(ends) != 1:
        says = f"says {' and '.join(each for each in found if each in ends)}" if ends else "says nothing of an end"
        place.wrong(f"{says}: write one of natural_days, days_after_claim and until")
        return None
    if "from" in found and "from_day" in found:
        place.wrong("says from and from_day: write one of them")
        return None
    days = {
        name: found[name].whole(1, VALIDITY_DAYS_MAX)
        for name in ("natural_days", "days_after_claim", "from_day")
        if name in found
    }
    until = found["until"].read(read_end, LOCAL_EXAMPLE, quoted=True) if "until" in found else None
    begins = found["from"].read(read_start, LOCAL_EXAMPLE, quoted=True) if "from" in found else None
    is_read = None not in days.values() and (until or "until" not in found) and (begins or "from" not in found)
    return WrittenValidity(until=until, begins=begins, **days) if is_read else None


def read_cap(place: Place) -> Cap | None:
    """A stop for the whole campaign; `{}` is none."""
    found = place.fields(CAP_KEYS, {}, "{claims: 60000}")
    if found is None:
        return None
    claims = found["claims"].whole(1, CAP_CLAIMS_MAX) if "claims" in found else None
    value = found["value"].whole(1, CAP_VALUE_MAX, "a whole number of minor units") if "value" in found else None
    return Cap(claims, value)
