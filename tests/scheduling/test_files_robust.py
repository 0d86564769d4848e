"""Whatever a file holds, it is read or refused: no other error, no unbounded work."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.domain.campaign import Campaign
from engine.errors import CampaignFileError, Mistake
from engine.scheduling.files import parse_campaign

TEXTS = [path.read_text() for path in sorted((Path(__file__).parents[2] / "deploy" / "campaigns").glob("*.yaml"))]

SNIPPETS = [
    *("[", "]", "{", "}", ":", ": ", ",", "-", "- ", "&a ", "*a", "*s", "!!str ", "!x ", "|", ">", "%", "@", "`", "#"),
    *("'", '"', "?", "? ", "\n", "\t", "\r", " ", "  ", "---\n", "...\n", "\n---\n", "<<: *s", "null", "~", "true"),
    *("0", "-1", "1e9", "0x1f", ".nan", "9" * 30, "24:00", "10:00", "2027-03-15", '"2027-03-28 02:30"', "all", "next"),
    *("\ufeff", "\x00", "\x85", "\u2028", "\ud800", "😀", "é", "\\", "\\ud800", '"\\UFFFFFFFF"', "Europe/Berlin"),
    *("Asia", "../x", "UTC", "threshold", "gift", "percent", "by", "person", "repeat: {every: day, times: 999}"),
]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """An example file after a few cuts, copies and insertions."""
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        places = [match.start() for match in re.finditer(r"\w+|\W", text)] or [0]
        begin = draw(st.sampled_from(places))
        end = min(len(text), begin + draw(st.integers(0, 30)))
        kind = draw(st.sampled_from(["cut", "insert", "replace", "copy", "character"]))
        if kind == "cut":
            text = text[:begin] + text[end:]
        elif kind == "copy":
            other = draw(st.sampled_from(places))
            text = text[:other] + text[begin:end] + text[other:]
        else:
            new = draw(st.characters()) if kind == "character" else draw(st.sampled_from(SNIPPETS))
            text = text[:begin] + new + text[begin if kind == "insert" else end :]
    return text


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(mutated())
def test_a_mutated_example_is_read_or_refused(text: str) -> None:
    lines = text.count("\n") + text.count("\r") + text.count("\x85") + text.count("\u2028") + 2
    for mistake in read(text):
        assert 0 <= mistake.line <= lines
        assert mistake.what
        assert "\n" not in str(mistake)


def read(text: str) -> list[Mistake]:
    try:
        assert isinstance(parse_campaign(text, "mutated.yaml"), Campaign)
    except CampaignFileError as error:
        return error.mistakes
    return []


def refused(text: str) -> list[str]:
    with pytest.raises(CampaignFileError) as error:
        parse_campaign(text, "large.yaml")
    return [str(mistake) for mistake in error.value.mistakes]


def test_aliases_of_aliases_do_not_unfold() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 9))
    assert refused(bomb) == ["line 6: a5: unfolds to more than 500,000 values: use fewer aliases"]


def test_aliases_do_not_nest_without_end() -> None:
    chain = "a0: &a0 x\n" + "".join(f"a{level}: &a{level} [*a{level - 1}]\n" for level in range(1, 200))
    assert refused(chain) == ["line 12: a11: is nested more than 12 levels deep"]


@pytest.mark.parametrize("opening", ["[", "{", "{a: ", "- ", "? "])
def test_deep_nesting_ends_early(opening: str) -> None:
    told = refused(opening * 100_000)
    assert len(told) == 1
    assert told[0].endswith("is nested more than 12 levels deep")


def test_a_large_file_is_refused_before_it_is_read() -> None:
    assert refused("#" * 1_048_577) == [
        "is larger than 1,048,576 bytes, which is the most that is read: put long lists into files beside it"
    ]


def test_unknown_names_by_the_thousand_do_not_take_long() -> None:
    """Looking for the nearest of many stores for each of many names is bounded."""
    stores = "".join(f"  s-{number}: {{title: t, merchant: m, city: c}}\n" for number in range(1_000))
    wrong = ", ".join(f"t-{number}" for number in range(3_000))
    told = refused(
        "campaign: c\ntitle: t\ntimezone: UTC\ncurrency: EUR\nvalidity: {natural_days: 1}\n"
        f"stores:\n{stores}offers:\n  - {{id: o, title: o, kind: instant, face: 1, stores: [{wrong}]}}\n"
        'waves:\n  - {id: w, opens_at: "2027-01-01 10:00", lasts: 1h, stock: {o: 1}}\n'
    )
    assert len(told) == 201
    assert told[-1] == "and 2,800 more"
    assert told[0].endswith('"t-0" is not among the stores of this campaign: did you mean s-0?')
    assert told[199].endswith('"t-199" is not among the stores of this campaign')


@pytest.mark.parametrize(
    ("stores", "offers", "expected"),
    [
        (10_001, 1, "line 6: stores: has 10,001 stores; at most 10,000 are possible in one campaign"),
        (
            1_001,
            100,
            "line 1008: offers: name 100,100 stores in all; at most 100,000 are possible: "
            "have fewer offers, or fewer stores in each",
        ),
        (1, 101, "line 8: offers: has 101 entries; at most 100 are possible"),
    ],
)
def test_stores_and_offers_are_bounded(stores: int, offers: int, expected: str) -> None:
    assert refused(shop_window(stores, offers)) == [expected]


def test_as_many_stores_as_are_possible() -> None:
    assert len(parse_campaign(shop_window(10_000, 10), "large.yaml").stores) == 10_000


def shop_window(stores: int, offers: int) -> str:
    shops = "".join(f" s{number}: *s\n" for number in range(1, stores))
    items = "".join(
        f" - {{id: o{number}, title: o, kind: instant, face: 1, stores: all}}\n" for number in range(offers)
    )
    return (
        "campaign: c\ntitle: t\ntimezone: UTC\ncurrency: EUR\nvalidity: {natural_days: 1}\n"
        f"stores:\n s0: &s {{title: t, merchant: m, city: c}}\n{shops}offers:\n{items}"
        'waves:\n - {id: w, opens_at: "2027-01-01 10:00", lasts: 1h, stock: {o0: 1}}\n'
    )
