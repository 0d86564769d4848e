"""What the claims of a verified token say of its bearer.

Identities are bounded and hold no control characters: they become fields of records that tabs and newlines
separate, and parts of keys.
"""

import re
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct

from engine.domain.eligibility import Identity
from engine.gateway.answer import Words
from engine.gateway.refusals import Problem

IDENTITY_LENGTH_MAX: Final = 128
TAGS_MAX: Final = 64
TAG_LENGTH_MAX: Final = 64
STORES_MAX: Final = 64
STORE_LENGTH_MAX: Final = 64
"""As long as an id of a campaign file may be."""
_TEXTS: Final = ("sub", "city", "person", "scope", "role")
"""In the order in which they are looked at."""
_NONE: Final[tuple[str, ...]] = ()
_UNCLEAN = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


class Caller(Struct, frozen=True, gc=False):
    """Who a verified token speaks for and its scopes; for `ops` the role, for `merchant` the stores."""

    identity: Identity
    scopes: frozenset[str]
    role: str = ""
    stores: tuple[str, ...] = ()


def is_clean(text: object, length_max: int) -> bool:
    """Whether this is a string of at most that many characters with no control character or lone surrogate."""
    # What can be printed has neither, and that is quickly seen; the second look is for texts with other spaces, say.
    return isinstance(text, str) and len(text) <= length_max and (text.isprintable() or _UNCLEAN.search(text) is None)


def caller_of(claims: dict[str, Any]) -> Caller | Problem:
    """The caller, or which claim is not what it has to be."""
    if not claims.get("sub"):
        return _bad_identity("sub")
    for name in _TEXTS:
        if name in claims and not is_clean(claims[name], IDENTITY_LENGTH_MAX):
            return _bad_identity(name)
    get = claims.get
    tags, stores = get("tags", _NONE), get("stores", _NONE)
    if tags is not _NONE and not _is_list(tags, TAGS_MAX, TAG_LENGTH_MAX):
        return _BAD_TAGS
    if stores is not _NONE and not _is_list(stores, STORES_MAX, STORE_LENGTH_MAX):
        return _BAD_STORES
    identity = Identity(get("sub", ""), get("city", ""), tuple(tags), get("person", ""))
    return Caller(identity, _scopes(get("scope", "claim")), get("role", ""), tuple(stores))


@lru_cache(maxsize=64)  # an issuer gives few of them, and to thousands
def _scopes(scope: str) -> frozenset[str]:
    return frozenset(scope.split())


def _is_list(value: object, items_max: int, length_max: int) -> bool:
    return isinstance(value, list) and len(value) <= items_max and all(is_clean(item, length_max) for item in value)


def _bad_identity(name: str) -> Problem:
    least = 1 if name == "sub" else 0
    return Problem(
        "unauthenticated",
        Words(
            f"{name} has to be a string of {least} to {IDENTITY_LENGTH_MAX} characters without control characters",
            f"{name} 必须是 {least} 到 {IDENTITY_LENGTH_MAX} 个字符的字符串，且不含控制字符",
        ),
    )


def _bad_list(name: str, items_max: int, length_max: int) -> Problem:
    return Problem(
        "unauthenticated",
        Words(
            f"{name} has to be a list of at most {items_max} strings of at most {length_max} characters",
            f"{name} 必须是列表，最多 {items_max} 项，每项最多 {length_max} 个字符",
        ),
    )


_BAD_TAGS: Final = _bad_list("tags", TAGS_MAX, TAG_LENGTH_MAX)
_BAD_STORES: Final = _bad_list("stores", STORES_MAX, STORE_LENGTH_MAX)
