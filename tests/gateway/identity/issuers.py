"""Issuers with keys of every kind, and tokens made by hand, for what no library would write."""

import base64
import functools
import json
from collections.abc import Iterable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, OKPAlgorithm, RSAAlgorithm

from engine.gateway.identity.caller import Caller
from engine.gateway.identity.keys import TokenKey, TokenKeys
from engine.gateway.identity.minting import PrivateKey
from engine.gateway.identity.token_cache import TokenCache
from engine.gateway.identity.tokens import TokenReader
from engine.gateway.identity.validity import TokenRules
from engine.gateway.refusals import Problem

NOW_S = 1_800_000_000
SECRET = b"s" * 32
CLAIMS: dict[str, Any] = {"sub": "u1", "exp": NOW_S + 600}
ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")


def private_key(algorithm: str, number: int = 0) -> PrivateKey:
    """The issuer's key of that kind; another one for each number."""
    return _made(algorithm, number)


@functools.cache  # RSA takes its time
def _made(algorithm: str, _number: int) -> PrivateKey:
    if algorithm == "RS256":
        return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.generate()


def public_key(algorithm: str, kid: str = "", number: int = 0) -> TokenKey:
    if algorithm == "HS256":
        return TokenKey.secret(SECRET if not number else b"%d" % number * 32)
    return TokenKey.public(private_key(algorithm, number).public_key(), kid)


def pem_of(algorithm: str, number: int = 0) -> str:
    key = private_key(algorithm, number).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def jwk_of(algorithm: str, number: int = 0, **members: Any) -> dict[str, Any]:
    readers: dict[str, Any] = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}
    jwk: dict[str, Any] = readers[algorithm].to_jwk(private_key(algorithm, number).public_key(), as_dict=True)
    jwk.pop("key_ops", None)
    return {name: value for name, value in (jwk | members).items() if value is not None}


def jwks_of(*entries: dict[str, Any]) -> str:
    return json.dumps({"keys": list(entries)})


def part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signature_of(algorithm: str, message: bytes, number: int = 0, secret: bytes = SECRET) -> bytes:
    key: Any = private_key(algorithm, number) if algorithm != "HS256" else secret
    signers: dict[str, Any] = {
        "HS256": HMACAlgorithm(HMACAlgorithm.SHA256),
        "RS256": RSAAlgorithm(RSAAlgorithm.SHA256),
        "ES256": ECAlgorithm(ECAlgorithm.SHA256),
        "EdDSA": OKPAlgorithm(),
    }
    return bytes(signers[algorithm].sign(message, key))


def token_of(
    claims: dict[str, Any] | bytes = CLAIMS,
    by: str = "HS256",
    header: dict[str, Any] | bytes | None = None,
    number: int = 0,
    secret: bytes = SECRET,
) -> str:
    """A token signed as `by` signs, whatever header and claims say; bytes stand in it as they are."""
    header = {"alg": by, "typ": "JWT"} if header is None else header
    text = ".".join(
        part(value if isinstance(value, bytes) else json.dumps(value).encode()) for value in (header, claims)
    )
    return f"{text}.{part(signature_of(by, text.encode(), number, secret))}"


def reader_of(
    keys: Iterable[TokenKey] | None = None,
    now_s: float = NOW_S,
    *,
    leeway_s: float = 1,
    issuers: Iterable[str] = (),
    audiences: Iterable[str] = (),
    entries_max: int = 100,
) -> TokenReader:
    """By default with a key of each kind, named after its algorithm."""
    keys = [public_key(algorithm, algorithm) for algorithm in ALGORITHMS] if keys is None else keys
    rules = TokenRules(frozenset(issuers), frozenset(audiences), leeway_s)
    return TokenReader(TokenKeys(keys), rules, TokenCache(entries_max), lambda: now_s)


def code_of(result: Caller | Problem) -> str:
    """The code of a refusal; empty for a caller."""
    return result.code if isinstance(result, Problem) else ""
