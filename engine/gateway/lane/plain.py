"""Requests that can be read in one way only.

A request is plain when it came whole and alone in one piece, and holds nothing that anybody could understand otherwise:
HTTP/1.1, printable ASCII, no header twice, a body of the stated length or none, and no header that speaks of the
connection or of codings. llhttp (`httptools`) reads it; aiohttp's parser is made from llhttp, too, and reads it alike.
What is not plain is not judged here: it is None, and whoever asked gives it to aiohttp.

The requests of a crowd differ in their `Authorization` and in nothing else, so a head that was read is remembered, and
the same head around another value, of the same form, is not read again: where every other byte is the same, so is what
they mean.
"""

from typing import Final

import httptools

from engine.frozen import Frozen
from engine.gateway.answer import Heading
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

_HEADS_MAX: Final = 512
_HEAD_BYTES_MAX: Final = 1_024
"""Heads that are remembered, and how long each of them may be: a megabyte at most. An app has one for each version of
it and of its phones; past the bound all are forgotten, and read again."""
_NAMES: Final = (b"\r\nAuthorization: ", b"\r\nauthorization: ")
_VISIBLE: Final = bytes(byte if 0x20 <= byte < 0x7F else ord("?") for byte in range(256))
"""Translates to the same where all is visible."""
_TILLS: Final = b"/v1/merchant/"
_WAVES: Final = b"/v1/waves/"
_OWN: Final = frozenset({"x-request-id", "traceparent"})
"""Headers that are another one in each request: remembering such a head is of no use."""


class Head(Frozen):
    """What a head says, but for `Authorization`."""

    target: bytes
    ask: str
    """`claim`, `ticket` or `page`, of `wave`; `till`; or nothing that the lane answers."""
    wave: str
    headers: dict[str, str]
    """By their names in small letters."""
    body_bytes: int
    heading: Heading
    """What it says that matters to an answer."""


Plain = tuple[Head, str, bytes]
"""The head, the value of `Authorization` (empty where there is none), and the body."""
_Parts = tuple[bytes, bytes, bytes]
"""A head but for the value of `Authorization`: what comes before that line, its name as spelt, and what follows."""


class PlainReader:
    """Reads for all connections of a process: between two calls it holds nothing of any."""

    def __init__(self, head_bytes_max: int, headers_max: int) -> None:
        """A head is no longer than one of its lines may be, so none of its lines is too long."""
        self._head_bytes_max = head_bytes_max
        self._headers_max = min(headers_max, HEADERS_MAX)
        self._names: dict[bytes, str] = {}
        """How names of headers were spelt so far, and their small letters."""
        self._heads: dict[_Parts, Head] = {}
        """Those that were read before."""
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
        parted = _parted(data)
        if parted is None:
            return None
        before, name, sent, after, body = parted
        head = self._heads.get((before, name, after))
        if head is not None and head.body_bytes == len(body) and len(data) - len(body) <= self._head_bytes_max:
            if not name:
                return head, "", body
            # Of the form that one had when this head was read: visible characters, with blanks between them alone.
            if sent and sent.translate(_VISIBLE) == sent and sent.strip() == sent:
                return head, sent.decode(), body
        plain = self._read_all(data, target_at)
        if plain is not None and plain[1:] == (sent.decode("latin-1"), body):  # these are its parts, then
            self._remember(plain[0], (before, name, after))
        return plain

    def _read_all(self, data: bytes, target_at: int) -> Plain | None:
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

    def _remember(self, head: Head, parts: _Parts) -> None:
        if sum(map(len, parts)) > _HEAD_BYTES_MAX or not _OWN.isdisjoint(head.headers):
            return
        if len(self._heads) >= _HEADS_MAX:
            self._heads.clear()
        self._heads[parts] = head

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
        authorization = headers.pop("authorization", "")
        ask, wave = _ask_of(data[: target_at - 1], target)
        return Head(target, ask, wave, headers, len(body), _heading_of(headers)), authorization, body

    def _meet(self, spelt: bytes) -> str:
        if len(self._names) >= _SPELLINGS_MAX:
            self._names.clear()
        name = self._names[spelt] = spelt.lower().decode()
        return name


def _heading_of(headers: dict[str, str]) -> Heading:
    get = headers.get
    return Heading(
        content_type=get("content-type", ""),
        accept=get("accept", ""),
        accept_language=get("accept-language", ""),
        if_none_match=get("if-none-match", ""),
        if_match=get("if-match", ""),
        origin=get("origin", ""),
        traceparent=get("traceparent", ""),
        request_id=get("x-request-id", ""),
    )


def _ask_of(method: bytes, target: bytes) -> tuple[str, str]:
    """What is asked for, and the wave that it is asked of, if any; `Lane.read` says what comes here."""
    if target.startswith(_TILLS):
        return "till", ""
    if not target.startswith(_WAVES):
        return "", ""
    wave = target[len(_WAVES) :].decode()
    if method == b"GET":
        return "page", wave
    for ask, end in (("claim", "/claims"), ("ticket", "/tickets")):
        if wave.endswith(end):
            return ask, wave.removesuffix(end)
    return "", ""


def _parted(data: bytes) -> tuple[bytes, bytes, bytes, bytes, bytes] | None:
    """The three parts of the head, with the value before the last of them, and the body; all of the head in the first
    part where there is no `Authorization`. None where the head does not end in `data`."""
    for name in _NAMES:
        before, found, rest = data.partition(name)
        if found:
            value, line_end, rest = rest.partition(b"\r\n")
            after, end, body = (line_end + rest).partition(b"\r\n\r\n")
            return (before, name, value, after, body) if end else None
    before, end, body = data.partition(b"\r\n\r\n")
    return (before, b"", b"", b"", body) if end else None


class _Calls:
    """What the parser calls, by the names that it calls them."""

    def __init__(self, on_url: object, on_header: object, on_body: object) -> None:
        self.on_url = on_url
        self.on_header = on_header
        self.on_body = on_body
