"""Repeats: a wave that comes again every day or week at the same local time."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, cast, get_args

from engine.scheduling.places import Place
from engine.scheduling.times import DATE_EXAMPLE, YEAR_MAX, read_date

Every = Literal["day", "week"]

REPEAT_KEYS = ("every", "times", "except")
TIMES_MAX = 999
"""Ids of occurrences end in three digits, so that they sort as text."""
EXCEPTIONS_MAX = 366
"""A year of days; with TIMES_MAX it bounds the days that are looked at."""
_REQUIRED = {"every": "day", "times": "30"}
_EXAMPLE = "{every: day, times: 30}"
_STEPS: dict[Every, timedelta] = {"day": timedelta(days=1), "week": timedelta(weeks=1)}


@dataclass(frozen=True, slots=True)
class Repeat:
    """What a file says of a repeat; `skipped` has the days without an occurrence and where each is written."""

    place: Place
    every: Every
    times: int
    skipped: dict[date, Place]


def occurrence_days(first: date, every: Every, times: int, skipped: Collection[date]) -> Iterator[date]:
    """The days of `times` occurrences, from `first` on; a skipped day has none and does not count."""
    day, found = first, 0
    while found < times:
        if day not in skipped:
            found += 1
            yield day
        day += _STEPS[every]


def occurrence_id(wave: str, number: int) -> str:
    """Id of an occurrence, numbered from 1: more occurrences later leave the ids of the first as they are."""
    return f"{wave}-b{number:03}"


def read_repeat(place: Place) -> Repeat | None:
    """A repeat, as far as it can be checked without the wave's opening."""
    found = place.fields(REPEAT_KEYS, _REQUIRED, _EXAMPLE)
    if found is None:
        return None
    every = found["every"].choice(get_args(Every)) if "every" in found else None
    times = found["times"].whole(1, TIMES_MAX) if "times" in found else None
    skipped = _skipped(found["except"]) if "except" in found else {}
    if every is None or times is None or skipped is None:
        return None
    return Repeat(place, cast(Every, every), times, skipped)


def _skipped(place: Place) -> dict[date, Place] | None:
    items = place.items(f"[{DATE_EXAMPLE}]", 0, EXCEPTIONS_MAX)
    if items is None:
        return None
    skipped: dict[date, Place] = {}
    read = 0
    for item in items:
        day = item.read(read_date, DATE_EXAMPLE, quoted=True)
        read += day is not None
        if day in skipped:
            item.wrong(f"{day} is in this list twice: remove one")
        elif day:
            skipped[day] = item
    return skipped if read == len(items) else None


def days_of(repeat: Repeat, first: date) -> list[date]:
    """The days of a repeat whose first possible day is `first`; notes an exception that skips nothing."""
    days = list(occurrence_days(first, repeat.every, repeat.times, repeat.skipped))
    if days[-1].year > YEAR_MAX:
        repeat.place.wrong(f"runs to {days[-1]}; the last year possible is {YEAR_MAX}")
        return []
    step = _STEPS[repeat.every]
    for day, place in repeat.skipped.items():
        if not first <= day <= days[-1] or (day - first) % step:
            place.wrong(
                f"{day} skips nothing: this repeat is every {repeat.every} from {first} to {days[-1]}; remove it"
            )
    return days
