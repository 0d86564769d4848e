"""The claim lane: the same bytes to a gateway with it and to one without it get the same answers."""

import asyncio
import random
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from engine.domain.tickets import Ticket, TicketBook
from engine.gateway.accepting import RECEIVED_BYTES_MAX
from engine.gateway.lane.connection import HELD_BYTES_MAX, LaneConnection
from engine.hotstore.view import claims_of_claimants
from engine.settings import Settings
from tests.gateway.drop import Drop, running_gateway, silent_store
from tests.gateway.raw import claim_request, connected_to, deaf_to
from tests.support.waiting import wait_until

TALKS = 120
END = b"GET /v1/time HTTP/1.1\r\nHost: t\r\nX-Request-Id: end\r\nConnection: close\r\n\r\n"
"""The last request of a talk: the gateway closes behind its answer, so that no test waits for silence."""
A = {"offer": "a"}


@pytest.fixture
def drop_settings(settings: Settings, redis_url: str, database_url: str) -> Settings:
    return replace(
        settings,
        redis_url=redis_url,
        database_url=database_url,
        header_deadline_ms=10_000,  # nothing here waits for them, and no stall of the machine may bring them on
        body_deadline_ms=10_000,
        user_requests_per_second=0,
        claim_lane=True,
    )


@pytest.fixture
async def plain_drop(drop: Drop) -> AsyncIterator[Drop]:
    """A gateway without a lane, over the same stores. Both know of everything that will not change from now on."""
    async with running_gateway(replace(drop.settings, claim_lane=False), drop.stores) as gateway:
        await wait_until(lambda: gateway.board.ready and len(gateway.board.waves()) == len(drop.board.waves()))
        await wait_until(lambda: drop.live("one-over").state.closed_ms and gateway.live("one-over").state.closed_ms)
        yield gateway


class Hearing(asyncio.Protocol):
    """All that a gateway says until it closes. By FIN or by RST: that depends on what is still on its way."""

    def __init__(self) -> None:
        self.heard = b""
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.heard += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()


async def talk(port: int, pieces: list[bytes]) -> bytes:
    """Send the pieces, each in a packet of its own as far as that can be had; what comes until the gateway closes."""
    transport, hearing = await asyncio.get_running_loop().create_connection(Hearing, "127.0.0.1", port)
    try:
        async with asyncio.timeout(20):
            for piece in pieces:
                if transport.is_closing():
                    break
                transport.write(piece)
                for _ in range(5):  # the gateway lives in this loop: it reads meanwhile
                    await asyncio.sleep(0)
            await hearing.ended.wait()
    finally:
        transport.abort()
    return hearing.heard


_CHANGING = (
    (
        re.compile(
            rb'(?i)("(?:id|code|sequence|claimed_at|valid_from|expires_at|ticket)":)("c-[^"]*"|"[0-9A-Z]{16}"|"20[^"]*"|\d+|"1[^"]*")'
        ),
        rb"\1_",
    ),
    (
        re.compile(rb'("(?:retry_after_ms|left|left_age_ms|left_read_at_ms|server_time_ms|alternatives_age_ms)":)\d+'),
        rb"\1_",
    ),
    (re.compile(rb"(?im)^(date|etag|left-read-at-ms|retry-after|content-length): .*?\r$"), rb"\1: _\r"),
    (re.compile(rb"(?m)^(X-Request-Id: )[0-9a-f]{12}-[0-9a-f]+\r$"), rb"\1_\r"),
    (re.compile(rb'("id":")[0-9a-f]{12}-[0-9a-f]+"'), rb'\1_"'),
)


def without_what_changes(answers: bytes) -> bytes:
    for pattern, replacement in _CHANGING:
        answers = pattern.sub(replacement, answers)
    return answers


class Speaker:
    """Makes talks. Every name it makes for one gateway has its like for the other, of the same length."""

    def __init__(self, seed: int, drop: Drop) -> None:
        self._random = random.Random(seed)
        self._drop = drop
        self._users = 0

    def talk(self) -> "tuple[list[bytes], list[bytes]]":
        """The same talk twice: for a gateway with a lane and for one without."""
        state, users = self._random.getstate(), self._users
        first = self._talk("l")
        self._random.setstate(state)
        self._users = users
        return first, self._talk("n")

    def _talk(self, prefix: str) -> list[bytes]:
        requests = [self._request(prefix) for _ in range(self._random.randint(1, 4))]
        data = b"".join([*requests, END])
        match self._random.randint(0, 3):
            case 0:
                return [data]
            case 1:
                return [*requests, END]
            case 2:
                cuts = sorted(self._random.randrange(len(data)) for _ in range(self._random.randint(1, 6)))
                return [
                    data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if start < end
                ]
            case _:
                return [part for request in requests for part in self._cut(request)] + [END]

    def _cut(self, request: bytes) -> list[bytes]:
        at = self._random.randrange(1, len(request))
        return [request[:at], request[at:]]

    def _request(self, prefix: str) -> bytes:
        pick = self._random.random
        if pick() < 0.15:
            self._users += 1
        user = f"{prefix}{self._users:04d}"
        auth = self._drop.token(user) if pick() < 0.9 else self._random.choice(["Ticket x", "Bearer x", "Basic x", ""])
        wave = self._random.choice(["one-open"] * 4 + ["one-later", "one-over", "many-open"])
        body: Any = self._random.choice(
            [A] * 4 + [{"offer": "b"}, {"offers": ["b", "a"]}, {"offer": "zz"}, {}, [], {"offer": "x", "request_no": 2}]
        )
        request = claim_request(auth, wave, body, self._random.choice([""] * 3 + HARMLESS))
        if pick() < 0.25:
            known = self._random.choice(["", "If-None-Match: *\r\n"])
            request = f"GET /v1/waves/{wave} HTTP/1.1\r\nHost: t\r\n{known}\r\n".encode()
        if pick() < 0.1:
            request = self._random.choice(OTHERS)
        if pick() < 0.2:
            request = self._damaged(request)
        return request

    def _damaged(self, request: bytes) -> bytes:
        old, new = self._random.choice(DAMAGES)
        return request.replace(old, new, 1)


HARMLESS = [
    "Connection: keep-alive\r\n",
    "X-Request-Id: mine\r\nAccept-Language: zh-CN\r\n",
    "Accept: */*\r\nUser-Agent: okhttp/4.12.0\r\nAccept-Encoding: gzip\r\nCookie: a=b\r\n",
    "Origin: https://shop.example\r\n",
]
OTHERS = [
    b"GET /v1/time HTTP/1.1\r\nHost: t\r\n\r\n",
    b"GET /v1/waves HTTP/1.1\r\nHost: t\r\n\r\n",
    b"GET /nothing HTTP/1.1\r\nHost: t\r\n\r\n",
    b"DELETE /v1/waves/one-open/claims HTTP/1.1\r\nHost: t\r\n\r\n",
    b"HEAD /v1/waves/one-open HTTP/1.1\r\nHost: t\r\n\r\n",
    b"OPTIONS /v1/waves/one-open/claims HTTP/1.1\r\nHost: t\r\n\r\n",
    b"POST /v1/waves/one-open/claims HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n",
    b"POST /v1/waves/one-open/claims HTTP/1.1\r\nHost: t\r\n\r\n",
]
DAMAGES = [
    (b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"),
    (b"\r\n\r\n", b"\r\nContent-Length: 13\r\n\r\n"),
    (b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n"),
    (b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"),
    (b"\r\n\r\n", b"\r\nExpect: gold\r\n\r\n"),
    (b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
    (b"\r\n\r\n", b"\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"),
    (b"\r\n\r\n", b"\r\nHost: other\r\n\r\n"),
    (b"\r\n\r\n", b"\r\nX: " + b"y" * 9_000 + b"\r\n\r\n"),
    (b"\r\n\r\n", b"\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(70)) + b"\r\n"),
    (b"\r\n\r\n", b"\r\nX: \xe5\x88\xb8\r\n\r\n"),
    (b"\r\n\r\n", b"\r\nX: 1\r\n folded\r\n\r\n"),
    (b"\r\n\r\n", b"\n\n"),
    (b"Content-Length: ", b"Content-Length: +"),
    (b"Content-Length: 1", b"Content-Length: 2"),
    (b"Content-Length: ", b"Content-Length : "),
    (b"Content-Length: ", b"content-length:"),
    (b"HTTP/1.1", b"HTTP/1.0"),
    (b"HTTP/1.1", b"HTTP/2.0"),
    (b"POST", b"post"),
    (b" HTTP", b"?x=1 HTTP"),
    (b" HTTP", b"/ HTTP"),
    (b" /v1", b"  /v1"),
    (b" /v1", b" http://t/v1"),
    (b"one-open", b"one%2Dopen"),
    (b"Host: t", b"Host: t t"),
    (b"Host", b"\r\nHost"),
    (b"Host: t", b"X: y"),
    (b"application/json", b"text/plain"),
    (b"application/json", b"application/json; charset=utf-8"),
    (b"offer", b'offer":"a","offer'),
    (b"Authorization: ", b"Authorization: Bearer y\r\nAuthorization: "),
    (b"Authorization: ", b"Authorization:  "),
    (b"\r\n", b"\r\n\0"),
]


async def test_the_same_bytes_get_the_same_answers(drop: Drop, plain_drop: Drop, taken: list[bytes], seed: int) -> None:
    speaker = Speaker(seed, drop)
    for number in range(TALKS):
        with_lane, without = speaker.talk()
        heard, other = await asyncio.gather(talk(drop.port, with_lane), talk(plain_drop.port, without))
        assert without_what_changes(heard) == without_what_changes(other), f"talk {number} of seed {seed}: {with_lane}"
    assert len(taken) > TALKS / 8, "else nothing was compared"


async def test_claims_after_other_requests_take_the_lane(drop: Drop, taken: list[bytes]) -> None:
    time, page = (f"GET /v1/{path} HTTP/1.1\r\nHost: t\r\n\r\n".encode() for path in ("time", "waves/one-open"))
    claim = claim_request(drop.token(), "one-open", A)
    ticket = claim_request(drop.token(), "one-open", {}).replace(b"/claims", b"/tickets")
    async with connected_to(drop.port) as connection:
        statuses = []
        for request in (time, claim, time, page, ticket, claim):
            connection.send(request)
            statuses.append((await connection.response()).status)
    assert statuses == [200, 201, 200, 200, 201, 200]
    assert taken == [claim, page, ticket, claim]


async def test_what_is_sent_ahead_is_answered_in_order(drop: Drop, taken: list[bytes]) -> None:
    time = b"GET /v1/time HTTP/1.1\r\nHost: t\r\nX-Request-Id: time\r\n\r\n"
    first, second = (
        claim_request(drop.token(user), "one-open", A, f"X-Request-Id: {user}\r\n") for user in ("u1", "u2")
    )
    async with connected_to(drop.port) as connection:
        async with silent_store(drop):
            connection.send(first)
            await wait_until(lambda: len(taken) == 1)
            for piece in (time[:20], time[20:] + second[:100], second[100:] + b"garbage\r\n\r\n"):
                connection.send(piece)
                await asyncio.sleep(0)
        answers = [await connection.response() for _ in range(4)]
        assert await connection.ended()
    assert [answer.status for answer in answers] == [201, 200, 201, 400]
    assert [answer.headers["x-request-id"] for answer in answers[:3]] == ["u1", "time", "u2"]
    assert taken == [first], "one at a time is plain"


async def test_what_is_sent_ahead_is_held_to_a_bound(drop: Drop, taken: list[bytes]) -> None:
    claim = claim_request(drop.token(), "one-open", A)
    async with silent_store(drop), deaf_to(drop.port) as client:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(client, claim)
        await wait_until(lambda: len(taken) == 1)
        flood = asyncio.ensure_future(loop.sock_sendall(client, claim * 5_000))
        await wait_until(lambda: len(lane_connection(drop)._held) > HELD_BYTES_MAX)
        held = len(lane_connection(drop)._held)
        await asyncio.sleep(0.05)
        assert len(lane_connection(drop)._held) == held < 2 * HELD_BYTES_MAX + RECEIVED_BYTES_MAX * 2
        flood.cancel()


async def test_who_was_turned_away_is_not_served(drop: Drop, taken: list[bytes]) -> None:
    settings = replace(drop.settings, connections_per_address_max=1)
    async with running_gateway(settings, drop.stores) as full, connected_to(full.port) as first:
        await wait_until(lambda: full.board.wave("one-open") is not None)
        first.send(claim_request("Ticket x", "one-open", A))
        assert (await first.response()).status == 401
        async with connected_to(full.port) as second:
            second.send(claim_request(drop.token(), "one-open", A))
            assert (await second.response()).code == "too_many_requests"
            second.send(claim_request(drop.token(), "one-open", A))
            assert await second.ended()
    assert len(taken) == 1
    assert (await drop.claim("one-open", A)).status == 201, "it was not claimed yet"


async def test_a_request_counts_once_whatever_it_waits_for(drop: Drop, taken: list[bytes]) -> None:
    """A ticket for a wave that is not on the board: that has to be looked for first."""
    book = TicketBook(drop.keyring.ticket_keys)
    ticket = book.mint(Ticket("past", "past", "u1", "u1", "account", "", 1))
    settings = replace(drop.settings, address_requests_per_second=0.001, address_requests_burst=5)
    async with running_gateway(settings, drop.stores) as counting, connected_to(counting.port) as connection:
        await wait_until(lambda: counting.board.wave("one-open") is not None)
        codes = []
        for _ in range(6):
            connection.send(claim_request(f"Ticket {ticket}", "one-open", A))
            codes.append((await connection.response()).code)
    assert codes == ["ticket_mismatch"] * 5 + ["too_many_requests"]
    assert len(taken) == 6


async def test_the_timer_of_aiohttp_ends_no_connection_that_takes_the_lane(drop: Drop) -> None:
    """It knows of its own requests only."""
    claim = claim_request(drop.token(), "one-open", A)
    async with connected_to(drop.port) as connection:
        connection.send(claim)
        assert (await connection.response()).status == 201
        its = lane_connection(drop)
        its._next_keepalive_close_time = 0.0
        its._process_keepalive()
        connection.send(claim)
        assert (await connection.response()).status == 200


async def test_a_crowd_that_fetches_tickets_shares_its_looks(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []

    async def note(store: Any, campaign: str, epoch: int, claimants: list[str]) -> Any:
        looked.append(len(claimants))
        return await claims_of_claimants(store, campaign, epoch, claimants)

    monkeypatch.setattr("engine.claiming.looks.claims_of_claimants", note)
    assert (await drop.claim("one-open", A, drop.token("u7"))).status == 201
    replies = await asyncio.gather(
        *(drop.call("POST", "/v1/waves/one-open/tickets", drop.token(f"u{nth}")) for nth in range(40))
    )
    assert [reply["remaining"] for reply in replies] == [0 if nth == 7 else 1 for nth in range(40)]
    assert sum(looked) == 40
    assert len(looked) < 30


def lane_connection(drop: Drop) -> LaneConnection:
    """The one that is open."""
    (watch,) = drop.gateway.connections._open
    found = watch.cut.__self__  # type: ignore[attr-defined]  # a bound method
    assert isinstance(found, LaneConnection)
    return found
