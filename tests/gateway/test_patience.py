"""Clients that owe the server something: a first byte, the rest of a request, another one, to read, to hang up."""

import asyncio

import pytest
from msgspec.structs import replace
from prometheus_client import REGISTRY

from engine.gateway import connections
from engine.settings import Settings
from tests.gateway.drop import Drop, running_gateway
from tests.gateway.raw import Raw, claim_request, connected_to, deaf_to
from tests.support.waiting import wait_until

TIME = b"GET /v1/time HTTP/1.1\r\nHost: test\r\n\r\n"


@pytest.fixture
def drop_settings(settings: Settings, redis_url: str, database_url: str) -> Settings:
    return replace(
        settings,
        redis_url=redis_url,
        database_url=database_url,
        first_byte_deadline_ms=150,
        header_deadline_ms=250,
        header_bytes_max=1_024,
        header_block_bytes_max=4_096,
        body_deadline_ms=250,
        keep_alive_ms=300,
        write_deadline_ms=300,
        user_requests_per_second=0,
    )


def cut(reason: str) -> float:
    return REGISTRY.get_sample_value("dropwave_connections_cut_total", {"reason": reason}) or 0.0


async def trickle(connection: Raw, data: bytes) -> Raw.Response:
    """The answer, while a byte of `data` is sent every few milliseconds."""
    left = list(data)
    answer = asyncio.create_task(connection.response())

    def send_one() -> bool:
        if not answer.done() and left:
            connection.send(bytes([left.pop(0)]))
        return answer.done()

    await wait_until(send_one, what="an answer to a request that trickles")
    return await answer


async def test_a_connection_that_never_sends_is_closed(drop: Drop) -> None:
    before = cut("first_byte")
    async with connected_to(drop.port) as connection:
        assert await connection.ended()
    assert cut("first_byte") == before + 1


@pytest.mark.loops
async def test_headers_that_trickle_are_given_up_as_a_whole(drop: Drop) -> None:
    before = cut("headers")
    async with connected_to(drop.port) as connection:
        reply = await trickle(connection, TIME[:-2] + b"X: " + b"x" * 3_000)
        assert (reply.status, reply.code, reply.headers["connection"]) == (408, "timeout", "close")
        assert reply.headers["x-request-id"]
        assert reply.json["final"] is False
        assert await connection.ended()
    async with connected_to(drop.port) as connection:  # nor behind a request that was answered
        connection.send(TIME)
        assert (await connection.response()).status == 200
        assert (await trickle(connection, b"\r\n" * 1_000)).code == "timeout"
    assert cut("headers") == before + 2


async def test_a_body_that_trickles_is_given_up_as_a_whole(drop: Drop) -> None:
    before = cut("body")
    head, _ = claim_request(drop.token(), "one-open", {"offer": "a"}).split(b"\r\n\r\n")
    async with connected_to(drop.port) as connection:
        connection.send(head.replace(b"Content-Length: 14", b"Content-Length: 1000") + b"\r\n\r\n")
        assert (await trickle(connection, b" " * 999)).code == "timeout"
    assert cut("body") == before + 1


async def test_a_request_in_two_pieces_is_no_slow_one(drop: Drop) -> None:
    async with connected_to(drop.port) as connection:
        for _ in range(3):
            connection.send(TIME[:20])
            await connection.writer.drain()
            await asyncio.sleep(0)
            connection.send(TIME[20:])
            assert (await connection.response()).status == 200


async def test_headers_that_do_not_end_are_too_large_at_some_point(drop: Drop) -> None:
    """Each of them is small, and they are fewer than 64; whole, the same headers would be an honest request."""
    async with connected_to(drop.port) as connection:
        connection.send(TIME[:-2])
        await connection.writer.drain()
        for nth in range(8):
            connection.send(b"X%d: " % nth + b"x" * 700 + b"\r\n")
            await connection.writer.drain()
            await asyncio.sleep(0)
        reply = await connection.response()
        assert (reply.status, reply.code, reply.headers["connection"]) == (431, "headers_too_large", "close")


async def test_an_idle_connection_is_closed_without_a_word(drop: Drop) -> None:
    before = cut("idle")
    async with connected_to(drop.port) as connection:
        connection.send(TIME)
        assert (await connection.response()).status == 200
        assert await connection.ended()
    assert cut("idle") == before + 1


async def test_a_body_that_nobody_waits_for_leaves_the_connection_usable(drop: Drop) -> None:
    """A ticket takes no body; one that comes behind its answer is no slow request of its own."""
    before = cut("idle")
    head = (
        f"POST /v1/waves/one-open/tickets HTTP/1.1\r\nHost: test\r\nAuthorization: {drop.token()}\r\n"
        "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n"
    )
    async with connected_to(drop.port) as connection:
        connection.send(head.encode())
        assert (await connection.response()).status == 201
        connection.send(b"{}")
        connection.send(TIME)
        assert (await connection.response()).status == 200
        assert await connection.ended(), "idle, in the end, and not a request that timed out"
    async with connected_to(drop.port) as connection:
        connection.send(head.encode())
        assert (await connection.response()).status == 201
        connection.send(b"{}")
        assert await connection.ended(), "nor one that is owed an answer"
    assert cut("idle") == before + 2


@pytest.mark.loops
async def test_a_client_that_asks_and_asks_and_never_reads(drop: Drop) -> None:
    """It is asked for nothing more once its answers do not go out, and cut when they stay."""
    before, answered = cut("unread"), requests_answered()
    async with deaf_to(drop.port) as client:
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(client, TIME * 20_000))
        await wait_until(lambda: cut("unread") > before)
        with pytest.raises(ConnectionError):
            await sending
    assert requests_answered() - answered < 500, "some 50 kB of answers, and no more"
    assert (await drop.call("GET", "/v1/time")).status == 200


def requests_answered() -> float:
    return REGISTRY.get_sample_value("dropwave_answers_total", {"endpoint": "time", "outcome": "ok"}) or 0.0


@pytest.mark.loops
async def test_the_last_answer_arrives_though_more_was_sent(drop: Drop) -> None:
    """Closed at once, bytes that nobody reads would reset the connection, and its answer would be lost."""
    head = b"POST /v1/waves/one-open/claims HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
    for _ in range(10):
        async with connected_to(drop.port) as connection:
            connection.send(head + b"Content-Length: 1000000\r\n\r\n" + b" " * 400_000)
            await connection.writer.drain()
            connection.send(b" " * 600_000)
            await connection.writer.drain()
            reply = await connection.response()
            assert (reply.status, reply.headers["connection"]) == (413, "close")
            assert await connection.ended()


async def test_a_client_that_does_not_hang_up_is_not_waited_for(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LINGER_S", 0.1)
    async with running_gateway(drop.settings, drop.stores) as other, connected_to(other.port) as connection:
        connection.send(b"GET /v1/time HTTP/1.0\r\n\r\n")
        assert (await connection.response()).status == 200
        assert await connection.ended()
        await wait_until(lambda: len(other.gateway.connections) == 0)
