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
from itertools import compress
from operator import mul
from struct import Struct
from typing import Final, Literal

from engine.frozen import Frozen

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
PREFIX_LENGTH = 3
CODE_LENGTH = 16
_RANDOM_LENGTH = CODE_LENGTH - PREFIX_LENGTH - 1
_MODULUS = 37
_VALUES = {character: value for value, character in enumerate(ALPHABET)}
_PLACES_OF_CODE: Final = range(1, CODE_LENGTH + 1)


def check_value(body: str) -> int:
    """The check value (0 to 36) of the first fifteen characters of a code."""
    return _weighted(body) % _MODULUS


def _weighted(begin: str) -> int:
    """The sum of position × value for the first characters of a code."""
    return sum(map(mul, _PLACES_OF_CODE, map(_VALUES.__getitem__, begin)))


def new_code(prefix: str, draw: Callable[[int], int]) -> str:
    """A fresh code of that campaign. `draw(bits)` gives a random integer below 2**bits (`secrets.randbits`).

    Five of the 37 check values have no character; such a body (13.5 % of draws) is drawn again.
    """
    while True:
        number = draw(5 * _RANDOM_LENGTH)
        body = prefix + "".join([ALPHABET[number >> 5 * place & 31] for place in range(_RANDOM_LENGTH)])
        check = check_value(body)
        if check < len(ALPHABET):
            return body + ALPHABET[check]


DRAWS: Final = 128
"""That `new_codes` makes at once, of which some 110 become codes."""
DRAWS_BYTES: Final = DRAWS * _RANDOM_LENGTH
_ROWS: Final = [slice(start, start + CODE_LENGTH) for start in range(0, DRAWS * CODE_LENGTH, CODE_LENGTH)]
_TO_CHARACTERS: Final = bytes(ord(ALPHABET[byte & 31]) for byte in range(256))
_TO_VALUES: Final = bytes(byte & 31 for byte in range(256))
_CELL_BYTES: Final = 2
_PLACES: Final = int.from_bytes(
    b"".join(bytes((place, 0)) for place in range(CODE_LENGTH - 1, PREFIX_LENGTH, -1)), "little"
)
_SUMS: Final = Struct("<" + f"{_CELL_BYTES * (_RANDOM_LENGTH - 1)}xH" * DRAWS)
"""Reads the last cell of each draw."""
_CHECKS: Final = (ALPHABET.encode() + bytes(_MODULUS - len(ALPHABET))) * CODE_LENGTH**2
"""By the sum of position × value, 31 × (1 + … + 15) at the most: the check character; zero where there is none."""


def new_codes(prefix: str, random: bytes) -> list[str]:
    """Fresh codes of that campaign, as many as `new_code` would make in DRAWS draws. `random` has DRAWS_BYTES.

    A code is made for every claim, and Python takes its time for each of twelve characters. Here all draws are one long
    number with a cell of 16 bits for each character. Multiplied by the places, the last one lowest, it has in the cell
    of each draw's last character the sum of place × value of that draw: cells meet as in a product of polynomials. No
    cell runs over into the next, because the largest sum is 31 × (4 + … + 15) = 3,534.
    """
    cells = bytearray(_CELL_BYTES * DRAWS_BYTES)
    cells[::_CELL_BYTES] = random.translate(_TO_VALUES)
    product = int.from_bytes(cells, "little") * _PLACES
    sums = _SUMS.unpack_from(product.to_bytes(len(cells) + _CELL_BYTES * _RANDOM_LENGTH, "little"))
    checks = bytes(map(_CHECKS[_weighted(prefix) :].__getitem__, sums))
    characters = random.translate(_TO_CHARACTERS)
    rows = bytearray(prefix.encode().ljust(CODE_LENGTH) * DRAWS)
    for place in range(_RANDOM_LENGTH):
        rows[PREFIX_LENGTH + place :: CODE_LENGTH] = characters[place::_RANDOM_LENGTH]
    rows[CODE_LENGTH - 1 :: CODE_LENGTH] = checks
    return [*compress(map(rows.decode().__getitem__, _ROWS), checks)]


def is_code(code: str) -> bool:
    """Whether this is a well-formed code with the right check character, as printed (upper case)."""
    return len(code) == CODE_LENGTH and _VALUES.keys() >= set(code) and check_value(code[:-1]) == _VALUES[code[-1]]


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
    if is_code(text):  # as a scanner reads it; what follows takes ten times as long
        return text
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
    digest = _CLAIM.copy()
    digest.update(code.encode())
    return "c-" + digest.hexdigest()[:20]


_CLAIM: Final = hashlib.sha256(b"claim ")
