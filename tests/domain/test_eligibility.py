"""Who may claim: the first rule that forbids it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.campaign import Eligibility, TagRule
from engine.domain.eligibility import Identity, broken_rule, claimant_of

ANYBODY = Eligibility()


def identity(account: str = "u1", city: str = "", tags: tuple[str, ...] = (), person: str = "") -> Identity:
    return Identity(account=account, city=city, tags=tags, person=person)


@pytest.mark.parametrize(
    ("who", "rule", "broken"),
    [
        (identity(), ANYBODY, None),
        (identity(city="武汉"), Eligibility(cities=("宜昌", "武汉")), None),
        (identity(city="上海"), Eligibility(cities=("宜昌", "武汉")), "city"),
        (identity(), Eligibility(cities=("武汉",)), "city"),
        (identity(tags=("b", "x")), Eligibility(tags=TagRule(any=("a", "b"))), None),
        (identity(tags=("x",)), Eligibility(tags=TagRule(any=("a", "b"))), "tags"),
        (identity(tags=("a", "b", "x")), Eligibility(tags=TagRule(all=("a", "b"))), None),
        (identity(tags=("a",)), Eligibility(tags=TagRule(all=("a", "b"))), "tags"),
        (identity(tags=("x",)), Eligibility(tags=TagRule(none=("a", "b"))), None),
        (identity(tags=("x", "b")), Eligibility(tags=TagRule(none=("a", "b"))), "tags"),
        (identity(tags=("a", "c")), Eligibility(tags=TagRule(any=("a", "b"), all=("c",), none=("d",))), None),
        (identity(tags=("a", "c", "d")), Eligibility(tags=TagRule(any=("a", "b"), all=("c",), none=("d",))), "tags"),
        (identity(tags=("c",)), Eligibility(tags=TagRule(any=("a", "b"), all=("c",), none=("d",))), "tags"),
        (identity(), Eligibility(allow=frozenset({"u1"})), None),
        (identity("u2"), Eligibility(allow=frozenset({"u1"})), "list"),
        (identity(), Eligibility(allow=frozenset()), "list"),
        (identity(), Eligibility(deny=frozenset({"u1"})), "list"),
        (identity("u2"), Eligibility(deny=frozenset({"u1"})), None),
        (identity(), Eligibility(allow=frozenset({"u1"}), deny=frozenset({"u1"})), "list"),
        (identity("U1"), Eligibility(allow=frozenset({"u1"})), "list"),
    ],
)
def test_each_rule(who: Identity, rule: Eligibility, broken: str | None) -> None:
    assert broken_rule(who, "account", (rule,)) == broken
    assert broken_rule(who, "account", (ANYBODY, rule)) == broken
    assert broken_rule(who, "account", (rule, ANYBODY)) == broken


def test_the_first_broken_rule_is_told() -> None:
    everything = Eligibility(cities=("武汉",), tags=TagRule(all=("a",)), deny=frozenset({"u1"}))
    assert broken_rule(identity(), "person", (everything,)) == "person_required"
    assert broken_rule(identity(person="p"), "person", (everything,)) == "city"
    assert broken_rule(identity(city="武汉"), "account", (everything,)) == "tags"
    assert broken_rule(identity(city="武汉", tags=("a",)), "account", (everything,)) == "list"


def test_campaign_and_wave_have_to_be_kept_both() -> None:
    campaign, wave = Eligibility(cities=("武汉", "宜昌")), Eligibility(cities=("武汉",))
    assert broken_rule(identity(city="武汉"), "account", (campaign, wave)) is None
    assert broken_rule(identity(city="宜昌"), "account", (campaign, wave)) == "city"


def test_limits_count_the_account_or_the_person() -> None:
    who = identity(account="u1", person="p1")
    assert claimant_of(who, "account") == "u1"
    assert claimant_of(who, "person") == "p1"
    assert claimant_of(identity(), "person") == ""
    assert broken_rule(identity(), "account", ()) is None
    assert broken_rule(identity(), "person", ()) == "person_required"


@given(
    st.sets(st.sampled_from("abcdef")),
    st.sets(st.sampled_from("abc")),
    st.sets(st.sampled_from("abcd")),
    st.sets(st.sampled_from("ef")),
)
def test_tags_agree_with_their_words(held: set[str], some: set[str], every: set[str], none: set[str]) -> None:
    rule = Eligibility(tags=TagRule(any=tuple(some), all=tuple(every), none=tuple(none)))
    fits = (
        (not some or any(tag in held for tag in some))
        and all(tag in held for tag in every)
        and not any(tag in held for tag in none)
    )
    assert (broken_rule(identity(tags=tuple(held)), "account", (rule,)) is None) == fits
