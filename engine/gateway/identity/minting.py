"""Making tokens: for trials, rehearsals and tests. In production an issuer elsewhere makes them."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Union

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from engine.errors import UsageError
from engine.gateway.identity.keys import AlgorithmName, TokenKey, UnfitKey
from engine.settings import Settings

PrivateKey = Union[RSAPrivateKey, EllipticCurvePrivateKey, Ed25519PrivateKey]  # noqa: UP007 - `|` of these is no type at run time
_PRIVATE: Final = (RSAPrivateKey, EllipticCurvePrivateKey, Ed25519PrivateKey)


class Marks(NamedTuple):
    """By whom and for whom a token is; empty: it does not say."""

    iss: str = ""
    aud: str = ""


NO_MARKS: Final = Marks()


def mint_token(
    key: bytes | PrivateKey,
    sub: str,
    *,
    ttl_s: int,
    scope: str = "claim",
    role: str = "",
    city: str = "",
    tags: Sequence[str] = (),
    person: str = "",
    stores: Sequence[str] = (),
    marks: Marks = NO_MARKS,
    kid: str = "",
    now_s: int | None = None,
) -> str:
    """A token as an issuer would make it; claims that are empty are left out. `now_s`: Unix seconds, default now.

    A secret signs with HS256, a private key with the algorithm of its type. Raises UnfitKey for a key of which
    no gateway would take the token.
    """
    claims: dict[str, Any] = {"sub": sub, "exp": (int(time.time()) if now_s is None else now_s) + ttl_s, "scope": scope}
    rest = {"role": role, "city": city, "tags": list(tags), "person": person, "stores": list(stores)}
    claims.update((name, value) for name, value in (rest | marks._asdict()).items() if value)
    return jwt.encode(claims, key, algorithm=_algorithm_of(key), headers={"kid": kid} if kid else None)


def marks_of(settings: Settings) -> Marks:
    """The marks that the gateways of this installation ask for."""
    return Marks(next(iter(settings.jwt_issuers), ""), next(iter(settings.jwt_audiences), ""))


def read_private_key(path: Path) -> PrivateKey:
    """The private key of an unencrypted PEM file. Raises UsageError."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except TypeError:
        raise UsageError(f"{path} is encrypted; decrypted it is by: openssl pkey -in {path}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(f"{path} is no private key in PEM") from None
    if not isinstance(key, _PRIVATE):
        raise UsageError(f"{path} is a private key of another kind; it takes RSA, EC on P-256 or Ed25519")
    try:
        _algorithm_of(key)
    except UnfitKey as error:
        raise UsageError(f"{path} is {error}") from None
    return key


def _algorithm_of(key: bytes | PrivateKey) -> AlgorithmName:
    return "HS256" if isinstance(key, bytes) else TokenKey.public(key.public_key()).algorithm
