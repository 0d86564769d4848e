"""An answer as bytes, for whoever is answered without an HTTP library."""

from email.utils import formatdate
from http import HTTPStatus

from engine.gateway.answer import Answer


def last_words(answer: Answer) -> bytes:
    """The answer as HTTP/1.1, the last one on its connection (RFC 9112, 9.6)."""
    return as_bytes(answer, is_last=True)


def as_bytes(answer: Answer, *, is_last: bool) -> bytes:
    """The answer as HTTP/1.1, byte for byte as aiohttp sends it, but for the case of HEAD."""
    headers = answer.headers
    if answer.status not in (204, 304):
        headers += (("Content-Length", str(len(answer.body))),)
    headers += (("Date", formatdate(usegmt=True)),)
    if is_last:
        headers += (("Connection", "close"),)
    head = f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers)
    return head.encode("latin-1") + b"\r\n" + answer.body
