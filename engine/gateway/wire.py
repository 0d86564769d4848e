"""An answer as bytes, for whoever is answered without an HTTP library."""

import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from engine.gateway.answer import Headers

_HEADS_KEPT_MAX: Final = 1_024
"""Heads are alike but for what names a request and an instant; of pages there is one for each reading of the board."""


def as_bytes(status: int, headers: Headers, request_id: str, body: bytes, *, is_last: bool = False) -> bytes:
    """The answer as HTTP/1.1, byte for byte as aiohttp sends it to a request that was no HEAD.

    `is_last` says that the connection ends with it (RFC 9112, 9.6).
    """
    return b"%bX-Request-Id: %b\r\n%bDate: %b\r\n%b\r\n%b" % (
        _head(status, headers),
        request_id.encode("latin-1"),
        b"" if status == HTTPStatus.NOT_MODIFIED else b"Content-Length: %d\r\n" % len(body),
        _date(int(time.time())),
        b"Connection: close\r\n" if is_last else b"",
        body,
    )


@lru_cache(maxsize=_HEADS_KEPT_MAX)
def _head(status: int, headers: Headers) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{lines}".encode("latin-1")


@lru_cache(maxsize=2)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()
