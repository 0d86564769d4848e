"""Where one request ends and the next begins, and which requests are refused though the parser reads them.

A proxy in front and this gateway have to see the same requests in the same bytes (RFC 9112, 11.2). aiohttp's parser
sees to most of that. What it leaves open is closed here:

- It gives up all requests of a piece of data when it stumbles over the last of them, whose refusal would then be taken
  for the answer to the first. So it is never given more than one head, or the body of one request, at a time.
- The last field of a chunked body's trailer would become a field of the next request: somebody else's, where a proxy
  shares its connections among its clients. So a parser that has read a chunked body is not used again.
- After the first error it is not known any more where a request begins, and nothing more is read.
- `flaw_of` names what RFC 9112 has refused and the parser takes.
"""

import re
from typing import Final

from aiohttp import hdrs, web
from aiohttp.http import HttpVersion10, HttpVersion11, RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader

from engine.gateway.answer import Words
from engine.gateway.refusals import Problem

_HEAD_END: Final = b"\r\n\r\n"
"""It ends a chunked body too, behind its trailer."""
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
"""`uri-host [":" port]` (RFC 9112, 3.2)."""
_HOSTS_KEPT_MAX: Final = 64
"""Names that were found well-formed; clients use one or two, and looking at them each time is half of the work here."""
_good_hosts: Final[set[str]] = set()


def _refused(at: str, en: str, zh: str) -> Problem:
    return Problem("invalid_request", Words(en, zh), {"at": at}, close=True)


NO_HTTP: Final = _refused("request", "this is not a well-formed HTTP request", "这不是格式正确的 HTTP 请求")
_VERSION: Final = _refused("request", "only HTTP/1.1 and HTTP/1.0 are spoken here", "仅支持 HTTP/1.1 与 HTTP/1.0")
_NO_PROXY: Final = _refused("request", "this is no proxy: CONNECT is not possible", "这不是代理：不支持 CONNECT")
_TARGET: Final = _refused("request", "the address of the request is not well-formed", "请求地址格式不正确")
_BAD_HOST: Final = _refused("Host", "this is not the name of a host", "这不是主机名")
_CODING: Final = _refused(
    "Transfer-Encoding",
    "a body can be sent as it is, or chunked in HTTP/1.1: nothing else",
    "请求体只能原样发送，或在 HTTP/1.1 中分块发送",
)


class Malformed(HttpProcessingError):
    """A request that is refused though the parser has read it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(code=400, message=problem.code)
        self.problem = problem


def flaw_of(message: RawRequestMessage) -> Problem | None:
    """Why this request is refused before anything is looked at that it asks for; None for nearly all."""
    is_newest = message.version is HttpVersion11
    if not is_newest and message.version != HttpVersion10:
        return _VERSION
    coding = message.headers.get(hdrs.TRANSFER_ENCODING)
    # Where the last coding is not "chunked", nobody knows how long the body is; another before it would have to be
    # undone; HTTP/1.0 has none, and who speaks it may hand on the chunks as they are (RFC 9112, 6.1 and 6.3).
    if coding is not None and (coding.lower() != "chunked" or not is_newest):
        return _CODING
    if not is_host(message.headers.get(hdrs.HOST, "")):
        return _BAD_HOST
    if message.method == hdrs.METH_CONNECT:
        return _NO_PROXY  # what follows its head is framed by nothing
    path = message.path
    if "#" in path or not (path[0] == "/" or path == "*" or path.lower().startswith(("http://", "https://"))):
        return _TARGET
    return None


def is_host(host: str) -> bool:
    """Whether this can stand in `Host`; empty it may be."""
    if host in _good_hosts:
        return True
    if not _HOST.fullmatch(host):
        return False
    if len(_good_hosts) < _HOSTS_KEPT_MAX:
        _good_hosts.add(host)
    return True


class Framing:
    """How one connection's bytes divide into heads and bodies."""

    __slots__ = ("_behind", "_body", "_chunked", "_owed", "is_body_broken", "is_lost", "kept")

    def __init__(self) -> None:
        self.kept = b""
        """What came and is not parsed yet: so many requests wait already that reading has paused."""
        self.is_lost = False
        """Whether it is not known any more where a request begins."""
        self.is_body_broken = False
        """Whether that is so because of the body of the last request."""
        self._owed = 0
        """Bytes that are still to come of a body whose length was stated."""
        self._behind = b""
        """The last three bytes of a head that is not complete."""
        self._body: StreamReader | None = None
        self._chunked = False

    def end_of_piece(self, data: bytes, start: int) -> int:
        """Where the piece ends that may be parsed at once, from `start` on."""
        if self._owed:
            stop = min(len(data), start + self._owed)
            self._owed -= stop - start
            return stop
        if self._behind:
            seam = (self._behind + data[start : start + 3]).find(_HEAD_END)
            stop = start + seam + len(_HEAD_END) - len(self._behind) if seam >= 0 else -1
            if stop >= 0:
                self._behind = b""
                return stop
        found = data.find(_HEAD_END, start)
        if found < 0:
            self._behind = (self._behind + data[max(start, len(data) - 3) :])[-3:]
            return len(data)
        self._behind = b""
        return found + len(_HEAD_END)

    @property
    def is_between(self) -> bool:
        """Whether the next byte begins a request, as far as is known."""
        return not (self.kept or self._behind or self._owed or self._chunked or self.is_lost)

    def begin(self, message: RawRequestMessage, body: StreamReader) -> None:
        """A head has been parsed; its body follows, unless it is complete because there is none."""
        if body.is_eof():
            return
        self._body, self._chunked = body, message.chunked
        if not message.chunked:
            self._owed = int(message.headers[hdrs.CONTENT_LENGTH])

    def is_chunked_body_over(self) -> bool:
        """Whether a chunked body has just ended; says so once."""
        if not self._chunked or self._body is None or not self._body.is_eof():
            return False
        self._body, self._chunked = None, False
        return True

    def lose(self) -> bool:
        """What came is no HTTP. True: within a body; whoever reads that hears of it at once."""
        self.is_lost, self.kept = True, b""
        if self._body is not None and not self._body.is_eof():
            self.is_body_broken = True
            self._body.set_exception(web.RequestPayloadError("broken"))
            self._body.feed_eof()
        return self.is_body_broken
