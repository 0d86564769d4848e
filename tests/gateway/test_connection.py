"""What happens on the wire below a request: limits, broken HTTP, slow bodies, `Expect`."""

import json

import pytest
from msgspec.structs import replace

from engine.settings import Settings
from tests.gateway.drop import Drop
from tests.gateway.raw import claim_request, connected_to


@pytest.fixture
def drop_settings(settings: Settings, redis_url: str, database_url: str) -> Settings:
    return replace(
        settings,
        redis_url=redis_url,
        database_url=database_url,
        header_bytes_max=2_048,
        headers_max=20,
        body_bytes_max=1_024,
        body_deadline_ms=150,
    )


PROBLEM = "application/problem+json"


@pytest.mark.parametrize(
    "data",
    [
        b"GET /" + b"x" * 3_000 + b" HTTP/1.1\r\nHost: test\r\n\r\n",
        b"GET /v1/time HTTP/1.1\r\nHost: test\r\nX: " + b"x" * 3_000 + b"\r\n\r\n",
        b"GET /v1/time HTTP/1.1\r\nHost: test\r\n" + b"".join(b"X%d: 1\r\n" % n for n in range(30)) + b"\r\n",
    ],
)
async def test_headers_that_are_too_large(drop: Drop, data: bytes) -> None:
    async with connected_to(drop.port) as connection:
        connection.send(data)
        reply = await connection.response()
        assert (reply.status, reply.code, reply.headers["content-type"]) == (431, "headers_too_large", PROBLEM)
        assert await connection.ended()


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v1/time HTTP/1.1\r\nHost : test\r\n\r\n",
        b"GET /v1/time HTTP/1.1\r\nHost: test\r\nX: a\x00b\r\n\r\n",
        b"POST /v1/waves/w/claims HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"POST /v1/waves/w/claims HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/waves/w/claims HTTP/1.1\r\nHost: test\r\nContent-Length: -1\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_an_invalid_request(drop: Drop, data: bytes) -> None:
    async with connected_to(drop.port) as connection:
        connection.send(data)
        reply = await connection.response()
        assert (reply.status, reply.code, reply.headers["content-type"]) == (400, "invalid_request", PROBLEM)
        assert "aiohttp" not in str(reply.headers)
        assert await connection.ended()


async def test_a_body_that_does_not_come_is_given_up(drop: Drop) -> None:
    request = claim_request(drop.token(), "one-open", {"offer": "a"})
    async with connected_to(drop.port) as connection:
        connection.send(request[:-3])
        reply = await connection.response()
        assert (reply.status, reply.code, reply.json["final"]) == (408, "timeout", False)
        assert reply.headers["connection"] == "close"
    async with connected_to(drop.port) as connection:  # one that comes slowly, but comes
        connection.send(request[:-3])
        await connection.writer.drain()
        connection.send(request[-3:])
        assert (await connection.response()).status == 201


async def test_a_body_that_is_too_large_is_not_waited_for(drop: Drop) -> None:
    for framing in ("Content-Length: 100000\r\n", "Transfer-Encoding: chunked\r\n"):
        head = (
            f"POST /v1/waves/one-open/claims HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n{framing}\r\n"
        )
        async with connected_to(drop.port) as connection:
            connection.send(head.encode() + b"800\r\n" + b"x" * 2_048)
            reply = await connection.response()
            assert (reply.status, reply.code, reply.headers["connection"]) == (413, "too_large", "close")


async def test_a_chunked_body_is_read(drop: Drop) -> None:
    request = claim_request(drop.token(), "one-open", {"offer": "a"})
    head, body = request.split(b"\r\n\r\n")
    head = head.replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked")
    async with connected_to(drop.port) as connection:
        connection.send(
            head + b"\r\n\r\n4\r\n" + body[:4] + b"\r\n%x\r\n" % len(body[4:]) + body[4:] + b"\r\n0\r\n\r\n"
        )
        assert (await connection.response()).status == 201
        connection.send(request)  # the connection is good for more
        assert (await connection.response()).status == 200


async def test_a_client_that_asks_whether_to_send_its_body(drop: Drop) -> None:
    async with connected_to(drop.port) as connection:
        request = claim_request(drop.token(), "one-open", {"offer": "a"}, "Expect: 100-continue\r\n")
        head, body = request.split(b"\r\n\r\n")
        connection.send(head + b"\r\n\r\n")
        assert (await connection.response()).status == 100
        connection.send(body)
        assert (await connection.response()).status == 201
    async with connected_to(drop.port) as connection:
        connection.send(head.replace(b"Content-Length: %d" % len(body), b"Content-Length: 100000") + b"\r\n\r\n")
        assert (await connection.response()).code == "too_large"
    async with connected_to(drop.port) as connection:
        connection.send(head.replace(b"100-continue", b"a miracle") + b"\r\n\r\n" + body)
        reply = await connection.response()
        assert (reply.code, reply.json["at"]) == ("invalid_request", "Expect")


async def test_http_1_0_and_keep_alive(drop: Drop) -> None:
    async with connected_to(drop.port) as connection:
        connection.send(b"GET /v1/time HTTP/1.0\r\n\r\n")
        reply = await connection.response()
        assert json.loads(reply.body)["server_time_ms"] > 0
        assert await connection.ended()
    async with connected_to(drop.port) as connection:
        for _ in range(3):
            connection.send(b"GET /nowhere HTTP/1.1\r\nHost: test\r\n\r\n")
            reply = await connection.response()
            assert (reply.status, "connection" in reply.headers) == (404, False)
