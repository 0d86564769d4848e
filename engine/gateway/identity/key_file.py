"""The file of public keys by which tokens are verified: PEM with one or several keys, or a JWKS.

A file holds public keys and nothing else. A private key is refused, since it would lie on every gateway, and so
is a shared secret (`oct`): that one has settings of its own, and a file that issuers publish is no place for it.
"""

import stat
from pathlib import Path
from typing import Final

from engine.errors import SettingsError
from engine.gateway.identity.jwks import read_jwks
from engine.gateway.identity.keys import TokenKey, UnfitKey
from engine.gateway.identity.pem import read_pem

FILE_BYTES_MAX: Final = 262_144
"""KEYS_MAX keys with the certificates that some issuers put beside them take some 100 kB."""
KEYS_MAX: Final = 16
"""Of one file. A token that names no key is tried with all of its algorithm, and anybody can send one."""
_SETTING: Final = "DROPWAVE_JWT_KEYS_FILE"


def read_key_file(path: Path) -> bytes:
    """The file's content. Raises SettingsError where it cannot be had."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for whoever writes
            raise _refused(path, "it is not a regular file")
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise _refused(path, f"it cannot be read: {error.strerror}") from error
    if len(content) > FILE_BYTES_MAX:
        raise _refused(path, f"it has more than {FILE_BYTES_MAX:,} bytes: leave the keys that sign tokens, only")
    return content


def parse_keys(content: bytes, path: Path) -> tuple[TokenKey, ...]:
    """The 1 to KEYS_MAX keys of the file. Raises SettingsError that says what is wrong and where; it tells no key."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise _refused(path, "it is neither PEM nor JSON (DER? openssl pkey -pubin -inform DER makes PEM)") from None
    try:
        keys = read_jwks(text) if text.lstrip()[:1] in ("{", "[") else read_pem(text)
    except UnfitKey as error:
        raise _refused(path, str(error)) from None  # what has parsed it may quote it
    if len(keys) > KEYS_MAX:
        raise _refused(path, f"it has {len(keys)} keys: leave {KEYS_MAX} at most")
    return keys


def _refused(path: Path, what: str) -> SettingsError:
    return SettingsError(f"{path} ({_SETTING}) is no file of public keys, PEM or JWKS: {what}")
