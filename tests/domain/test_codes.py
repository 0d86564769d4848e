"""Voucher codes: the check character, the campaign's prefix, the claim's id."""

import random
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.codes import (
    ALPHABET,
    CODE_LENGTH,
    DRAWS,
    DRAWS_BYTES,
    PREFIX_LENGTH,
    TYPED_CHARACTERS_MAX,
    Mistyped,
    campaign_prefix,
    check_value,
    claim_id,
    grouped,
    is_code,
    new_code,
    new_codes,
    typed_code,
)


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


@given(st.integers(0, 32_767), st.integers(0, 2**64 - 1))
def test_codes_made_at_once_are_those_of_single_draws(campaign: int, seed: int) -> None:
    prefix, random_bytes = campaign_prefix(campaign), random.Random(seed).randbytes(DRAWS_BYTES)
    values = [byte & 31 for byte in random_bytes]
    bodies = [values[start : start + 12] for start in range(0, 12 * DRAWS, 12)]
    drawn = [prefix + "".join(ALPHABET[value] for value in body) for body in bodies]
    granted = [body + ALPHABET[check] for body in drawn if (check := check_value(body)) < len(ALPHABET)]
    assert new_codes(prefix, random_bytes) == granted
    assert all(map(is_code, granted))


@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_no_draw_runs_over_into_the_next(byte: int) -> None:
    body = "ABC" + ALPHABET[byte & 31] * (CODE_LENGTH - PREFIX_LENGTH - 1)
    check = check_value(body)
    wanted = [body + ALPHABET[check]] * DRAWS if check < len(ALPHABET) else []
    assert new_codes("ABC", bytes([byte]) * DRAWS_BYTES) == wanted


@given(codes())
def test_every_single_wrong_character_is_noticed(code: str) -> None:
    for place in range(CODE_LENGTH):
        for wrong in ALPHABET:
            if wrong != code[place]:
                text = code[:place] + wrong + code[place + 1 :]
                assert not is_code(text), (place, wrong)
                assert typed_code(text) == Mistyped("check")


@given(codes())
def test_every_swap_of_neighbours_is_noticed(code: str) -> None:
    for place in range(CODE_LENGTH - 1):
        if code[place] != code[place + 1]:
            swapped = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
            assert not is_code(swapped), place
            assert typed_code(swapped) == Mistyped("check")


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


SPELLINGS = {character: {character, character.lower()} for character in ALPHABET}
SPELLINGS["0"] |= {"O", "o"}
SPELLINGS["1"] |= {"I", "i", "L", "l"}
for spellings in SPELLINGS.values():
    spellings |= {unicodedata.lookup(f"FULLWIDTH {unicodedata.name(each)}") for each in spellings}

NOTHING = ["", "", "", " ", "-", "–", "—", "－", "−", "\u3000", "\u00a0", "\t", "\n", "\u200b", "\ufeff"]


@given(codes(), st.data())
def test_a_code_is_read_as_meant_however_it_is_typed(code: str, data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(NOTHING))
    for character in code:
        text += data.draw(st.sampled_from(sorted(SPELLINGS[character]))) + data.draw(st.sampled_from(NOTHING))
    assert typed_code(text) == code


def test_no_other_character_is_taken_for_one_of_a_code() -> None:
    """Sixteen zeros are a code, so what stands in the place of the last tells how it was read. All of the BMP is tried:
    not the dotless i, which becomes an I in upper case, nor Cyrillic, Greek, Arabic or superscript look-alikes."""
    assert is_code("0" * 16)
    zeros, others, nothing = set(), set(), set()
    for character in map(chr, range(0x10000)):
        match typed_code("0" * 15 + character):
            case Mistyped("check"):
                others.add(character)
            case Mistyped("length"):
                nothing.add(character)
            case Mistyped(_):
                pass
            case read:
                assert read == "0" * 16
                zeros.add(character)
    assert zeros == SPELLINGS["0"]
    assert others == set().union(*SPELLINGS.values()) - zeros
    assert set(NOTHING) - {""} <= nothing
    assert all(each.isspace() or unicodedata.category(each) in ("Pd", "Sm", "Cf") for each in nothing)


@given(codes(), st.integers(0, CODE_LENGTH - 1), st.sampled_from(ALPHABET))
def test_a_character_too_few_or_too_many_is_noticed(code: str, place: int, more: str) -> None:
    assert typed_code(code[:place] + code[place + 1 :]) == Mistyped("length")
    assert typed_code(code[:place] + more + code[place:]) == Mistyped("length")


@pytest.mark.parametrize(
    "text", ["U" * 16, "0" * 15 + "_", "0" * 16 + "?", "ı" * 16, "О" * 16, "٠" * 16, "°" * 16, "\ud800"]
)
def test_what_stands_in_no_code_is_not_guessed_at(text: str) -> None:
    assert typed_code(text) == Mistyped("character")


@given(st.text())
def test_whatever_is_typed_is_a_code_or_mistyped(text: str) -> None:
    read = typed_code(text)
    assert isinstance(read, Mistyped) or is_code(read)


@given(codes())
def test_a_text_that_is_too_long_is_not_looked_at(code: str) -> None:
    ahead = " " * (TYPED_CHARACTERS_MAX - CODE_LENGTH)
    assert typed_code(ahead + code) == code
    assert typed_code(ahead + " " + code) == Mistyped("length")


@given(codes())
def test_codes_are_shown_in_fours(code: str) -> None:
    groups = grouped(code).split("-")
    assert [len(group) for group in groups] == [4, 4, 4, 4]
    assert "".join(groups) == typed_code(grouped(code)) == code


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
