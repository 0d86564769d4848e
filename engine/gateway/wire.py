"""An answer as bytes, for whoever is answered without an HTTP library."""

from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time
from typing import Final

from engine.gateway.answer import Headers

_HEADS_KEPT_MAX: Final = 1_024
"""Heads are alike but for what names a request and an instant; of pages there is one for each reading of the board."""


def as_bytes(status: int, headers: Headers, request_id: str, body: bytes, *, is_last: bool = False) -> bytes:
    """The answer as HTTP/1.1, byte for byte as aiohttp sends it to a request that was no HEAD.

    `is_last` says that the connection ends with it (RFC 9112, 9.6).
    """
    length = "" if status == HTTPStatus.NOT_MODIFIED else f"\r\nContent-Length: {len(body)}"
    last = "\r\nConnection: close" if is_last else ""
    head = f"{_head(status, headers)}X-Request-Id: {request_id}{length}\r\nDate: {_date(int(time()))}{last}\r\n\r\n"
    return head.encode("latin-1") + body


@lru_cache(maxsize=_HEADS_KEPT_MAX)
def _head(status: int, headers: Headers) -> str:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{lines}"


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
