"""Tokens that are taken, and what they say of their bearer."""

from typing import Any

import jwt
import pytest

from engine.domain.eligibility import Identity
from engine.errors import SettingsError, UsageError
from engine.gateway.identity.caller import Caller
from engine.gateway.identity.keys import TokenKey
from engine.gateway.identity.minting import Marks, mint_token
from engine.gateway.identity.upkeep import TokenUpkeep
from engine.gateway.keyring import Keyring
from engine.settings import Settings, load_settings
from tests.gateway.identity.issuers import (
    ALGORITHMS,
    CLAIMS,
    NOW_S,
    SECRET,
    code_of,
    private_key,
    public_key,
    reader_of,
    token_of,
)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_tells_who_asks(algorithm: str) -> None:
    token = mint_token(
        SECRET if algorithm == "HS256" else private_key(algorithm),
        "u1",
        ttl_s=60,
        city="武汉",
        tags=["member"],
        person="p1",
        scope="claim merchant",
        role="viewer",
        stores=["s1", "s2"],
        now_s=NOW_S,
    )
    assert jwt.get_unverified_header(token)["alg"] == algorithm
    scopes = frozenset({"claim", "merchant"})
    assert reader_of().read(token) == Caller(Identity("u1", "武汉", ("member",), "p1"), scopes, "viewer", ("s1", "s2"))
    assert reader_of().read(token_of(by=algorithm)) == Caller(Identity("u1"), frozenset({"claim"}))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_any_of_two_keys_will_do_and_no_third(algorithm: str) -> None:
    keys = [public_key(algorithm, "new", 1), public_key(algorithm, "old", 0)]
    old = token_of(by=algorithm)
    assert isinstance(reader_of(keys).read(old), Caller), "a token that names no key may be of any"
    assert code_of(reader_of(keys[:1]).read(old)) == "unauthenticated"
    assert code_of(reader_of([]).read(old)) == "unauthenticated"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_token_that_names_its_key_is_of_that_one(algorithm: str) -> None:
    keys = [public_key(algorithm, "new", 1), public_key(algorithm, "old", 0)]
    reader = reader_of(keys)
    for kid, taken in (("old", True), ("new", False), ("Old", False), ("other", False), ("", False)):
        token = token_of(by=algorithm, header={"alg": algorithm, "kid": kid})
        assert (code_of(reader.read(token)) == "") is taken, kid
    nameless = reader_of([public_key(algorithm)])
    assert isinstance(nameless.read(token_of(by=algorithm, header={"alg": algorithm, "kid": "any"})), Caller)


def test_expiry_and_leeway() -> None:
    for claims, strict, lenient in (
        ({"exp": NOW_S - 1}, "token_expired", ""),
        ({"exp": NOW_S - 0.9}, "", ""),
        ({"exp": NOW_S + 9, "nbf": NOW_S + 1}, "", ""),
        ({"exp": NOW_S + 9, "nbf": NOW_S + 2}, "unauthenticated", ""),
        ({"exp": NOW_S + 9, "iat": NOW_S + 2}, "unauthenticated", ""),
        ({"exp": NOW_S + 9, "iat": NOW_S - 5, "nbf": NOW_S - 5}, "", ""),
    ):
        token = token_of({"sub": "u1"} | claims)
        assert code_of(reader_of(leeway_s=1).read(token)) == strict, claims
        assert code_of(reader_of(leeway_s=60).read(token)) == lenient, claims


def test_issuer_and_audience_where_they_are_set() -> None:
    reader = reader_of(issuers=["https://a", "https://b"], audiences=["drop", "wave"])
    for claims, taken in (
        ({"iss": "https://a", "aud": "drop"}, True),
        ({"iss": "https://b", "aud": ["else", "wave"]}, True),
        ({"iss": "https://c", "aud": "drop"}, False),
        ({"iss": ["https://a"], "aud": "drop"}, False),
        ({"aud": "drop"}, False),
        ({"iss": "https://a"}, False),
        ({"iss": "https://a", "aud": "else"}, False),
        ({"iss": "https://a", "aud": "dro"}, False),
        ({"iss": "https://a", "aud": []}, False),
        ({"iss": "https://a", "aud": ["drop", 1]}, False),
        ({"iss": "https://a", "aud": {"drop": 1}}, False),
        ({"iss": "https://a", "aud": None}, False),
        ({"iss": "https://a", "aud": ["x"] * 64 + ["drop"]}, False),
    ):
        assert (code_of(reader.read(token_of(CLAIMS | claims))) == "") is taken, claims
    anybody = reader_of()
    assert isinstance(anybody.read(token_of(CLAIMS | {"iss": "whoever"})), Caller)
    for audience in ("drop", ["drop"], "", [], None):  # it is for somebody, and we were not told that this is us
        assert code_of(anybody.read(token_of(CLAIMS | {"aud": audience}))) == "unauthenticated", audience
    minted = mint_token(SECRET, "u1", ttl_s=60, marks=Marks("https://a", "wave"), now_s=NOW_S)
    assert isinstance(reader.read(minted), Caller)


def test_bounds_are_included() -> None:
    claims = {"sub": "用" * 128, "tags": ["t" * 64] * 64, "person": "p" * 128, "city": "c" * 128}
    assert isinstance(reader_of().read(token_of(CLAIMS | claims)), Caller)
    assert isinstance(reader_of().read(token_of(CLAIMS | {"stores": ["s" * 64] * 64})), Caller)
    filling = "f" * (8_192 - len(token_of(CLAIMS | {"f": ""})))
    longest = token_of(CLAIMS | {"f": filling[: len(filling) * 3 // 4 - 2]})
    assert 8_180 < len(longest) <= 8_192
    assert isinstance(reader_of().read(longest), Caller)
    assert code_of(reader_of().read(token_of(CLAIMS | {"f": filling}))) == "unauthenticated"


def test_kinds_of_token_that_are_taken() -> None:
    for kind, taken in (
        ("JWT", True),
        ("jwt", True),
        ("at+jwt", True),
        ("application/at+jwt", True),
        ("logout+jwt", False),
        ("dpop+jwt", False),
        ("JOSE", False),
        ("", False),
        (1, False),
        (None, False),
    ):
        token = token_of(header={"alg": "HS256", "typ": kind})
        assert (code_of(reader_of().read(token)) == "") is taken, kind
    assert isinstance(reader_of().read(token_of(header={"alg": "HS256"})), Caller)


def test_keys_for_tickets_and_tokens_are_apart() -> None:
    keyring = Keyring.of(Settings(secret="s" * 16, secret_previous="p" * 16))
    assert len({*keyring.ticket_keys, *keyring.token_keys}) == 4
    assert Keyring.of(Settings(secret="p" * 16)).token_keys == keyring.token_keys[1:]
    elsewhere = Keyring.of(Settings(secret="s" * 16, jwt_secret="j" * 32, jwt_secret_previous="i" * 32))
    assert elsewhere.token_keys == (b"j" * 32, b"i" * 32)
    assert elsewhere.ticket_keys == keyring.ticket_keys[:1]


def test_beside_a_file_of_keys_only_a_secret_of_its_own_signs_tokens() -> None:
    keyring = Keyring.of(Settings(secret="s" * 16, jwt_keys_file="keys.pem"))
    assert keyring.token_keys == ()
    with pytest.raises(UsageError, match="DROPWAVE_JWT_KEYS_FILE"):
        _ = keyring.signing_key
    both = Keyring.of(Settings(secret="s" * 16, jwt_keys_file="keys.pem", jwt_secret="j" * 32))
    assert both.token_keys == (both.signing_key,) == (b"j" * 32,)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "secret"),
        ({"secret": "short"}, "secret"),
        ({"secret": "s" * 16, "secret_previous": "short"}, "secret_previous"),
        ({"secret": "s" * 16, "jwt_secret": "j" * 31}, "jwt_secret"),
        ({"secret": "s" * 16, "jwt_secret": "j" * 32, "jwt_secret_previous": "i" * 31}, "jwt_secret_previous"),
    ],
)
def test_a_secret_that_can_be_guessed_is_refused(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} .*DROPWAVE_{name.upper()}"):
        Keyring.of(Settings(**settings))


def test_settings_of_issuers() -> None:
    settings = load_settings({"DROPWAVE_JWT_ISSUER": "https://a, https://b,", "DROPWAVE_JWT_AUDIENCE": "drop"})
    assert (settings.jwt_issuers, settings.jwt_audiences) == (("https://a", "https://b"), ("drop",))
    assert (Settings().jwt_issuers, Settings().jwt_audiences) == ((), ())
    with pytest.raises(SettingsError, match="jwt_secret_previous is set without jwt_secret"):
        Settings(jwt_secret_previous="i" * 32)


def test_what_the_settings_say_is_what_is_asked_for() -> None:
    settings = Settings(secret="s" * 16, jwt_secret="s" * 32, jwt_issuer="https://a", jwt_audience="drop")
    reader = TokenUpkeep(Keyring.of(settings).token_keys, settings).reader
    right = {"sub": "u1", "exp": 9e9, "iss": "https://a", "aud": "drop"}
    assert isinstance(reader.read(token_of(right)), Caller)
    for name in ("iss", "aud"):
        assert code_of(reader.read(token_of({key: value for key, value in right.items() if key != name})))


def test_a_key_has_the_algorithm_of_its_type() -> None:
    for algorithm in ALGORITHMS:
        assert public_key(algorithm).algorithm == algorithm
    with pytest.raises(ValueError, match="another kind"):
        TokenKey.public(SECRET)
