"""Bodies in chunks: sizes, ends, extensions and trailers."""

from random import Random
from typing import Final

from loadtests.fuzz.cases import Case, by_reading
from loadtests.fuzz.kit import Kit

_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
_CHUNKS: Final = (
    b"-%x\r\n%b\r\n0\r\n\r\n", b"+%x\r\n%b\r\n0\r\n\r\n", b"0x%x\r\n%b\r\n0\r\n\r\n", b" %x\r\n%b\r\n0\r\n\r\n", b"%x \r\n%b\r\n0\r\n\r\n",
    b"%x\t\r\n%b\r\n0\r\n\r\n", b"%x;a=b\r\n%b\r\n0\r\n\r\n", b'%x;a="b;\\"c"\r\n%b\r\n0\r\n\r\n', b"%x;;;==\r\n%b\r\n0\r\n\r\n", b"%x;a\nb\r\n%b\r\n0\r\n\r\n",
    b"%x;a\rb\r\n%b\r\n0\r\n\r\n", b"%x;a\x00\r\n%b\r\n0\r\n\r\n", b"%x\n%b\r\n0\r\n\r\n", b"%x\r\n%b0\r\n\r\n", b"%x\r\n%b\n0\r\n\r\n", b"%x\r\n%bXX0\r\n\r\n",
    b"000%x\r\n%b\r\n000\r\n\r\n", b"%x\r\n%b\r\n0\r\n\n", b"%x\r\n%b\r\n0\n\r\n", b"%x\r\n%b\r\n0\n\n", b"%x\r\n%b\r\n", b"1%x\r\n%b\r\n0\r\n\r\n", b"0%x\r\n%b\r\n0\r\n\r\n",
    b"fffffffffffffff%x\r\n%b\r\n0\r\n\r\n", b"100000000000000%x\r\n%b\r\n0\r\n\r\n", b"f" * 40 + b"%x\r\n%b\r\n0\r\n\r\n", b"%xg\r\n%b\r\n0\r\n\r\n", b"%x\r\n%b\r\n-0\r\n\r\n",
    b"%x\r\n%b\r\n0;x=y\r\n\r\n", b"%x\r\n%b\r\n0 \r\n\r\n", b"%x\x0b\r\n%b\r\n0\r\n\r\n", b"%x\r\r\n%b\r\n0\r\n\r\n", b"%x\r%b\r\n0\r\n\r\n", b"\xef\xbc\x91%x\r\n%b\r\n0\r\n\r\n",
    b"%x;" + b"a" * 9_000 + b"\r\n%b\r\n0\r\n\r\n", b"0" * 4_000 + b"%x\r\n%b\r\n0\r\n\r\n", b"%x,\r\n%b\r\n0\r\n\r\n", b"%x\r\n%b\r\n0x0\r\n\r\n", b"%x\r\n%b\r\n00000000000000000000\r\n\r\n",
)  # fmt: skip
_TRAILERS: Final = (
    b"X: a\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: other\r\n", b"X y\r\n", b"X: a\r\n b\r\n", b"X : a\r\n", b": a\r\n",
    b"X: \x00\r\n", b"X: a\nY: b\r\n", b"X: y\r\n" * 100, b"X: %b\r\n" % (b"y" * 9_000), b"Connection: close\r\n", b"Content-Type: text/plain\r\n",
    b"Trailer: X\r\n", b"Upgrade: websocket\r\nConnection: Upgrade\r\n", b"X-Request-Id: trailer\r\n", b"Expect: 100-continue\r\n", b"Accept-Language: zh\r\n",
)  # fmt: skip


def spoilt_chunks(draw: Random, kit: Kit, number: int) -> Case:
    """Chunks that are none, or of a size that nobody can mean; now and then just odd ones."""
    match draw.randrange(8):
        case 0:
            body = b"".join(b"1\r\n%c\r\n" % letter for letter in kit.body) + b"0\r\n\r\n"
        case 1:
            body = bytes(draw.choices(b'0123456789abcdef;\r\n\r\n\r\n \x00{}"', k=draw.randrange(1, 60)))
        case 2:
            right = bytearray(b"%x\r\n%b\r\n0\r\n\r\n" % (len(kit.body), kit.body))
            place = draw.randrange(len(right))
            right[place : place + draw.randrange(2)] = bytes([draw.randrange(256)])
            body = bytes(right)
        case 3:
            body = b"%b\r\n\r\n" % draw.choice(
                (b"", b"\x00", b"zz", b"-1", b"0x", b"{", b"\r\n0", b";a", b" ", b"7fffffffffffffff", b"G")
            )
        case _:
            pattern = draw.choice(_CHUNKS)
            body = pattern % (len(kit.body), kit.body)
    return by_reading(number, "", kit.claim(number, b"%d" % number, framing=_CHUNKED, body=body), kit)


def trailers(draw: Random, kit: Kit, number: int) -> Case:
    """Trailers that must be nobody's: the next request on the connection says nothing of who asks."""
    trailer = draw.choice(_TRAILERS)
    if draw.random() < 0.5:
        who = kit.ticket(f"{number}-trailer")
        trailer = draw.choice((b"%bAuthorization: Ticket %b\r\n", b"Authorization: Ticket %b\r\n")[:1]) % (trailer, who)
    body = b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(kit.body), kit.body, trailer)
    behind = b"POST %b HTTP/1.1\r\nHost: fuzz\r\nX-Request-Id: %d-nobody\r\nContent-Type: application/json\r\n" % (
        kit.claims,
        number,
    )
    nobody = behind + b"Content-Length: %d\r\n\r\n%b" % (len(kit.body), kit.body)
    data = kit.claim(number, b"%d" % number, framing=_CHUNKED, body=body) + nobody
    case = by_reading(number, "", data, kit)
    nobody_id = b"%d-nobody" % number
    wants = tuple(
        want._replace(codes=frozenset({"unauthenticated"}), may_claim=False) if want.request_id == nobody_id else want
        for want in case.wants
    )
    return case._replace(wants=wants)
