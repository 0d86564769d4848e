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
    while True:
        number = draw(5 * _RANDOM_LENGTH)
        body = prefix + "".join(ALPHABET[(number >> shift) & 31] for shift in range(0, 5 * _RANDOM_LENGTH, 5))
        check = check_value(body)
        if check < len(ALPHABET):
            return body + ALPHABET[check]


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
