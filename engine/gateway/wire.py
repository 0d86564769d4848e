"""An answer as bytes, for whoever is answered without an HTTP library: its request never became one."""

from email.utils import formatdate
from http import HTTPStatus

from engine.gateway.answer import Answer


def last_words(answer: Answer) -> bytes:
    """The answer as HTTP/1.1, the last one on its connection (RFC 9112, 9.6)."""
    headers = (
        *answer.headers,
        ("Content-Length", str(len(answer.body))),
        ("Date", formatdate(usegmt=True)),
        ("Connection", "close"),
    )
    head = f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers)
    return head.encode("latin-1") + b"\r\n" + answer.body
