"""Tokens that were found good lately, so that asking again costs a look-up instead of a signature.

A token is kept under the SHA-256 of its text: the text itself, which is all that one needs to speak for its
bearer, is not kept. Only good tokens are, so that nobody without one can fill the memory; past the bound the
one that was asked for the longest ago goes. Whoever changes the keys empties it.
"""

import hashlib
from collections import OrderedDict

from msgspec import Struct

from engine.gateway.identity.caller import Caller
from engine.gateway.identity.validity import Span
from engine.telemetry import TOKEN_CACHE_ENTRIES, TOKEN_CACHE_EVICTIONS, TOKEN_CACHE_LOOKUPS


class _Found(Struct, frozen=True, gc=False):
    """Thousands of these live for long: the garbage collector need not walk over them (`gc=False`)."""

    caller: Caller
    from_s: float
    until_s: float


class TokenCache:
    """At most `entries_max` tokens; 0 keeps none."""

    def __init__(self, entries_max: int) -> None:
        self._entries_max = entries_max
        self._found: OrderedDict[bytes, _Found] = OrderedDict()
        self._hits = self._misses = self._evictions = 0

    def __len__(self) -> int:
        return len(self._found)

    def find(self, digest: bytes, now_s: float) -> Caller | None:
        """Who the token of that digest speaks for; None where it is not known or not good at that time."""
        found = self._found.get(digest)
        if found is None:
            self._misses += 1
            return None
        if not found.from_s <= now_s < found.until_s:
            del self._found[digest]  # it is checked from the ground up, which tells what is wrong with it
            self._misses += 1
            return None
        self._found.move_to_end(digest)
        self._hits += 1
        return found.caller

    def keep(self, digest: bytes, caller: Caller, span: Span) -> None:
        """Remember a token that was found good."""
        if not self._entries_max:
            return
        if len(self._found) >= self._entries_max:
            self._found.popitem(last=False)
            self._evictions += 1
        self._found[digest] = _Found(caller, *span)

    def clear(self) -> None:
        """Forget all of them."""
        self._found.clear()

    def publish(self) -> None:
        """Bring the metrics up to date: on a hit their counting would cost more than the look-up."""
        TOKEN_CACHE_LOOKUPS.labels("hit").inc(self._hits)
        TOKEN_CACHE_LOOKUPS.labels("miss").inc(self._misses)
        TOKEN_CACHE_EVICTIONS.inc(self._evictions)
        TOKEN_CACHE_ENTRIES.set(len(self._found))
        self._hits = self._misses = self._evictions = 0


def digest_of(token: str) -> bytes:
    """What an ASCII token is kept under."""
    return hashlib.sha256(token.encode("ascii")).digest()
