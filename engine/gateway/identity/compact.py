"""The three parts of a token as it is sent (JWS compact serialization, RFC 7515), read strictly.

There is exactly one spelling of each part: base64url without padding, without stray characters, and with
nothing in the bits that its last character has left over. JSON is UTF-8 without NaN, without infinities, and
without a name that stands twice in an object: what one reader takes from the first and another from the last
place is a way around whoever looked at it before us.

Nothing here is verified; `tokens` looks at the claims only after the signature.
"""

import binascii
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

TOKEN_LENGTH_MAX: Final = 8_192
"""Characters; as much as a header may have by default. Longer ones are not even decoded."""
_HEADERS_KEPT_MAX: Final = 64
"""An issuer's tokens have one header for each of its keys; whoever sends others makes us read them, as at first."""


class Compact(NamedTuple):
    """A token taken apart. `signed` is the text that the signature is about, `claims` still are JSON."""

    header: Mapping[str, Any]
    claims: bytes
    signed: bytes
    signature: bytes


def read_compact(text: str) -> Compact | None:
    """The parts, or None where the text is no token. Never raises, whatever the text."""
    if len(text) > TOKEN_LENGTH_MAX or not text.isascii():
        return None
    parts = text.split(".", 3)
    if len(parts) != 3:
        return None
    header, claims, signature = _header(parts[0]), decode_part(parts[1]), decode_part(parts[2])
    if header is None or claims is None or signature is None:
        return None
    return Compact(header, claims, text[: text.rindex(".")].encode(), signature)


@lru_cache(maxsize=_HEADERS_KEPT_MAX)
def _header(part: str) -> Mapping[str, Any] | None:
    """The header behind a first part; the same object for the same text."""
    text = decode_part(part)
    return None if text is None else strict_object(text)


def strict_object(data: bytes) -> dict[str, Any] | None:
    """A JSON object in which no name stands twice, or None. Never raises."""
    try:
        value = _decode_quickly(data)
    except (ValueError, RecursionError):  # it has no place for 1e400, say, which is JSON; or this is none
        return _strict_object(data)
    # Each member has a colon of its own, so as many colons as members leave none for a member that was dropped. Those
    # of addresses stand in texts: behind the colon of a member comes no slash.
    if isinstance(value, dict) and data.count(b":") - data.count(b"://") == len(value):
        return value
    return _strict_object(data)


def _strict_object(data: bytes) -> dict[str, Any] | None:
    """The same, member by member, wherever it takes a look at each."""
    try:
        value = _decode_json(data.decode())
    except (ValueError, RecursionError):  # of numbers with thousands of digits too
        return None
    return value if isinstance(value, dict) else None


def decode_part(part: str) -> bytes | None:
    """The bytes behind base64url without padding, or None where it is not the one spelling of these bytes."""
    try:
        sent = part.encode("ascii")
        data = binascii.a2b_base64(sent.translate(_FROM_URL) + _PADDING[len(sent) % 4])
    except ValueError:
        return None
    # The decoder skips what it does not know; only what encodes to the same text again was spelt right.
    return data if binascii.b2a_base64(data, newline=False).rstrip(b"=").translate(_TO_URL) == sent else None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name stands twice")
    return members


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_", b"+/")
_PADDING: Final = (b"", b"===", b"==", b"=")
_decode_quickly: Final = msgspec.json.Decoder().decode
_decode_json: Final = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_no_number).decode
