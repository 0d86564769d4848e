"""From when until when a voucher is good."""

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.campaign import Offer, Promise, Use, Validity
from engine.domain.voucher import DAY_MS, Period, midnight_after, period, state_at
from engine.scheduling.files import parse_campaign, read_campaign_file

EXAMPLES = Path(__file__).parents[2] / "deploy" / "campaigns"


def ms(text: str) -> int:
    """Milliseconds of an instant, by integers alone."""
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def promise(validity: Validity, timezone: str) -> Promise:
    offer = Offer(id="o", title="O", kind="instant", stores=(), face=1)
    return Promise(offer=offer, use=Use(), validity=validity, timezone=timezone, currency="CNY", stores={})


def test_the_reference_drop_is_good_for_seven_natural_days() -> None:
    campaign = read_campaign_file(EXAMPLES / "hubei-2021.yaml")
    wave = campaign.waves[0]
    terms = campaign.terms_of(campaign.offers[0])
    claimed_at_ms = ms("2021-09-17T20:00:00+08:00")
    good = period(terms, wave.day.isoformat(), claimed_at_ms)
    assert good.valid_from_ms == claimed_at_ms
    assert good.valid_from_ms <= ms("2021-09-23T23:59:59.999+08:00") < good.expires_at_ms
    assert good.expires_at_ms == ms("2021-09-24T00:00:00+08:00")


@pytest.mark.parametrize(
    ("begin", "claimed", "valid_from"),
    [
        ({"from_day": 2}, "2021-09-17T20:00:00+08:00", "2021-09-18T00:00:00+08:00"),  # the next day (次日生效)
        ({"from_day": 2}, "2021-09-18T01:00:00+08:00", "2021-09-18T01:00:00+08:00"),
        ({"from_day": 1}, "2021-09-17T20:00:00+08:00", "2021-09-17T20:00:00+08:00"),
        ({"from_ms": ms("2021-09-20T09:30:00+08:00")}, "2021-09-17T20:00:00+08:00", "2021-09-20T09:30:00+08:00"),
        ({"from_ms": ms("2021-09-01T00:00:00+08:00")}, "2021-09-17T20:00:00+08:00", "2021-09-17T20:00:00+08:00"),
    ],
)
def test_a_voucher_may_begin_later_and_ends_when_it_would_have(
    begin: dict[str, int], claimed: str, valid_from: str
) -> None:
    good = period(promise(Validity(natural_days=7, **begin), "Asia/Shanghai"), "2021-09-17", ms(claimed))
    assert good == Period(ms(valid_from), ms("2021-09-24T00:00:00+08:00"))
    assert state_at("pending", good, ms(valid_from) - 1) == "not_yet_effective"
    assert state_at("pending", good, ms(valid_from)) == "pending"


def test_what_a_file_says_of_the_begin_is_promised() -> None:
    text = (EXAMPLES / "hubei-2021.yaml").read_text("utf-8")
    later = parse_campaign(text.replace("natural_days: 7}", "natural_days: 7, from_day: 2}"), "later")
    timed = parse_campaign(text.replace("natural_days: 7}", 'natural_days: 7, from: "2021-09-18 09:00"}'), "timed")
    assert later.validity == Validity(natural_days=7, from_day=2)
    assert timed.validity == Validity(natural_days=7, from_ms=ms("2021-09-18T09:00:00+08:00"))


def test_promises_of_earlier_versions_keep_their_hashes() -> None:
    """What the ledger calls the same terms stays the same over an upgrade."""
    plain = read_campaign_file(EXAMPLES / "hubei-2021.yaml")
    assert plain.terms_of(plain.offers[0]).hash() == "818fd002eebc604479fad33cfb69aa8c734eef0197c200169af24b6bb0397710"


def test_natural_days_count_from_the_day_of_the_drop_even_for_a_claim_past_midnight() -> None:
    claimed = period(promise(Validity(natural_days=7), "Asia/Shanghai"), "2021-09-17", ms("2021-09-18T01:00:00+08:00"))
    assert claimed.expires_at_ms == ms("2021-09-24T00:00:00+08:00")


def test_pizza_is_good_until_24_00_of_the_last_day() -> None:
    campaign = read_campaign_file(EXAMPLES / "pizza-13.yaml")
    good = period(campaign.terms_of(campaign.offers[0]), "2019-06-18", ms("2019-06-18T00:00:00+08:00"))
    assert ms("2019-06-30T23:59:59.999+08:00") < good.expires_at_ms == ms("2019-07-01T00:00:00+08:00")


def test_days_after_claim_are_24_hours_each() -> None:
    claimed_at_ms = ms("2027-03-27T20:00:00.123+01:00")
    good = period(promise(Validity(days_after_claim=2), "Europe/Berlin"), "2027-03-27", claimed_at_ms)
    assert good.expires_at_ms == claimed_at_ms + 2 * DAY_MS == ms("2027-03-29T21:00:00.123+02:00")


@pytest.mark.parametrize(
    ("timezone", "day", "days", "expires", "hours"),
    [
        ("Europe/Berlin", "2027-03-28", 1, "2027-03-29T00:00:00+02:00", 23),
        ("Europe/Berlin", "2027-10-31", 1, "2027-11-01T00:00:00+01:00", 25),
        ("America/New_York", "2027-03-14", 1, "2027-03-15T00:00:00-04:00", 23),
        ("America/New_York", "2027-11-07", 7, "2027-11-14T00:00:00-05:00", 7 * 24 + 1),
        ("Asia/Shanghai", "2021-09-17", 7, "2021-09-24T00:00:00+08:00", 7 * 24),
        # midnight itself is skipped: the day ends when clocks go from 00:00 to 01:00
        ("America/Sao_Paulo", "2018-11-03", 1, "2018-11-04T01:00:00-02:00", 24),
        # at 24:00 clocks go back to 23:00: the day ends when 24:00 comes again
        ("America/Sao_Paulo", "2018-02-17", 1, "2018-02-18T00:00:00-03:00", 25),
        # the next day shows 00:00 twice: the day ends when it is shown first
        ("America/Havana", "2026-10-31", 1, "2026-11-01T00:00:00-04:00", 24),
    ],
)
def test_natural_days_end_at_24_00_local_over_clock_changes(
    timezone: str, day: str, days: int, expires: str, hours: int
) -> None:
    first = datetime.combine(date.fromisoformat(day), time(), ZoneInfo(timezone))
    good = period(promise(Validity(natural_days=days), timezone), day, int(first.timestamp()) * 1000)
    assert good.expires_at_ms == ms(expires)
    assert good.expires_at_ms - good.valid_from_ms == hours * 3_600_000


@given(
    st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"]),
    st.dates(date(2001, 1, 1), date(2090, 1, 1)),
    st.integers(1, 400),
)
def test_the_last_moment_lies_in_the_last_day_and_the_expiry_does_not(timezone: str, first: date, days: int) -> None:
    zone, expires_ms = ZoneInfo(timezone), midnight_after(first, days, timezone)
    last = first + timedelta(days=days - 1)
    assert datetime.fromtimestamp((expires_ms - 1) / 1000, zone).date() == last
    assert datetime.fromtimestamp(expires_ms / 1000, zone).date() == last + timedelta(days=1)
