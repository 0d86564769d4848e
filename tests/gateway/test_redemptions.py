"""A voucher at the till: redeemed once, answered truly, the same again under the same number."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from engine.settings import Settings
from tests.gateway.drop import Reply
from tests.gateway.shop import Shop, running_shop


@pytest.fixture
async def shop(drop_settings: Settings) -> AsyncIterator[Shop]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(running_shop(drop_settings))


def told(reply: Reply) -> tuple[int, str]:
    return reply.status, str(reply.body.get("code", reply.body.get("status", "")))


async def test_a_voucher_is_redeemed_once_and_asking_again_is_safe(shop: Shop) -> None:
    code = await shop.claim("ann")
    lines = [{"id": "tea", "amount": 3000}, {"id": "cake", "amount": 1250}]
    order = shop.order(code, lines=lines)
    first = await shop.redeem(order)
    assert told(first) == (201, "redeemed"), first
    made = first["redemption"]
    assert (made["amount"], made["discount"], made["due"]) == (4250, 1000, 3250)
    assert [line["discount"] for line in made["lines"]] == [706, 294]
    again = await shop.redeem(order | {"code": code.lower()})
    assert (again.status, again.body) == (200, first.body)
    assert again.headers["Idempotent-Replayed"] == "true"
    other = await shop.redeem(order | {"amount": 4_000, "lines": None})
    assert told(other) == (409, "request_no_used")
    second = await shop.redeem(shop.order(code, store="mall-2"))
    assert told(second) == (409, "already_redeemed")
    assert (second["store"], second["redeemed_at"]) == ("mall", made["redeemed_at"])
    card = await shop.drop.call("GET", f"/v1/me/vouchers/{code}", shop.drop.token("ann"))
    assert card["state"] == "redeemed"


async def test_of_twenty_tills_one_redeems(shop: Shop) -> None:
    code = await shop.settled("ann")
    replies = await asyncio.gather(*(shop.redeem(shop.order(code)) for _ in range(20)))
    assert sorted(told(reply) for reply in replies) == [(201, "redeemed")] + [(409, "already_redeemed")] * 19
    order = shop.order(await shop.settled("ben"))
    same = await asyncio.gather(*(shop.redeem(order) for _ in range(20)))
    assert sorted(reply.status for reply in same) == [200] * 19 + [201]
    assert len({reply["redemption"]["id"] for reply in same}) == 1
