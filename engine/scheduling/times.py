"""Times as operators write them: local times, instants, days, lengths of time, and what clock changes do to them.

A local time without an offset is meant in the campaign's zone. Where a clock change skips it or makes
it come twice there is no one instant that it means, and it is refused: nobody finds out at 02:30.
"""

import difflib
import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from engine.scheduling.mistakes import shown

YEAR_MIN, YEAR_MAX = 2000, 2099
"""Outside lies a slip of the finger; inside, no arithmetic on days can leave the calendar."""
LENGTH_MAX = timedelta(days=3_660)
"""Ten years. A wave stays in the hot store until it closes; a longer one is a slip of the finger."""

LOCAL_EXAMPLE = '"2021-09-17 20:00"'
LENGTH_EXAMPLE = "4h"
DATE_EXAMPLE = '"2021-09-17"'

_DATE = r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
_DAY = re.compile(_DATE)
_LOCAL = re.compile(_DATE + r" ([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?")
_INSTANT = re.compile(_DATE + r"[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.0{1,9})?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))")
_LENGTH = re.compile(r"(?:([0-9]{1,4})d)?(?:([0-9]{1,5})h)?(?:([0-9]{1,7})m)?(?:([0-9]{1,9})s)?")
_FORMAT = 'write "YYYY-MM-DD HH:MM" in the campaign\'s zone, or "YYYY-MM-DDTHH:MM:SS+HH:MM"'


class NotATime(Exception):
    """A text does not say what it should; the message says why, and what would be right."""


@cache
def _zone_names() -> frozenset[str]:
    # "localtime" is whatever the machine is set to: the same file would mean different instants
    return frozenset(available_timezones() - {"localtime", "Factory"})


def read_zone(name: str) -> ZoneInfo:
    """The zone with that name of the IANA list."""
    if name in _zone_names():
        return ZoneInfo(name)
    near = difflib.get_close_matches(name[:64], _zone_names(), n=1)
    raise NotATime(
        f"{shown(name)} is not a time zone: {f'did you mean {near[0]}?' if near else 'write for example Asia/Shanghai'}"
    )


def read_date(text: str) -> date:
    """A day, "2021-09-17"."""
    match = _DAY.fullmatch(text)
    if not match:
        raise NotATime(f'{shown(text)} is not a day: write "YYYY-MM-DD"')
    return _date(match)


def read_start(text: str) -> datetime:
    """A time at which something begins: naive where it is local, aware where it has an offset."""
    return _read_time(text, end=False)


def read_end(text: str) -> datetime:
    """A time at which something ends, exclusive; 24:00 is the end of its day, that is 00:00 of the next."""
    return _read_time(text, end=True)


def _read_time(text: str, *, end: bool) -> datetime:
    match = _LOCAL.fullmatch(text)
    if match:
        return _local(match, end=end)
    match = _INSTANT.fullmatch(text)
    if match:
        return _with_offset(match)
    raise NotATime(f"{shown(text)} is not a time: {_FORMAT}")


def _local(match: re.Match[str], *, end: bool) -> datetime:
    day = _date(match)
    if match[4] == "24" and match[5] == "00" and match[6] in (None, "00"):
        next_day = day + timedelta(days=1)
        if not end:
            raise NotATime(f'24:00 can only end something: write "{next_day} 00:00"')
        return datetime.combine(next_day, time())
    return datetime.combine(day, _time_of_day(match[4], match[5], match[6] or "00"))


def _with_offset(match: re.Match[str]) -> datetime:
    local = datetime.combine(_date(match), _time_of_day(match[4], match[5], match[6]))
    offset = timedelta()
    if match[7]:
        if match[8] > "23" or match[9] > "59":
            raise NotATime(f"{match[7]}{match[8]}:{match[9]} is not an offset: offsets go from -23:59 to +23:59")
        offset = timedelta(hours=int(match[8]), minutes=int(match[9])) * (-1 if match[7] == "-" else 1)
    return local.replace(tzinfo=timezone(offset))


def _date(match: re.Match[str]) -> date:
    year, month, day = int(match[1]), int(match[2]), int(match[3])
    if not YEAR_MIN <= year <= YEAR_MAX:
        raise NotATime(f"the year must be from {YEAR_MIN} to {YEAR_MAX}")
    try:
        return date(year, month, day)
    except ValueError:
        raise NotATime(f"the calendar has no {match[1]}-{match[2]}-{match[3]}") from None


def _time_of_day(hour: str, minute: str, second: str) -> time:
    if hour > "23" or minute > "59" or second > "59":
        raise NotATime(
            f"{hour}:{minute}:{second} is not a time of day: hours go from 00 to 23, minutes and seconds from 00 to 59"
        )
    return time(int(hour), int(minute), int(second))


def read_length(text: str) -> timedelta:
    """A length of time: days, hours, minutes and seconds in this order, each counted exactly (1d is 24 hours)."""
    match = _LENGTH.fullmatch(text)
    if not match or not text:
        raise NotATime(f"{shown(text)} is not a length of time: write for example 4h, 90m or 1d12h")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    length = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if not length:
        raise NotATime("must be longer than nothing: write for example 4h")
    if length > LENGTH_MAX:
        raise NotATime(f"is too long: at most {LENGTH_MAX.days}d")
    return length


def exact(instant: datetime, zone: ZoneInfo) -> datetime:
    """The same instant with the offset that the zone has then, as a fixed offset.

    Two datetimes that share a ZoneInfo are compared and subtracted by their wall clocks, which is
    wrong over a clock change; with fixed offsets the arithmetic is that of instants.
    """
    there = instant.astimezone(zone)
    offset = there.utcoffset()
    assert offset is not None
    return there.replace(tzinfo=timezone(offset), fold=0)


def instant_of(local: datetime, zone: ZoneInfo) -> datetime:
    """The one instant that a local time means; raises NotATime where a clock change leaves none or two."""
    first, second = local.replace(tzinfo=zone, fold=0), local.replace(tzinfo=zone, fold=1)
    before, after = first.utcoffset(), second.utcoffset()
    assert before is not None
    assert after is not None
    if before > after:
        readings = f'"{exact(first, zone).isoformat()}" or "{exact(second, zone).isoformat()}"'
        raise NotATime(f"{_wall(local)} comes twice in {zone.key}, clocks are set back: write {readings}")
    if before < after:
        change = _change_between(local - after, local - before, before, zone)
        gap_begins, gap_ends = change + before, change + after
        raise NotATime(
            f"{_wall(local)} does not exist in {zone.key}, "
            f"clocks are set forward from {_wall(gap_begins)} to {_wall(gap_ends)}: "
            f'the nearest are "{_wall(gap_begins - timedelta(minutes=1))}" and "{_wall(gap_ends)}"'
        )
    return exact(first, zone)


def _change_between(low: datetime, high: datetime, before: timedelta, zone: ZoneInfo) -> datetime:
    """The first second (naive, UTC) of (low, high] at which the zone no longer has the offset `before`."""
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        there = middle.replace(tzinfo=UTC).astimezone(zone)
        low, high = (middle, high) if there.utcoffset() == before else (low, middle)
    return high


def _wall(local: datetime) -> str:
    return local.isoformat(" ", "seconds" if local.second else "minutes")
