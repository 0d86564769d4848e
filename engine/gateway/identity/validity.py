"""When, by whom and for whom a token is good (RFC 7519, 4.1)."""

from typing import Any, Final, NamedTuple

from msgspec import Struct

from engine.gateway.identity.reasons import AUDIENCE, ISSUER, LACKING, TIMES
from engine.gateway.refusals import Problem
from engine.settings import Settings

INSTANT_MAX_S: Final = 253_402_300_800
"""The year 10000 in Unix seconds. What lies beyond is no time that an issuer meant."""
AUDIENCES_MAX: Final = 64
"""In one token; honest ones name a handful."""


class Span(NamedTuple):
    """Unix seconds, leeway included: good from `from_s` on, and no longer at `until_s`."""

    from_s: float
    until_s: float


class TokenRules(Struct, frozen=True):
    """What a token has to say besides being signed. Empty: nothing is asked for."""

    issuers: frozenset[str] = frozenset()
    audiences: frozenset[str] = frozenset()
    leeway_s: float = 0.0

    @classmethod
    def of(cls, settings: Settings) -> "TokenRules":
        """The rules of this deployment."""
        return cls(frozenset(settings.jwt_issuers), frozenset(settings.jwt_audiences), settings.token_leeway_ms / 1000)

    def span(self, claims: dict[str, Any]) -> Span | Problem:
        """When these claims hold, or why they never do."""
        if claims.get("sub") is None or claims.get("exp") is None:
            return LACKING
        if not self._is_ours(claims.get("iss")):
            return ISSUER
        if not self._is_for_us(claims):
            return AUDIENCE
        expires_s, from_s = claims["exp"], 0
        if not _is_instant(expires_s):
            return TIMES
        for name in ("nbf", "iat"):
            begins_s = claims.get(name)
            if begins_s is not None:
                if not _is_instant(begins_s):
                    return TIMES
                from_s = max(from_s, begins_s)
        return Span(from_s - self.leeway_s, expires_s + self.leeway_s)

    def _is_ours(self, issuer: object) -> bool:
        if issuer is not None and not isinstance(issuer, str):
            return False
        return not self.issuers or issuer in self.issuers

    def _is_for_us(self, claims: dict[str, Any]) -> bool:
        """A token that is for somebody is not for us unless we are told that we are this somebody."""
        if "aud" not in claims:
            return not self.audiences
        named = claims["aud"]
        names = [named] if isinstance(named, str) else named
        if not isinstance(names, list) or not 0 < len(names) <= AUDIENCES_MAX:
            return False
        return all(isinstance(name, str) for name in names) and not self.audiences.isdisjoint(names)


def _is_instant(value: object) -> bool:
    """A number in range; True is none, and comparing is also what NaN does not pass."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < INSTANT_MAX_S
