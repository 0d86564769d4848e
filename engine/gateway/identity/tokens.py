"""Bearer tokens: verified once, then remembered until they end.

The order of the checks is the order of what can be trusted: the text's form and the header decide only which
keys are tried; claims are not looked at before one of these keys was found to have signed them.
Signatures are checked by `hmac` (HS256) and by PyJWT's algorithms (all others); the reading of the text around them
is our own, since it has to be stricter than a library for everybody can be (`compact`).
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from engine.gateway.identity.caller import Caller, caller_of, is_clean
from engine.gateway.identity.compact import read_compact, strict_object
from engine.gateway.identity.keys import KID_LENGTH_MAX, TokenKeys
from engine.gateway.identity.reasons import EXPIRED, HEADER, MALFORMED, NOT_YET, SIGNATURE, wrong_algorithm
from engine.gateway.identity.token_cache import TokenCache, digest_of
from engine.gateway.identity.validity import Span, TokenRules
from engine.gateway.refusals import Problem

_TYPES: Final = frozenset({"jwt", "at+jwt"})
"""Kinds of token that are taken (RFC 9068; RFC 8725, 3.11); an issuer signs others, such as `logout+jwt`, alike."""
_NOT_TAKEN: Final = frozenset(
    {"crit", "b64", "zip", "enc"}  # change what the other parts mean
    | {"jwk", "jku", "x5c", "x5u"}  # bring along the key to verify the token with
)


class TokenReader:
    """Verifies tokens by the keys that count now."""

    def __init__(
        self, keys: TokenKeys, rules: TokenRules, cache: TokenCache, now_s: Callable[[], float] = time.time
    ) -> None:
        """`now_s` gives Unix seconds."""
        self._rules = rules
        self._cache = cache
        self._now_s = now_s
        self.use(keys)

    def use(self, keys: TokenKeys) -> None:
        """From now on those keys count, and no other; what the others had signed is forgotten."""
        self._keys = keys
        self._wrong_algorithm = wrong_algorithm(keys.algorithms)
        self._cache.clear()

    def read(self, token: str) -> Caller | Problem:
        """The caller, or why the token is not taken. Never raises, whatever the text."""
        if not token.isascii():
            return MALFORMED
        digest, now_s = digest_of(token), self._now_s()
        known = self._cache.find(digest, now_s)
        if known is not None:
            return known
        claims = self._verified(token)
        if isinstance(claims, Problem):
            return claims
        span = self._rules.span(claims)
        if isinstance(span, Problem):
            return span
        late = _out_of(span, now_s)
        if late is not None:
            return late
        caller = caller_of(claims)
        if isinstance(caller, Caller):
            self._cache.keep(digest, caller, span)
        return caller

    def _verified(self, token: str) -> dict[str, Any] | Problem:
        """The claims, once a key was found that signed them."""
        compact = read_compact(token)
        if compact is None:
            return MALFORMED
        problem = _wrong_header(compact.header)
        if problem is not None:
            return problem
        keys = self._keys.of(compact.header.get("alg"), compact.header.get("kid"))
        if not keys:
            return SIGNATURE if compact.header.get("alg") in self._keys.algorithms else self._wrong_algorithm
        if not any(key.signed(compact.signed, compact.signature) for key in keys):
            return SIGNATURE
        claims = strict_object(compact.claims)
        return MALFORMED if claims is None else claims


def _wrong_header(header: Mapping[str, Any]) -> Problem | None:
    if not _NOT_TAKEN.isdisjoint(header):
        return HEADER
    if "kid" in header and not is_clean(header["kid"], KID_LENGTH_MAX):
        return HEADER
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _TYPES:
        return HEADER
    return None


def _out_of(span: Span, now_s: float) -> Problem | None:
    if now_s >= span.until_s:
        return EXPIRED
    return NOT_YET if now_s < span.from_s else None
