"""The secrets for tickets and tokens, derived apart from one.

A derived key tells nothing about the secret or about its sister, so a leak of one use is not a leak
of the other. Where an issuer elsewhere makes the tokens (`jwt_secret`, `jwt_keys_file`), none is derived for them.
"""

import hashlib
from typing import Final

from msgspec import Struct

from engine.domain.tickets import KEY_BYTES
from engine.errors import SettingsError, UsageError
from engine.settings import Settings

SECRET_LENGTH_MIN: Final = 16
"""Bytes. Below it a secret can be guessed; `up` makes one of 32 random bytes."""
JWT_SECRET_LENGTH_MIN: Final = 32
"""Bytes; RFC 7518, 3.2 asks for a key at least as long as the hash."""


class Keyring(Struct, frozen=True):
    """Keys in the order of their age, the newest first: it makes, all of them are taken.

    There is no token key where tokens are signed with private keys that are not here (`jwt_keys_file`).
    """

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
            shared = [_long_enough("jwt_secret", settings.jwt_secret, JWT_SECRET_LENGTH_MIN)]
            if settings.jwt_secret_previous:
                shared.append(_long_enough("jwt_secret_previous", settings.jwt_secret_previous, JWT_SECRET_LENGTH_MIN))
            return cls(tickets, tuple(shared))
        if settings.jwt_keys_file:
            return cls(tickets, ())
        return cls(tickets, tuple(_derive(secret, b"token") for secret in secrets))

    @property
    def signing_key(self) -> bytes:
        """The secret that signs tokens made here. Raises UsageError where they are made elsewhere alone."""
        if not self.token_keys:
            raise UsageError(
                "the tokens of this installation are signed by an issuer elsewhere (DROPWAVE_JWT_KEYS_FILE): "
                "none can be made here without its private key, or a DROPWAVE_JWT_SECRET beside"
            )
        return self.token_keys[0]


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
