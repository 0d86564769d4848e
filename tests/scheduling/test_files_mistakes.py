"""Every kind of mistake of a campaign file, with the exact words that an operator reads."""

from pathlib import Path

import pytest

from engine.errors import CampaignFileError
from engine.scheduling.files import parse_campaign, read_campaign_file

BASE = """\
campaign: spring
title: Spring
timezone: Europe/Berlin
currency: EUR
limits: [{max: 1, per: wave}]
by: account
eligibility: {}
use: {cities: [Town], per_payment: 1}
validity: {days_after_claim: 14}
cap: {claims: 100, value: 100000}
stores:
  shop-a: {title: Shop A, merchant: m, city: Town}
  shop-b: {title: Shop B, merchant: m, city: Village}
offers:
  - {id: ten, title: Ten off, kind: threshold, face: 1000, min_spend: 3000, stores: [shop-a]}
  - {id: cup, title: Cup, kind: gift, face: 500, stores: all}
wave_defaults:
  lasts: 2h
waves:
  - {id: one, opens_at: "2027-03-01 10:00", stock: {ten: 10}, rollover: two}
  - {id: two, opens_at: "2027-03-02 10:00", stock: {ten: 0, cup: 5}}
  - {id: three, opens_at: "2027-03-27 10:00", stock: {cup: 10}, repeat: {every: day, times: 3}}
"""


def mistakes(text: str, folder: Path | None = None) -> list[str]:
    with pytest.raises(CampaignFileError) as error:
        parse_campaign(text, "spring.yaml", folder)
    return [str(mistake) for mistake in error.value.mistakes]


def test_the_base_has_no_mistake() -> None:
    assert len(parse_campaign(BASE, "spring.yaml").waves) == 5


def case(name: str, old: str, new: str, *expected: str):
    return pytest.param(old, new, list(expected), id=name)


ID_RULE = "is not an id: 1 to 64 characters a-z, 0-9 and -, the first not -"
TIME_RULE = (
    'is not a time: write "YYYY-MM-DD HH:MM" in the campaign\'s zone, or "YYYY-MM-DDTHH:MM:SS+HH:MM"'
)
AMOUNT = "must be a whole number of minor units from 1 to 1,000,000,000,000"
ONE = '"2027-03-01 10:00"'
TWO = '"2027-03-02 10:00"'
THREE = '"2027-03-27 10:00"'

KEYS_AND_VALUES = [
    case("unknown key", "limits:", "limts:", "line 5: limts: unknown key: did you mean limits?"),
    case(
        "unknown key like no other",
        "by: account",
        "zzz: account",
        "line 6: zzz: unknown key: known here are campaign, title, timezone, currency, limits, by, eligibility, use, "
        "validity, cap, stores, offers, wave_defaults, waves",
    ),
    case("unknown key of a store", "m, city: Town", "m, city: Town, ctiy: x", "line 12: stores.shop-a.ctiy: unknown key: did you mean city?"),
    case("unknown key of an offer", "face: 500", "face: 500, titel: x", "line 16: offers[1].titel: unknown key: did you mean title?"),
    case("unknown key of a wave", "rollover: two", "rolover: two", "line 20: waves[0].rolover: unknown key: did you mean rollover?"),
    case("unknown key of a repeat", "times: 3", "times: 3, skip: []", "line 22: waves[2].repeat.skip: unknown key: known here are every, times, except"),
    case("unknown key of the defaults", "  lasts: 2h", "  lasts: 2h\n  opens_at: x", "line 19: wave_defaults.opens_at: unknown key: known here are round, lasts, stock, eligibility, rollover"),
    case("key twice", "by: account", "by: account\nby: person", "line 7: by: is there twice, first in line 6: remove one of them"),
    case("key twice inside", "face: 500", "face: 500, face: 600", "line 16: offers[1].face: is there twice, first in line 16: remove one of them"),
    case("no campaign", "campaign: spring\n", "", "line 1: campaign: is missing: write for example campaign: hubei-2021"),
    case("no validity", "validity: {days_after_claim: 14}", "by2: x", "line 1: validity: is missing: write for example validity: {natural_days: 7}", "line 9: by2: unknown key: did you mean by?"),
    case("no value", "title: Spring", "title:", "line 2: title: has no value: give one, or remove the key"),
    case("null", "by: account", "by: null", "line 6: by: has no value: give one, or remove the key"),
    case("null in a list", "[Town]", "[Town, ~]", "line 8: use.cities[1]: has no value: give one, or remove the key"),
    case("text that is a number", "title: Spring", "title: 2027", 'line 2: title: must be text: write it in quotes, "2027"'),
    case("text that is a truth value", "[Town]", "[true]", 'line 8: use.cities[0]: must be text: write it in quotes, "true"'),
    case("empty text", "title: Spring", 'title: " "', "line 2: title: is empty"),
    case("text with space around", "title: Spring", 'title: "Spring "', "line 2: title: begins or ends with a space"),
    case("text with a line break", "title: Spring", r'title: "Spr\ning"', "line 2: title: contains a line break or another character that cannot be printed"),
    case("text of half a character", "title: Spring", r'title: "Spr\ud800ing"', "line 2: title: contains a line break or another character that cannot be printed"),
    case("long text", "title: Spring", f"title: {'x' * 201}", "line 2: title: has 201 characters; at most 200 are possible"),
    case("id", "campaign: spring", "campaign: Spring_1", f'line 1: campaign: "Spring_1" {ID_RULE}'),
    case("long id", "id: two", f"id: {'a' * 65}", f'line 21: waves[1].id: "{"a" * 47}…" {ID_RULE}'),
    case("id of a store", "  shop-b:", "  Shop:", f'line 13: stores.Shop: "Shop" {ID_RULE}'),
    case("id that is a number", "id: cup", "id: 7", 'line 16: offers[1].id: must be text: write it in quotes, "7"', *(f'line {line}: waves[{wave}].stock.cup: "cup" is not among the offers of this campaign' for wave, line in ((1, 21), (2, 22)))),
    case("list for a value", "title: Spring", "title: [a]", "line 2: title: must be a single value, not a list: write for example 湖北消费券 2021"),
    case("value for a list", "[Town]", "Town", "line 8: use.cities: must be a list, not a single value: write for example [武汉]"),
    case("mapping for a list", "[{max: 1, per: wave}]", "{max: 1, per: wave}", "line 5: limits: must be a list, not a mapping: write for example {max: 1, per: campaign}"),
    case("value for a mapping", "{days_after_claim: 14}", "14", "line 9: validity: must be a mapping, not a single value: write for example {natural_days: 7}"),
    case("empty list", "[Town]", "[]", "line 8: use.cities: is empty: write for example [武汉], or leave it out"),
    case("empty stock", "{cup: 10}", "{}", "line 22: waves[2].stock: is empty: write for example {mall-50: 800}"),
    case("twice in a list", "[Town]", "[Town, City, Town]", 'line 8: use.cities[2]: "Town" is in this list twice: remove one'),
    case("zone", "Europe/Berlin", "Europe/Berln", 'line 3: timezone: "Europe/Berln" is not a time zone: did you mean Europe/Berlin?'),
    case("zone like no other", "Europe/Berlin", "localtime", 'line 3: timezone: "localtime" is not a time zone: write for example Asia/Shanghai'),
    case("currency", "currency: EUR", "currency: eur", 'line 4: currency: "eur" is not a currency: write the three letters of ISO 4217, for example CNY'),
    case("word", "by: account", "by: device", 'line 6: by: "device" is not possible here: write account or person'),
]  # fmt: skip

NUMBERS = [
    case("negative", "{ten: 10}", "{ten: -1}", "line 20: waves[0].stock.ten: must be a whole number from 0 to 10,000,000, not -1"),
    case("too much", "{ten: 10}", "{ten: 10000001}", "line 20: waves[0].stock.ten: must be a whole number from 0 to 10,000,000, not 10000001"),
    case("far too much", "{ten: 10}", f"{{ten: {'9' * 5000}}}", f"line 20: waves[0].stock.ten: must be a whole number from 0 to 10,000,000, not {'9' * 47}…"),
    case("quoted", "{ten: 10}", '{ten: "10"}', "line 20: waves[0].stock.ten: must be a whole number from 0 to 10,000,000, without quotes"),
    case("leading zero", "{ten: 10}", "{ten: 010}", 'line 20: waves[0].stock.ten: must be a whole number from 0 to 10,000,000 in digits alone, not "010"'),
    case("underscore", "{ten: 10}", "{ten: 1_000}", 'line 20: waves[0].stock.ten: must be a whole number from 0 to 10,000,000 in digits alone, not "1_000"'),
    case("fraction", "face: 500", "face: 5.00", f'line 16: offers[1].face: {AMOUNT} in digits alone, not "5.00"'),
    case("no amount", "face: 500", "face: 0", f"line 16: offers[1].face: {AMOUNT}, not 0"),
    case("huge amount", "face: 500", "face: 1000000000001", f"line 16: offers[1].face: {AMOUNT}, not 1000000000001"),
    case("word for a number", "per_payment: 1", "per_payment: one", 'line 8: use.per_payment: must be a whole number from 1 to 32 in digits alone, not "one"'),
    case("list for a number", "{ten: 10}", "{ten: [1]}", "line 20: waves[0].stock.ten: must be a single value, not a list: write for example 0"),
]  # fmt: skip

RULES = [
    case("limit above 32", "{max: 1, per: wave}", "{max: 33, per: wave}", "line 5: limits[0].max: must be a whole number from 1 to 32, not 33"),
    case("limit of 0", "{max: 1, per: wave}", "{max: 0, per: wave}", "line 5: limits[0].max: must be a whole number from 1 to 32, not 0"),
    case("limit without scope", "{max: 1, per: wave}", "{max: 1}", "line 5: limits[0].per: is missing: write for example per: campaign"),
    case("scope", "per: wave", "per: week", 'line 5: limits[0].per: "week" is not possible here: write campaign, round, wave or day'),
    case("scope twice", "[{max: 1, per: wave}]", "[{max: 1, per: wave}, {max: 2, per: wave}]", "line 5: limits[1]: limits per wave stand here twice: keep one"),
    case("limit that cannot bind", "[{max: 1, per: wave}]", "[{max: 3, per: wave}, {max: 3, per: day}]", "line 5: limits[0]: can never bind: at most 3 per day are possible anyway; write less than 3, or remove it"),
    case("limit of 1 that cannot bind", "[{max: 1, per: wave}]", "[{max: 1, per: wave}, {max: 1, per: campaign}]", "line 5: limits[0]: can never bind: at most 1 per campaign are possible anyway; remove it"),
    case("more than 32 claims", "{max: 1, per: wave}", "{max: 7, per: wave}", "line 5: limits: allow one claimant 35 claims in this campaign; at most 32 are possible: add {max: 32, per: campaign}, or less"),
    case(
        "rounds without names",
        "[{max: 1, per: wave}]",
        "[{max: 1, per: round}]",
        *(f"line {line}: waves[{wave}].round: is missing: a limit counts per round; write for example round: first" for wave, line in enumerate((20, 21, 22))),
    ),
    case("tags as a list", "eligibility: {}", "eligibility: {tags: [member]}", "line 7: eligibility.tags: say which of these a user needs: write {any: […]}, {all: […]} or {none: […]}"),
    case("tag forbidden and wanted", "eligibility: {}", "eligibility: {tags: {any: [a], none: [a]}}", 'line 7: eligibility.tags.any: "a" is in none too: nobody can have it and not have it; remove it from one'),
    case("nobody allowed", "eligibility: {}", "eligibility: {allow: []}", "line 7: eligibility.allow: holds no account, so nobody could claim: name some, or remove the key"),
    case("account that is a number", "eligibility: {}", "eligibility: {deny: [10001]}", 'line 7: eligibility.deny[0]: must be text: write it in quotes, "10001"'),
    case("long account", "eligibility: {}", f"eligibility: {{deny: [{'u' * 129}]}}", "line 7: eligibility.deny[0]: has 129 characters; at most 128 are possible"),
    case("list without files", "eligibility: {}", "eligibility: {deny: bad.txt}", 'line 7: eligibility.deny: "bad.txt" names a file, and this campaign came without files: write the accounts out, [u1, u2]'),
    case("eligibility of a wave", "rollover: two", "rollover: two, eligibility: {city: [Town]}", "line 20: waves[0].eligibility.city: unknown key: did you mean cities?"),
    case("too many a payment", "per_payment: 1", "per_payment: 33", "line 8: use.per_payment: must be a whole number from 1 to 32, not 33"),
    case(
        "no store in the city",
        "stores: [shop-a]",
        "stores: [shop-b]",
        "line 15: offers[0].stores: none of them is in Town, where vouchers may be used: add one there",
    ),
    case("no validity said", "{days_after_claim: 14}", "{}", "line 9: validity: says nothing: write one of natural_days, days_after_claim and until"),
    case("two validities", "{days_after_claim: 14}", "{days_after_claim: 14, natural_days: 1}", "line 9: validity: says days_after_claim and natural_days: write one of natural_days, days_after_claim and until"),
    case("no days", "{days_after_claim: 14}", "{natural_days: 0}", "line 9: validity.natural_days: must be a whole number from 1 to 3,650, not 0"),
    case("until without quotes", "{days_after_claim: 14}", "{until: 2028-01-01 00:00}", 'line 9: validity.until: must stand in quotes: "2028-01-01 00:00"'),
    case("until that does not exist", "{days_after_claim: 14}", '{until: "2028-03-26 02:30"}', "line 9: validity.until: 2028-03-26 02:30 does not exist in Europe/Berlin, clocks are set forward from 2028-03-26 02:00 to 2028-03-26 03:00: the nearest are \"2028-03-26 01:59\" and \"2028-03-26 03:00\""),
    case(
        "until before a close",
        "{days_after_claim: 14}",
        '{until: "2027-03-27 24:00"}',
        "line 9: validity: ends before wave three-b002 closes at 2027-03-28T12:00:00+02:00: late claims would get expired "
        "vouchers; let vouchers be good for longer, or close the wave earlier",
    ),
    case("cap below stock", "claims: 100", "claims: 44", "line 10: cap.claims: 44 is below the stock of all waves, 45: write at least 45, or lower the stock"),
    case("cap below worth", "value: 100000", "value: 27499", "line 10: cap.value: 27,499 is below what the stock of all waves is worth, 27,500: write at least 27500, or lower the stock"),
    case("cap of nothing", "claims: 100", "claims: 0", "line 10: cap.claims: must be a whole number from 1 to 10,000,000,000, not 0"),
]  # fmt: skip

OFFERS = [
    case("unknown store", "[shop-a]", "[shop-a, shop-c]", 'line 15: offers[0].stores[1]: "shop-c" is not among the stores of this campaign: did you mean shop-b?'),
    case("neither all nor a list", "stores: all", "stores: every", "line 16: offers[1].stores: must be all, or a list of stores like [mall-001]"),
    case("no stores", "  shop-a: {title: Shop A, merchant: m, city: Town}\n  shop-b: {title: Shop B, merchant: m, city: Village}\n", "  {}\n",
         "line 11: stores: is empty: write for example {mall-001: {title: 武商广场, merchant: m-01, city: 武汉}}",
         ),
    case("store without a city", "m, city: Town", "m", "line 12: stores.shop-a.city: is missing: write for example city: 武汉"),
    case("offer twice", "id: cup", "id: ten",
         'line 16: offers[1].id: "ten" is taken by the offer in line 15: ids are used once',
         'line 21: waves[1].stock.cup: "cup" is not among the offers of this campaign',
         'line 22: waves[2].stock.cup: "cup" is not among the offers of this campaign'),
    case("kind", "kind: gift", "kind: gifts", 'line 16: offers[1].kind: "gifts" is not possible here: write threshold, instant, percent or gift'),
    case("threshold without min_spend", " min_spend: 3000,", "", "line 15: offers[0].min_spend: is missing: an offer of kind threshold needs it; write for example min_spend: 15000"),
    case("min_spend below face", "min_spend: 3000", "min_spend: 999", "line 15: offers[0].min_spend: 999 is below face, 1000: more would be taken off than is spent"),
    case("gift with min_spend", "face: 500", "face: 500, min_spend: 900", "line 16: offers[1].min_spend: does not belong to an offer of kind gift, which has face, price: remove it, or change the kind"),
    case("gift that costs its worth", "face: 500", "face: 500, price: 500", "line 16: offers[1].price: 500 is not below face, 500: that would be no gain for the user"),
    case("instant with min_spend", "kind: threshold", "kind: instant", "line 15: offers[0].min_spend: does not belong to an offer of kind instant, which has face: remove it, or change the kind"),
    case("percent without its fields", "kind: gift, face: 500", "kind: percent, percent_off: 100",
         "line 16: offers[1].percent_off: must be a whole number from 1 to 99, not 100",
         "line 16: offers[1].max_discount: is missing: an offer of kind percent needs it; write for example max_discount: 1500"),
    case("percent with a face", "kind: gift", "kind: percent, percent_off: 20, max_discount: 300", "line 16: offers[1].face: does not belong to an offer of kind percent, which has percent_off, max_discount: remove it, or change the kind"),
]  # fmt: skip

WAVES = [
    case("unknown offer", "{cup: 10}", "{cop: 10}", 'line 22: waves[2].stock.cop: "cop" is not among the offers of this campaign: did you mean cup?'),
    case("no stock", "stock: {cup: 10}, ", "", "line 22: waves[2].stock: is missing: write for example stock: {mall-50: 800}, here or in wave_defaults"),
    case("stock without a number", "{cup: 10}", "{cup: }", "line 22: waves[2].stock.cup: has no value: give one, or remove the key"),
    case("wave twice", "id: one", "id: two", "line 21: waves[1].id: two is taken by the wave in line 20: ids are used once"),
    case("wave that a repeat makes", "id: two", "id: three-b002", 'line 20: waves[0].rollover: "two" is not a wave of this campaign', "line 22: waves[2].id: three-b002 is taken by the wave in line 21: ids are used once"),
    case("long id with repeat", "id: three", f"id: {'a' * 60}", "line 22: waves[2].id: is too long for a wave with repeat: at most 59 characters, -b001 comes behind it"),
    case("neither length nor end", "  lasts: 2h", "  round: r", *(f"line {line}: waves[{wave}].lasts: is missing: write for example lasts: 4h, here or in wave_defaults, or a closes_at" for wave, line in enumerate((20, 21, 22)))),
    case("length and end", ONE, ONE + ', lasts: 1h, closes_at: "2027-03-01 11:00"', "line 20: waves[0]: says both lasts and closes_at: remove one of them"),
    case("length like a time", "lasts: 2h", "lasts: 2:00", 'line 18: wave_defaults.lasts: "2:00" is not a length of time: write for example 4h, 90m or 1d12h'),
    case("length without unit", "lasts: 2h", "lasts: 120", 'line 18: wave_defaults.lasts: "120" is not a length of time: write for example 4h, 90m or 1d12h'),
    case("no length", "lasts: 2h", "lasts: 0m", "line 18: wave_defaults.lasts: must be longer than nothing: write for example 4h"),
    case("long length", "lasts: 2h", "lasts: 3661d", "line 18: wave_defaults.lasts: is too long: at most 3660d"),
    case("close before opening", ONE, ONE + ', closes_at: "2027-03-01 09:00"', "line 20: waves[0].closes_at: wave one would close at 2027-03-01T09:00:00+01:00, not after its opening at 2027-03-01T10:00:00+01:00: write a later time"),
    case("close long after opening", ONE, ONE + ', closes_at: "2037-03-12 09:00"', "line 20: waves[0].closes_at: wave one would close at 2037-03-12T09:00:00+01:00, more than 3660 days after its opening at 2027-03-01T10:00:00+01:00: write an earlier time"),
    case("repeat every month", "every: day", "every: month", 'line 22: waves[2].repeat.every: "month" is not possible here: write day or week'),
    case("repeat without times", ", times: 3", "", "line 22: waves[2].repeat.times: is missing: write for example times: 30"),
    case("repeat too often", "times: 3", "times: 1000", "line 22: waves[2].repeat.times: must be a whole number from 1 to 999, not 1000"),
    case("too many waves", "times: 3", "times: 999", "line 19: waves: are 1,001 with their repeats; at most 1,000 are possible in one campaign"),
    case("repeat past the calendar", THREE, '"2099-12-30 10:00"', "line 22: waves[2].repeat: runs to 2100-01-01; the last year possible is 2099"),
    case("exception without quotes", "times: 3", "times: 3, except: [2027-03-28]", 'line 22: waves[2].repeat.except[0]: must stand in quotes: "2027-03-28"'),
    case("exception that is no day", "times: 3", 'times: 3, except: ["28.3."]', 'line 22: waves[2].repeat.except[0]: "28.3." is not a day: write "YYYY-MM-DD"'),
    case("exception twice", "times: 3", 'times: 3, except: ["2027-03-28", "2027-03-28"]', "line 22: waves[2].repeat.except[1]: 2027-03-28 is in this list twice: remove one"),
    case("exception outside", "times: 3", 'times: 3, except: ["2027-03-31"]', "line 22: waves[2].repeat.except[0]: 2027-03-31 skips nothing: this repeat is every day from 2027-03-27 to 2027-03-29; remove it"),
    case("exception on another weekday", "every: day, times: 3", 'every: week, times: 3, except: ["2027-04-02"]', "line 22: waves[2].repeat.except[0]: 2027-04-02 skips nothing: this repeat is every week from 2027-03-27 to 2027-04-10; remove it"),
    case("rollover to nobody", "rollover: two", "rollover: tow", 'line 20: waves[0].rollover: "tow" is not a wave of this campaign: did you mean two?'),
    case("rollover to a repeat", "rollover: two", "rollover: three", "line 20: waves[0].rollover: wave three is repeated: name one of its occurrences, three-b001 to three-b003"),
    case("next without repeat", "rollover: two", "rollover: next", "line 20: waves[0].rollover: next needs a repeat, and wave one has none: name the wave that gets what is unsold"),
    case("rollover backwards", '{ten: 0, cup: 5}', '{ten: 0, cup: 5}, rollover: one', "line 21: waves[1].rollover: wave one opens at 2027-03-01T10:00:00+01:00, before wave two closes at 2027-03-02T12:00:00+01:00: unsold stock can only go to a wave that opens later"),
    case("rollover of overlapping occurrences", "{cup: 10}", "{cup: 10}, lasts: 25h, rollover: next", "line 22: waves[2].rollover: wave three-b002 opens at 2027-03-28T10:00:00+02:00, before wave three-b001 closes at 2027-03-28T12:00:00+02:00: unsold stock can only go to a wave that opens later"),
    case("rollover of an offer that is not there", "{ten: 0, cup: 5}", "{cup: 5}", "line 20: waves[0].rollover: wave two does not have offer ten of wave one: give it ten: 0 in its stock"),
]  # fmt: skip

TIMES = [
    case("time without quotes", ONE, "2027-03-01 10:00", 'line 20: waves[0].opens_at: must stand in quotes: "2027-03-01 10:00"'),
    case("time of day without quotes", ONE, "10:00", f'line 20: waves[0].opens_at: "10:00" {TIME_RULE}, with the quotes'),
    case("number for a time", ONE, "36000", f'line 20: waves[0].opens_at: "36000" {TIME_RULE}, with the quotes'),
    case("time without a day", ONE, '"10:00"', f'line 20: waves[0].opens_at: "10:00" {TIME_RULE}'),
    case("instant without an offset", ONE, '"2027-03-01T10:00:00"', f'line 20: waves[0].opens_at: "2027-03-01T10:00:00" {TIME_RULE}'),
    case("digits of another script", ONE, '"２０２７-03-01 10:00"', f'line 20: waves[0].opens_at: "２０２７-03-01 10:00" {TIME_RULE}'),
    case("day that is not", ONE, '"2027-02-29 10:00"', "line 20: waves[0].opens_at: the calendar has no 2027-02-29"),
    case("year", ONE, '"1027-03-01 10:00"', "line 20: waves[0].opens_at: the year must be from 2000 to 2099"),
    case("hour", ONE, '"2027-03-01 25:00"', "line 20: waves[0].opens_at: 25:00:00 is not a time of day: hours go from 00 to 23, minutes and seconds from 00 to 59"),
    case("offset", ONE, '"2027-03-01T10:00:00+24:00"', "line 20: waves[0].opens_at: +24:00 is not an offset: offsets go from -23:59 to +23:59"),
    case("24:00 at the start", ONE, '"2027-03-01 24:00"', 'line 20: waves[0].opens_at: 24:00 can only end something: write "2027-03-02 00:00"'),
    case("past 24:00", ONE, ONE + ', closes_at: "2027-03-01 24:01"', "line 20: waves[0].closes_at: 24:01:00 is not a time of day: hours go from 00 to 23, minutes and seconds from 00 to 59"),
    case("24:00 with an offset", ONE, ONE + ', closes_at: "2027-03-01T24:00:00Z"', "line 20: waves[0].closes_at: 24:00:00 is not a time of day: hours go from 00 to 23, minutes and seconds from 00 to 59"),
    case("time that clocks skip", TWO, '"2027-03-28 02:30"', 'line 21: waves[1].opens_at: 2027-03-28 02:30 does not exist in Europe/Berlin, clocks are set forward from 2027-03-28 02:00 to 2027-03-28 03:00: the nearest are "2027-03-28 01:59" and "2027-03-28 03:00"'),
    case("time that comes twice", THREE + ", stock: {cup: 10}, repeat: {every: day, times: 3}", '"2027-10-31 02:30", stock: {cup: 10}', 'line 22: waves[2].opens_at: 2027-10-31 02:30 comes twice in Europe/Berlin, clocks are set back: write "2027-10-31T02:30:00+02:00" or "2027-10-31T02:30:00+01:00"'),
    case("close that clocks skip", ONE, ONE + ', closes_at: "2027-03-28 02:00"', 'line 20: waves[0].closes_at: 2027-03-28 02:00 does not exist in Europe/Berlin, clocks are set forward from 2027-03-28 02:00 to 2027-03-28 03:00: the nearest are "2027-03-28 01:59" and "2027-03-28 03:00"'),
    case("occurrence that clocks skip", THREE, '"2027-03-27 02:30"', 'line 22: waves[2].opens_at: 2027-03-28 02:30 does not exist in Europe/Berlin, clocks are set forward from 2027-03-28 02:00 to 2027-03-28 03:00: the nearest are "2027-03-28 01:59" and "2027-03-28 03:00", or skip the day: except: ["2027-03-28"]'),
]  # fmt: skip

YAML = [
    case("merge key", "lasts: 2h", "<<: {lasts: 2h}", "line 18: wave_defaults.<<: merge keys are not part of YAML 1.2: write the keys out, or use wave_defaults", *(f"line {line}: waves[{wave}].lasts: is missing: write for example lasts: 4h, here or in wave_defaults, or a closes_at" for wave, line in enumerate((20, 21, 22)))),
    case("tag", "title: Spring", "title: !!str Spring", "line 2: title: remove the tag that begins with !: values need none here"),
    case("directive", "campaign: spring", "%YAML 1.1\n---\ncampaign: spring", "line 1: remove the line that begins with %: campaign files are plain YAML 1.2"),
    case("mapping as a key", "by: account", "{a: b}: account", "line 6: a list or mapping cannot be a key"),
    case("second document", "cap:", "---\ncap:", "line 10: a second document begins here: remove the line ---, one file is one campaign"),
    case("unknown alias", "[Town]", "[*town]", "line 8: use.cities[0]: *town: no value before this place is marked &town"),
    case("alias inside itself", "[Town]", "&town [*town]", "line 8: use.cities[0]: *town stands inside the value that it names"),
    case("tab", "  lasts: 2h", "\tlasts: 2h", "line 18: wave_defaults: is not valid YAML: a tab cannot indent a line: use spaces"),
    case("second colon", "title: Spring", "title: Spring: now", "line 2: is not valid YAML: a second colon in this line: put text that contains a colon in quotes"),
    case("open bracket", "[Town]", "[Town", "line 8: use.cities[2]: is not valid YAML: expected ',' or ']', but got '}' while parsing a flow sequence"),
    case("character", "title: Spring", "title: Spr\u0007ing", "line 2: contains a character that YAML does not allow"),
    case("deep nesting", "[Town]", "[" * 12 + "]" * 12, f"line 8: use.cities{'[0]' * 11}: is nested more than 12 levels deep"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), [*KEYS_AND_VALUES, *NUMBERS, *RULES, *OFFERS, *WAVES, *TIMES, *YAML])
def test_every_mistake_is_told_with_line_path_and_what_would_be_right(old: str, new: str, expected: list[str]) -> None:
    assert BASE.count(old) == 1
    assert mistakes(BASE.replace(old, new)) == expected


def test_an_offer_id_that_is_wrong_is_not_told_again_where_stock_names_it() -> None:
    text = BASE.replace("id: cup", "id: Cup").replace("cup:", "Cup:")
    assert mistakes(text) == [f'line 16: offers[1].id: "Cup" {ID_RULE}']


def test_natural_days_that_end_before_a_wave_closes() -> None:
    text = BASE.replace("days_after_claim: 14", "natural_days: 1").replace("lasts: 2h", "lasts: 15h")
    assert mistakes(text) == [
        f"line 9: validity: ends before wave {wave} closes at {closes}: late claims would get expired vouchers; "
        "let vouchers be good for longer, or close the wave earlier"
        for wave, closes in [
            ("one", "2027-03-02T01:00:00+01:00"),
            ("two", "2027-03-03T01:00:00+01:00"),
            ("three-b001", "2027-03-28T01:00:00+01:00"),
        ]
    ]


def test_all_mistakes_are_told_in_the_order_of_the_file() -> None:
    text = BASE.replace("title: Spring", "titel: Spring").replace("max: 1", "max: 0").replace("{ten: 10}", "{ton: -1}")
    text = text.replace("every: day", "every: hour").replace("kind: gift", "kind: present")
    assert mistakes(text) == [
        "line 1: title: is missing: write for example title: 湖北消费券 2021",
        "line 2: titel: unknown key: did you mean title?",
        "line 5: limits[0].max: must be a whole number from 1 to 32, not 0",
        'line 16: offers[1].kind: "present" is not possible here: write threshold, instant, percent or gift',
        'line 20: waves[0].stock.ton: "ton" is not among the offers of this campaign: did you mean ten?',
        "line 20: waves[0].stock.ton: must be a whole number from 0 to 10,000,000, not -1",
        'line 22: waves[2].repeat.every: "hour" is not possible here: write day or week',
    ]


def test_a_mistake_behind_an_alias_is_told_where_it_stands() -> None:
    text = BASE.replace("shop-a: {title: Shop A, merchant: m, city: Town}", "shop-a: &a {title: Shop A, merchant: m}")
    text = text.replace("shop-b: {title: Shop B, merchant: m, city: Village}", "shop-b: *a")
    assert mistakes(text) == [
        "line 12: stores.shop-a.city: is missing: write for example city: 武汉",
        "line 13: stores.shop-b.city: is missing: write for example city: 武汉",
    ]


def test_a_mistake_of_the_defaults_is_told_once() -> None:
    text = BASE.replace("  lasts: 2h", "  lasts: 2h\n  stock: {cap: 1}").replace(", stock: {cup: 10}", "")
    assert mistakes(text) == ['line 19: wave_defaults.stock.cap: "cap" is not among the offers of this campaign: did you mean cup?']


@pytest.mark.parametrize("text", ["", "# nothing\n", "spring", "- campaign: spring", "---\n"])
def test_what_is_no_campaign_file_at_all(text: str) -> None:
    assert mistakes(text) == ["line 1: is not a campaign file: it must be a mapping that begins like campaign: hubei-2021"]


def test_very_many_mistakes_are_cut() -> None:
    told = mistakes(BASE + "".join(f"key-{number}: x\n" for number in range(300)))
    assert len(told) == 201
    assert told[-1] == "and 100 more"


LISTS = [
    case("no such file", "allow: list.txt", "allow: lost.txt", "there is no file lost.txt beside the campaign file"),
    case("folder", "allow: list.txt", "allow: folder", "there is no file folder beside the campaign file"),
    case("path", "allow: list.txt", "allow: ../list.txt", '"../list.txt" is not the name of a file beside the campaign file: put the list there'),
    case("whole path", "allow: list.txt", "allow: /etc/passwd", '"/etc/passwd" is not the name of a file beside the campaign file: put the list there'),
    case("folder itself", "allow: list.txt", "allow: ..", '".." is not the name of a file beside the campaign file: put the list there'),
    case("other encoding", "allow: list.txt", "allow: latin.txt", "latin.txt, line 2: is not UTF-8: save the list as UTF-8 text"),
    case("nothing in it", "allow: list.txt", "allow: empty.txt", "holds no account, so nobody could claim: name some, or remove the key"),
    case(
        "lines that are no accounts",
        "allow: list.txt",
        "allow: odd.txt",
        "odd.txt, line 1: has 129 characters; at most 128 are possible; write one account a line",
        "odd.txt, line 3: contains a line break or another character that cannot be printed; write one account a line",
    ),
    case("too many", "allow: list.txt", "allow: many.txt", "many.txt has 100,001 accounts; at most 100,000 are possible: use a tag instead"),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lists")
    (folder / "folder").mkdir()
    (folder / "list.txt").write_text("u1\n")
    (folder / "empty.txt").write_text("\n \n")
    (folder / "latin.txt").write_bytes(b"u1\nm\xfcller\n")
    (folder / "odd.txt").write_text(f"{'u' * 129}\nu1\nu\x002\n")
    (folder / "many.txt").write_text("\n".join(f"u{number}" for number in range(100_001)))
    (folder / "half.txt").write_text("\n".join(f"u{number}" for number in range(50_000)))
    return folder


@pytest.mark.parametrize(("old", "new", "expected"), LISTS)
def test_lists_that_cannot_be_read(old: str, new: str, expected: list[str], folder: Path) -> None:
    text = BASE.replace("eligibility: {}", "eligibility: {allow: list.txt}").replace(old, new)
    assert mistakes(text, folder) == [f"line 7: eligibility.allow: {what}" for what in expected]


def test_a_list_that_did_not_come_along() -> None:
    text = BASE.replace("eligibility: {}", "eligibility: {deny: bad.txt}")
    with pytest.raises(CampaignFileError) as error:
        parse_campaign(text, "request", lists={"other.txt": b""})
    assert [str(mistake) for mistake in error.value.mistakes] == [
        'line 7: eligibility.deny: no list "bad.txt" came with this campaign: send it along, or write the accounts out'
    ]


def test_lists_are_bounded_together(folder: Path) -> None:
    text = BASE.replace("rollover: two", "eligibility: {allow: half.txt}").replace("times: 3", "times: 2").replace(
        "{cup: 10}", "{cup: 10}, eligibility: {deny: half.txt}"
    )  # fmt: skip
    assert mistakes(text, folder) == [
        "line 1: allow and deny name 150,000 accounts in all, counted wave by wave; at most 100,000 are possible: "
        "use a tag in the users' tokens instead"
    ]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"campaign: spring\ntitle: Fr\xfchling\n")
    (tmp_path / "large.yaml").write_bytes("# é\n".encode() * 300_000)
    for name, what in {
        "none.yaml": "cannot be read: No such file or directory",
        ".": "cannot be read: Is a directory",
        "latin.yaml": "line 2: is not UTF-8: save the file as UTF-8 text",
        "large.yaml": "is larger than 1,048,576 bytes, which is the most that is read: put long lists into files beside it",
    }.items():
        with pytest.raises(CampaignFileError) as error:
            read_campaign_file(tmp_path / name)
        assert str(error.value) == f"{tmp_path / name}: refused\n  {what}"
