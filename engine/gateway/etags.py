"""Entity tags: how a client says which answer it has (RFC 9110, 8.8.3 and 13.1.2)."""

import hashlib

_BYTES = 9
"""72 bits: two pages that follow one another are not taken for the same."""


def tag_of(content: bytes) -> str:
    """A strong tag of that content."""
    return f'"{hashlib.blake2b(content, digest_size=_BYTES).hexdigest()}"'


def has(if_none_match: str, tag: str) -> bool:
    """Whether `If-None-Match` names this tag, compared weakly."""
    if not if_none_match:
        return False
    opaque = tag.removeprefix("W/")
    return if_none_match.strip() == "*" or any(
        candidate.strip().removeprefix("W/") == opaque for candidate in if_none_match.split(",")
    )
