"""Requests that can be read in one way only.

A request is plain when it came whole and alone in one piece, and holds nothing that anybody could understand otherwise:
HTTP/1.1, printable ASCII, each header once, a stated length or no body, and no header that speaks of the connection or
of codings. llhttp (`httptools`) reads it; aiohttp's parser is made from llhttp, too, and reads it alike. What is not
plain is not judged here: it is None, and whoever asked gives it to aiohttp.
"""

from typing import Final

import httptools

from engine.gateway.framing import is_host

HEADERS_MAX: Final = 48
"""Browsers send some twenty. The setting `headers_max` may be lower; then it counts."""
_ODD: Final = frozenset(
    {b"transfer-encoding", b"content-encoding", b"te", b"trailer", b"expect", b"upgrade", b"sec-websocket-key1"}
)
"""Headers about the connection, or how a body is sent. Requests that have one are rare, and have rules of their own."""
_KEEP_ALIVE: Final = frozenset({b"keep-alive", b"Keep-Alive"})


class Plain:
    """A plain request. Names of headers are in small letters; values are stripped printable ASCII."""

    __slots__ = ("body", "headers", "target")

    def __init__(self, target: bytes, headers: dict[bytes, bytes], body: bytes) -> None:
        self.target = target
        self.headers = headers
        self.body = body


class PlainReader:
    """Reads for all connections of a process: between two calls it holds nothing of any."""

    def __init__(self, head_bytes_max: int, headers_max: int) -> None:
        """A head is no longer than one of its lines may be, so none of its lines is too long."""
        self._head_bytes_max = head_bytes_max
        self._headers_max = min(headers_max, HEADERS_MAX)
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._body = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._ended = 0

    def read(self, data: bytes, target_at: int) -> Plain | None:
        """The request that `data` is, whose target begins there; None where it is not plain. Never raises."""
        head_end = data.find(b"\r\n\r\n")
        if not 0 < head_end <= self._head_bytes_max:
            return None
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._begin()
            return None
        plain = self._plain(data, target_at, head_end) if self._ended == 1 else None
        if plain is None:
            self._begin()
            return None
        self._body, self._ended = b"", 0
        self._headers.clear()
        return plain

    def _plain(self, data: bytes, target_at: int, head_end: int) -> Plain | None:
        target, body = self._target, self._body
        if head_end + 4 + len(body) != len(data) or len(self._headers) > self._headers_max:
            return None
        if not data.startswith(b"%b HTTP/1.1\r\n" % target, target_at):
            return None
        head = data[:head_end]
        if not head.isascii() or b"\t" in head or b" \r\n" in head or b"\r\n " in head:
            return None
        headers: dict[bytes, bytes] = {}
        for name, value in self._headers:
            known = name.lower()
            if known in headers or known in _ODD:
                return None
            headers[known] = value
        if head.endswith(b" ") or headers.get(b"connection", b"keep-alive") not in _KEEP_ALIVE:
            return None
        if not is_host(headers.get(b"host", b" ").decode()):
            return None
        return Plain(target, headers, body)

    # What the parser calls.

    def on_url(self, url: bytes) -> None:
        """The target; where a second request is begun it is not plain anyway."""
        self._target = url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, in its order."""
        self._headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        """The body, or a part of it."""
        self._body += body

    def on_message_complete(self) -> None:
        """The end of a request."""
        self._ended += 1
