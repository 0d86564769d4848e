"""Random numbers for voucher codes, from the kernel, many at a time: a call of it for each claim would cost as much as
the rest of a code."""

import os
from typing import Final

DRAWN_AT_ONCE: Final = 512
"""Numbers; 4 kB, that live for as long as a few batches take."""
_BYTES: Final = 8


class Draws:
    """Gives each number once, as `secrets.randbits` does."""

    def __init__(self) -> None:
        self._drawn = b""
        self._at = 0

    def __call__(self, bits: int) -> int:
        """A random integer below 2**bits, of at most 64 bits."""
        if self._at == len(self._drawn):
            self._drawn, self._at = os.urandom(DRAWN_AT_ONCE * _BYTES), 0
        at = self._at
        self._at = at + _BYTES
        return int.from_bytes(self._drawn[at : self._at]) >> (8 * _BYTES - bits)
