"""What RFC 9112 makes of some bytes: a reader without a parser's hurry, for the judge to go by.

It is as lenient as can do no harm and as strict as it has to be: what it calls MALFORMED, two readers could take for
different requests, and a gateway must not do it. A gateway may be stricter.
"""

import re
from enum import Enum
from typing import Final, NamedTuple

_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE: Final = re.compile(rb"(%b) +([!-~]+) +(?:HTTP|RTSP)/1\.([01])" % _TOKEN)
"""Several spaces are read by many (RFC 9112, 3); RTSP/1.1 is what llhttp takes for HTTP/1.1, and frames alike."""
_VALUE: Final = rb"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?"
_FIELD: Final = re.compile(rb"(%b):[ \t]*(%b)[ \t]*" % (_TOKEN, _VALUE))
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,4096})[ \t]*(?:;[\t -~\x80-\xff]*)?")
_LENGTH_MAX: Final = 2**63
_ONCE: Final = (b"host", b"content-length", b"transfer-encoding")


class End(Enum):
    """What stands behind the last request that can be read."""

    CLEAN = "clean"
    """Nothing."""
    CLOSED = "closed"
    """Whatever: the last request has said that it is the last."""
    INCOMPLETE = "incomplete"
    """A request that goes on."""
    MALFORMED = "malformed"
    """No request."""


class Seen(NamedTuple):
    """A request that was read; names of fields are in lower case."""

    method: bytes
    target: bytes
    fields: dict[bytes, bytes]
    body: bytes
    expects: bool = False
    """Whether it asks to be told that it may go on."""


class Reading(NamedTuple):
    """The requests in some bytes, and how they end."""

    requests: list[Seen]
    end: End


class _Malformed(Exception):
    pass


class _Incomplete(Exception):
    pass


def read(data: bytes) -> Reading:
    """What these bytes hold, from the begin of a connection on. Never raises."""
    requests: list[Seen] = []
    place = 0
    try:
        while True:
            while place < len(data) and data[place] in b"\r\n":  # empty lines, however they end, are nothing yet
                place += 1
            if place == len(data):
                return Reading(requests, End.CLEAN)
            request, place, is_last = _request(data, place)
            requests.append(request)
            if is_last:
                return Reading(requests, End.CLOSED)
    except _Malformed:
        return Reading(requests, End.MALFORMED)
    except _Incomplete:
        return Reading(requests, End.INCOMPLETE)


def _line(data: bytes, place: int) -> tuple[bytes, int]:
    end = data.find(b"\n", place)
    if end < 0:
        raise _Incomplete
    if end == place or data[end - 1] != 13:
        raise _Malformed
    return data[place : end - 1], end + 1


def _request(data: bytes, place: int) -> tuple[Seen, int, bool]:
    line, place = _line(data, place)
    match = _REQUEST_LINE.fullmatch(line)
    if match is None or match[1] == b"CONNECT" or b"#" in match[2]:
        raise _Malformed
    is_newest = match[3] == b"1"
    fields, place = _fields(data, place)
    if (is_newest and b"host" not in fields) or not _HOST.fullmatch(fields.get(b"host", b"")):
        raise _Malformed
    body, place = _body(data, place, fields, is_newest)
    options = {option.strip() for option in fields.get(b"connection", b"").lower().split(b",")}
    is_last = b"close" in options if is_newest else b"keep-alive" not in options
    return Seen(match[1], match[2], fields, body, is_newest and b"expect" in fields), place, is_last


def _fields(data: bytes, place: int) -> tuple[dict[bytes, bytes], int]:
    fields: dict[bytes, bytes] = {}
    while True:
        line, place = _line(data, place)
        if not line:
            return fields, place
        match = _FIELD.fullmatch(line)
        if match is None:
            raise _Malformed
        name = match[1].lower()
        if name in fields and name in _ONCE:
            raise _Malformed
        fields[name] = fields[name] + b", " + match[2] if name in fields else match[2]


def _body(data: bytes, place: int, fields: dict[bytes, bytes], is_newest: bool) -> tuple[bytes, int]:
    coding, length = fields.get(b"transfer-encoding"), fields.get(b"content-length")
    if coding is not None:
        if length is not None or coding.lower() != b"chunked" or not is_newest:
            raise _Malformed
        return _chunks(data, place)
    if length is None:
        return b"", place
    if not length.isdigit() or len(length) > 4_000 or int(length) >= _LENGTH_MAX:
        raise _Malformed
    end = place + int(length)
    if end > len(data):
        raise _Incomplete
    return data[place:end], end


def _chunks(data: bytes, place: int) -> tuple[bytes, int]:
    body = b""
    while True:
        line, place = _line(data, place)
        match = _CHUNK.fullmatch(line)
        if match is None or int(match[1], 16) >= _LENGTH_MAX:
            raise _Malformed
        size = int(match[1], 16)
        if not size:
            _, place = _fields(data, place)  # the trailer, which is nobody's
            return body, place
        end = place + size
        if end + 2 > len(data):
            if data[end : end + 2] not in (b"", b"\r"):
                raise _Malformed
            raise _Incomplete
        if data[end : end + 2] != b"\r\n":
            raise _Malformed
        body += data[place:end]
        place = end + 2
