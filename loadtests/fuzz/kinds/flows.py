"""What is wrong with more than one message: other protocols, hidden requests, halves, good ones around a bad one."""

from random import Random
from typing import Final

from loadtests.fuzz.cases import Case, by_reading
from loadtests.fuzz.kit import Kit

_OTHERS: Final = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x12\x04\x00\x00\x00\x00\x00",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", b"PROXY UNKNOWN\r\n", b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + b"\x01" * 12, b"SSH-2.0-OpenSSH_9.6\r\n",
    b"EHLO fuzz\r\nMAIL FROM:<a@b>\r\n", b"*1\r\n$4\r\nPING\r\n", b"GET /v1/time\r\n", b"GET /v1/time\r\n\r\n", b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
    b"\x80\x2e\x01\x03\x01\x00\x15", b"\x03\x00\x00\x13\x0e\xe0\x00\x00", b"hello\r\n\r\n", b"\x00" * 400, b"\xff" * 400, b"\r\n" * 300, b"\n" * 300,
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"GET", b"{}\r\n\r\n", b"<xml/>\r\n\r\n", b"\x1f\x8b\x08\x00", b"A" * 70_000, b"GET / HTTP/1.1\n\n",
)  # fmt: skip


def other_protocols(draw: Random, kit: Kit, number: int) -> Case:
    """The first bytes of something that is not HTTP/1.1, or of nothing at all."""
    noise = bytes(draw.randrange(256) for _ in range(draw.randrange(1, 200)))
    return by_reading(number, "", draw.choice((draw.choice(_OTHERS), draw.choice(_OTHERS), noise)), kit)


_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
_AMBIGUOUS: Final = (
    (b"Content-Length: {longer}\r\n" + _CHUNKED, b"0\r\n\r\n"), (_CHUNKED + b"Content-Length: 4\r\n", b"{hex}\r\n"),
    (b"Content-Length: 0\r\nContent-Length: {length}\r\n", b""), (b"Content-Length: {length}\r\n", b""), (_CHUNKED, b"0\r\nX: "),
    (b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"), (b"Transfer-Encoding:\x0bchunked\r\n", b"0\r\n\r\n"),
    (b"Content-Length : {length}\r\n", b""), (b"X: \rContent-Length: {length}\r\n", b""), (_CHUNKED, b"{hex};\n"),
    (b"Expect: 100-continue\r\nContent-Length: {length}\r\n", b""), (b"X: x\nContent-Length: {length}\r\n", b""),
    (b"Content-Length: {length}\r\nTransfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), (b"Content-Length:\r\n {length}\r\n", b""),
    (b"Upgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: {length}\r\n", b""), (_CHUNKED, b"0\r\n\r\n"),
)  # fmt: skip
"""Framing of a claim, and the begin of its body, behind which another claim follows."""
_WITH_BODIES: Final = (
    (b"GET", b"/v1/time"), (b"HEAD", b"/v1/time"), (b"DELETE", b"/v1/time"), (b"OPTIONS", b"*"), (b"CONNECT", b"fuzz:80"), (b"TRACE", b"/"),
    (b"POST", b"/v1/waves/{wave}/tickets"), (b"GET", b"/nowhere"), (b"PUT", b"/v1/ops/campaigns/x"), (b"GET", b"http://fuzz/v1/time"),
)  # fmt: skip
"""Requests whose bodies nobody reads."""


def smuggling(draw: Random, kit: Kit, number: int) -> Case:
    """A claim inside of something that is body to one reader and a request to another."""
    inner = kit.claim(f"{number}-inner", b"%d-inner" % number)
    rid, hexadecimal = b"%d" % number, b"%x" % len(inner)
    if draw.random() < 0.6:
        framing, begin = draw.choice(_AMBIGUOUS)
        for name, size in ((b"{length}", len(inner)), (b"{longer}", len(inner) + 5)):
            framing = framing.replace(name, b"%d" % size)
        line = b"POST %b HTTP/1.%d" % (kit.claims, draw.random() < 0.9)
        outer = kit.claim(number, rid, line=line, framing=framing, body=begin.replace(b"{hex}", hexadecimal))
        return by_reading(number, "", outer + inner, kit)
    method, target = draw.choice(_WITH_BODIES)
    target = target.replace(b"{wave}", kit.wave)
    if draw.random() < 0.5:
        return by_reading(number, "", kit.request(method, target, rid, body=inner), kit)
    chunks = b"%b\r\n%b\r\n0\r\n\r\n" % (hexadecimal, inner)
    return by_reading(number, "", kit.request(method, target, rid, _CHUNKED) + chunks, kit)


def halves(draw: Random, kit: Kit, number: int) -> Case:
    """A request that is cut anywhere; then the client has nothing more to say."""
    whole = draw.choice(
        (
            kit.claim(number, b"%d" % number),
            kit.claim(
                number, b"%d" % number, framing=b"Transfer-Encoding: chunked\r\n", body=b'5\r\n{"off\r\n0\r\n\r\n'
            ),
            kit.claim(number, b"%d" % number, extra=b"Expect: 100-continue\r\n"),
            kit.request(b"GET", b"/v1/time", b"%d" % number),
        )
    )
    return by_reading(number, "", whole[: draw.randrange(1, len(whole))], kit, is_followed=False)


def bad_among_good(draw: Random, kit: Kit, number: int) -> Case:
    """Good requests in one go, a bad one among them: those before it are answered as themselves, those behind are not."""
    good = [
        draw.choice(
            (
                kit.request(b"GET", b"/v1/time", b"%d-%d" % (number, nth)),
                kit.claim(f"{number}-{nth}", b"%d-%d" % (number, nth)),
            )
        )
        for nth in range(draw.choice((1, 2, 3, 5, 40)))
    ]
    bad = draw.choice(
        (
            b"garbage\r\n\r\n", b"\x00", b"GET / HTTP/9.9\r\n\r\n", kit.claim(number, b"x", framing=b"Content-Length: x\r\n"), b"GET / HTTP/1.1\r\n\r\n",
            kit.claim(number, b"x", framing=b"Transfer-Encoding: chunked\r\n", body=b"z\r\n"), b"GET / HTTP/1.1\nHost: x\n\n", b"\r\r\n", b" \r\n",
            kit.claim(number, b"x", framing=b"Transfer-Encoding: chunked\r\n", body=b"1\r\n{\r\n0\r\nx\r\n\r\n"),
        )
    )  # fmt: skip
    return by_reading(number, "", b"".join(good) + bad, kit)


def mutants(draw: Random, kit: Kit, number: int) -> Case:
    """Right requests with some bytes changed, lost, doubled or swapped, anywhere."""
    claim = kit.claim(number, b"%d" % number)
    chunked = kit.claim(
        number,
        b"%d" % number,
        framing=b"Transfer-Encoding: chunked\r\n",
        body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(kit.body), kit.body),
    )
    data = bytearray(draw.choice((claim, chunked, kit.request(b"GET", b"/v1/time", b"%d" % number), claim + chunked)))
    for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
        place, length = draw.randrange(len(data)), draw.choice((1, 1, 1, 2, 4, 16))
        part = bytes(data[place : place + length])
        data[place : place + length] = draw.choice(
            (
                b"",
                part * 2,
                bytes([draw.randrange(256)]),
                draw.choice(
                    (b"\r\n", b"\n", b"\r", b"\x00", b" ", b":", b"\r\n\r\n", b",", b"\t", b"\xff", b"#", b"0")
                ),
                part[::-1],
                part.swapcase(),
            )
        )
        data = data or bytearray(b"\r\n")
    return by_reading(number, "", bytes(data), kit)
