"""Heads that are no HTTP, or that two readers could read otherwise. What is due is worked out by `reading`."""

from random import Random
from typing import Final

from loadtests.fuzz.cases import Case, by_reading
from loadtests.fuzz.kit import Kit

_LINES: Final = (
    b"POST  %b HTTP/1.1", b"POST %b  HTTP/1.1", b" POST %b HTTP/1.1", b"POST %b HTTP/1.1 ", b"POST\t%b\tHTTP/1.1", b"POST %b",
    b"POST %b HTTP/1.2", b"POST %b HTTP/2.0", b"POST %b HTTP/0.9", b"POST %b HTTP/3", b"POST %b http/1.1", b"POST %b HTTP/1.10",
    b"POST %b HTTP/11.1", b"POST %b HTTP/1.", b"POST %b HTTP/.1", b"POST %b HTTPS/1.1", b"POST %b ICE/1.0", b"POST %b RTSP/1.1",
    b"post %b HTTP/1.1", b"FOO %b HTTP/1.1", b"P\x00ST %b HTTP/1.1", b"POST %b\x00 HTTP/1.1", b"POST %b\x7f HTTP/1.1",
    b"POST %b\xff HTTP/1.1", b"POST %b\x0b HTTP/1.1", b"POST http://fuzz%b HTTP/1.1", b"POST HTTP://other:80%b HTTP/1.1",
    b"POST https://a:99999%b HTTP/1.1", b"POST ftp://a%b HTTP/1.1", b"POST http://%b HTTP/1.1", b"POST file://%b HTTP/1.1",
    b"POST *%b HTTP/1.1", b"POST fuzz:80 HTTP/1.1", b"OPTIONS * HTTP/1.1", b"CONNECT fuzz:80 HTTP/1.1", b"CONNECT %b HTTP/1.1",
    b"TRACE %b HTTP/1.1", b"PRI * HTTP/2.0", b"POST %b#x HTTP/1.1", b"POST #%b HTTP/1.1", b"POST %b?# HTTP/1.1", b"%b HTTP/1.1",
    b"POST %b?a=\xff HTTP/1.1", b"POST ?a HTTP/1.1", b"POST %b\r HTTP/1.1", b"POST\r\n %b HTTP/1.1", b"POST %b HTTP/1.1\r",
    b"POST %b\nHTTP/1.1", b"HTTP/1.1 200 OK", b"POST %b HTTP/1.0", b"POST //fuzz%b HTTP/1.1", b"\x00POST %b HTTP/1.1", b"QUERY %b HTTP/1.1",
    b"GET %b HTTP/1.1", b"HEAD %b HTTP/1.1", b"DELETE %b HTTP/1.1", b"POST %b%%00 HTTP/1.1", b"POST http://u:p@fuzz%b HTTP/1.1",
    b"POST http://[::1%b HTTP/1.1", b"POST [::1]%b HTTP/1.1", b"POST \\%b HTTP/1.1", b"POST /%b HTTP/1.1", b"\xef\xbb\xbfPOST %b HTTP/1.1",
)  # fmt: skip


def request_line(draw: Random, kit: Kit, number: int) -> Case:
    """A request line with something wrong, and a right rest."""
    line = draw.choice(_LINES)
    line = line % ((kit.claims,) * line.replace(b"%%", b"").count(b"%b")) if b"%b" in line else line
    before = draw.choice((b"", b"", b"", b"\r\n", b"\n", b"\r\n\r\n", b"\r", b" \r\n"))
    return by_reading(number, "", before + kit.claim(number, b"%d" % number, line=line), kit)


_FIELDS: Final = (
    b"X: a\r\n b\r\n", b"X: a\r\n\tb\r\n", b" X: a\r\n", b"X: a\nY: b\r\n", b"X: a\rY: b\r\n", b"X: a\r\r\n", b"X: a\x00b\r\n",
    b"X\x00: a\r\n", b"X: a\x01\r\n", b"X: \x7f\r\n", b"X : a\r\n", b"X\t: a\r\n", b"X\r\n", b": a\r\n", b"X: a\r\n\r\r\n", b"=\r\n",
    b"X(: a\r\n", b"\xffX: a\r\n", b"X Y: a\r\n", b"X: \xff\r\n", b"X:a\r\n", b"X:\r\n", b"X: \x0b\r\n", b"X: a\x0c\r\n", b"\n", b"\r",
    b"X: a\x1b[0m\r\n", b"X\x80: a\r\n", b"X: a\r\n\n", b"\x00: \x00\r\n", b"X: \r\n \r\n", b"X: a\r\n  \r\n", b"{X}: a\r\n",
    b"X;: a\r\n", b"X,: a\r\n", b"X@: a\r\n", b'X": a\r\n', b"X/: a\r\n", b"X: a\x08\r\n", b"Sec-WebSocket-Key1: x\r\n", b"X: a \t \r\n",
)  # fmt: skip


def fields(draw: Random, kit: Kit, number: int) -> Case:
    """A header line that is none, or whose end is not clear; or all lines ending otherwise."""
    if draw.random() < 0.1:
        head, _, body = kit.claim(number, b"%d" % number).partition(b"\r\n\r\n")
        other = draw.choice((b"\n", b"\r", b"\n\r", b"\r\r\n", b"\r\n\n"))
        data = head + other * 2 + body if draw.random() < 0.5 else (head + b"\r\n\r\n").replace(b"\r\n", other) + body
        return by_reading(number, "", data, kit)
    return by_reading(number, "", kit.claim(number, b"%d" % number, extra=draw.choice(_FIELDS)), kit)


_LENGTHS: Final = (
    b"+%d", b"-%d", b"0x%x", b"%d.0", b"%d;", b"%d,", b"%d, %d", b"%d,%d", b"%d 0", b"\x0b%d", b"%de0", b"0%d", b"00000000000%d",
    b"%d\r\nContent-Length: %d", b"%d\r\nContent-Length: 0", b"0\r\nContent-Length: %d", b"%d\r\n\t0", b"\r\n %d", b"%d\x00",
    b"18446744073709551616%d", b"9223372036854775808", b"-1", b"", b" ", b"\xef\xbc\x91", b"%d\xa0", b"%d\r\nContent-length: 1",
    b"%d\r\nCONTENT-LENGTH:%d", b"'%d'", b'"%d"', b"%d\r\nContent-Length : 1", b"9" * 300, b"1_0", b"1e1", b"%d \t", b"0", b"1",
    b"4294967296", b"%d#", b"0b1", b"inf", b"nan", b"(%d)",
)  # fmt: skip


def content_length(draw: Random, kit: Kit, number: int) -> Case:
    """Lengths that are none, several, or too large; also too short or too long by some bytes."""
    if draw.random() < 0.3:
        value = b"%d" % max(0, len(kit.body) + draw.choice((-19, -5, -2, -1, 1, 2, 5, 40, 400)))
    else:
        value = draw.choice(_LENGTHS)
        count = value.count(b"%")
        value = value % ((len(kit.body),) * count) if count else value
    return by_reading(number, "", kit.claim(number, b"%d" % number, framing=b"Content-Length: %b\r\n" % value), kit)


_CODINGS: Final = (
    b"Transfer-Encoding: xchunked", b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: identity, chunked", b"transfer-encoding:chunked",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: identity", b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked\t",
    b"Transfer-Encoding: chunked ", b"Transfer-Encoding:\tchunked", b"Transfer-Encoding: \x0bchunked", b"Transfer-Encoding: chunked;q=1",
    b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding:", b"Transfer-Encoding: ,chunked", b"Transfer-Encoding: chunked,",
    b'Transfer-Encoding: "chunked"', b"Transfer-Encoding: chunke", b"Transfer-Encoding: chu nked", b"Transfer-Encoding: CHUNKED",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked", b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding : chunked",
    b"Transfer_Encoding: chunked", b"Transfer-Encoding: chunked\x00", b"Transfer-Encoding: chunked\x0c", b" Transfer-Encoding: chunked",
    b"Transfer-Encoding\t: chunked", b"X: x\nTransfer-Encoding: chunked", b"X: x\rTransfer-Encoding: chunked", b"TE: chunked",
    b"Transfer-Encoding: \xe2\x80\x8bchunked", b"Transfer-Encoding: chunked\r\nContent-Length: 0", b"Transfer-Encoding: deflate, chunked",
    b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"Content-Encoding: chunked", b"Transfer-Encoding: cHuNkEd", b"Transfer-Encoding: \xc4\xb1",
    b"Transfer-Encoding: chunked\r\n\tfoo", b"\x00Transfer-Encoding: chunked", b"Transfer\x00-Encoding: chunked", b"Transfer-Encoding: \"\"chunked",
)  # fmt: skip


def transfer_encoding(draw: Random, kit: Kit, number: int) -> Case:
    """Spellings of `Transfer-Encoding`, behind which the body comes in chunks, or as it is."""
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(kit.body), kit.body) if draw.random() < 0.8 else kit.body
    framing = draw.choice(_CODINGS) + b"\r\n"
    line = b"POST %b HTTP/1.%d" % (kit.claims, draw.random() < 0.9)
    return by_reading(number, "", kit.claim(number, b"%d" % number, line=line, framing=framing, body=body), kit)


_HOSTS: Final = (
    b"", b"Host:\r\n", b"Host: a\r\nHost: a\r\n", b"Host: a\r\nHost: b\r\n", b"Host: a b\r\n", b"Host: a/b\r\n", b"Host: a,b\r\n", b"Host: a@b\r\n",
    b"Host: \xff\r\n", b"Host: a:b\r\n", b"Host: a:80:80\r\n", b"Host: [::1\r\n", b"Host: [::1]:80\r\n", b"Host: <x>\r\n", b"Host : a\r\n",
    b"Host: a\r\n b\r\n", b"Host: %b\r\n" % (b"a" * 5_000), b"Host: a:%b\r\n" % (b"9" * 500), b"host: fuzz\r\n", b"X-Host: a\r\n", b"Host: a#b\r\n",
    b"Host: a?b\r\n", b"Host: 127.0.0.1:0\r\n", b"Host: %00\r\n", b"Host: a\\b\r\n", b"Host: {a}\r\n", b"Host: a;b\r\n", b"Host: _\r\n",
)  # fmt: skip


def host(draw: Random, kit: Kit, number: int) -> Case:
    """No `Host`, several, or none that could be one."""
    return by_reading(number, "", kit.claim(number, b"%d" % number, host=draw.choice(_HOSTS)), kit)


_WISHES: Final = (
    b"Expect: 100-continue\r\n", b"Expect: 100-CONTINUE\r\n", b"Expect: 200-ok\r\n", b"Expect:\r\n", b"Expect: 100-continue, x\r\n",
    b"Expect: 100-continue\r\nExpect: 100-continue\r\n", b"Expect: \xff\r\n", b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n", b"Upgrade: TLS/1.0\r\nConnection: Upgrade\r\n",
    b"Connection: Upgrade\r\nUpgrade: tcp\r\n", b"Connection: close, keep-alive\r\n", b"Connection: \xff\r\n", b"Connection: ,,,\r\n",
    b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Connection: Host, Authorization\r\n", b"Connection: upgrade\r\n", b"Upgrade: x\r\n",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n", b"Connection: close\r\nConnection: keep-alive\r\n",
    b"Expect: 100-continue\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", b"Connection: " + b"x," * 3_000 + b"\r\n",
)  # fmt: skip


def expect_and_upgrade(draw: Random, kit: Kit, number: int) -> Case:
    """What a client expects, would like to speak, or says of its connection."""
    line = b"POST %b HTTP/1.%d" % (kit.claims, draw.random() < 0.8)
    return by_reading(number, "", kit.claim(number, b"%d" % number, line=line, extra=draw.choice(_WISHES)), kit)


def oversize(draw: Random, kit: Kit, number: int) -> Case:
    """Larger than may be: the request line, a header, all headers, how many there are, the body, its chunks' extensions."""
    many = draw.choice((8_300, 20_000, 70_000, 300_000))
    line, extra, framing, body = b"", b"", None, kit.body
    match draw.randrange(8):
        case 0:
            line = b"POST /%b HTTP/1.1" % (b"a" * many)
        case 1:
            line = b"POST %b?%b HTTP/1.1" % (kit.claims, b"a" * many)
        case 2:
            extra = b"X: %b\r\n" % (b"a" * many)
        case 3:
            extra = b"%b: x\r\n" % (b"X" * many)
        case 4:
            extra = b"X: a\r\n" * draw.choice((70, 500, 5_000))
        case 5:
            extra = b"X: %b\r\n" % (b"a" * 7_000) * draw.choice((5, 12, 40))
        case 6:
            body = b"x" * many
        case _:
            line = b"P" * many + b" %b HTTP/1.1" % kit.claims
    return by_reading(
        number, "", kit.claim(number, b"%d" % number, line=line, extra=extra, framing=framing, body=body), kit
    )
