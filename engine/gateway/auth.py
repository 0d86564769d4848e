"""Bearer tokens: who asks, and what the token lets them do.

HS256 only, pinned, so that neither `none` nor a public key taken for a secret gets through. A token
needs `sub` and `exp`. Identities are bounded and hold no control characters: they become fields of
records that tabs and newlines separate, and parts of keys.
"""

import re
import time
from collections.abc import Sequence
from typing import Any, Final

import jwt
from jwt.exceptions import InvalidSubjectError
from msgspec import Struct

from engine.domain.eligibility import Identity
from engine.gateway.answer import Words
from engine.gateway.refusals import Problem

_ALGORITHM: Final = "HS256"
IDENTITY_LENGTH_MAX: Final = 128
TAGS_MAX: Final = 64
TAG_LENGTH_MAX: Final = 64
_UNCLEAN = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")

TOKEN_MISSING: Final = Problem(
    "unauthenticated",
    Words("there is no token: send Authorization: Bearer <token>", "缺少令牌：请发送 Authorization: Bearer <令牌>"),
)
_SIGNATURE: Final = Problem("unauthenticated", Words("the token's signature is not valid", "令牌签名无效"))
_MALFORMED: Final = Problem("unauthenticated", Words("this is not a token", "令牌格式无效"))
_EXPIRED: Final = Problem("token_expired")


class Caller(Struct, frozen=True):
    """Who a verified token speaks for, its scopes, and for the scope `ops` the role."""

    identity: Identity
    scopes: frozenset[str]
    role: str = ""


class TokenReader:
    """Verifies tokens. Any of the keys may have signed: two while they rotate."""

    def __init__(self, keys: Sequence[bytes], leeway_ms: int) -> None:
        self._keys = tuple(keys)
        self._leeway_s = leeway_ms / 1000
        self._jwt = jwt.PyJWT()

    def read(self, token: str) -> Caller | Problem:
        """The caller, or why the token is not taken. Never raises, whatever the text."""
        for key in self._keys:
            try:
                claims = self._jwt.decode(
                    token,
                    key,
                    algorithms=[_ALGORITHM],
                    options={"require": ["sub", "exp"]},
                    leeway=self._leeway_s,
                )
            except jwt.InvalidSignatureError:
                continue  # the next key may have signed it
            except jwt.ExpiredSignatureError:
                return _EXPIRED
            except jwt.PyJWTError as error:
                return _why(error)
            except (ValueError, TypeError, OverflowError, RecursionError):
                return _MALFORMED  # numbers and nestings that PyJWT does not expect, in a header anybody can send
            return _caller(claims)
        return _SIGNATURE


_REASONS: Final[tuple[tuple[type[jwt.PyJWTError], Words], ...]] = (
    (jwt.MissingRequiredClaimError, Words("the token lacks sub or exp", "令牌缺少 sub 或 exp")),
    (jwt.ImmatureSignatureError, Words("the token is not valid yet", "令牌尚未生效")),
    (jwt.InvalidAudienceError, Words("the token is for another audience", "令牌的受众不符")),
    (
        jwt.InvalidAlgorithmError,
        Words(f"the token has to be signed with {_ALGORITHM}", f"令牌必须使用 {_ALGORITHM} 签名"),
    ),
    (InvalidSubjectError, Words("sub has to be a string", "sub 必须是字符串")),
)


def _why(error: jwt.PyJWTError) -> Problem:
    for kind, words in _REASONS:
        if isinstance(error, kind):
            return Problem("unauthenticated", words)
    return _MALFORMED


def is_clean(text: object, length_max: int) -> bool:
    """Whether this is a string of at most that many characters with no control character or lone surrogate."""
    return isinstance(text, str) and len(text) <= length_max and _UNCLEAN.search(text) is None


def _caller(claims: dict[str, Any]) -> Caller | Problem:
    account, city, person = claims["sub"], claims.get("city", ""), claims.get("person", "")
    tags, scope = claims.get("tags", ()), claims.get("scope", "claim")
    role = claims.get("role", "")
    for name, value in (("sub", account), ("city", city), ("person", person), ("scope", scope), ("role", role)):
        if not is_clean(value, IDENTITY_LENGTH_MAX) or (name == "sub" and not value):
            return _bad_identity(name)
    if not isinstance(tags, list | tuple) or len(tags) > TAGS_MAX or not all(map(_is_tag, tags)):
        return _BAD_TAGS
    return Caller(Identity(account, city, tuple(tags), person), frozenset(scope.split()), role)


def _is_tag(tag: object) -> bool:
    return is_clean(tag, TAG_LENGTH_MAX)


def _bad_identity(name: str) -> Problem:
    bounds = f"{1 if name == 'sub' else 0}", f"{IDENTITY_LENGTH_MAX}"
    return Problem(
        "unauthenticated",
        Words(
            "{} has to be a string of {} to {} characters without control characters".format(name, *bounds),
            "{} 必须是 {} 到 {} 个字符的字符串，且不含控制字符".format(name, *bounds),
        ),
    )


_BAD_TAGS: Final = Problem(
    "unauthenticated",
    Words(
        f"tags has to be a list of at most {TAGS_MAX} strings of at most {TAG_LENGTH_MAX} characters",
        f"tags 必须是列表，最多 {TAGS_MAX} 项，每项最多 {TAG_LENGTH_MAX} 个字符",
    ),
)


def mint_token(
    key: bytes,
    sub: str,
    *,
    ttl_s: int,
    scope: str = "claim",
    role: str = "",
    city: str = "",
    tags: Sequence[str] = (),
    person: str = "",
    stores: Sequence[str] = (),
    now_s: int | None = None,
) -> str:
    """A token as an issuer would make it; claims that are empty are left out. `now_s`: Unix seconds, default now."""
    claims: dict[str, Any] = {"sub": sub, "exp": (int(time.time()) if now_s is None else now_s) + ttl_s, "scope": scope}
    rest = {"role": role, "city": city, "tags": list(tags), "person": person, "stores": list(stores)}
    claims.update((name, value) for name, value in rest.items() if value)
    return jwt.encode(claims, key, algorithm=_ALGORITHM)
