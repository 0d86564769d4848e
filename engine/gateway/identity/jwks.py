"""Public keys in a JSON Web Key Set (RFC 7517): `{"keys": [{"kty": "RSA", "kid": …, "n": …, "e": …}, …]}`.

Issuers publish sets with keys for other purposes too. Those are left out, as RFC 7517, 5 asks for: another `use`,
`key_ops` without `verify`, an `alg` or a curve that is not taken here. What can only be an accident refuses the
whole set: a private key, a shared secret, a weak key, a member that is garbled, two keys of one name.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.exceptions import PyJWTError

from engine.gateway.identity.caller import is_clean
from engine.gateway.identity.compact import decode_part, strict_object
from engine.gateway.identity.keys import KID_LENGTH_MAX, AlgorithmName, TokenKey, UnfitKey

_Entry = dict[str, Any]


class _KeyType(NamedTuple):
    """What a key of one `kty` has: its algorithm, its curve, its members in base64url, and what reads it."""

    algorithm: AlgorithmName
    curve: str | None
    numbers: tuple[str, ...]
    read: Callable[[_Entry], object]


_TYPES: Final = {
    "RSA": _KeyType("RS256", None, ("n", "e"), RSAAlgorithm.from_jwk),
    "EC": _KeyType("ES256", "P-256", ("x", "y"), ECAlgorithm.from_jwk),
    "OKP": _KeyType("EdDSA", "Ed25519", ("x",), OKPAlgorithm.from_jwk),
}
_PRIVATE: Final = ("d", "p", "q", "dp", "dq", "qi", "oth")
_TEXTS: Final = ("kty", "kid", "use", "alg", "crv")


def read_jwks(text: str) -> tuple[TokenKey, ...]:
    """The keys that verify tokens, one or more. Raises UnfitKey, whose text quotes no key."""
    members = strict_object(text.encode())
    if members is None:
        raise UnfitKey("it is not a JSON object, or a name stands twice in one")
    entries = members.get("keys")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UnfitKey('it has no list of keys: {"keys": [{"kty": …}, …]}')
    keys, left_out = [], []
    for number, entry in enumerate(entries):
        where = f"keys[{number}]"
        _refuse_accidents(where, entry)
        other = _other_purpose(entry)
        if other:
            left_out.append(f"{where} {other}")
        else:
            keys.append(_key(where, entry))
    if not keys:
        raise UnfitKey("; ".join(["no key in it is for tokens", *left_out]))
    names = Counter((key.algorithm, key.kid) for key in keys if key.kid)
    for (algorithm, kid), count in names.items():
        if count > 1:
            raise UnfitKey(f"{count} keys for {algorithm} have the kid {kid!r}: give each a name of its own")
    return tuple(keys)


def _refuse_accidents(where: str, entry: _Entry) -> None:
    """Raise UnfitKey for what cannot have been meant, whatever the key is for."""
    for name in _TEXTS:
        if name in entry and not (is_clean(entry[name], KID_LENGTH_MAX) and entry[name]):
            raise UnfitKey(f"{where}.{name} has to be a string of 1 to {KID_LENGTH_MAX} characters")
    if "kty" not in entry:
        raise UnfitKey(f"{where} has no kty: RSA, EC or OKP")
    if entry["kty"] == "oct" or "k" in entry:
        raise UnfitKey(f"{where} is a shared secret, which has no place in a file of public keys: DROPWAVE_JWT_SECRET")
    private = [name for name in _PRIVATE if name in entry]
    if private:
        raise UnfitKey(f"{where} is a private key, which belongs to the issuer alone: leave out {', '.join(private)}")
    operations = entry.get("key_ops", [])
    if not isinstance(operations, list) or not all(isinstance(operation, str) for operation in operations):
        raise UnfitKey(f"{where}.key_ops has to be a list of strings")


def _other_purpose(entry: _Entry) -> str:
    """What else this key is for; empty where it is to verify tokens."""
    kind = _TYPES.get(entry["kty"])
    if kind is None:
        return f"is of kty {entry['kty']!r}; RSA, EC and OKP are taken"
    if entry.get("use", "sig") != "sig":
        return f"is for use {entry['use']!r}; sig is taken"
    if "verify" not in entry.get("key_ops", ["verify"]):
        return "has key_ops without verify"
    if kind.curve and entry.get("crv", kind.curve) != kind.curve:
        return f"is on the curve {entry['crv']!r}; {kind.curve} is taken"
    if entry.get("alg", kind.algorithm) != kind.algorithm:
        return f"is for alg {entry['alg']!r}; {kind.algorithm} is taken"
    return ""


def _key(where: str, entry: _Entry) -> TokenKey:
    kind = _TYPES[entry["kty"]]
    needed = kind.numbers if kind.curve is None else ("crv", *kind.numbers)
    missing = [name for name in needed if name not in entry]
    if missing:
        raise UnfitKey(f"{where} lacks {' and '.join(missing)}")
    for name in kind.numbers:
        if not isinstance(entry[name], str) or not decode_part(entry[name]):
            raise UnfitKey(f"{where}.{name} has to be base64url without padding")
    try:
        return TokenKey.public(kind.read(entry), entry.get("kid", ""))
    except UnfitKey as error:
        raise UnfitKey(f"{where} is {error}") from None
    except (ValueError, PyJWTError):
        numbers = " and ".join(kind.numbers)
        raise UnfitKey(f"{where} is no public key of kty {entry['kty']}: {numbers} do not make one") from None
