"""Public keys in PEM (RFC 7468), one block after the other."""

import re
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from engine.gateway.identity.keys import TokenKey, UnfitKey

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----[^-]*-----END \1-----")
_BEGIN: Final = "-----BEGIN "
_PUBLIC: Final = frozenset({"PUBLIC KEY", "RSA PUBLIC KEY"})


def read_pem(text: str) -> tuple[TokenKey, ...]:
    """The keys, one or more; none has a name. Raises UnfitKey."""
    blocks = list(_BLOCK.finditer(text))
    if len(blocks) != text.count(_BEGIN):
        raise UnfitKey(f"block {len(blocks) + 1} has no end, or is cut" if blocks else "its block is cut")
    if not blocks:
        raise UnfitKey("it has no block -----BEGIN PUBLIC KEY----- and is no JSON object")
    return tuple(_key(number, block[1], block[0]) for number, block in enumerate(blocks, 1))


def _key(number: int, label: str, block: str) -> TokenKey:
    if label.endswith("PRIVATE KEY"):
        raise UnfitKey(
            f"block {number} is a private key, which belongs to the issuer alone; "
            "its public one is made by: openssl pkey -in FILE -pubout"
        )
    if label == "CERTIFICATE":
        raise UnfitKey(
            f"block {number} is a certificate; its public key is made by: openssl x509 -in FILE -noout -pubkey"
        )
    if label not in _PUBLIC:
        raise UnfitKey(f"block {number} is {label}, not PUBLIC KEY")
    try:
        return TokenKey.public(load_pem_public_key(block.encode()))
    except UnfitKey as error:
        raise UnfitKey(f"block {number} is {error}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise UnfitKey(f"block {number} cannot be decoded as a public key") from None
