"""The copy of a campaign that a running installation is rehearsed with: one wave, ids and users of its own.

Nothing of the copy can be met by what is real. Lists of accounts stay behind, since nobody on them takes part;
rollover stays behind, since there is one wave.
"""

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import UNSET, Struct, to_builtins
from msgspec.structs import replace

from engine.domain.campaign import (
    Campaign,
    Eligibility,
    Limit,
    Offer,
    Validity,
    Wave,
)

PREFIX = "sandbox-"
ID_CHARACTERS_MAX = 64
"""What a campaign file allows."""
MARK_CHARACTERS = 6
_MARK_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
LASTS_MAX = timedelta(hours=4)
"""A rehearsal that is killed leaves its wave open for no longer; the longest drop takes three hours."""


class SandboxIds(Struct, frozen=True):
    """Names of one rehearsal."""

    campaign: str
    wave: str

    @property
    def users(self) -> str:
        """What all accounts and persons begin with."""
        return f"{self.campaign}-"


def sandbox_ids(campaign: str, wave: str, seed: int, now_ns: int) -> SandboxIds:
    """Ids that no other rehearsal has: the same seed at another time gives others."""
    number = int.from_bytes(hashlib.blake2b(f"{seed} {now_ns}".encode(), digest_size=8).digest(), "big")
    mark = ""
    for _ in range(MARK_CHARACTERS):
        number, place = divmod(number, len(_MARK_LETTERS))
        mark += _MARK_LETTERS[place]
    room = ID_CHARACTERS_MAX - len(PREFIX) - 1 - MARK_CHARACTERS
    return SandboxIds(f"{PREFIX}{campaign[:room]}-{mark}", f"{PREFIX}{wave[:room]}-{mark}")


def sandbox_of(campaign: Campaign, wave: Wave, ids: SandboxIds, opens_at: datetime) -> Campaign:
    """The copy with that wave alone. It opens at `opens_at` (aware, whole seconds) and lasts LASTS_MAX at most."""
    opens = opens_at.astimezone(ZoneInfo(campaign.timezone))
    closes = (opens_at + min(wave.closes_at - wave.opens_at, LASTS_MAX)).astimezone(ZoneInfo(campaign.timezone))
    copied = replace(
        wave,
        id=ids.wave,
        opens_at=opens,
        closes_at=closes,
        day=opens.date(),
        eligibility=_without_accounts(wave.eligibility, ids) if wave.eligibility else None,
        rollover=None,
    )
    return replace(
        campaign,
        id=ids.campaign,
        waves=(copied,),
        limits=(_that_binds(campaign.limits),),
        eligibility=_without_accounts(campaign.eligibility, ids),
        validity=moved_validity(campaign.validity, wave, copied),
        sandbox=True,
    )


def _that_binds(limits: tuple[Limit, ...]) -> Limit:
    """Of several limits the one that a single wave can reach; a file may not state one that never binds."""
    return min(limits, key=lambda limit: limit.max)


def _without_accounts(rule: Eligibility, ids: SandboxIds) -> Eligibility:
    """Cities and tags; where only listed accounts may claim, a list that no real account is on."""
    return replace(rule, allow=None if rule.allow is None else frozenset({f"{ids.users}listed"}), deny=frozenset())


def moved_validity(validity: Validity, wave: Wave, copied: Wave) -> Validity:
    """The same period; its instants move with the wave, and a late claim gets one more day of a wave past midnight."""
    if validity.from_ms is not UNSET:
        later_ms = round((copied.opens_at - wave.opens_at).total_seconds()) * 1000
        validity = replace(validity, from_ms=validity.from_ms + later_ms)
    if validity.until_ms is not None:
        moved_ms = round((copied.closes_at - wave.closes_at).total_seconds()) * 1000
        return replace(validity, until_ms=validity.until_ms + moved_ms)
    if validity.natural_days is not None and copied.closes_at.date() != copied.day:
        return replace(validity, natural_days=validity.natural_days + 1)
    return validity


def file_of(campaign: Campaign) -> str:
    """The text of a campaign file that states this campaign, in JSON, which is YAML too."""
    zone = ZoneInfo(campaign.timezone)
    sections: dict[str, Any] = {
        "campaign": campaign.id,
        "title": campaign.title,
        "timezone": campaign.timezone,
        "currency": campaign.currency,
        "sandbox": campaign.sandbox,
        "limits": to_builtins(campaign.limits),
        "by": campaign.by,
        "eligibility": _eligibility(campaign.eligibility),
        "use": _given({"cities": list(campaign.use.cities), "per_payment": campaign.use.per_payment}),
        "validity": _validity(campaign.validity, zone),
        "cap": _given(to_builtins(campaign.cap)),
        "stores": to_builtins(campaign.stores),
        "offers": [_offer(offer, campaign) for offer in campaign.offers],
        "waves": [_wave(wave) for wave in campaign.waves],
    }
    return json.dumps(sections, ensure_ascii=False)


def _given(members: dict[str, Any]) -> dict[str, Any]:
    """Without what is empty: a file leaves it out."""
    return {key: value for key, value in members.items() if value not in (None, "", [], {})}


def _eligibility(rule: Eligibility) -> dict[str, Any]:
    tags = {"any": list(rule.tags.any), "all": list(rule.tags.all), "none": list(rule.tags.none)}
    allow = None if rule.allow is None else sorted(rule.allow)
    return _given({"cities": list(rule.cities), "tags": _given(tags), "allow": allow, "deny": sorted(rule.deny)})


def _validity(validity: Validity, zone: ZoneInfo) -> dict[str, Any]:
    written: dict[str, Any] = {"natural_days": validity.natural_days, "days_after_claim": validity.days_after_claim}
    for name, at_ms in (("until", validity.until_ms), ("from", validity.from_ms)):
        if isinstance(at_ms, int):
            written[name] = datetime.fromtimestamp(at_ms / 1000, zone).isoformat()
    if validity.from_day is not UNSET:
        written["from_day"] = validity.from_day
    return _given(written)


def _offer(offer: Offer, campaign: Campaign) -> dict[str, Any]:
    stores: str | list[str] = "all" if offer.stores == tuple(campaign.stores) else list(offer.stores)
    return _given(to_builtins(offer)) | {"stores": stores}


def _wave(wave: Wave) -> dict[str, Any]:
    members = {
        "id": wave.id,
        "round": wave.round,
        "opens_at": wave.opens_at.isoformat(),
        "closes_at": wave.closes_at.isoformat(),
        "rollover": wave.rollover,
    }
    eligibility = {} if wave.eligibility is None else {"eligibility": _eligibility(wave.eligibility)}
    return _given(members) | {"stock": wave.stock} | eligibility
