"""Voucher codes: sixteen characters that can be read out over a shop's counter.

    HB7 K2M9P4R6T8WX Q
    │   │            └ check character
    │   └ twelve random characters (60 bits)
    └ the campaign

The alphabet has 32 characters and leaves out I, L, O and U, which people mistake or misread
(Crockford's base 32). The check character is the sum of position × value modulo 37 brought back
into the alphabet by drawing again: see `new_code`. 37 is prime and above the alphabet's size, so
every single wrong character and every swap of two neighbours changes the sum.
"""

import hashlib
from collections.abc import Callable
from functools import lru_cache

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
