"""Repeats written out against a naive model that walks the calendar day by day and asks zoneinfo."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import CampaignFileError
from engine.scheduling.files import parse_campaign
from engine.scheduling.times import NotATime, instant_of

ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Asia/Shanghai",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Africa/Cairo",
]

FILE = """\
campaign: c
title: C
timezone: {zone}
currency: EUR
limits: [{{max: 1, per: campaign}}]
validity: {{days_after_claim: 1}}
stores: {{s: {{title: S, merchant: m, city: c}}}}
offers: [{{id: o, title: O, kind: instant, face: 1, stores: all}}]
waves:
  - {{id: w, opens_at: "{first}", lasts: 1h, stock: {{o: 1}}, rollover: next,
     repeat: {{every: {every}, times: {times}, except: [{skipped}]}}}}
"""


def instants(local: datetime, zone: ZoneInfo) -> set[datetime]:
    """Every instant at which clocks of that zone show that time."""
    candidates = {local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return {instant for instant in candidates if instant.astimezone(zone).replace(tzinfo=None) == local}


@st.composite
def repeats(draw: st.DrawFn):
    zone = draw(st.sampled_from(ZONES))
    first = draw(st.dates(date(2015, 1, 1), date(2035, 1, 1)))
    # clocks change at night: most drops of the model are there, where it is hard
    at = draw(st.one_of(st.times(time(0), time(3, 30)), st.times())).replace(second=0, microsecond=0)
    every = draw(st.sampled_from(["day", "week"]))
    times = draw(st.integers(1, 40))
    steps = draw(st.sets(st.integers(0, 40), max_size=5))
    return zone, first, at, every, times, steps


@settings(max_examples=150)
@given(repeats())
def test_repeats_agree_with_the_calendar(case) -> None:
    name, first, at, every, times, steps = case
    zone, step = ZoneInfo(name), timedelta(days=1 if every == "day" else 7)
    days, skipped, day = [], [], first
    while len(days) < times:
        (skipped if (day - first) // step in steps else days).append(day)
        day += step
    found = [instants(datetime.combine(day, at), zone) for day in days]
    text = FILE.format(
        zone=name,
        first=f"{first} {at:%H:%M}",
        every=every,
        times=times,
        skipped=", ".join(f'"{day}"' for day in skipped),
    )
    while skipped and skipped[-1] > days[-1]:
        skipped.pop()
    if all(len(instant) == 1 for instant in found):
        waves = parse_campaign(text, "c.yaml").waves
        assert [(wave.opens_at, wave.day) for wave in waves] == [
            (*instant, day) for instant, day in zip(found, days, strict=True)
        ]
        assert [wave.id for wave in waves] == [f"w-b{number:03}" for number in range(1, times + 1)]
        assert [wave.rollover for wave in waves] == [f"w-b{number:03}" for number in range(2, times + 1)] + [None]
        assert all(
            wave.opens_at.astimezone(zone).replace(tzinfo=None) == datetime.combine(wave.day, at) for wave in waves
        )
        assert all(wave.closes_at - wave.opens_at == timedelta(hours=1) for wave in waves)
        return
    try:
        parse_campaign(text, "c.yaml")
    except CampaignFileError as error:
        told = [mistake.what for mistake in error.mistakes]
    wrong = [(day, instant) for day, instant in zip(days, found, strict=True) if len(instant) != 1]
    assert len(told) == len(wrong)
    for what, (day, instant) in zip(told, wrong, strict=True):
        assert what.startswith(f"{day} {at:%H:%M} {'comes twice' if instant else 'does not exist'} in {name}")
        assert what.endswith(f'or skip the day: except: ["{day}"]')
        for reading in instant:
            assert f'"{reading.astimezone(zone).isoformat()}"' in what


@given(st.sampled_from(ZONES), st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31)))
def test_a_local_time_is_taken_where_and_only_where_it_means_one_instant(name: str, local: datetime) -> None:
    zone, local = ZoneInfo(name), local.replace(microsecond=0)
    expected = instants(local, zone)
    try:
        assert {instant_of(local, zone)} == expected
    except NotATime:
        assert len(expected) != 1


def test_a_longer_repeat_keeps_the_waves_that_were_there() -> None:
    def waves(times: int):
        return parse_campaign(
            FILE.format(zone="Europe/Berlin", first="2027-03-20 20:00", every="day", times=times, skipped=""), "c.yaml"
        ).waves

    short, long = waves(5), waves(30)
    assert [(wave.id, wave.opens_at, wave.closes_at) for wave in long[:5]] == [
        (wave.id, wave.opens_at, wave.closes_at) for wave in short
    ]


def test_a_repeat_that_begins_at_the_second_reading_of_a_time_stays_at_that_local_time() -> None:
    text = FILE.format(zone="Europe/Berlin", first="2027-10-31T02:30:00+01:00", every="day", times=2, skipped="")
    assert [wave.opens_at.isoformat() for wave in parse_campaign(text, "c.yaml").waves] == [
        "2027-10-31T02:30:00+01:00",
        "2027-11-01T02:30:00+01:00",
    ]
