"""Values of a campaign in the words of the person who reads a plan. Pure."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from msgspec import UNSET

from engine.domain.campaign import Cap, Eligibility, Limit, Offer, TagRule, Validity, Wave

IDS_SHOWN_MAX = 8
"""Ids in one line; more are counted."""


def moment(at: datetime, timezone: str) -> str:
    """`2090-05-01 20:00+08:00`: in the campaign's zone, with the offset, because a clock change repeats an hour."""
    local = at.astimezone(ZoneInfo(timezone))
    whole_minute = not local.second and not local.microsecond
    return local.isoformat(" ", "minutes" if whole_minute else "milliseconds" if local.microsecond else "seconds")


def limits(rules: Sequence[Limit]) -> str:
    """`1 claim per day and 5 per campaign`."""
    if not rules:
        return "no limit"
    first, *rest = rules
    plural = "" if first.max == 1 else "s"
    return " and ".join(
        [f"{first.max} claim{plural} per {first.per}", *(f"{rule.max} per {rule.per}" for rule in rest)]
    )


def cap(rule: Cap) -> str:
    """What stops the whole campaign."""
    parts = [] if rule.claims is None else [f"{rule.claims} claims"]
    parts += [] if rule.value is None else [f"a worth of {rule.value} minor units"]
    return " and ".join(parts) or "none"


def validity(rule: Validity, timezone: str) -> str:
    """From when, and for how long, a voucher is good."""
    begins = ""
    if rule.from_ms is not UNSET:
        begins = f", not before {_moment_ms(rule.from_ms, timezone)}"
    elif rule.from_day is not UNSET:
        begins = f", not before day {rule.from_day}, the day of the drop being day 1"
    if rule.until_ms is not None:
        return f"until {_moment_ms(rule.until_ms, timezone)}{begins}"
    if rule.days_after_claim is not None:
        return f"{rule.days_after_claim} times 24 hours after the claim{begins}"
    return f"{rule.natural_days} natural days, the day of the drop included{begins}"


def _moment_ms(at_ms: int, timezone: str) -> str:
    return moment(datetime.fromtimestamp(at_ms / 1000, UTC), timezone)


def eligibility(rule: Eligibility | None) -> str:
    """Who may claim, in one line. A wave's own rule of None adds nothing to the campaign's."""
    if rule is None:
        return "as the campaign"
    parts = [f"in {listed(rule.cities)}"] if rule.cities else []
    parts += [words] if (words := tags(rule.tags)) else []
    parts += [f"only the {len(rule.allow)} accounts of a list"] if rule.allow is not None else []
    parts += [f"not the {len(rule.deny)} accounts of a list"] if rule.deny else []
    return ", ".join(parts) or "everybody"


def tags(rule: TagRule) -> str:
    """Which tags a token must carry; empty where it may carry any."""
    rules = (("any of", rule.any), ("all of", rule.all), ("none of", rule.none))
    return ", ".join(f"{which} the tags {listed(names)}" for which, names in rules if names)


def accounts(before: frozenset[str] | None, after: frozenset[str] | None) -> str:
    """How a list of accounts changes, without naming one."""
    if before is None or after is None:
        return " → ".join("no list" if each is None else f"a list of {len(each)}" for each in (before, after))
    return f"{len(before)} → {len(after)} accounts ({len(after - before)} more, {len(before - after)} fewer)"


def offer(each: Offer) -> str:
    """What the offer gives."""
    amounts = {name: getattr(each, name) for name in ("face", "min_spend", "price", "percent_off", "max_discount")}
    parts = [f"{name} {amount}" for name, amount in amounts.items() if amount is not None]
    stores = "1 store" if len(each.stores) == 1 else f"{len(each.stores)} stores"
    funder = [f"paid for by {each.funder}"] if each.funder else []
    code_page = ["taken while the holder's code page is open"] if each.needs_code_page else []
    return ", ".join([f"{each.title} ({each.kind})", *parts, stores, *funder, *code_page])


def wave(each: Wave, timezone: str) -> str:
    """When it is, and what it has."""
    opens, closes = moment(each.opens_at, timezone), moment(each.closes_at, timezone)
    return f"opens {opens}, closes {closes}, stock {stock(each.stock.items())}"


def stock(units: Iterable[tuple[str, int]]) -> str:
    """Units by offer."""
    return ", ".join(f"{offer} {count}" for offer, count in units) or "none"


def listed(names: Iterable[object]) -> str:
    """Names in one line, the first few of many."""
    texts = [str(name) for name in names]
    more = f" and {len(texts) - IDS_SHOWN_MAX} more" if len(texts) > IDS_SHOWN_MAX else ""
    return ", ".join(texts[:IDS_SHOWN_MAX]) + more


def plain(value: object) -> str:
    """Any other value."""
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (listed(value) or "none") if isinstance(value, (tuple, list, frozenset)) else str(value)
