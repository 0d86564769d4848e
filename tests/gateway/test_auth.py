"""Tokens: what gets through and what does not, and keys derived apart."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from engine.domain.eligibility import Identity
from engine.errors import SettingsError
from engine.gateway.identity.caller import Caller
from engine.gateway.identity.keys import TokenKey, TokenKeys
from engine.gateway.identity.minting import mint_token
from engine.gateway.identity.token_cache import TokenCache
from engine.gateway.identity.tokens import TokenReader
from engine.gateway.identity.validity import TokenRules
from engine.gateway.keyring import Keyring
from engine.gateway.refusals import Problem
from engine.settings import Settings

KEY, OTHER = b"k" * 32, b"o" * 32


def read(token: str, *keys: bytes) -> Caller | Problem:
    return reader(*(keys or (KEY,))).read(token)


def signed(claims: dict[str, Any], key: bytes = KEY, header: dict[str, Any] | None = None) -> str:
    """A token made by hand, for what PyJWT would not encode."""

    def part(value: Any) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    text = part(header or {"alg": "HS256", "typ": "JWT"}) + b"." + part(claims)
    mac = base64.urlsafe_b64encode(hmac.digest(key, text, hashlib.sha256)).rstrip(b"=")
    return (text + b"." + mac).decode()


def code_of(result: Caller | Problem) -> str:
    assert isinstance(result, Problem), result
    return result.code


def test_a_token_tells_who_asks() -> None:
    token = mint_token(KEY, "u1", ttl_s=60, city="武汉", tags=["member"], person="p1", scope="claim ops", role="viewer")
    assert read(token) == Caller(Identity("u1", "武汉", ("member",), "p1"), frozenset({"claim", "ops"}), "viewer")
    assert read(signed({"sub": "u1", "exp": time.time() + 60})) == Caller(Identity("u1"), frozenset({"claim"}))


def test_any_of_two_keys_will_do_and_no_third() -> None:
    token = mint_token(OTHER, "u1", ttl_s=60)
    assert isinstance(read(token, KEY, OTHER), Caller)
    assert code_of(read(token, KEY)) == "unauthenticated"


def test_expiry_and_leeway() -> None:
    now_s = int(time.time())
    assert code_of(read(mint_token(KEY, "u1", ttl_s=-2, now_s=now_s))) == "token_expired"
    assert isinstance(TokenReader([KEY], leeway_ms=60_000).read(mint_token(KEY, "u1", ttl_s=-2)), Caller)
    assert code_of(read(signed({"sub": "u1", "exp": now_s + 60, "nbf": now_s + 30}))) == "unauthenticated"


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 9e9},
        {"sub": "u1"},
        {"sub": "", "exp": 9e9},
        {"sub": "u" * 129, "exp": 9e9},
        {"sub": 7, "exp": 9e9},
        {"sub": None, "exp": 9e9},
        {"sub": "a\nb", "exp": 9e9},
        {"sub": "a\tb", "exp": 9e9},
        {"sub": "a\x00", "exp": 9e9},
        {"sub": "a\x7f", "exp": 9e9},
        {"sub": "\ud800", "exp": 9e9},
        {"sub": "u1", "exp": "soon"},
        {"sub": "u1", "exp": float("inf")},
        {"sub": "u1", "exp": float("nan")},
        {"sub": "u1", "exp": [1]},
        {"sub": "u1", "exp": 9e9, "aud": "elsewhere"},
        {"sub": "u1", "exp": 9e9, "person": "p" * 129},
        {"sub": "u1", "exp": 9e9, "person": 1},
        {"sub": "u1", "exp": 9e9, "city": "\x1f"},
        {"sub": "u1", "exp": 9e9, "city": None},
        {"sub": "u1", "exp": 9e9, "scope": ["claim"]},
        {"sub": "u1", "exp": 9e9, "tags": "member"},
        {"sub": "u1", "exp": 9e9, "tags": [1]},
        {"sub": "u1", "exp": 9e9, "tags": ["t"] * 65},
        {"sub": "u1", "exp": 9e9, "tags": ["t" * 65]},
        {"sub": "u1", "exp": 9e9, "tags": {"a": 1}},
    ],
)
def test_what_no_honest_issuer_writes_is_not_taken(claims: dict[str, Any]) -> None:
    assert code_of(read(signed(claims))) == "unauthenticated"


def test_bounds_are_included() -> None:
    claims = {"sub": "用" * 128, "exp": 9e9, "tags": ["t" * 64] * 64, "person": "p" * 128, "city": "c" * 128}
    assert isinstance(read(signed(claims)), Caller)


def test_no_other_algorithm_gets_through() -> None:
    claims = {"sub": "u1", "exp": 9_000_000_000}
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    none = signed(claims, header={"alg": "none"}).rpartition(".")[0] + "."
    for token in (
        none,
        signed(claims, header={"alg": "None"}),
        jwt.encode(claims, private, algorithm="RS256"),
        jwt.encode(claims, b"k" * 64, algorithm="HS512"),
        signed(claims, key=public),
        signed(claims, header={"alg": "HS256", "crit": ["b64"], "b64": False}),
    ):
        assert code_of(read(token)) == "unauthenticated", token


def test_no_text_makes_reading_fail() -> None:
    token = mint_token(KEY, "u1", ttl_s=60)
    nested = base64.urlsafe_b64encode(b"[" * 6_000).decode()
    for text in (
        "",
        ".",
        "..",
        "a.b.c",
        token[:-1],
        token + "x",
        token.replace(".", "", 1),
        f"{nested}.{nested}.x",
        "\udcff",
        "é",
        "\x00",
    ):
        assert code_of(read(text)) == "unauthenticated", text


def test_keys_for_tickets_and_tokens_are_apart() -> None:
    keyring = Keyring.of(Settings(secret="s" * 16, secret_previous="p" * 16))
    assert len({*keyring.ticket_keys, *keyring.token_keys}) == 4
    assert Keyring.of(Settings(secret="p" * 16)).token_keys == keyring.token_keys[1:]
    elsewhere = Keyring.of(Settings(secret="s" * 16, jwt_secret="j" * 32))
    assert elsewhere.token_keys == (b"j" * 32,)
    assert elsewhere.ticket_keys == keyring.ticket_keys[:1]


@pytest.mark.parametrize(
    ("settings", "name"),
    [({}, "secret"), ({"secret": "short"}, "secret"), ({"secret": "s" * 16, "jwt_secret": "j" * 31}, "jwt_secret")],
)
def test_a_secret_that_can_be_guessed_is_refused(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} .*DROPWAVE_{name.upper()}"):
        Keyring.of(Settings(**settings))
