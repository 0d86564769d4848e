"""Waves as a campaign file states them, before repeats are written out and zones looked at."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from engine.domain.campaign import Eligibility
from engine.scheduling.lists import AccountLists
from engine.scheduling.mistakes import shown
from engine.scheduling.places import ID_CHARACTERS_MAX, LABEL_CHARACTERS_MAX, Place
from engine.scheduling.repeats import Repeat, occurrence_id, read_repeat
from engine.scheduling.rules import read_eligibility
from engine.scheduling.times import LENGTH_EXAMPLE, LOCAL_EXAMPLE, read_end, read_length, read_start

WAVES_MAX = 1_000
"""Waves of one campaign, repeats written out: its whole schedule is one record of the hot store, which every
gateway holds."""
STOCK_MAX = 10_000_000
"""Units of one offer in one wave: more than the largest evening known, and at 200 bytes a claim what still fits
into the memory of one hot store."""

SHARED_KEYS = ("round", "lasts", "stock", "eligibility", "rollover")
"""What wave_defaults may say for all waves."""
WAVE_KEYS = ("id", "round", "opens_at", "lasts", "closes_at", "repeat", "rollover", "stock", "eligibility")
REQUIRED_KEYS = {"id": "hubei-2021-r1-b1", "opens_at": LOCAL_EXAMPLE}
NEXT = "next"
_WAVE_EXAMPLE = '{id: hubei-2021-r1-b1, opens_at: "2021-09-17 20:00", lasts: 4h, stock: {mall-50: 800}}'
_STOCK_EXAMPLE = "{mall-50: 800}"


@dataclass(frozen=True, slots=True)
class Shared:
    """What a wave may take from wave_defaults. `given` are the keys that the file has, right or wrong.

    A value that is None though its key is given could not be read.
    """

    given: frozenset[str] = frozenset()
    round: str | None = None
    lasts: timedelta | None = None
    stock: dict[str, int] | None = None
    eligibility: Eligibility | None = None
    rollover: str | None = None
    rollover_place: Place | None = None

    def over(self, defaults: "Shared") -> "Shared":
        """These, and for each key that is not given here what the defaults say."""
        own = self.given

        def of(key: str) -> Shared:
            return self if key in own else defaults

        return Shared(
            given=own | defaults.given,
            round=of("round").round,
            lasts=of("lasts").lasts,
            stock=of("stock").stock,
            eligibility=of("eligibility").eligibility,
            rollover=of("rollover").rollover,
            rollover_place=of("rollover").rollover_place,
        )


@dataclass(frozen=True, slots=True)
class Moment:
    """A time as written, and where; naive where it is local."""

    at: datetime
    place: Place


@dataclass(frozen=True, slots=True)
class WrittenWave:
    """One entry of `waves`. None stands for what is not there and for what could not be read."""

    place: Place
    id: str | None
    id_place: Place
    opens: Moment | None
    closes: Moment | None
    repeat: Repeat | None
    shared: Shared
    readable: bool
    """Whether id, times and repeat could be read, so that its drops can be worked out."""

    @property
    def count(self) -> int:
        """Drops that come of it."""
        return self.repeat.times if self.repeat else 1

    def ids(self) -> list[str]:
        """Ids of the drops that come of it; none where id or repeat could not be read."""
        if self.id is None or (self.repeat is None and self.place.has("repeat")):
            return []
        return [occurrence_id(self.id, number + 1) for number in range(self.repeat.times)] if self.repeat else [self.id]


def read_shared(
    found: dict[str, Place], given: frozenset[str], offers: Collection[str] | None, lists: AccountLists
) -> Shared:
    """The keys that waves and wave_defaults have in common; `offers` of None: which there are could not be read."""
    rollover = found["rollover"].id("next") if "rollover" in found else None
    return Shared(
        given=given,
        round=found["round"].text(LABEL_CHARACTERS_MAX, "first") if "round" in found else None,
        lasts=found["lasts"].read(read_length, LENGTH_EXAMPLE) if "lasts" in found else None,
        stock=_stock(found["stock"], offers) if "stock" in found else None,
        eligibility=read_eligibility(found["eligibility"], lists) if "eligibility" in found else None,
        rollover=rollover,
        rollover_place=found.get("rollover"),
    )


def read_defaults(place: Place, offers: Collection[str] | None, lists: AccountLists) -> Shared:
    """wave_defaults."""
    found = place.fields(SHARED_KEYS, {}, "{lasts: 4h}")
    return read_shared(found or {}, place.keys(SHARED_KEYS), offers, lists)


def read_waves(
    place: Place, defaults: Shared, offers: Collection[str] | None, lists: AccountLists
) -> list[WrittenWave] | None:
    """All entries of `waves`."""
    items = place.items(_WAVE_EXAMPLE, 1, WAVES_MAX)
    if items is None:
        return None
    waves = [wave for item in items if (wave := _wave(item, defaults, offers, lists))]
    count = sum(wave.count for wave in waves)
    if count > WAVES_MAX:
        place.wrong(f"are {count:,} with their repeats; at most {WAVES_MAX:,} are possible in one campaign")
        return None
    _check_ids(waves)
    return waves


def _wave(place: Place, defaults: Shared, offers: Collection[str] | None, lists: AccountLists) -> WrittenWave | None:
    found = place.fields(WAVE_KEYS, REQUIRED_KEYS, _WAVE_EXAMPLE)
    if found is None:
        return None
    shared = read_shared(found, place.keys(SHARED_KEYS), offers, lists).over(defaults)
    wave = found["id"].id("hubei-2021-r1-b1") if "id" in found else None
    opens = found["opens_at"].read(read_start, LOCAL_EXAMPLE, quoted=True) if "opens_at" in found else None
    closes = found["closes_at"].read(read_end, LOCAL_EXAMPLE, quoted=True) if "closes_at" in found else None
    repeat = read_repeat(found["repeat"]) if "repeat" in found else None
    if wave and repeat and len(occurrence_id(wave, 1)) > ID_CHARACTERS_MAX:
        most = ID_CHARACTERS_MAX - len(occurrence_id("", 1))
        found["id"].wrong(f"is too long for a wave with repeat: at most {most} characters, -b001 comes behind it")
    _check_keys(place, shared, wave)
    ends = closes is not None if place.has("closes_at") else shared.lasts is not None
    return WrittenWave(
        place=place,
        id=wave,
        id_place=found.get("id", place),
        opens=Moment(opens, found["opens_at"]) if opens else None,
        closes=Moment(closes, found["closes_at"]) if closes else None,
        repeat=repeat,
        shared=shared,
        readable=wave is not None and opens is not None and ends and (repeat is not None or not place.has("repeat")),
    )


def _check_keys(place: Place, shared: Shared, wave: str | None) -> None:
    """What must be here or in wave_defaults, and what cannot be together."""
    if place.has("lasts") and place.has("closes_at"):
        place.wrong("says both lasts and closes_at: remove one of them")
    elif not place.has("closes_at") and "lasts" not in shared.given:
        place.wrong_below("lasts", "is missing: write for example lasts: 4h, here or in wave_defaults, or a closes_at")
    if "stock" not in shared.given:
        place.wrong_below("stock", f"is missing: write for example stock: {_STOCK_EXAMPLE}, here or in wave_defaults")
    if shared.rollover == NEXT and shared.rollover_place and not place.has("repeat"):
        shared.rollover_place.wrong(
            f"next needs a repeat, and wave {wave or 'without id'} has none: name the wave that gets what is unsold"
        )


def _stock(place: Place, offers: Collection[str] | None) -> dict[str, int] | None:
    entries = place.entries(_STOCK_EXAMPLE)
    if entries is None:
        return None
    stock = {}
    for offer, entry in entries.items():
        if offers is not None and offer not in offers:
            entry.wrong(
                f"{shown(offer)} is not among the offers of this campaign{place.mistakes.nearest(offer, offers)}"
            )
        units = entry.whole(0, STOCK_MAX)
        if units is not None:
            stock[offer] = units
    return stock if stock.keys() == entries.keys() else None


def _check_ids(waves: list[WrittenWave]) -> None:
    first: dict[str, WrittenWave] = {}
    for wave in waves:
        twice = next((known for known in wave.ids() if known in first), None)
        if twice is not None:
            wave.id_place.wrong(f"{twice} is taken by the wave in line {first[twice].place.line}: ids are used once")
        for known in wave.ids():
            first.setdefault(known, wave)
