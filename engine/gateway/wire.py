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
_NONE: Final[tuple[Headers | None, str]] = (None, "")
_latest_heads: Final[dict[int, tuple[Headers | None, str]]] = {}
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
    length = "" if status == _NOT_MODIFIED else f"\r\nContent-Length: {len(body)}"
    last = "\r\nConnection: close" if is_last else ""
    return (
        f"{head}X-Request-Id: {request_id}{length}\r\nDate: {_date(int(time()))}{last}\r\n\r\n".encode("latin-1") + body
    )


@lru_cache(maxsize=_HEADS_KEPT_MAX)
def _head(status: int, headers: Headers) -> str:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{lines}"


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
