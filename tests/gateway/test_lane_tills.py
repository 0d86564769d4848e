"""Tills in the lane: the same bytes to a gateway with it and to one without it get the same answers."""

import asyncio
import itertools
import json
import random
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, Final

import pytest
from msgspec.structs import replace

from engine.settings import Settings
from tests.gateway.drop import Drop, running_gateway
from tests.gateway.raw import connected_to
from tests.gateway.shop import Shop, running_shop
from tests.gateway.test_lane import DAMAGES, END, HARMLESS, talk, without_what_changes
from tests.support.waiting import wait_until

TALKS = 60
VOUCHERS = 12
SIDES: Final = ("xlx", "xnx")
"""With a lane, and without."""


@pytest.fixture
def drop_settings(settings: Settings, redis_url: str, database_url: str) -> Settings:
    bounds: dict[str, Any] = {"header_deadline_ms": 400, "body_deadline_ms": 400, "keep_alive_ms": 1_500}
    return replace(settings, redis_url=redis_url, database_url=database_url, claim_lane=True, **bounds)


@pytest.fixture
async def shop(drop_settings: Settings) -> AsyncIterator[Shop]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(running_shop(drop_settings))


@pytest.fixture
async def plain_drop(shop: Shop) -> AsyncIterator[Drop]:
    """A gateway without a lane, over the same stores."""
    async with running_gateway(replace(shop.drop.settings, claim_lane=False), shop.drop.stores) as gateway:
        await wait_until(lambda: gateway.board.ready)
        yield gateway


def post(path: str, auth: str, body: Any, extra: str = "") -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = (
        f"POST /v1/merchant/{path} HTTP/1.1\r\nHost: test\r\nAuthorization: {auth}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n{extra}\r\n"
    )
    return head.encode() + data


class Cashier:
    """Makes talks. Each side has vouchers, users and numbers of its own, alike but for a letter."""

    def __init__(self, seed: int, shop: Shop, codes: dict[str, list[str]]) -> None:
        self._random = random.Random(seed)
        self._shop = shop
        self._codes = codes
        till = shop.till()
        self._tokens = [till] * 8 + [shop.till("food"), shop.drop.token("u1"), "Bearer x", "Basic x", ""]

    def talk(self) -> list[list[bytes]]:
        """The same talk for each side."""
        state = self._random.getstate()
        talks = []
        for side in SIDES:
            self._random.setstate(state)
            requests = [self._request(side) for _ in range(self._random.randint(1, 4))]
            data, is_cut = b"".join([*requests, END]), self._random.random() < 0.3
            at = sorted(self._random.random() for _ in range(3))
            cuts = [0, *(int(share * len(data)) for share in at), len(data)]
            pieces = [data[start:end] for start, end in itertools.pairwise(cuts) if start < end]
            talks.append(pieces if is_cut else [*requests, END])
        return talks

    def _request(self, side: str) -> bytes:
        pick = self._random.random
        path, body = self._asked(side)
        request = post(path, self._random.choice(self._tokens), body, self._random.choice(["", "", *HARMLESS]))
        if pick() < 0.15:
            old, new = self._random.choice(DAMAGES)
            request = request.replace(old, new, 1)
        return request

    def _asked(self, side: str) -> tuple[str, Any]:
        pick, choice = self._random.random, self._random.choice
        typed = choice([*self._codes[side], *self._codes[side], "no code", "0" * 16, self._codes[side][0][:-1] + "O"])
        number = self._random.randint(1, 30)
        order: dict[str, Any] = {"code": typed, "store": "mall", "clerk": "li", "amount": choice([4_250, 2_000])}
        order |= {"order_no": f"{side}-o{number}", "request_no": f"{side}-q{number}"}
        if pick() < 0.1:
            order |= choice([{"store": "food"}, {"store": "nowhere"}, {"amount": "x"}, {"clerk": ""}, {"lines": [{}]}])
        kind = choice(["redeem"] * 5 + ["lock", "quote", "other"])
        if kind == "redeem":
            text = json.dumps(order | {"payment_no": f"{side}-p{number}"}).encode()
            return "redemptions", choice([text, text, text, text, b"[]", text[:-1]])
        if kind == "lock":
            return "locks", order | {"hold_ms": 60_000}
        if kind == "quote":
            user = f"{side}-u{self._random.randint(0, VOUCHERS)}"
            return "quotes", {"user": user, "store": "mall", "amount": 4_250}
        return choice(["redemptions/r-0/reversal", "locks/l-0/release", "nothing"]), {"clerk": "li"}


def alike(heard: bytes, side: str, codes: list[str]) -> bytes:
    """Without what names the side, and without instants."""
    for number, code in enumerate(codes):
        for spelt in (code, *(f"{sign}".join(code[at : at + 4] for at in (0, 4, 8, 12)) for sign in " -")):
            heard = heard.replace(spelt.encode(), b"(voucher %d)" % number)
    heard = heard.replace(side.encode() + b"-", b"?-")
    heard = re.sub(rb'"\?-[0-9a-f]{32}"|"[rlb]-[0-9a-f]{32}"|"20\d\d-[^"]*"', b'"_"', heard)
    heard = re.sub(rb"20\d\d-\d\d-\d\d \d\d:\d\d(:\d\d)?", b"_", heard)  # in words: one side may be a second later
    return re.sub(rb'"as_of_ms":\d+', b'"as_of_ms":_', without_what_changes(heard))


async def test_the_same_bytes_get_the_same_answers(shop: Shop, plain_drop: Drop, taken: list[bytes], seed: int) -> None:
    names = [f"{side}-u{number}" for side in SIDES for number in range(VOUCHERS)]
    settled = await asyncio.gather(*(shop.settled(name) for name in names))
    codes = {SIDES[0]: settled[:VOUCHERS], SIDES[1]: settled[VOUCHERS:]}
    cashier = Cashier(seed, shop, codes)
    taken.clear()
    for number in range(TALKS):
        with_lane, without = cashier.talk()
        heard = await asyncio.gather(talk(shop.drop.port, with_lane), talk(plain_drop.port, without))
        first, second = (alike(each, side, codes[side]) for each, side in zip(heard, SIDES, strict=True))
        assert first == second, f"talk {number} of seed {seed}: {with_lane}"
    assert sum(b"/redemptions " in each for each in taken) > TALKS / 8, "else nothing was compared"
    used = await shop.rows("select state, count(*) from vouchers where state <> 'pending' group by 1")
    assert {row["state"] for row in used} >= {"redeemed"}


async def test_tills_take_the_lane_after_other_requests(shop: Shop, taken: list[bytes]) -> None:
    code = await shop.settled("ann")
    order = shop.order(code)
    time, redeem = b"GET /v1/time HTTP/1.1\r\nHost: t\r\n\r\n", post("redemptions", shop.till(), order)
    quote = post("quotes", shop.till(), {"user": "ann", "store": "mall", "amount": 4_250})
    taken.clear()
    statuses = []
    async with connected_to(shop.drop.port) as till:
        for request in (time, quote, redeem, time, redeem):
            till.send(request)
            statuses.append((await till.response()).status)
    assert statuses == [200, 200, 201, 200, 200]
    assert taken == [quote, redeem, redeem]


async def test_a_claim_of_a_moment_ago_is_redeemed_through_the_lane(shop: Shop, taken: list[bytes]) -> None:
    """The books do not know it yet: it is waited for beside the desk."""
    async with connected_to(shop.drop.port) as till:
        till.send(post("redemptions", shop.till(), shop.order(await shop.settled("ann"))))
        assert (await till.response()).status == 201
        await shop.writer.stop()
        code = await shop.claim("ben")
        till.send(post("redemptions", shop.till(), shop.order(code)))
        await wait_until(lambda: sum(code.encode() in each for each in taken) == 1)
        await shop.writer.start()
        assert (await till.response()).status == 201
