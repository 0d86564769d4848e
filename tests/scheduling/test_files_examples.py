"""The three example files, read with exact expectations, and features that none of them uses."""

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from engine.domain.campaign import Cap, Eligibility, Limit, Offer, Store, TagRule, Use, Validity
from engine.errors import UsageError
from engine.scheduling.files import moved, parse_campaign, read_campaign_file

EXAMPLES = Path(__file__).parents[2] / "deploy" / "campaigns"
SHANGHAI = timezone(timedelta(hours=8))


def test_hubei() -> None:
    campaign = read_campaign_file(EXAMPLES / "hubei-2021.yaml")
    assert (campaign.id, campaign.title) == ("hubei-2021", "湖北消费券 2021")
    assert (campaign.timezone, campaign.currency, campaign.by) == ("Asia/Shanghai", "CNY", "account")
    assert campaign.limits == (Limit(1, "campaign"),)
    assert campaign.eligibility == Eligibility()
    assert campaign.use == Use(cities=("武汉",), per_payment=1)
    assert campaign.validity == Validity(natural_days=7)
    assert campaign.cap == Cap()
    assert list(campaign.stores) == [
        "mall-001",
        "mall-002",
        "mall-101",
        "super-001",
        "super-002",
        "food-001",
        "food-002",
    ]
    assert campaign.stores["mall-101"] == Store("宜昌商场", "m-01", "宜昌")
    assert len(campaign.offers) == 9
    assert campaign.offers[1] == Offer(
        id="mall-50",
        title="商场消费券 50 元",
        kind="threshold",
        stores=("mall-001", "mall-002", "mall-101"),
        category="mall",
        face=5000,
        min_spend=15000,
    )
    assert all(offer.min_spend == 3 * (offer.face or 0) for offer in campaign.offers)
    assert [(wave.id, wave.round, wave.opens_at.isoformat(), wave.day) for wave in campaign.waves] == [
        ("hubei-2021-r1-b1", "mid-autumn", "2021-09-17T20:00:00+08:00", date(2021, 9, 17)),
        ("hubei-2021-r1-b2", "mid-autumn", "2021-09-20T20:00:00+08:00", date(2021, 9, 20)),
        ("hubei-2021-r3-b001", "double-11", "2021-11-04T20:00:00+08:00", date(2021, 11, 4)),
        ("hubei-2021-r3-b002", "double-11", "2021-11-11T20:00:00+08:00", date(2021, 11, 11)),
        ("hubei-2021-r3-b003", "double-11", "2021-11-18T20:00:00+08:00", date(2021, 11, 18)),
        ("hubei-2021-r3-b004", "double-11", "2021-11-25T20:00:00+08:00", date(2021, 11, 25)),
        ("hubei-2021-r4-b1", "double-12", "2021-12-11T20:00:00+08:00", date(2021, 12, 11)),
    ]
    stock = {"mall-100": 400, "mall-50": 800, "mall-30": 1600, "super-50": 800, "super-30": 1600, "super-10": 3200}
    stock |= {"catering-50": 800, "catering-30": 1600, "catering-20": 3200}
    for wave in campaign.waves:
        assert wave.closes_at - wave.opens_at == timedelta(hours=4)
        assert (wave.stock, wave.rollover, wave.eligibility) == (stock, None, None)


def test_daily_ten() -> None:
    campaign = read_campaign_file(EXAMPLES / "daily-ten.yaml")
    assert campaign.limits == (Limit(1, "day"), Limit(5, "campaign"))
    assert campaign.eligibility == Eligibility(tags=TagRule(any=("member", "staff")))
    assert campaign.validity == Validity(days_after_claim=14)
    assert campaign.cap == Cap(claims=60_000, value=70_000_000)
    coffee, percent = campaign.offers
    assert (coffee.kind, coffee.face, coffee.value, coffee.stores) == ("instant", 1000, 1000, ("cafe-001",))
    assert (percent.percent_off, percent.max_discount, percent.value, percent.face) == (20, 1500, 1500, None)
    assert [wave.id for wave in campaign.waves] == [f"daily-ten-b{number:03}" for number in range(1, 31)]
    days = [date(2027, 3, 1) + timedelta(days=day) for day in range(31)]
    days.remove(date(2027, 3, 15))
    assert [wave.day for wave in campaign.waves] == days
    for wave in campaign.waves:
        assert wave.opens_at == datetime(wave.day.year, wave.day.month, wave.day.day, 10, tzinfo=SHANGHAI)
        assert wave.closes_at == wave.opens_at + timedelta(hours=13)
        assert wave.stock == {"coffee-10": 1500, "coffee-20off": 500}
    assert [wave.rollover for wave in campaign.waves] == [f"daily-ten-b{number:03}" for number in range(2, 31)] + [None]


def test_pizza() -> None:
    campaign = read_campaign_file(EXAMPLES / "pizza-13.yaml")
    assert (campaign.by, campaign.limits) == ("person", (Limit(1, "wave"),))
    end = datetime(2019, 7, 1, tzinfo=SHANGHAI)
    assert campaign.validity == Validity(until_ms=int(end.timestamp()) * 1000)
    assert list(campaign.stores) == [f"sh-{number:02}" for number in range(1, 16)]
    assert set(campaign.stores.values()) == {Store("披萨店", "pizza", "上海")}
    [offer] = campaign.offers
    assert (offer.kind, offer.face, offer.price, offer.stores) == ("gift", 13800, 1300, tuple(campaign.stores))
    [wave] = campaign.waves
    assert wave.id == "pizza-13-0618"
    assert wave.opens_at == datetime(2019, 6, 18, tzinfo=SHANGHAI)
    assert wave.closes_at == datetime(2019, 6, 18, 2, tzinfo=SHANGHAI)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_a_campaign_file(path: Path) -> None:
    assert read_campaign_file(path).id == path.stem


SMALL = """\
campaign: small
title: Small
timezone: {zone}
currency: EUR
validity: {{days_after_claim: 3}}
stores:
  shop: {{title: Shop, merchant: m, city: Town}}
offers:
  - {{id: cup, title: Cup, kind: gift, face: 500, stores: [shop]}}
wave_defaults: {{stock: {{cup: 10}}}}
{more}
waves:
{waves}
"""


def small(waves: str, zone: str = "Europe/Berlin", more: str = "", folder: Path | None = None):
    lines = "\n".join(f"  - {{{wave}}}" for wave in waves.split("\n"))
    return parse_campaign(SMALL.format(waves=lines, zone=zone, more=more), "small.yaml", folder)


def test_defaults_where_a_file_says_nothing() -> None:
    campaign = small('id: w, opens_at: "2027-05-01 10:00", lasts: 1h')
    assert (campaign.limits, campaign.by, campaign.use) == ((Limit(1, "campaign"),), "account", Use((), 1))
    assert (campaign.eligibility, campaign.cap, campaign.offers[0].category) == (Eligibility(), Cap(), "")
    assert (campaign.waves[0].round, campaign.waves[0].rollover) == ("", None)


def test_empty_limits_mean_the_default() -> None:
    assert small('id: w, opens_at: "2027-05-01 10:00", lasts: 1h', more="limits: []").limits == (Limit(1, "campaign"),)


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ('"2027-05-01 10:00"', "2027-05-01T10:00:00+02:00"),
        ('"2027-05-01 10:00:07"', "2027-05-01T10:00:07+02:00"),
        ("'2027-05-01 10:00'", "2027-05-01T10:00:00+02:00"),
        ('"2027-05-01T10:00:00Z"', "2027-05-01T12:00:00+02:00"),
        ('"2027-05-01T10:00:00.000Z"', "2027-05-01T12:00:00+02:00"),
        ('"2027-05-01T10:00:00-03:30"', "2027-05-01T15:30:00+02:00"),
        ('"2027-10-31T02:30:00+02:00"', "2027-10-31T02:30:00+02:00"),
        ('"2027-10-31T02:30:00+01:00"', "2027-10-31T02:30:00+01:00"),
    ],
)
def test_times_carry_the_offset_of_the_campaigns_zone(written: str, instant: str) -> None:
    wave = small(f"id: w, opens_at: {written}, lasts: 1h").waves[0]
    assert wave.opens_at.isoformat() == instant
    assert wave.day == wave.opens_at.date()


@pytest.mark.parametrize(
    ("lasts", "length"),
    [
        ("4h", timedelta(hours=4)),
        ("30m", timedelta(minutes=30)),
        ("90m", timedelta(minutes=90)),
        ("1d12h", timedelta(hours=36)),
        ("45s", timedelta(seconds=45)),
        ('"1d2h3m4s"', timedelta(days=1, hours=2, minutes=3, seconds=4)),
    ],
)
def test_lengths(lasts: str, length: timedelta) -> None:
    wave = small(f'id: w, opens_at: "2027-05-01 10:00", lasts: {lasts}').waves[0]
    assert wave.closes_at - wave.opens_at == length


def test_a_length_is_counted_exactly_over_a_clock_change() -> None:
    wave = small('id: w, opens_at: "2027-03-27 12:00", lasts: 1d').waves[0]
    assert wave.closes_at.isoformat() == "2027-03-28T13:00:00+02:00"


@pytest.mark.parametrize("closes", ['"2027-05-01 24:00"', '"2027-05-01 24:00:00"', '"2027-05-02 00:00"'])
def test_24_00_is_the_end_of_its_day(closes: str) -> None:
    wave = small(f'id: w, opens_at: "2027-05-01 10:00", closes_at: {closes}').waves[0]
    assert wave.closes_at.isoformat() == "2027-05-02T00:00:00+02:00"
    assert wave.day == date(2027, 5, 1)


def test_closes_at_beats_lasts_of_the_defaults_and_moves_with_the_repeat() -> None:
    text = 'id: w, opens_at: "2027-03-27 20:00", closes_at: "2027-03-27 24:00", repeat: {every: day, times: 2}'
    first, second = small(text).waves
    assert first.closes_at.isoformat() == "2027-03-28T00:00:00+01:00"
    assert second.closes_at.isoformat() == "2027-03-29T00:00:00+02:00"


def test_a_wave_takes_each_default_that_it_does_not_say_itself() -> None:
    text = SMALL.format(
        zone="Asia/Shanghai",
        more="",
        waves='  - {id: a, opens_at: "2027-05-01 10:00"}\n'
        '  - {id: b, opens_at: "2027-05-02 10:00", stock: {cup: 3}, round: late, lasts: 2h, rollover: c,'
        " eligibility: {}}\n"
        '  - {id: c, opens_at: "2027-05-03 10:00", closes_at: "2027-05-03 11:00"}\n',
    ).replace(
        "wave_defaults: {stock: {cup: 10}}",
        "wave_defaults: {stock: {cup: 10}, round: early, lasts: 1h, eligibility: {cities: [Town]}}",
    )
    a, b, c = parse_campaign(text, "small.yaml").waves
    town = Eligibility(cities=("Town",))
    assert (a.stock, a.round, a.closes_at - a.opens_at, a.eligibility, a.rollover) == (
        {"cup": 10}, "early", timedelta(hours=1), town, None,
    )  # fmt: skip
    assert (b.stock, b.round, b.closes_at - b.opens_at, b.eligibility, b.rollover) == (
        {"cup": 3}, "late", timedelta(hours=2), Eligibility(), "c",
    )  # fmt: skip
    assert (c.stock, c.round, c.eligibility) == ({"cup": 10}, "early", town)


def test_eligibility_of_a_campaign_and_of_a_wave() -> None:
    rules = "cities: [Town, 武汉], tags: {any: [a, b], all: [c], none: [d]}, allow: [u1, '10001'], deny: [u2]"
    campaign = small(
        f'id: w, opens_at: "2027-05-01 10:00", lasts: 1h, eligibility: {{{rules}}}', more="eligibility: {deny: []}"
    )
    assert campaign.eligibility == Eligibility()
    assert campaign.waves[0].eligibility == Eligibility(
        cities=("Town", "武汉"),
        tags=TagRule(any=("a", "b"), all=("c",), none=("d",)),
        allow=frozenset({"u1", "10001"}),
        deny=frozenset({"u2"}),
    )


def test_lists_stand_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "members.txt").write_bytes("\ufeffu1\r\n\r\n  u2  \r\n用户 3\r\nu1".encode())
    (tmp_path / "名单.txt").write_text("\n")
    path = tmp_path / "small.yaml"
    rules = "eligibility: {allow: members.txt, deny: 名单.txt}"
    path.write_text(SMALL.format(zone="UTC", more=rules, waves='  - {id: w, opens_at: "2027-05-01 10:00", lasts: 1h}'))
    assert read_campaign_file(path).eligibility == Eligibility(allow=frozenset({"u1", "u2", "用户 3"}))


def test_lists_may_come_from_elsewhere() -> None:
    text = SMALL.format(
        zone="UTC", more="eligibility: {deny: bad.txt}", waves='  - {id: w, opens_at: "2027-05-01 10:00", lasts: 1h}'
    )
    campaign = parse_campaign(text, "request", lists={"bad.txt": b"u9\n"})
    assert campaign.eligibility.deny == {"u9"}


def test_json_is_yaml() -> None:
    text = (
        '{"campaign":"j","title":"J","timezone":"UTC","currency":"CNY","validity":{"natural_days":2},'
        '"stores":{"s":{"title":"S","merchant":"m","city":"c"}},'
        '"offers":[{"id":"o","title":"O","kind":"instant","face":100,"stores":"all"}],'
        '"waves":[{"id":"w","opens_at":"2027-05-01T10:00:00Z","lasts":"1h","stock":{"o":1}}]}'
    )
    assert parse_campaign(text, "request").waves[0].opens_at == datetime(2027, 5, 1, 10, tzinfo=UTC)


def test_moved_keeps_the_duration_and_the_day_follows() -> None:
    campaign = read_campaign_file(EXAMPLES / "hubei-2021.yaml")
    opens = datetime(2026, 7, 31, 17, 30, 1, tzinfo=UTC)
    after = moved(campaign, "hubei-2021-r3-b002", opens)
    wave = after.waves[3]
    assert (wave.opens_at, wave.closes_at) == (opens, opens + timedelta(hours=4))
    assert wave.opens_at.isoformat() == "2026-08-01T01:30:01+08:00"
    assert wave.day == date(2026, 8, 1)
    assert (wave.stock, wave.round) == (campaign.waves[3].stock, "double-11")
    assert [a for a, b in zip(after.waves, campaign.waves, strict=True) if a != b] == [wave]
    assert after.offers == campaign.offers


def test_moved_over_a_clock_change_keeps_the_true_duration() -> None:
    campaign = small('id: w, opens_at: "2027-05-01 10:00", lasts: 4h')
    wave = moved(campaign, "w", datetime(2027, 10, 30, 23, tzinfo=UTC)).waves[0]
    assert (wave.opens_at.isoformat(), wave.closes_at.isoformat()) == (
        "2027-10-31T01:00:00+02:00",
        "2027-10-31T04:00:00+01:00",
    )


def test_moved_refuses_what_it_does_not_know() -> None:
    campaign = read_campaign_file(EXAMPLES / "pizza-13.yaml")
    with pytest.raises(UsageError) as error:
        moved(campaign, "pizza", datetime(2026, 1, 1, tzinfo=UTC))
    assert str(error.value) == 'campaign pizza-13 has no wave "pizza"; its waves are pizza-13-0618'
    with pytest.raises(ValueError, match="no offset"):
        moved(campaign, "pizza-13-0618", datetime(2026, 1, 1))
