"""Where a request ends: what a proxy could read otherwise is refused, and nobody becomes somebody else's request."""

import json
import random
from typing import Any

from engine.gateway.framing import Framing
from tests.gateway.drop import Drop
from tests.gateway.raw import Raw, claim_request, connected_to

SOON_S = 2.5
"""Far below body_deadline_ms: a client must not wait for that to hear that its chunks are wrong."""
BODY = b'{"offer":"a"}'


def head(
    auth: str, extra: str = "", line: str = "POST /v1/waves/one-open/claims HTTP/1.1", host: str = "test"
) -> bytes:
    """A claim without its framing and body."""
    return (
        f"{line}\r\nHost: {host}\r\nAuthorization: {auth}\r\nContent-Type: application/json\r\n{extra}\r\n"
    ).encode()


def chunked(auth: str, chunks: bytes, extra: str = "") -> bytes:
    """A claim in chunks."""
    return head(auth, f"Transfer-Encoding: chunked\r\n{extra}") + chunks


def whole(auth: str, extra: str = "", **rest: str) -> bytes:
    """A claim that states its length."""
    return head(auth, f"Content-Length: {len(BODY)}\r\n{extra}", **rest) + BODY


GOOD_CHUNKS = b"d\r\n%b\r\n0\r\n\r\n" % BODY
TIME = b"GET /v1/time HTTP/1.1\r\nHost: test\r\nX-Request-Id: time\r\n\r\n"


async def claims_of(drop: Drop, sub: str) -> list[Any]:
    """What that user holds."""
    return list((await drop.call("GET", "/v1/me/claims", drop.token(sub)))["claims"])


async def refused(connection: Raw) -> str:
    """Where the fault is that the last answer of this connection names."""
    reply = await connection.response(SOON_S)
    assert (reply.status, reply.code) == (400, "invalid_request")
    assert reply.headers.get("connection", "close") == "close"  # what is no request is answered in HTTP/1.0
    assert await connection.ended()
    return str(reply.json["at"])


async def test_the_trailer_of_a_body_is_not_the_header_of_the_next_request(drop: Drop) -> None:
    trailers = f"0\r\nX-Harmless: 1\r\nAuthorization: {drop.token('mallory')}\r\n\r\n".encode()
    own = b"GET /v1/waves/one-open/claims HTTP/1.1\r\nHost: test\r\n"
    async with connected_to(drop.port) as connection:
        first = chunked(drop.token("mallory"), b"d\r\n%b\r\n" % BODY + trailers)
        connection.send(first + own + b"\r\n" + own + f"Authorization: {drop.token('alice')}\r\n\r\n".encode())
        assert (await connection.response()).status == 201
        assert (await connection.response()).code == "unauthenticated"
        assert (await connection.response()).json == {"claims": []}
        connection.send(first)
        await connection.writer.drain()
        assert (await connection.response()).status == 200
        connection.send(own + b"\r\n")
        assert (await connection.response()).code == "unauthenticated"


async def test_a_request_is_answered_as_itself_whatever_stands_behind_it(drop: Drop) -> None:
    for number, behind in enumerate((b"garbage\r\n\r\n", b"\0", b"GET / HTTP/9.9\r\n\r\n", b"x" * 100)):
        async with connected_to(drop.port) as connection:
            connection.send(whole(drop.token(f"u{number}")) + TIME + behind)
            assert (await connection.response()).status == 201
            assert (await connection.response()).headers["x-request-id"] == "time"
            assert await refused(connection) == "request"


async def test_what_follows_the_last_request_is_not_read(drop: Drop) -> None:
    async with connected_to(drop.port) as connection:
        connection.send(whole(drop.token(), "Connection: close\r\n") + whole(drop.token("u2")))
        assert (await connection.response()).status == 201
        assert await connection.ended()
    assert await claims_of(drop, "u2") == []


WRONG_CHUNKS = (
    b"zz\r\n",
    b"-d\r\n%b\r\n0\r\n\r\n" % BODY,
    b"0xd\r\n%b\r\n0\r\n\r\n" % BODY,
    b"1000000000000000d\r\n%b\r\n0\r\n\r\n" % BODY,
    b"d\n%b\r\n0\r\n\r\n" % BODY,
    b"d\r\n%bxx0\r\n\r\n" % BODY,
    b"d\r\n%b\r\n0\r\nno trailer\r\n\r\n" % BODY,
    b"d\r\n%b\r\n0\r\nContent-Length: 5\r\n\r\n" % BODY,
)


async def test_wrong_chunks_are_told_at_once_and_close_the_connection(drop: Drop) -> None:
    for chunks in WRONG_CHUNKS:
        request = chunked(drop.token(), chunks)
        for pieces in ((request + TIME,), (request[: -len(chunks)], chunks + TIME)):
            async with connected_to(drop.port) as connection:
                for piece in pieces:
                    connection.send(piece)
                    await connection.writer.drain()
                assert await refused(connection) == "body", chunks
    assert await claims_of(drop, "u1") == []


async def test_wrong_chunks_behind_an_answer_end_the_connection_without_another(drop: Drop) -> None:
    async with connected_to(drop.port) as connection:
        connection.send(chunked("Bearer nobody", b""))
        connection.send(b"zz\r\n" + TIME)
        assert (await connection.response()).code == "unauthenticated"
        assert await connection.ended()


async def test_a_body_is_chunked_and_nothing_else(drop: Drop) -> None:
    for coding in ("", "gzip, chunked", "identity, chunked", ", chunked", "chunked, identity", "xchunked", "identity"):
        async with connected_to(drop.port) as connection:
            connection.send(head(drop.token(), f"Transfer-Encoding: {coding}\r\n") + GOOD_CHUNKS + TIME)
            assert await refused(connection) in ("Transfer-Encoding", "request"), coding
    assert await claims_of(drop, "u1") == []


async def test_http_1_0_knows_no_chunks_and_no_continue(drop: Drop) -> None:
    line = "POST /v1/waves/one-open/claims HTTP/1.0"
    async with connected_to(drop.port) as connection:
        connection.send(head(drop.token(), "Transfer-Encoding: chunked\r\n", line) + GOOD_CHUNKS)
        assert await refused(connection) == "Transfer-Encoding"
    assert await claims_of(drop, "u1") == []
    async with connected_to(drop.port) as connection:
        connection.send(whole(drop.token(), "Expect: 100-continue\r\n", line=line))
        assert (await connection.response()).status == 201
        assert await connection.ended()


CLAIM = "POST /v1/waves/one-open/claims HTTP/1.1"
REFUSED = (
    (CLAIM, "a b", "Host"),
    (CLAIM, "a/b", "Host"),
    (CLAIM, "a\r\nHost: b", "request"),
    ("POST /v1/waves/one-open/claims#a HTTP/1.1", "test", "request"),
    ("POST ftp://test/v1/waves/one-open/claims HTTP/1.1", "test", "request"),
    ("CONNECT test:80 HTTP/1.1", "test:80", "request"),
)


async def test_requests_that_are_refused_though_they_could_be_read(drop: Drop) -> None:
    inner = whole(drop.token())  # stands in a body, and must not become a request
    for line, host, at in REFUSED:
        async with connected_to(drop.port) as connection:
            connection.send(head(drop.token(), f"Content-Length: {len(inner)}\r\n", line, host) + inner)
            assert await refused(connection) == at, line
    assert await claims_of(drop, "u1") == []


async def test_names_of_hosts(drop: Drop) -> None:
    for host in ("", "test:8080", "[::1]:8080", "a_b.example", "xn--fiq.example:"):
        async with connected_to(drop.port) as connection:
            connection.send(whole(drop.token(), host=host) + TIME)
            assert (await connection.response()).status in (200, 201)
            assert (await connection.response()).headers["x-request-id"] == "time"


async def test_a_wish_for_another_protocol_is_ignored(drop: Drop) -> None:
    for protocol in ("websocket", "h2c", "tcp"):
        wish = f"Connection: Upgrade\r\nUpgrade: {protocol}\r\n"
        async with connected_to(drop.port) as connection:
            connection.send(TIME[:-2] + wish.encode() + b"\r\n")
            connection.send(whole(drop.token(protocol), wish) + TIME + b"garbage\r\n\r\n")
            assert (await connection.response()).headers["x-request-id"] == "time"
            assert (await connection.response()).status == 201
            assert (await connection.response()).headers["x-request-id"] == "time"
            assert await refused(connection) == "request"


async def test_who_asks_is_said_once(drop: Drop) -> None:
    for order in (("u1", "u2"), ("u2", "u1")):
        async with connected_to(drop.port) as connection:
            first, second = (drop.token(sub) for sub in order)
            connection.send(whole(first, f"Authorization: {second}\r\n"))
            assert (await connection.response()).code == "unauthenticated"
    assert await claims_of(drop, "u1") == await claims_of(drop, "u2") == []


async def test_more_requests_at_once_than_may_wait(drop: Drop) -> None:
    """Each second one is chunked; the answers come in order, and the end is an error."""
    count = 100
    async with connected_to(drop.port) as connection:
        requests = [
            whole(drop.token(f"u{number}"), f"X-Request-Id: {number}\r\n")
            if number % 2
            else chunked(drop.token(f"u{number}"), GOOD_CHUNKS, f"X-Request-Id: {number}\r\n")
            for number in range(count)
        ]
        connection.send(b"".join(requests) + b"garbage\r\n\r\n")
        for number in range(count):
            reply = await connection.response()
            assert (reply.status, reply.headers["x-request-id"]) == (201, str(number))
        assert await refused(connection) == "request"


async def test_a_large_body_in_chunks_and_what_follows_it(drop: Drop) -> None:
    """Larger than what is read ahead, so that reading pauses within it."""
    operator = drop.token("ops", scope="ops", role="operator")
    text = json.dumps({"campaign": "new", "filling": "x" * 600_000}).encode()
    cuts = [text[start : start + 50_000] for start in range(0, len(text), 50_000)]
    body = b"".join(b"%x\r\n%b\r\n" % (len(cut), cut) for cut in cuts) + b"0\r\nAuthorization: Bearer x\r\n\r\n"
    async with connected_to(drop.port) as connection:
        connection.send(
            chunked(operator, body).replace(b"POST /v1/waves/one-open/claims", b"PUT /v1/ops/campaigns/new", 1)
            + whole(drop.token())
            + TIME
        )
        reply = await connection.response()
        assert (reply.status, reply.code) == (400, "invalid_request")
        assert (await connection.response()).status == 201
        assert (await connection.response()).headers["x-request-id"] == "time"


def test_pieces_end_where_heads_and_bodies_end(seed: int) -> None:
    """However the bytes are cut on their way."""
    draw = random.Random(seed)
    heads = [b"A" * draw.randrange(1, 9) + b"\r\n\r\n" for _ in range(200)]
    for _ in range(20):
        framing, data, pieces = Framing(), b"".join(heads), list[bytes]()
        while data:
            cut, data = data[: (size := draw.randrange(1, 12))], data[size:]
            start = 0
            while start < len(cut):
                stop = framing.end_of_piece(cut, start)
                pieces.append(cut[start:stop])
                start = stop
        ends, place = set[int](), 0
        for piece in pieces:
            place += len(piece)
            ends.add(place)
        place = 0
        for one in heads:
            place += len(one)
            assert place in ends


def test_a_claim_costs_one_look_for_its_end() -> None:
    framing = Framing()
    request = claim_request("Ticket x", "one-open", {"offer": "a"})
    body = request.index(b"\r\n\r\n") + 4
    assert framing.end_of_piece(request, 0) == body
    assert framing.end_of_piece(request, body) == len(request)
