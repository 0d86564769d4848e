"""Files of keys: what is taken, and what is said about the others. No text of a key is ever said."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from engine.errors import SettingsError
from engine.gateway.identity.caller import Caller
from engine.gateway.identity.key_file import FILE_BYTES_MAX, KEYS_MAX, parse_keys, read_key_file
from engine.gateway.identity.keys import TokenKey
from tests.gateway.identity.issuers import code_of, jwk_of, jwks_of, pem_of, private_key, reader_of, token_of

PUBLIC = ("RS256", "ES256", "EdDSA")
PATH = Path("/etc/dropwave/keys")


def keys_of(text: str) -> tuple[TokenKey, ...]:
    return parse_keys(text.encode(), PATH)


def complaint_of(content: str | bytes) -> str:
    with pytest.raises(SettingsError) as caught:
        parse_keys(content.encode() if isinstance(content, str) else content, PATH)
    message = str(caught.value)
    assert message.startswith(f"{PATH} (DROPWAVE_JWT_KEYS_FILE) is no file of public keys, PEM or JWKS: ")
    assert caught.value.__cause__ is None, "a cause may quote the key"
    return message.partition("JWKS: ")[2]


def private_pem(key: Any, encryption: Any = None, form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    return str(key.private_bytes(Encoding.PEM, form, encryption or NoEncryption()).decode())


def public_pem(key: Any) -> str:
    return str(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


@pytest.mark.parametrize("algorithm", PUBLIC)
@pytest.mark.parametrize("form", ["pem", "jwks"])
def test_each_kind_of_key_in_each_form(algorithm: str, form: str) -> None:
    text = pem_of(algorithm) if form == "pem" else jwks_of(jwk_of(algorithm, kid="k1"))
    (key,) = keys_of(text)
    assert (key.algorithm, key.kid) == (algorithm, "" if form == "pem" else "k1")
    assert isinstance(reader_of([key]).read(token_of(by=algorithm)), Caller)
    assert code_of(reader_of([key]).read(token_of(by=algorithm, number=1))) == "unauthenticated"


def test_several_keys_while_they_rotate() -> None:
    pems = "# the new one\n" + pem_of("RS256", 1) + "\n\nthe old one:\n" + pem_of("RS256") + pem_of("ES256")
    jwks = jwks_of(jwk_of("RS256", 1, kid="new"), jwk_of("RS256", kid="old"), jwk_of("ES256", kid="old"))
    for text in (pems, pems.replace("\n", "\r\n"), jwks):
        reader = reader_of(keys_of(text))
        for by, number in (("RS256", 0), ("RS256", 1), ("ES256", 0)):
            assert isinstance(reader.read(token_of(by=by, number=number)), Caller)
        assert code_of(reader.read(token_of(by="ES256", number=1))) == "unauthenticated"


def test_rsa_in_its_own_form_of_pem() -> None:
    public = private_key("RS256").public_key()
    assert keys_of(public.public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode())[0].algorithm == "RS256"


def test_keys_for_something_else_are_left_out() -> None:
    p384 = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key(), as_dict=True)
    ed = OKPAlgorithm.to_jwk(ed448.Ed448PrivateKey.generate().public_key(), as_dict=True)
    others = [
        (jwk_of("RS256", use="enc"), "is for use 'enc'; sig is taken"),
        (jwk_of("RS256", alg="RSA-OAEP"), "is for alg 'RSA-OAEP'; RS256 is taken"),
        (jwk_of("RS256", alg="PS256"), "is for alg 'PS256'; RS256 is taken"),
        (jwk_of("RS256", alg="HS256"), "is for alg 'HS256'; RS256 is taken"),
        (jwk_of("RS256", alg="none"), "is for alg 'none'; RS256 is taken"),
        (jwk_of("ES256", alg="EdDSA"), "is for alg 'EdDSA'; ES256 is taken"),
        (jwk_of("ES256", key_ops=["sign"]), "has key_ops without verify"),
        (jwk_of("ES256", key_ops=[]), "has key_ops without verify"),
        (p384, "is on the curve 'P-384'; P-256 is taken"),
        (ed, "is on the curve 'Ed448'; Ed25519 is taken"),
        ({"kty": "AKP", "pub": "x"}, "is of kty 'AKP'; RSA, EC and OKP are taken"),
    ]
    for entry, why in others:
        assert complaint_of(jwks_of(entry)) == f"no key in it is for tokens; keys[0] {why}"
    mixed = [entry for entry, _ in others]
    for algorithm in PUBLIC:
        (key,) = keys_of(jwks_of(*mixed, jwk_of(algorithm, kid="k", use="sig", alg=algorithm, key_ops=["verify"])))
        assert key.algorithm == algorithm


def small_rsa() -> Any:
    return rsa.generate_private_key(public_exponent=65_537, key_size=1_024)


ACCIDENTS: list[tuple[str, Callable[[], dict[str, Any]], str]] = [
    ("no kty", lambda: {"n": "AQAB"}, "has no kty"),
    ("oct", lambda: {"kty": "oct", "k": "c2VjcmV0"}, "is a shared secret.*DROPWAVE_JWT_SECRET"),
    ("k in rsa", lambda: jwk_of("RS256", k="c2VjcmV0"), "is a shared secret"),
    ("private rsa", lambda: RSAAlgorithm.to_jwk(private_key("RS256"), as_dict=True), "is a private key.*out d, p"),
    ("private ec", lambda: ECAlgorithm.to_jwk(private_key("ES256"), as_dict=True), "is a private key.*leave out d"),
    ("private okp", lambda: OKPAlgorithm.to_jwk(private_key("EdDSA"), as_dict=True), "is a private key.*leave out d"),
    ("private enc", lambda: jwk_of("RS256", use="enc", d="AQAB"), "is a private key"),
    ("weak", lambda: RSAAlgorithm.to_jwk(small_rsa().public_key(), as_dict=True), "RSA key of 1024 bits; it takes"),
    ("kty", lambda: jwk_of("RS256", kty=7), "kty has to be a string"),
    ("kid", lambda: jwk_of("RS256", kid=7), "kid has to be a string of 1 to 256 characters"),
    ("kid empty", lambda: jwk_of("RS256", kid=""), "kid has to be a string of 1 to 256"),
    ("kid long", lambda: jwk_of("RS256", kid="k" * 257), "kid has to be a string of 1 to 256"),
    ("kid unclean", lambda: jwk_of("RS256", kid="a\x00"), "kid has to be a string"),
    ("use", lambda: jwk_of("RS256", use=["sig"]), "use has to be a string"),
    ("alg", lambda: jwk_of("RS256", alg=256), "alg has to be a string"),
    ("key_ops", lambda: jwk_of("RS256", key_ops="verify"), "key_ops has to be a list of strings"),
    ("key_ops items", lambda: jwk_of("RS256", key_ops=[1]), "key_ops has to be a list of strings"),
    ("no n", lambda: jwk_of("RS256", n=None), "lacks n"),
    ("no y", lambda: jwk_of("ES256", y=None), "lacks y"),
    ("no crv", lambda: jwk_of("ES256", crv=None), "lacks crv"),
    ("no x", lambda: jwk_of("EdDSA", x=None), "lacks x"),
    ("n number", lambda: jwk_of("RS256", n=3), "n has to be base64url"),
    ("n padded", lambda: jwk_of("RS256", n=jwk_of("RS256")["n"] + "=="), "n has to be base64url"),
    ("n garbled", lambda: jwk_of("RS256", n="!" + jwk_of("RS256")["n"]), "n has to be base64url"),
    ("e even", lambda: jwk_of("RS256", e="AQAA"), "is no public key of kty RSA"),
    ("e one", lambda: jwk_of("RS256", e="AQ"), "is no public key of kty RSA"),
    ("off the curve", lambda: jwk_of("ES256", y=jwk_of("ES256")["x"]), "is no public key of kty EC"),
    ("short x", lambda: jwk_of("ES256", x="AQAB"), "is no public key of kty EC"),
    ("short ed", lambda: jwk_of("EdDSA", x="AQAB"), "is no public key of kty OKP"),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "words"), [accident[1:] for accident in ACCIDENTS], ids=[a[0] for a in ACCIDENTS])
def test_accidents_refuse_the_whole_set_and_say_which_key(entry: Callable[[], dict[str, Any]], words: str) -> None:
    made = entry()
    for place, text in enumerate((jwks_of(made), jwks_of(jwk_of("EdDSA", kid="good", number=1), made))):
        complaint = complaint_of(text)
        assert re.match(rf"keys\[{place}\](\.| ).*{words}|keys\[{place}\]\.{words}", complaint), complaint
        for name in ("d", "p", "q", "k", "n"):
            assert len(str(made.get(name, ""))) < 5 or str(made[name]) not in complaint


def test_sets_that_are_none() -> None:
    good = jwk_of("EdDSA", kid="a")
    for text, words in (
        ("{", "it is not a JSON object"),
        ("[]", "it is not a JSON object"),
        (json.dumps([good]), "it is not a JSON object"),
        ('{"keys": [], "keys": []}', "a name stands twice"),
        (json.dumps(good), 'it has no list of keys: {"keys":'),
        ('{"keys": {}}', "it has no list of keys"),
        ('{"keys": ["a"]}', "it has no list of keys"),
        ('{"keys": []}', "no key in it is for tokens"),
        (jwks_of(good, jwk_of("EdDSA", kid="a", number=1)), "2 keys for EdDSA have the kid 'a'"),
        (jwks_of(*[jwk_of("EdDSA", kid=f"k{n}") for n in range(KEYS_MAX + 1)]), "it has 17 keys: leave 16 at most"),
    ):
        assert words in complaint_of(text), text
    assert len(keys_of(jwks_of(good, jwk_of("RS256", kid="a")))) == 2, "one name for keys of two kinds is clear"


def test_pem_files_that_are_none() -> None:
    good, rsa_key = pem_of("EdDSA"), private_key("RS256")
    certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    for text, words in (
        ("", "it has no block -----BEGIN PUBLIC KEY-----"),
        ("hello", "it has no block"),
        (good[: len(good) // 2], "its block is cut"),
        (good + good[:-20], "block 2 has no end, or is cut"),
        (good.replace("MCo", "MCp"), "block 1 cannot be decoded as a public key"),
        (good + "-----BEGIN PUBLIC KEY-----\n!!!\n-----END PUBLIC KEY-----", "block 2 cannot be decoded"),
        (private_pem(rsa_key), "block 1 is a private key, which belongs to the issuer alone; .*openssl pkey"),
        (good + private_pem(rsa_key, form=PrivateFormat.TraditionalOpenSSL), "block 2 is a private key"),
        (private_pem(rsa_key, BestAvailableEncryption(b"x")), "block 1 is a private key"),
        (private_pem(private_key("ES256"), form=PrivateFormat.TraditionalOpenSSL), "block 1 is a private key"),
        (certificate, "block 1 is a certificate; .*openssl x509"),
        ("-----BEGIN DH PARAMETERS-----\nMIIB\n-----END DH PARAMETERS-----\n", "is DH PARAMETERS, not PUBLIC KEY"),
        (public_pem(small_rsa()), "block 1 is an RSA key of 1024 bits; it takes 2048 to 8192"),
        (public_pem(ec.generate_private_key(ec.SECP384R1())), "is an EC key on the curve secp384r1; it takes P-256"),
        (public_pem(ec.generate_private_key(ec.SECP256K1())), "block 1 is an EC key on the curve secp256k1"),
        (public_pem(ed448.Ed448PrivateKey.generate()), "block 1 is a key of another kind; it takes RSA, EC on P-256"),
        (public_pem(x25519.X25519PrivateKey.generate()), "block 1 is a key of another kind"),
        (good * (KEYS_MAX + 1), "it has 17 keys"),
    ):  # fmt: skip
        assert re.search(words, complaint_of(text)), (text, complaint_of(text))
    assert "openssl pkey" in complaint_of(
        rsa_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    large = tmp_path / "large"
    large.write_bytes(b" " * (FILE_BYTES_MAX + 1))
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for path, words in (
        (tmp_path / "nothing", "cannot be read: No such file or directory"),
        (tmp_path, "is not a regular file"),
        (pipe, "is not a regular file"),
        (large, "it has more than 262,144 bytes"),
        (loop, "cannot be read: Too many levels of symbolic links"),
    ):
        with pytest.raises(SettingsError, match=words) as caught:
            read_key_file(path)
        assert str(caught.value).startswith(f"{path} (DROPWAVE_JWT_KEYS_FILE)")
    large.write_bytes(b" " * FILE_BYTES_MAX)
    assert len(read_key_file(large)) == FILE_BYTES_MAX
