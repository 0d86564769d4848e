"""`dropwave token`: what it prints is taken by a gateway with the same settings, and only there."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from engine.cli import dropwave
from engine.domain.eligibility import Identity
from engine.errors import SettingsError, UsageError
from engine.gateway.identity.caller import Caller
from engine.gateway.identity.minting import PrivateKey
from engine.gateway.identity.upkeep import TokenUpkeep
from engine.gateway.keyring import Keyring
from engine.gateway.refusals import Problem
from engine.settings import load_settings

Environment = dict[str, str]


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return {"DROPWAVE_DATA": str(tmp_path / "data"), "DROPWAVE_SECRET": "a secret of some length"}


def token(environment: Environment, *arguments: str) -> Result:
    return CliRunner().invoke(dropwave, ["token", "--sub", "alice", *arguments], env=environment)


def read(environment: Environment, printed: Result) -> Caller | Problem:
    assert printed.exit_code == 0, (printed.output, printed.exception)
    settings = load_settings(environment)
    return TokenUpkeep(Keyring.of(settings).token_keys, settings).reader.read(printed.output.strip())


def write_pair(key: PrivateKey, folder: Path, encryption: KeySerializationEncryption | None = None) -> tuple[str, str]:
    """Paths of a private key and its public one."""
    private, public = folder / "private.pem", folder / "public.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return str(private), str(public)


def test_a_token_by_the_secret(environment: Environment) -> None:
    wish = ("--city", "武汉", "--tags", "a,b", "--person", "p", "--scope", "merchant", "--stores", "s1,s2")
    assert read(environment, token(environment, *wish)) == Caller(
        Identity("alice", "武汉", ("a", "b"), "p"), frozenset({"merchant"}), "", ("s1", "s2")
    )
    other = environment | {"DROPWAVE_SECRET": "another secret of some length"}
    assert isinstance(read(other, token(environment)), Problem)
    rotated = other | {"DROPWAVE_SECRET_PREVIOUS": environment["DROPWAVE_SECRET"]}
    assert isinstance(read(rotated, token(environment)), Caller)


def test_it_names_issuer_and_audience_that_are_asked_for(environment: Environment) -> None:
    asking = environment | {"DROPWAVE_JWT_ISSUER": "https://a,https://b", "DROPWAVE_JWT_AUDIENCE": "drop"}
    assert isinstance(read(asking, token(asking)), Caller)
    assert isinstance(read(asking, token(environment)), Problem)
    assert isinstance(read(environment, token(asking)), Problem), "it is for an audience that is not us"


@pytest.mark.parametrize(
    "make",
    [
        lambda: rsa.generate_private_key(public_exponent=65_537, key_size=2_048),
        lambda: ec.generate_private_key(ec.SECP256R1()),
        ed25519.Ed25519PrivateKey.generate,
    ],
)
def test_a_token_by_a_private_key(environment: Environment, tmp_path: Path, make: Callable[[], PrivateKey]) -> None:
    private, public = write_pair(make(), tmp_path)
    by_file = environment | {"DROPWAVE_JWT_KEYS_FILE": public}
    assert isinstance(read(by_file, token(by_file, "--key", private, "--kid", "k1")), Caller)
    assert isinstance(read(environment, token(by_file, "--key", private)), Problem)
    refused = token(by_file)
    assert isinstance(refused.exception, UsageError)
    assert "signed by an issuer elsewhere" in str(refused.exception)


def test_keys_that_sign_nothing(environment: Environment, tmp_path: Path) -> None:
    good = ec.generate_private_key(ec.SECP256R1())
    encrypted, public = write_pair(good, tmp_path, BestAvailableEncryption(b"x"))
    (tmp_path / "weak").mkdir()
    weak, _ = write_pair(rsa.generate_private_key(public_exponent=65_537, key_size=1_024), tmp_path / "weak")
    (tmp_path / "p384").mkdir()
    p384, _ = write_pair(ec.generate_private_key(ec.SECP384R1()), tmp_path / "p384")
    for path, words in (
        (str(tmp_path / "nothing"), "cannot be read: No such file"),
        (public, "is no private key in PEM"),
        (encrypted, "is encrypted"),
        (weak, "is an RSA key of 1024 bits; it takes 2048"),
        (p384, "is an EC key on the curve secp384r1; it takes P-256"),
    ):
        result = token(environment, "--key", path)
        assert isinstance(result.exception, UsageError), path
        assert words in str(result.exception)
    assert isinstance(token({**environment, "DROPWAVE_SECRET": "short"}).exception, SettingsError)
