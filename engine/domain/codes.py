"""Voucher codes: sixteen characters that can be read out over a shop's counter.

    HB7 K2M9P4R6T8WX Q
    │   │            └ check character
    │   └ twelve random characters (60 bits)
    └ the campaign

The alphabet has 32 characters and leaves out I, L, O and U, which people mistake or misread
(Crockford's base 32). The check character is the sum of position × value modulo 37 brought back
into the alphabet by drawing again: see `new_code`. 37 is prime and above the alphabet's size, so
every single wrong character and every swap of two neighbours changes the sum.

Nobody types a code quite as it is printed: `typed_code` reads what was surely meant. O, I and L are not in the
alphabet, so whoever types one has seen a 0 or a 1.
"""

import hashlib
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Literal

from engine.frozen import Frozen

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
PREFIX_LENGTH = 3
CODE_LENGTH = 16
_RANDOM_LENGTH = CODE_LENGTH - PREFIX_LENGTH - 1
_MODULUS = 37
_VALUES = {character: value for value, character in enumerate(ALPHABET)}


def check_value(body: str) -> int:
    """The check value (0 to 36) of the first fifteen characters of a code."""
    return sum(place * _VALUES[character] for place, character in enumerate(body, start=1)) % _MODULUS


def new_code(prefix: str, draw: Callable[[int], int]) -> str:
    """A fresh code of that campaign. `draw(bits)` gives a random integer below 2**bits (`secrets.randbits`).

    Five of the 37 check values have no character; such a body (13.5 % of draws) is drawn again.
    """
    ahead = _prefix_value(prefix)
    one, two, three, four, five, six = _PAIRS
    while True:
        number = draw(5 * _RANDOM_LENGTH)
        a, a_value = one[number & 1023]
        b, b_value = two[number >> 10 & 1023]
        c, c_value = three[number >> 20 & 1023]
        d, d_value = four[number >> 30 & 1023]
        e, e_value = five[number >> 40 & 1023]
        f, f_value = six[number >> 50]
        check = (ahead + a_value + b_value + c_value + d_value + e_value + f_value) % _MODULUS
        if check < len(ALPHABET):
            return f"{prefix}{a}{b}{c}{d}{e}{f}{ALPHABET[check]}"


@lru_cache(maxsize=256)  # a gateway makes codes of a few campaigns
def _prefix_value(prefix: str) -> int:
    return sum(place * _VALUES[character] for place, character in enumerate(prefix, start=1))


def _pairs(place: int) -> list[tuple[str, int]]:
    """What ten random bits are at that place and the next: two characters, and what they add to the check value."""
    return [
        (ALPHABET[low] + ALPHABET[high], place * low + (place + 1) * high)
        for high in range(len(ALPHABET))
        for low in range(len(ALPHABET))
    ]


_PAIRS = [_pairs(place) for place in range(PREFIX_LENGTH + 1, CODE_LENGTH, 2)]
"""A code is made for every claim: two characters at a time take a third of the time that one by one does."""


def is_code(code: str) -> bool:
    """Whether this is a well-formed code with the right check character, as printed (upper case)."""
    return (
        len(code) == CODE_LENGTH
        and all(character in _VALUES for character in code)
        and check_value(code[:-1]) == _VALUES[code[-1]]
    )


_GROUP_LENGTH: Final = 4
TYPED_CHARACTERS_MAX: Final = 64
"""What is typed for a code is looked at up to here: each character with three that stand for nothing."""

_FULL_WIDTH: Final = ord("\uff21") - ord("A")
"""How far behind an ASCII character its full-width form stands, as Chinese keyboards write it."""


def _meanings() -> dict[str, str]:
    """What each character that can be typed means; the others are of no code."""
    seen = {character: character for character in ALPHABET} | {"O": "0", "I": "1", "L": "1"}
    narrow = seen | {character.lower(): meant for character, meant in seen.items()}
    return narrow | {chr(ord(character) + _FULL_WIDTH): meant for character, meant in narrow.items()}


_MEANINGS: Final = _meanings()


class Mistyped(Frozen):
    """What was typed is the code of no voucher that ever was.

    character: something in it stands in no code; length: too few characters, or too many;
    check: it has the form of a code, and one character or more is another than the printed one.
    """

    what: Literal["character", "length", "check"]


def typed_code(text: str) -> str | Mistyped:
    """The code, as printed, that somebody meant by this text: typed, read by a scanner, or pasted.

    Lower case, full-width characters, O for 0, and I or L for 1 are read as meant. White space, dashes and what cannot
    be seen stand for nothing. A code that is read may still be the code of no voucher.
    """
    if len(text) > TYPED_CHARACTERS_MAX:
        return Mistyped("length")
    typed = [_MEANINGS.get(character) for character in text if not _stands_for_nothing(character)]
    meant = [character for character in typed if character is not None]
    if len(meant) < len(typed):
        return Mistyped("character")
    if len(meant) != CODE_LENGTH:
        return Mistyped("length")
    code = "".join(meant)
    return code if is_code(code) else Mistyped("check")


def _stands_for_nothing(character: str) -> bool:
    # Pd: every dash but the minus sign, which is one to whoever types it. Cf: a text that was copied brings along marks
    # of its direction, and spaces without width.
    return character.isspace() or character == "\u2212" or unicodedata.category(character) in ("Pd", "Cf")


def grouped(code: str) -> str:
    """The code as a person reads it best, in fours: `HB7K-2M9P-4R6T-8WXQ`."""
    return "-".join(code[start : start + _GROUP_LENGTH] for start in range(0, len(code), _GROUP_LENGTH))


def campaign_prefix(number: int) -> str:
    """The three characters of the campaign with that number (0 to 32,767), each number its own.

    Neighbouring numbers are spread over the whole space, so that codes of two campaigns look unlike:
    the multiplier is odd, which makes the map a permutation modulo a power of two.
    """
    if not 0 <= number < 1 << (5 * PREFIX_LENGTH):
        raise ValueError(f"campaign number {number} is out of range: 0 to 32767")
    spread = (number * 20_077 + 8_191) % (1 << (5 * PREFIX_LENGTH))
    return "".join(ALPHABET[(spread >> shift) & 31] for shift in (10, 5, 0))


def claim_id(code: str) -> str:
    """The id of the claim that issued this code: unique everywhere, and the code cannot be told from it."""
    return "c-" + hashlib.sha256(b"claim " + code.encode()).hexdigest()[:20]
