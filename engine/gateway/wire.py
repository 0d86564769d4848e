"""An answer as bytes, for whoever is answered without an HTTP library."""

from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time
from typing import Final

from engine.gateway.answer import Headers

_HEADS_KEPT_MAX: Final = 1_024
"""Heads are alike but for what names a request and an instant; of pages there is one for each reading of the board."""

_NOT_MODIFIED: Final = int(HTTPStatus.NOT_MODIFIED)
_NONE: Final[tuple[Headers | None, bytes]] = (None, b"")
_latest_heads: Final[dict[int, tuple[Headers | None, bytes]]] = {}
"""By their status, with the headers that they are made of: mostly the same object again, and telling that takes no look
into it."""


def as_bytes(status: int, headers: Headers, request_id: str, body: bytes, *, is_last: bool = False) -> bytes:
    """The answer as HTTP/1.1, byte for byte as aiohttp sends it to a request that was no HEAD.

    `is_last` says that the connection ends with it (RFC 9112, 9.6).
    """
    known, head = _latest_heads.get(status, _NONE)
    if known is not headers:
        head = _head(status, headers)
        _latest_heads[status] = headers, head
    length = b"" if status == _NOT_MODIFIED else b"\r\nContent-Length: %d" % len(body)
    end = b"\r\nConnection: close\r\n\r\n" if is_last else b"\r\n\r\n"
    return b"".join((head, request_id.encode(), length, _date(int(time())), end, body))


@lru_cache(maxsize=_HEADS_KEPT_MAX)
def _head(status: int, headers: Headers) -> bytes:
    """All before the request's name."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{lines}X-Request-Id: ".encode("latin-1")


@lru_cache(maxsize=2)
def _date(second: int) -> bytes:
    return f"\r\nDate: {formatdate(second, usegmt=True)}".encode()
