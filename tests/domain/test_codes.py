"""Voucher codes: the check character, the campaign's prefix, the claim's id."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.codes import ALPHABET, CODE_LENGTH, campaign_prefix, check_value, claim_id, is_code, new_code


@st.composite
def codes(draw: st.DrawFn) -> str:
    prefix = campaign_prefix(draw(st.integers(0, 32_767)))
    return new_code(prefix, random.Random(draw(st.integers(0, 2**64 - 1))).getrandbits)


def counted(numbers: list[int]) -> Callable[[int], int]:
    """Draws these numbers, one after the other."""
    rest = iter(numbers)
    return lambda bits: next(rest)


def test_the_alphabet_leaves_out_what_people_misread() -> None:
    assert len(ALPHABET) == len(set(ALPHABET)) == 32
    assert not set(ALPHABET) & set("ILOU")
    assert "".join(sorted(ALPHABET)) == ALPHABET


@given(codes())
def test_a_new_code_is_a_code(code: str) -> None:
    assert len(code) == CODE_LENGTH
    assert is_code(code)


@given(codes())
def test_every_single_wrong_character_is_noticed(code: str) -> None:
    for place in range(CODE_LENGTH):
        for wrong in ALPHABET:
            if wrong != code[place]:
                assert not is_code(code[:place] + wrong + code[place + 1 :]), (place, wrong)


@given(codes())
def test_every_swap_of_neighbours_is_noticed(code: str) -> None:
    for place in range(CODE_LENGTH - 1):
        if code[place] != code[place + 1]:
            swapped = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
            assert not is_code(swapped), place


def test_single_errors_and_swaps_change_the_check_value_whatever_stands_beside() -> None:
    """The sum is linear, so each place and each pair of values can be looked at by itself: none is left out."""
    values = range(len(ALPHABET))
    for place in range(1, CODE_LENGTH):
        assert all(place * (a - b) % 37 for a in values for b in values if a != b)
    for place in range(1, CODE_LENGTH - 1):
        assert all(
            (place * a + (place + 1) * b - place * b - (place + 1) * a) % 37 for a in values for b in values if a != b
        )
    # the check character is compared with the sum: swapped with its neighbour, one side grows by 15 differences, the
    # other shrinks by one
    assert all((CODE_LENGTH - 1 + 1) * (a - b) % 37 for a in values for b in values if a != b)


def test_a_body_without_a_check_character_is_drawn_again() -> None:
    wanting = next(
        number
        for number in range(10_000)
        if check_value("000" + "".join(ALPHABET[(number >> shift) & 31] for shift in range(0, 60, 5))) >= 32
    )
    with pytest.raises(StopIteration):
        new_code("000", counted([wanting]))
    assert new_code("000", counted([wanting, 0])) == "0" * 16


@pytest.mark.parametrize(
    "text", ["", "HB7", "0" * 15, "0" * 17, "0" * 15 + "I", "o" * 16, " " + "0" * 15, "０" * 16, "0" * 15 + "\n"]
)
def test_what_is_no_code(text: str) -> None:
    assert not is_code(text)


@given(codes())
def test_codes_are_printed_in_upper_case(code: str) -> None:
    assert is_code(code.lower()) == (code.lower() == code)


def test_every_campaign_has_its_own_prefix() -> None:
    prefixes = {campaign_prefix(number) for number in range(32_768)}
    assert len(prefixes) == 32_768
    assert all(len(prefix) == 3 and set(prefix) <= set(ALPHABET) for prefix in prefixes)


@pytest.mark.parametrize("number", [-1, 32_768])
def test_campaign_numbers_are_bounded(number: int) -> None:
    with pytest.raises(ValueError, match="out of range"):
        campaign_prefix(number)


def test_claim_ids_are_fixed_for_good() -> None:
    assert claim_id("0" * 16) == claim_id("0" * 16) == "c-d8aa92abd2490e7236be"
    assert claim_id("0" * 16) != claim_id("0" * 15 + "1")
