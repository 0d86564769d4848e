"""The keys by which tokens are verified, and which of them may speak for a token.

A key knows its algorithm by its type, and nothing else can name one: what the token's header says of the
algorithm is only held against it. So a public key cannot be taken for a shared secret, nor `none` for
anything (RFC 8725, 2.1 and 3.1).
"""

import hmac
from collections.abc import Iterable
from typing import Final, Literal, Union

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import Algorithm, ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from msgspec import Struct

AlgorithmName = Literal["HS256", "RS256", "ES256", "EdDSA"]
PublicKey = Union[RSAPublicKey, EllipticCurvePublicKey, Ed25519PublicKey]  # noqa: UP007 - `|` of these is no type at run time

RSA_BITS_MIN: Final = 2_048
"""RFC 7518, 3.3."""
RSA_BITS_MAX: Final = 8_192
"""Beyond it a single check takes a millisecond, and anybody can ask for one."""

KID_LENGTH_MAX: Final = 256
"""Characters; issuers use a digest or a UUID."""

_ALGORITHMS: Final[tuple[AlgorithmName, ...]] = ("HS256", "RS256", "ES256", "EdDSA")
_VERIFIERS: Final[dict[AlgorithmName, Algorithm]] = {
    "RS256": RSAAlgorithm(RSAAlgorithm.SHA256),
    "ES256": ECAlgorithm(ECAlgorithm.SHA256, SECP256R1),
    "EdDSA": OKPAlgorithm(),
}


class UnfitKey(ValueError):
    """A key of a kind or size that is not taken; the message says what would be."""


class TokenKey(Struct, frozen=True, eq=False):
    """One key: a shared secret, or a public key. `kid` is empty where its source gives it no name."""

    key: "hmac.HMAC | PublicKey"
    """A secret has been read by the hash that it keys: a copy of that takes half as long as a new one, and shows
    nobody the secret."""
    kid: str
    algorithm: AlgorithmName

    @classmethod
    def secret(cls, secret: bytes) -> "TokenKey":
        """A secret shared with the issuer: HS256 and nothing else."""
        return cls(hmac.new(secret, digestmod="sha256"), "", "HS256")

    @classmethod
    def public(cls, key: object, kid: str = "") -> "TokenKey":
        """A public key with the one algorithm of its type. Raises UnfitKey."""
        if isinstance(key, RSAPublicKey):
            if not RSA_BITS_MIN <= key.key_size <= RSA_BITS_MAX:
                raise UnfitKey(f"an RSA key of {key.key_size} bits; it takes {RSA_BITS_MIN} to {RSA_BITS_MAX}")
            return cls(key, kid, "RS256")
        if isinstance(key, EllipticCurvePublicKey):
            if not isinstance(key.curve, SECP256R1):
                raise UnfitKey(f"an EC key on the curve {key.curve.name}; it takes P-256")
            return cls(key, kid, "ES256")
        if isinstance(key, Ed25519PublicKey):
            return cls(key, kid, "EdDSA")
        raise UnfitKey("a key of another kind; it takes RSA, EC on P-256 or Ed25519")

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Whether this key made that signature of that message."""
        if isinstance(self.key, hmac.HMAC):
            mac = self.key.copy()
            mac.update(message)
            return hmac.compare_digest(mac.digest(), signature)
        return _VERIFIERS[self.algorithm].verify(message, self.key, signature)


class TokenKeys:
    """All keys that count at a moment."""

    def __init__(self, keys: Iterable[TokenKey]) -> None:
        self.keys = tuple(keys)
        self._of: dict[object, tuple[TokenKey, ...]] = {
            name: tuple(key for key in self.keys if key.algorithm == name) for name in _ALGORITHMS
        }

    @property
    def algorithms(self) -> tuple[AlgorithmName, ...]:
        """Those with which a token can be signed."""
        return tuple(name for name in _ALGORITHMS if self._of[name])

    def of(self, algorithm: object, kid: str | None) -> tuple[TokenKey, ...]:
        """The keys that may have signed a token with that header; none for an algorithm that no key has.

        A token that names its key may be of the key of that name, or of one without a name (a PEM file has no
        names). One that names none may be of any key of its algorithm; a file's bound is the bound of these.
        """
        keys = self._of.get(algorithm, ()) if isinstance(algorithm, str) else ()
        return keys if kid is None else tuple(key for key in keys if key.kid in (kid, ""))
