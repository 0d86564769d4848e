"""Campaign files: from YAML text to a `Campaign`, or to everything that is wrong with it.

docs/campaign-files.md has the format.

First each value is read by itself, then the waves are turned into drops, then what one part says is
held against the others. No step stops at a mistake; at the end all that was noted is told at once.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TypeVar, cast, get_args
from zoneinfo import ZoneInfo

from msgspec import UNSET, structs

from engine.domain.campaign import Campaign, Cap, ClaimantKind, Eligibility, Limit, Use, Validity
from engine.errors import UsageError
from engine.scheduling import checks
from engine.scheduling.drops import drops_of
from engine.scheduling.lists import AccountLists, beside, sent
from engine.scheduling.mistakes import Mistakes, shown
from engine.scheduling.offers import STORE_EXAMPLE, TITLE_CHARACTERS_MAX, read_offers, read_stores
from engine.scheduling.places import Place
from engine.scheduling.reading import FILE_BYTES_MAX, read_tree
from engine.scheduling.rules import read_cap, read_eligibility, read_limits, read_use, read_validity
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
    "sandbox", "stores", "offers", "wave_defaults", "waves",
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
    """One file while it is read. A part that is None is not there, or could not be read."""

    def __init__(self, root: Place, lists: AccountLists) -> None:
        self._root = root
        self._found = root.fields(CAMPAIGN_KEYS, REQUIRED_KEYS, "campaign: hubei-2021") or {}
        self._id = self._section("campaign", lambda place: place.id("hubei-2021"))
        self._title = self._section("title", lambda place: place.text(TITLE_CHARACTERS_MAX, "湖北消费券 2021"))
        self._zone = self._section("timezone", lambda place: place.read(read_zone, "Asia/Shanghai"))
        self._currency = self._section("currency", _currency)
        self._limits = self._section("limits", read_limits)
        self._by = self._section("by", lambda place: place.choice(get_args(ClaimantKind)))
        self._eligibility = self._section("eligibility", lambda place: read_eligibility(place, lists))
        self._use = self._section("use", read_use)
        self._cap = self._section("cap", read_cap)
        self._sandbox = self._section("sandbox", lambda place: place.flag())
        self._stores = self._section("stores", read_stores)
        self._offers = self._section("offers", lambda place: read_offers(place, self._stores))
        ids = self._offers.ids if self._offers else None
        defaults = self._section("wave_defaults", lambda place: read_defaults(place, ids, lists)) or Shared()
        self._waves = self._section("waves", lambda place: read_waves(place, defaults, ids, lists)) or []
        self._drops = [drop for wave in self._waves for drop in drops_of(wave, self._zone)] if self._zone else []
        self._validity = self._read_validity()

    def _section(self, key: str, read: Callable[[Place], T | None]) -> T | None:
        return read(self._found[key]) if key in self._found else None

    def campaign(self) -> Campaign:
        """The campaign; raises CampaignFileError with every mistake."""
        self._check_together()
        self._root.mistakes.refuse_if_any()
        return Campaign(
            id=_there(self._id),
            title=_there(self._title),
            timezone=_there(self._zone).key,
            currency=_there(self._currency),
            validity=_there(self._validity),
            offers=_there(self._offers).offers,
            waves=tuple(drop.wave for drop in self._drops),
            stores={store: _there(content) for store, content in _there(self._stores).items()},
            limits=self._limits or DEFAULT_LIMITS,
            by=cast(ClaimantKind, self._by or "account"),
            eligibility=self._eligibility or Eligibility(),
            use=self._use or Use(),
            cap=self._cap or Cap(),
            sandbox=self._sandbox or False,
        )

    def _check_together(self) -> None:
        found, drops, offers = self._found, self._drops, self._offers
        worth = checks.worth_of(drops, offers.offers if offers else ())
        if self._limits:
            checks.check_rounds(self._limits, self._waves)
            checks.check_claims(self._limits, found["limits"], drops)
        if self._cap:
            checks.check_cap(self._cap, found["cap"], drops, worth)
        if self._use and offers and self._stores:
            checks.check_use(self._use, offers, self._stores)
        if self._waves:
            checks.check_worth(found["waves"], worth)
        if self._validity and self._zone:
            checks.check_validity(self._validity, found["validity"], self._zone.key, drops)
        checks.check_rollover(drops, self._waves)
        checks.check_accounts(self._root, self._eligibility, drops)

    def _read_validity(self) -> Validity | None:
        written = self._section("validity", read_validity)
        if written is None or self._zone is None:
            return None
        instants: dict[str, int | None] = {}
        for name, at in (("until", written.until), ("from", written.begins)):
            try:
                instants[name] = None if at is None else _instant_ms(at, self._zone)
            except NotATime as error:
                self._found["validity"].wrong_below(name, str(error))
                return None
        from_ms, from_day = instants["from"], written.from_day
        return Validity(
            natural_days=written.natural_days,
            days_after_claim=written.days_after_claim,
            until_ms=instants["until"],
            from_ms=UNSET if from_ms is None else from_ms,
            from_day=UNSET if from_day is None else from_day,
        )


def _instant_ms(at: datetime, zone: ZoneInfo) -> int:
    """That time as Unix milliseconds; one without an offset is local. Raises NotATime where a clock change skips it."""
    return int((at if at.tzinfo else instant_of(at, zone)).timestamp() * 1000)


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
