"""Requests that can be read in one way only.

A request is plain when it came whole and alone in one piece, and holds nothing that anybody could understand otherwise:
HTTP/1.1, printable ASCII, no header twice, a body of the stated length or none, and no header that speaks of the
connection or of codings. llhttp (`httptools`) reads it; aiohttp's parser is made from llhttp, too, and reads it alike.
What is not plain is not judged here: it is None, and whoever asked gives it to aiohttp.
"""

from typing import Final

import httptools

from engine.gateway.framing import is_host

HEADERS_MAX: Final = 48
"""Browsers send some twenty. The setting `headers_max` may be lower; then it counts."""
_KEEP_ALIVE: Final = frozenset({"keep-alive", "Keep-Alive"})
_ODD: Final = frozenset(
    {"transfer-encoding", "content-encoding", "te", "trailer", "expect", "upgrade", "sec-websocket-key1"}
)
"""About the connection, or how a body is sent. Requests that have one are rare, and have rules of their own."""
_SPELLINGS_MAX: Final = 512
"""Ways to write names of headers that are remembered; a client has one way, some twenty names of it."""

Plain = tuple[bytes, dict[str, str], bytes]
"""Target, headers by their names in small letters, and body."""


class PlainReader:
    """Reads for all connections of a process: between two calls it holds nothing of any."""

    def __init__(self, head_bytes_max: int, headers_max: int) -> None:
        """A head is no longer than one of its lines may be, so none of its lines is too long."""
        self._head_bytes_max = head_bytes_max
        self._headers_max = min(headers_max, HEADERS_MAX)
        self._names: dict[bytes, str] = {}
        """How names of headers were spelt so far, and their small letters."""
        self._begin()

    def _begin(self) -> None:
        """The parser calls these for each request; they are no methods of this, because a call into C is half a call.

        A header that comes twice, spelt alike, is there once then; the lines of the head tell (`_plain`).
        """
        self._targets: list[bytes] = []
        self._headers: dict[bytes, bytes] = {}
        self._bodies: list[bytes] = []
        self._parser = httptools.HttpRequestParser(
            _Calls(self._targets.append, self._headers.__setitem__, self._bodies.append)
        )

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
        plain = self._plain(data, target_at, head_end)
        if plain is None:
            self._begin()
        else:
            self._targets.clear()
            self._headers.clear()
            self._bodies.clear()
        return plain

    def _plain(self, data: bytes, target_at: int, head_end: int) -> Plain | None:
        head, body = data[: head_end + 2], data[head_end + 4 :]
        if len(self._targets) != 1 or self._bodies != ([body] if body else []):
            return None
        target = self._targets[0]
        if not data.startswith(b" HTTP/1.1\r\n", target_at + len(target)):
            return None
        if not head.isascii() or b"\t" in head or b" \r\n" in head:
            return None
        lines = head.count(b"\r\n") - 1
        if lines > self._headers_max:
            return None
        names, headers = self._names, {}
        for spelt, value in self._headers.items():
            headers[names.get(spelt) or self._meet(spelt)] = value.decode()
        if len(headers) != lines or not _ODD.isdisjoint(headers):  # one came twice, or goes on in the next line
            return None
        if not is_host(headers.get("host", " ")) or headers.get("connection", "keep-alive") not in _KEEP_ALIVE:
            return None
        if headers.get("content-length", "0") != str(len(body)):
            return None  # more of it is to come
        return target, headers, body

    def _meet(self, spelt: bytes) -> str:
        if len(self._names) >= _SPELLINGS_MAX:
            self._names.clear()
        name = self._names[spelt] = spelt.lower().decode()
        return name


class _Calls:
    """What the parser calls, by the names that it calls them."""

    def __init__(self, on_url: object, on_header: object, on_body: object) -> None:
        self.on_url = on_url
        self.on_header = on_header
        self.on_body = on_body
