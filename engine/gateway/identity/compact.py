"""The three parts of a token as it is sent (JWS compact serialization, RFC 7515), read strictly.

There is exactly one spelling of each part: base64url without padding, without stray characters, and with
nothing in the bits that its last character has left over. JSON is UTF-8 without NaN, without infinities, and
without a name that stands twice in an object: what one reader takes from the first and another from the last
place is a way around whoever looked at it before us.

Nothing here is verified; `tokens` looks at the claims only after the signature.
"""

import base64
import json
from typing import Any, Final, NamedTuple

TOKEN_LENGTH_MAX: Final = 8_192
"""Characters; as much as a header may have by default. Longer ones are not even decoded."""


class Compact(NamedTuple):
    """A token taken apart. `signed` is the text that the signature is about, `claims` still are JSON."""

    header: dict[str, Any]
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
    header, claims, signature = map(decode_part, parts)
    if header is None or claims is None or signature is None:
        return None
    members = strict_object(header)
    if members is None:
        return None
    return Compact(members, claims, text[: text.rindex(".")].encode(), signature)


def strict_object(data: bytes) -> dict[str, Any] | None:
    """A JSON object in which no name stands twice, or None. Never raises."""
    try:
        value = _decode_json(data.decode())
    except (ValueError, RecursionError):  # of numbers with thousands of digits too
        return None
    return value if isinstance(value, dict) else None


def decode_part(part: str) -> bytes | None:
    """The bytes behind base64url without padding, or None where it is not the one spelling of these bytes."""
    try:
        data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        return None
    # The decoder skips what it does not know; only what encodes to the same text again was spelt right.
    return data if base64.urlsafe_b64encode(data).rstrip(b"=") == part.encode() else None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name stands twice")
    return members


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


_decode_json: Final = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_no_number).decode
