"""Every kind of mistake of a campaign file, with the exact words for the operator: mistakes.toml has the table."""

import os
import tomllib
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


ID_RULE = "is not an id: 1 to 64 characters a-z, 0-9 and -, the first not -"
CASES = tomllib.loads((Path(__file__).parent / "mistakes.toml").read_text())["case"]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_every_mistake_is_told_with_line_path_and_what_would_be_right(case: dict) -> None:
    assert BASE.count(case["old"]) == 1
    assert mistakes(BASE.replace(case["old"], case["new"])) == case["told"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("title: Spring", f"title: {'x' * 201}", "line 2: title: has 201 characters; at most 200 are possible"),
        (
            "{ten: 10}",
            f"{{ten: {'9' * 5000}}}",
            f"line 20: waves[0].stock.ten: must be a whole number from 0 to 10,000,000, not {'9' * 47}…",
        ),
        (
            "eligibility: {}",
            f"eligibility: {{deny: [{'u' * 129}]}}",
            "line 7: eligibility.deny[0]: has 129 characters; at most 128 are possible",
        ),
        (
            "eligibility: {}",
            f"eligibility: {{cities: [{', '.join(f'c{number}' for number in range(1_001))}]}}",
            "line 7: eligibility.cities: has 1,001 entries; at most 1,000 are possible",
        ),
    ],
    ids=["text", "digits", "account", "list"],
)
def test_what_is_too_long_is_not_repeated_at_length(old: str, new: str, told: str) -> None:
    assert mistakes(BASE.replace(old, new)) == [told]


ALLOWED = {
    "a wave that opens when the other closes gets its stock": [('"2027-03-02 10:00"', '"2027-03-01 12:00"')],
    "vouchers that end when the wave closes": [("{days_after_claim: 14}", '{until: "2027-03-29 12:00"}')],
    "natural days that end when the wave closes": [
        ("{days_after_claim: 14}", "{natural_days: 1}"),
        ("lasts: 2h", "lasts: 14h"),
    ],
    "min_spend that is face": [("min_spend: 3000", "min_spend: 1000")],
    "price just below face": [("face: 500", "face: 500, price: 499")],
    "exactly 32 claims": [
        ("{max: 1, per: wave}", "{max: 16, per: wave}"),
        (", repeat: {every: day, times: 3}", ""),
        ('  - {id: one, opens_at: "2027-03-01 10:00", stock: {ten: 10}, rollover: two}\n', ""),
    ],
    "32 by the limit of the campaign": [("{max: 1, per: wave}", "{max: 7, per: wave}, {max: 32, per: campaign}")],
    "an id of 59 characters with repeat": [("id: three", f"id: {'a' * 59}")],
    "an id of 64 characters": [("id: one", f"id: {'a' * 64}")],
    "exactly 1,000 waves": [
        ("times: 3", "times: 998"),
        ("[{max: 1, per: wave}]", "[]"),
        ("cap: {claims: 100, value: 100000}", "cap: {}"),
    ],
    "a cap that is the stock": [("claims: 100, value: 100000", "claims: 45, value: 27500")],
    "the most stock": [("cap: {claims: 100, value: 100000}", "cap: {}"), ("{cup: 10}", "{cup: 10000000}")],
    "a code page, or none": [
        ("face: 500", "face: 500, code_page: true"),
        ("face: 1000", "face: 1000, code_page: false"),
    ],
    "no stock": [("{ten: 10}", "{ten: 0}")],
    "ten years": [("lasts: 2h", "lasts: 3660d"), (", rollover: two", "")],
}


@pytest.mark.parametrize("changes", ALLOWED.values(), ids=ALLOWED)
def test_what_is_just_possible(changes: list[tuple[str, str]]) -> None:
    text = BASE
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    assert parse_campaign(text, "spring.yaml")


def test_terms_that_ask_for_no_code_page_keep_their_hash() -> None:
    """Those of before there was such a thing included; whoever asks for one promises something else."""
    plain, said, asked = (
        campaign.terms_of(campaign.offers[1]).hash()
        for more in ("", ", code_page: false", ", code_page: true")
        for campaign in [parse_campaign(BASE.replace("face: 500", f"face: 500{more}"), "spring.yaml")]
    )
    assert plain == said != asked


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


@pytest.mark.parametrize(
    ("validity", "wave"),
    [
        ("natural_days: 2, from_day: 3", "one"),
        ("natural_days: 2, from_day: 2", ""),
        ("days_after_claim: 1, from_day: 3", "one"),
        ("days_after_claim: 1, from_day: 2", ""),
        ('until: "2027-04-01 24:00", from: "2027-04-02 00:00"', "one"),
        ('natural_days: 2, from: "2027-03-03 10:00"', "one"),
        ('natural_days: 2, from: "2027-02-20 10:00"', ""),
    ],
)
def test_vouchers_that_end_before_they_begin(validity: str, wave: str) -> None:
    text = BASE.replace("days_after_claim: 14", validity)
    if not wave:
        parse_campaign(text, "spring.yaml")
        return
    assert mistakes(text)[0] == (
        f"line 9: validity: ends before it begins, for claims of wave {wave}: nobody could use their vouchers; "
        "let them be good for longer, or begin earlier"
    )


def test_stock_that_is_worth_more_than_the_script_can_add_up() -> None:
    text = BASE.replace("cap: {claims: 100, value: 100000}", "cap: {}").replace("face: 500", "face: 1000000000000")
    assert mistakes(text.replace("{cup: 10}", "{cup: 400}")) == [
        "line 19: waves: have stock worth 1,205,000,000,010,000 minor units; at most 1,000,000,000,000,000 are "
        "possible in one campaign: lower the stock, or what the offers are worth"
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
    assert mistakes(text) == [
        'line 19: wave_defaults.stock.cap: "cap" is not among the offers of this campaign: did you mean cup?'
    ]


@pytest.mark.parametrize("text", ["", "# nothing\n", "spring", "- campaign: spring", "---\n"])
def test_what_is_no_campaign_file_at_all(text: str) -> None:
    assert mistakes(text) == [
        "line 1: is not a campaign file: it must be a mapping that begins like campaign: hubei-2021"
    ]


def test_very_many_mistakes_are_cut() -> None:
    told = mistakes(BASE + "".join(f"key-{number}: x\n" for number in range(300)))
    assert len(told) == 201
    assert told[-1] == "and 100 more"


LISTS = {
    "lost.txt": ["there is no file lost.txt beside the campaign file"],
    "folder": ["there is no file folder beside the campaign file"],
    "../list.txt": ['"../list.txt" is not the name of a file beside the campaign file: put the list there'],
    "/etc/passwd": ['"/etc/passwd" is not the name of a file beside the campaign file: put the list there'],
    "..": ['".." is not the name of a file beside the campaign file: put the list there'],
    "latin.txt": ["latin.txt, line 2: is not UTF-8: save the list as UTF-8 text"],
    "empty.txt": ["holds no account, so nobody could claim: name some, or remove the key"],
    "odd.txt": [
        "odd.txt, line 1: has 129 characters; at most 128 are possible; write one account a line",
        "odd.txt, line 3: contains a line break or another character that cannot be printed; write one account a line",
    ],
    "huge.txt": ["huge.txt has more than 16,777,216 bytes; at most 100,000 accounts are possible"],
    "many.txt": ["many.txt has 100,001 accounts; at most 100,000 are possible: use a tag instead"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lists")
    (folder / "folder").mkdir()
    (folder / "list.txt").write_text("u1\n")
    (folder / "empty.txt").write_text("\n \n")
    (folder / "latin.txt").write_bytes(b"u1\nm\xfcller\n")
    (folder / "odd.txt").write_text(f"{'u' * 129}\nu1\nu\x002\n")
    (folder / "many.txt").write_text("\n".join(f"u{number}" for number in range(100_001)))
    (folder / "huge.txt").touch()
    os.truncate(folder / "huge.txt", 16 * 1_048_576 + 1)
    (folder / "most.txt").write_text("\n".join(f"u{number}" for number in range(100_000)))
    (folder / "half.txt").write_text("\n".join(f"u{number}" for number in range(50_000)))
    return folder


@pytest.mark.parametrize("name", LISTS)
def test_lists_that_cannot_be_read(name: str, folder: Path) -> None:
    text = BASE.replace("eligibility: {}", f"eligibility: {{allow: {name}}}")
    assert mistakes(text, folder) == [f"line 7: eligibility.allow: {what}" for what in LISTS[name]]


def test_a_list_that_did_not_come_along() -> None:
    text = BASE.replace("eligibility: {}", "eligibility: {deny: bad.txt}")
    with pytest.raises(CampaignFileError) as error:
        parse_campaign(text, "request", lists={"other.txt": b""})
    assert [str(mistake) for mistake in error.value.mistakes] == [
        'line 7: eligibility.deny: no list "bad.txt" came with this campaign: send it along, or write the accounts out'
    ]


def test_as_many_accounts_as_are_possible(folder: Path) -> None:
    text = BASE.replace("eligibility: {}", "eligibility: {allow: most.txt}")
    assert len(parse_campaign(text, "spring.yaml", folder).eligibility.allow or ()) == 100_000


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
    (tmp_path / "large.yaml").write_bytes("é".encode() * 600_000)
    for name, what in {
        "none.yaml": "cannot be read: No such file or directory",
        ".": "cannot be read: Is a directory",
        "latin.yaml": "line 2: is not UTF-8: save the file as UTF-8 text",
        "large.yaml": "is larger than 1,048,576 bytes, which is the most that is read: "
        "put long lists into files beside it",
    }.items():
        with pytest.raises(CampaignFileError) as error:
            read_campaign_file(tmp_path / name)
        assert str(error.value) == f"{tmp_path / name}: refused\n  {what}"
