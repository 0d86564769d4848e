"""Campaign files: from YAML text to a `Campaign`, or to everything that is wrong with it.

docs/campaign-files.md has the format.

First each value is read by itself, then the waves are turned into drops, then what one part says is
held against the others. No step stops at a mistake; at the end all that was noted is told at once.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar, cast, get_args
from zoneinfo import ZoneInfo

from msgspec import structs

from engine.domain.campaign import Campaign, Cap, ClaimantKind, Eligibility, Limit, Use, Validity
from engine.errors import UsageError
from engine.scheduling import checks
from engine.scheduling.drops import Drop, drops_of
from engine.scheduling.lists import AccountLists, beside, sent
from engine.scheduling.mistakes import Mistakes, shown
from engine.scheduling.offers import STORE_EXAMPLE, TITLE_CHARACTERS_MAX, read_offers, read_stores
from engine.scheduling.places import Place
from engine.scheduling.reading import FILE_BYTES_MAX, read_tree
from engine.scheduling.rules import WrittenValidity, read_cap, read_eligibility, read_limits, read_use, read_validity
from engine.scheduling.times import NotATime, exact, instant_of, read_zone
from engine.scheduling.waves import Shared, read_defaults, read_waves

REQUIRED_KEYS = {
    "campaign": "hubei-2021",
    "title": "湖北消费券 2021",
    "timezone": "Asia/Shanghai",
    "currency": "CNY",
    "validity": "{natural_days: 7}",
    "stores": f"{{{STORE_EXAMPLE}}}",
    "offers": "[{id: mall-50, …}]",
    "waves": '[{id: hubei-2021-r1-b1, opens_at: "2021-09-17 20:00", …}]',
}
CAMPAIGN_KEYS = (
    "campaign", "title", "timezone", "currency", "limits", "by", "eligibility", "use", "validity", "cap",
    "stores", "offers", "wave_defaults", "waves",
)  # fmt: skip
DEFAULT_LIMITS = (Limit(1, "campaign"),)
_CURRENCY = re.compile(r"[A-Z]{3}")

T = TypeVar("T")


def read_campaign_file(path: Path) -> Campaign:
    """The campaign of that file; lists of accounts are read from the folder in which it stands.

    Raises CampaignFileError with every mistake, also where there is no such file.
    """
    mistakes = Mistakes(str(path))
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
        text = content.decode()
    except OSError as error:
        mistakes.note(0, "", f"cannot be read: {error.strerror}")
        raise mistakes.refuse() from None
    except UnicodeDecodeError as error:
        # a file that is cut at the bound may end inside a character; its size is what is wrong then
        if len(content) > FILE_BYTES_MAX:
            text = content.decode(errors="replace")
        else:
            mistakes.note(content.count(b"\n", 0, error.start) + 1, "", "is not UTF-8: save the file as UTF-8 text")
            raise mistakes.refuse() from None
    return parse_campaign(text, str(path), path.parent)


def parse_campaign(
    text: str, source: str, folder: Path | None = None, lists: Mapping[str, bytes] | None = None
) -> Campaign:
    """The campaign that this text states. `source` names it in messages.

    Lists of accounts that it names come from `lists` (name to content), else from the files of
    `folder`; with neither, none can be named. Instants of waves carry the offset of the campaign's
    zone. Raises CampaignFileError.
    """
    mistakes = Mistakes(source)
    tree = read_tree(text, mistakes)
    account_lists = AccountLists(beside(folder) if lists is None else sent(lists))
    return _Reading(Place(tree, "", tree.line, mistakes), account_lists).campaign()


class _Reading:
    """One file while it is read."""

    def __init__(self, root: Place, lists: AccountLists) -> None:
        self._root = root
        self._lists = lists
        self._found = root.fields(CAMPAIGN_KEYS, REQUIRED_KEYS, "campaign: hubei-2021") or {}

    def _section(self, key: str, read: Callable[[Place], T | None]) -> T | None:
        return read(self._found[key]) if key in self._found else None

    def campaign(self) -> Campaign:
        campaign = self._section("campaign", lambda place: place.id("hubei-2021"))
        title = self._section("title", lambda place: place.text(TITLE_CHARACTERS_MAX, "湖北消费券 2021"))
        zone = self._section("timezone", lambda place: place.read(read_zone, "Asia/Shanghai"))
        currency = self._section("currency", _currency)
        limits = self._section("limits", read_limits)
        by = self._section("by", lambda place: place.choice(get_args(ClaimantKind)))
        eligibility = self._section("eligibility", lambda place: read_eligibility(place, self._lists))
        use = self._section("use", read_use)
        cap = self._section("cap", read_cap)
        stores = self._section("stores", read_stores)
        offers = self._section("offers", lambda place: read_offers(place, stores))
        ids = offers.ids if offers else None
        defaults = self._section("wave_defaults", lambda place: read_defaults(place, ids, self._lists)) or Shared()
        waves = self._section("waves", lambda place: read_waves(place, defaults, ids, self._lists)) or []
        drops = [drop for wave in waves for drop in drops_of(wave, zone)] if zone else []
        validity = self._validity(zone, drops)

        checks.check_rounds(limits or (), waves)
        checks.check_claims(limits or DEFAULT_LIMITS, self._found.get("limits"), drops)
        checks.check_rollover(drops, waves)
        checks.check_cap(cap or Cap(), self._found.get("cap"), offers.offers if offers else (), drops)
        checks.check_accounts(self._root, eligibility, drops)
        if use and offers and stores:
            checks.check_use(use, offers, stores)
        self._root.mistakes.refuse_if_any()
        return Campaign(
            id=_there(campaign),
            title=_there(title),
            timezone=_there(zone).key,
            currency=_there(currency),
            validity=_there(validity),
            offers=_there(offers).offers,
            waves=tuple(drop.wave for drop in drops),
            stores={store: _there(content) for store, content in _there(stores).items()},
            limits=limits or DEFAULT_LIMITS,
            by=cast(ClaimantKind, by or "account"),
            eligibility=eligibility or Eligibility(),
            use=use or Use(),
            cap=cap or Cap(),
        )

    def _validity(self, zone: ZoneInfo | None, drops: Sequence[Drop]) -> Validity | None:
        written = self._section("validity", read_validity)
        if written is None or zone is None:
            return None
        place = self._found["validity"]
        try:
            validity = _validity(written, zone)
        except NotATime as error:
            place.wrong_below("until", str(error))
            return None
        checks.check_validity(validity, place, zone.key, drops)
        return validity


def _validity(written: WrittenValidity, zone: ZoneInfo) -> Validity:
    until = written.until
    if until is None:
        return Validity(natural_days=written.natural_days, days_after_claim=written.days_after_claim)
    instant = until if until.tzinfo else instant_of(until, zone)
    return Validity(until_ms=int(instant.timestamp() * 1000))


def _currency(place: Place) -> str | None:
    text = place.text(3, "CNY")
    if text is None or _CURRENCY.fullmatch(text):
        return text
    place.wrong(f"{shown(text)} is not a currency: write the three letters of ISO 4217, for example CNY")
    return None


def _there(value: T | None) -> T:
    """A value of a file without mistakes: what could not be read has been noted, and the file refused."""
    assert value is not None
    return value


def moved(campaign: Campaign, wave_id: str, opens_at: datetime) -> Campaign:
    """The same campaign with one wave opening at another instant, as long as before; its day follows.

    Nothing else moves: neither an `until`, nor the wave that gets its unsold stock. `opens_at` is
    aware. Raises UsageError where the campaign has no such wave.
    """
    if opens_at.tzinfo is None:
        raise ValueError("opens_at has no offset: an instant is needed")
    zone = ZoneInfo(campaign.timezone)
    if wave_id not in {wave.id for wave in campaign.waves}:
        ids = ", ".join(wave.id for wave in campaign.waves[:10]) + (", …" if len(campaign.waves) > 10 else "")
        raise UsageError(f"campaign {campaign.id} has no wave {shown(wave_id)}; its waves are {ids}")
    waves = []
    for wave in campaign.waves:
        if wave.id == wave_id:
            opens = exact(opens_at, zone)
            closes = exact(opens + (wave.closes_at - wave.opens_at), zone)
            waves.append(structs.replace(wave, opens_at=opens, closes_at=closes, day=opens.date()))
        else:
            waves.append(wave)
    return structs.replace(campaign, waves=tuple(waves))
