"""What must not get through, each attack by itself. The reader has a key of every kind, so none is spared for the
lack of one."""

import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from engine.gateway.identity.caller import Caller
from engine.gateway.identity.tokens import TokenReader
from tests.gateway.identity.issuers import (
    ALGORITHMS,
    CLAIMS,
    NOW_S,
    SECRET,
    code_of,
    jwk_of,
    part,
    pem_of,
    private_key,
    public_key,
    reader_of,
    signature_of,
    token_of,
)

JSON = json.dumps(CLAIMS).encode()
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.fixture(scope="module")
def reader() -> TokenReader:
    return reader_of()


def refused(reader: TokenReader, token: str, code: str = "unauthenticated") -> None:
    """Twice: what was refused must not be remembered as good."""
    assert [code_of(reader.read(token)) for _ in range(2)] == [code] * 2, token


def test_every_algorithm_gets_through_when_it_is_right(reader: TokenReader) -> None:
    """So what is refused below is refused for what is wrong with it."""
    for algorithm in ALGORITHMS:
        header = {"alg": algorithm, "kid": algorithm, "typ": "JWT"}
        assert isinstance(reader.read(token_of(by=algorithm, header=header)), Caller)


@pytest.mark.parametrize(
    "name",
    ["".join(letters) for letters in itertools.product("nN", "oO", "nN", "eE")]
    + ["", " none", "none ", "none\x00", "hs256", "HS256 ", "Hs256", "HS384", "HS512", "RS384", "RS512", "PS256"]
    + ["PS512", "ES384", "ES512", "ES256K", "Ed25519", "Ed448", "eddsa", "dir", "RSA-OAEP", "A128KW"]
    + [None, 0, 1, True, ["HS256"], {"HS256": 1}, 1.5],
)
def test_no_other_algorithm(reader: TokenReader, name: Any) -> None:
    header = {"alg": name, "typ": "JWT"}
    unsigned = f"{part(json.dumps(header).encode())}.{part(JSON)}."
    refused(reader, unsigned)
    for algorithm in ALGORITHMS:  # with a signature that is right for some key
        refused(reader, token_of(by=algorithm, header=header))


def test_no_algorithm_at_all(reader: TokenReader) -> None:
    refused(reader, token_of(header={"typ": "JWT"}))
    refused(reader, token_of(header={}))


def test_a_longer_hash_by_the_right_secret_is_another_algorithm(reader: TokenReader) -> None:
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        refused(reader, jwt.encode(CLAIMS, SECRET, algorithm="HS512"))
    refused(reader, jwt.encode(CLAIMS, private_key("RS256"), algorithm="RS512"))
    refused(reader, jwt.encode(CLAIMS, private_key("RS256"), algorithm="PS256"))


def public_texts(algorithm: str) -> list[bytes]:
    """Every spelling of a public key that somebody might take for a shared secret."""
    key = private_key(algorithm).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    texts = [pem, pem.strip(), pem.replace(b"\n", b"\r\n"), b"".join(pem.split(b"\n")[1:-2])]
    texts.append(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    if algorithm == "RS256":
        texts += [key.public_bytes(encoding, PublicFormat.PKCS1) for encoding in (Encoding.PEM, Encoding.DER)]
    if algorithm == "ES256":
        texts += [key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)]
    if algorithm == "EdDSA":
        texts += [key.public_bytes(Encoding.Raw, PublicFormat.Raw)]
    jwk = jwk_of(algorithm)
    return [*texts, json.dumps(jwk).encode(), *(str(value).encode() for value in jwk.values()), b"", b"\x00"]


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_public_key_is_no_secret(reader: TokenReader, algorithm: str) -> None:
    only_public = reader_of([public_key(algorithm, "k")])
    for secret in public_texts(algorithm):
        for header in (
            {"alg": "HS256"},
            {"alg": "HS256", "kid": "k"},
            {"alg": algorithm, "kid": "k"},
            {"alg": algorithm},
        ):
            text = f"{part(json.dumps(header).encode())}.{part(JSON)}"
            token = f"{text}.{part(hmac.digest(secret, text.encode(), hashlib.sha256))}"
            refused(reader, token)
            refused(only_public, token)


def test_no_key_signs_for_another_kind(reader: TokenReader) -> None:
    for claimed, by in itertools.permutations(ALGORITHMS, 2):
        for kid in ({}, {"kid": claimed}, {"kid": by}):
            refused(reader, token_of(by=by, header={"alg": claimed, **kid}))
            refused(reader_of([public_key(by, by)]), token_of(by=by, header={"alg": claimed, **kid}))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_another_key_of_the_kind(reader: TokenReader, algorithm: str) -> None:
    if algorithm == "HS256":
        refused(reader, token_of(secret=b"o" * 32))
        refused(reader, token_of(secret=SECRET[:-1]))
    else:
        refused(reader, token_of(by=algorithm, number=1))
        refused(reader, token_of(by=algorithm, number=1, header={"alg": algorithm, "kid": algorithm}))


def test_a_key_that_comes_with_the_token(reader: TokenReader) -> None:
    for algorithm in ("RS256", "ES256", "EdDSA"):
        own = jwk_of(algorithm, number=1)
        for brought in (
            {"jwk": own},
            {"jku": "https://attacker.example/jwks.json"},
            {"x5u": "https://attacker.example/c.pem"},
            {"x5c": [base64.b64encode(b"certificate").decode()]},
            {"jwk": own, "kid": algorithm},
        ):
            refused(reader, token_of(by=algorithm, number=1, header={"alg": algorithm, **brought}))
            refused(reader, token_of(by=algorithm, header={"alg": algorithm, **brought}))  # nor with the right one


@pytest.mark.parametrize(
    "members",
    [
        {"crit": ["exp"]},
        {"crit": []},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
        {"b64": True},
        {"zip": "DEF"},
        {"enc": "A256GCM"},
        {"kid": "../../etc/passwd"},
        {"kid": "' OR '1'='1"},
        {"kid": "HS256\x00"},
        {"kid": "k" * 257},
        {"kid": "k" * 10_000},
        {"kid": 7},
        {"kid": None},
        {"kid": ["HS256"]},
        {"kid": {"a": 1}},
        {"kid": "\ud800"},
    ],
)
def test_headers_that_want_something(members: dict[str, Any]) -> None:
    """Also where the key has no name, so that a strange `kid` would not keep it from being tried."""
    for algorithm in ALGORITHMS:
        keys = [public_key(algorithm, "k" if algorithm != "HS256" else "")]
        taken_anyway = isinstance(members.get("kid"), str) and algorithm == "HS256" and members["kid"].isprintable()
        if not (taken_anyway and len(members["kid"]) <= 256):
            refused(reader_of(keys), token_of(by=algorithm, header={"alg": algorithm, **members}))


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": None},
        {"sub": None},
        {"sub": ""},
        {"sub": "u" * 129},
        {"sub": 7},
        {"sub": True},
        {"sub": ["u1"]},
        {"sub": {"u1": 1}},
        {"sub": "a\nb"},
        {"sub": "a\tb"},
        {"sub": "a\x00"},
        {"sub": "a\x7f"},
        {"sub": "\ud800"},
        {"exp": "soon"},
        {"exp": str(NOW_S + 600)},
        {"exp": True},
        {"exp": float("inf")},
        {"exp": float("-inf")},
        {"exp": float("nan")},
        {"exp": [NOW_S + 600]},
        {"exp": {"a": 1}},
        {"exp": -1},
        {"exp": 2**64},
        {"exp": 10**400},
        {"exp": 1e300},
        {"exp": 253_402_300_800},
        {"nbf": "now"},
        {"nbf": True},
        {"nbf": float("nan")},
        {"nbf": NOW_S + 60},
        {"nbf": 10**30},
        {"iat": "now"},
        {"iat": False},
        {"iat": NOW_S + 60},
        {"iat": float("inf")},
        {"aud": "elsewhere"},
        {"iss": 7},
        {"iss": ["a"]},
        {"person": "p" * 129},
        {"person": 1},
        {"city": "\x1f"},
        {"city": None},
        {"scope": ["claim"]},
        {"scope": None},
        {"scope": "s" * 129},
        {"role": 1},
        {"role": ["operator"]},
        {"tags": "member"},
        {"tags": [1]},
        {"tags": ["t"] * 65},
        {"tags": ["t" * 65]},
        {"tags": {"a": 1}},
        {"tags": None},
        {"tags": [["member"]]},
        {"stores": "s1"},
        {"stores": [1]},
        {"stores": ["s"] * 65},
        {"stores": ["s" * 65]},
        {"stores": ["a\tb"]},
        {"stores": None},
    ],
)
def test_claims_that_no_honest_issuer_writes(reader: TokenReader, claims: dict[str, Any]) -> None:
    refused(reader, token_of(CLAIMS | claims))


def test_claims_that_are_missing(reader: TokenReader) -> None:
    refused(reader, token_of({"exp": NOW_S + 600}))
    refused(reader, token_of({"sub": "u1"}))
    refused(reader, token_of({}))


def test_what_is_over(reader: TokenReader) -> None:
    for exp in (NOW_S - 1, NOW_S - 1.0, 0, 0.5, NOW_S - 10**9):
        refused(reader, token_of(CLAIMS | {"exp": exp}), "token_expired")
    refused(reader, token_of(CLAIMS | {"exp": 1}, secret=b"o" * 32))  # who cannot sign learns nothing of times


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b'"u1"',
        b"{",
        JSON + b"{}",
        JSON + b"\x00",
        b"\xef\xbb\xbf" + JSON,
        JSON.decode().encode("utf-16"),
        JSON.decode().encode("utf-32"),
        JSON.replace(b"u1", b"\xff\xfe"),
        JSON.replace(b"u1", b"u\n1"),
        b'{"sub":"u2",' + JSON[1:],
        JSON[:-1] + b',"sub":"u2"}',
        JSON[:-1] + b',"exp":9000000000}',
        JSON[:-1] + b',"s\\u0075b":"u2"}',
        JSON[:-1] + b',"other":{"a":1,"a":1}}',
        JSON[:-1] + b',"exp2":NaN}',
        JSON[:-1] + b',"other":' + b"9" * 5_000 + b"}",
        JSON[:-1] + b',"other":' + b"[" * 3_000 + b"]" * 3_000 + b"}",
        b"[" * 6_000,
        token_of().encode(),
        json.dumps(token_of()).encode(),
        b"sub=u1&exp=9000000000",
    ],
)
def test_payloads_that_are_not_one_plain_object(reader: TokenReader, payload: bytes) -> None:
    refused(reader, token_of(payload))
    refused(reader, token_of(payload, header={"alg": "HS256", "cty": "JWT"}))


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"[]",
        b"null",
        b'{"alg":"none","alg":"HS256"}',
        b'{"alg":"HS256","alg":"none"}',
        b'{"alg":"HS256","alg":"HS256"}',
        b'{"alg":"HS256","\\u0061lg":"HS256"}',
        b'{"alg":"HS256","x":{"a":1,"a":2}}',
        b'\xef\xbb\xbf{"alg":"HS256"}',
        '{"alg":"HS256"}'.encode("utf-16"),
        b'{"alg":"HS256","x":NaN}',
        b'{"alg":"HS256","x":' + b"[" * 3_000 + b"]" * 3_000 + b"}",
        b"{" * 6_000,
    ],
)
def test_headers_that_are_not_one_plain_object(reader: TokenReader, header: bytes) -> None:
    refused(reader, token_of(header=header))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_signatures_cut_lengthened_and_spelt_otherwise(reader: TokenReader, algorithm: str) -> None:
    token = token_of(by=algorithm)
    text, _, signature = token.rpartition(".")
    raw = signature_of(algorithm, text.encode())
    for length in range(0, len(signature), 7):
        refused(reader, f"{text}.{signature[:length]}")
    for other in (b"", raw[:-1], raw + b"\x00", b"\x00" + raw, raw * 2, bytes(len(raw)), b"\xff" * len(raw), raw[::-1]):
        refused(reader, f"{text}.{part(other)}")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_part_has_one_spelling(reader: TokenReader, algorithm: str) -> None:
    """Bits that the last character of base64 leaves over, padding, and characters that decoders skip."""
    for sub in ("u1", "u12", "u123"):  # each remainder of the payload's length
        parts = token_of(CLAIMS | {"sub": sub}, by=algorithm).split(".")
        assert isinstance(reader.read(".".join(parts)), Caller)
        for place, text in itertools.product(
            range(3), ["{}=", "{}==", "{}\n", " {}", "{}!", "{}%3D", "\u00a0{}", "{}."]
        ):
            refused(reader, ".".join(text.format(p) if n == place else p for n, p in enumerate(parts)))
        last = ALPHABET.index(parts[2][-1])
        spare = [ALPHABET[last ^ bits] for bits in (1, 2, 3)]
        for character in spare:
            refused(reader, ".".join([*parts[:2], parts[2][:-1] + character]))
        refused(reader, ".".join([*parts[:2], parts[2][:5] + "\n" + parts[2][5:]]))
        standard = [p.replace("-", "+").replace("_", "/") for p in parts]
        if standard != parts:
            refused(reader, ".".join(standard))


def test_es256_signatures_in_der(reader: TokenReader) -> None:
    text = token_of(by="ES256").rpartition(".")[0]
    raw = signature_of("ES256", text.encode())
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    refused(reader, f"{text}.{part(encode_dss_signature(r, s))}")
    for r, s in ((0, 0), (0, 1), (1, 0), (1, 1), (2**256 - 1, 2**256 - 1)):
        refused(reader, f"{text}.{part(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}")


def test_parts_of_two_tokens(reader: TokenReader) -> None:
    for algorithm in ALGORITHMS:
        ours, other = (token_of(CLAIMS | {"sub": sub}, by=algorithm).split(".") for sub in ("u1", "u2"))
        refused(reader, ".".join([ours[0], other[1], ours[2]]))
        refused(reader, ".".join([*ours, other[2]]))
        refused(reader, ".".join(ours[:2]))


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "...", "a.b.c", "é", "\udcff", "\x00", "null", "{}", "." * 8_192, "A" * 100_000, pem_of("EdDSA")],
)
def test_no_text_makes_reading_fail(reader: TokenReader, text: str) -> None:
    refused(reader, text)


Change = Callable[[str], str]


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[:-1],
        lambda token: token + "x",
        lambda token: token + ".",
        lambda token: "." + token,
        lambda token: token.replace(".", "", 1),
        lambda token: token.replace(".", "..", 1),
        lambda token: token.swapcase(),
        lambda token: f"{token} {token}",
        lambda token: f'"{token}"',
        lambda token: json.dumps(dict(zip(("protected", "payload", "signature"), token.split("."), strict=True))),
    ],
)
def test_texts_close_to_a_token(reader: TokenReader, change: Change) -> None:
    for algorithm in ALGORITHMS:
        refused(reader, change(token_of(by=algorithm)))
