"""The keys for tickets and tokens, derived apart from one secret.

A derived key tells nothing about the secret or about its sister, so a leak of one use is not a leak
of the other. The key for tokens can be replaced by the one of an issuer elsewhere (`jwt_secret`).
"""

import hashlib
from typing import Final

from msgspec import Struct

from engine.domain.tickets import KEY_BYTES
from engine.errors import SettingsError
from engine.settings import Settings

SECRET_LENGTH_MIN: Final = 16
"""Bytes. Below it a secret can be guessed; `up` makes one of 32 random bytes."""
JWT_SECRET_LENGTH_MIN: Final = 32
"""Bytes; RFC 7518, 3.2 asks for a key at least as long as the hash."""


class Keyring(Struct, frozen=True):
    """Keys in the order of their age, the newest first: it makes, all of them are taken."""

    ticket_keys: tuple[bytes, ...]
    token_keys: tuple[bytes, ...]

    @classmethod
    def of(cls, settings: Settings) -> "Keyring":
        """The keys of this deployment. Raises SettingsError where a secret is missing or short."""
        secrets = [_long_enough("secret", settings.secret, SECRET_LENGTH_MIN)]
        if settings.secret_previous:
            secrets.append(_long_enough("secret_previous", settings.secret_previous, SECRET_LENGTH_MIN))
        tickets = tuple(_derive(secret, b"ticket") for secret in secrets)
        if settings.jwt_secret:
            return cls(tickets, (_long_enough("jwt_secret", settings.jwt_secret, JWT_SECRET_LENGTH_MIN),))
        return cls(tickets, tuple(_derive(secret, b"token") for secret in secrets))


def _long_enough(name: str, secret: str, length_min: int) -> bytes:
    key = secret.encode()
    if len(key) < length_min:
        found = f"has {len(key)} bytes" if key else "is not set"
        raise SettingsError(f"{name} {found}; it needs {length_min} or more (DROPWAVE_{name.upper()})")
    return key


def _derive(secret: bytes, use: bytes) -> bytes:
    """A key for one use. The secret is hashed first, since BLAKE2b takes keys of at most 64 bytes."""
    root = hashlib.blake2b(secret, digest_size=KEY_BYTES, person=b"dropwave").digest()
    return hashlib.blake2b(use, key=root, digest_size=KEY_BYTES, person=b"dropwave key").digest()
