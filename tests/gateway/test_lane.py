"""The claim lane: the same bytes to a gateway with it and to one without it get the same answers."""

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from engine.gateway.lane.lane import Lane
from engine.settings import Settings
from tests.gateway.drop import Drop, running_gateway
from tests.gateway.raw import claim_request, connected_to
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
        header_deadline_ms=400,
        body_deadline_ms=400,
        keep_alive_ms=1_500,
        user_requests_per_second=0,
        claim_lane=True,
    )


@pytest.fixture
async def plain_drop(drop: Drop) -> AsyncIterator[Drop]:
    """A gateway without a lane, over the same stores."""
    async with running_gateway(replace(drop.settings, claim_lane=False), drop.stores) as gateway:
        await wait_until(lambda: gateway.board.ready and len(gateway.board.waves()) == len(drop.board.waves()))
        yield gateway


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the lane takes."""
    seen: list[bytes] = []
    take = Lane.take

    def note(lane: Lane, asker: Any, data: bytes) -> bool:
        is_taken = take(lane, asker, data)
        if is_taken:
            seen.append(data)
        return is_taken

    monkeypatch.setattr(Lane, "take", note)
    return seen


async def talk(port: int, pieces: list[bytes]) -> bytes:
    """Send the pieces, each in a packet of its own as far as that can be had, and read until the gateway closes."""
    heard = b""
    async with connected_to(port) as connection, asyncio.timeout(20):
        try:
            for piece in pieces:
                connection.send(piece)
                for _ in range(5):  # the gateway lives in this loop: it reads meanwhile
                    await asyncio.sleep(0)
            while data := await connection.reader.read(65_536):
                heard += data
        except ConnectionError:
            return heard + b"(reset)"
    return heard


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
            request = f"GET /v1/waves/{wave} HTTP/1.1\r\nHost: t\r\n{self._random.choice(['', 'If-None-Match: *' + chr(13) + chr(10)])}\r\n".encode()
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
    assert len(taken) > TALKS / 3, "else nothing was compared"
