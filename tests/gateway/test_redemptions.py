"""A voucher at the till: redeemed once, answered truly, the same again under the same number."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from engine.domain.campaign import Store
from engine.domain.redemption import AMOUNT_MAX, LINES_MAX
from engine.ledger.campaigns import apply_campaign
from engine.settings import Settings
from tests.gateway.drop import running_gateway
from tests.gateway.shop import Shop, running_shop, shop_campaigns, told


@pytest.fixture
async def shop(drop_settings: Settings) -> AsyncIterator[Shop]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(running_shop(drop_settings))


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
    other = await shop.redeem(order | {"amount": 4_000, "lines": [{"id": "tea", "amount": 4_000}]})
    assert told(other) == (409, "request_no_used")
    second = await shop.redeem(shop.order(code, store="mall-2"))
    assert told(second) == (409, "already_redeemed")
    assert (second["store"], second["redeemed_at"]) == ("mall", made["redeemed_at"])
    card = await shop.drop.call("GET", f"/v1/me/vouchers/{code}", shop.drop.token("ann"))
    assert card["state"] == "redeemed"


async def test_the_longest_order_is_taken_however_it_is_written_and_the_largest(shop: Shop) -> None:
    lines = [{"id": "\U0001f375" * 32 + f"{place:032}", "amount": 50} for place in range(LINES_MAX)]
    order = shop.order(await shop.claim("ann"), lines=lines, amount=50 * LINES_MAX)
    assert len(json.dumps(order)) > shop.drop.settings.body_bytes_max
    assert told(await shop.redeem(order)) == (201, "redeemed")
    # the largest amount is one that every reader of JSON has exactly
    code = await shop.claim("ben")
    assert (await shop.redeem(shop.order(code, amount=2**53)))["at"] == "$.amount"
    made = await shop.redeem(shop.order(code, amount=AMOUNT_MAX))
    assert made["redemption"]["due"] == 2**53 - 1 - 1_000


async def test_of_twenty_tills_one_redeems(shop: Shop) -> None:
    code = await shop.settled("ann")
    replies = await asyncio.gather(*(shop.redeem(shop.order(code)) for _ in range(20)))
    assert sorted(told(reply) for reply in replies) == [(201, "redeemed")] + [(409, "already_redeemed")] * 19
    order = shop.order(await shop.settled("ben"))
    same = await asyncio.gather(*(shop.redeem(order) for _ in range(20)))
    assert sorted(reply.status for reply in same) == [200] * 19 + [201]
    assert len({reply["redemption"]["id"] for reply in same}) == 1


async def test_what_was_promised_counts_whatever_became_of_the_stores(shop: Shop) -> None:
    """P8: the store is in no file any more, or another merchant's by now; the voucher was promised for it."""
    code, other = await shop.settled("ann"), await shop.settled("ben")
    [shops, food] = shop_campaigns(datetime.now(UTC))
    fewer = {name: store for name, store in shops.stores.items() if name not in ("mall", "mall-far")}
    offers = tuple(replace(offer, stores=("mall-2",)) for offer in shops.offers)
    sold = {"mall-far": Store("宜昌商场", "m3", "武汉")}
    for campaign in (replace(shops, stores=fewer, offers=offers), replace(food, stores=food.stores | sold)):
        live = replace(campaign, waves=shop.waves[campaign.id])
        await apply_campaign(shop.drop.stores.ledger, live, "tests")
    async with running_gateway(shop.drop.settings, shop.drop.stores) as gateway:

        async def redeem(order: dict[str, Any]) -> tuple[int, str]:
            return told(await gateway.call("POST", "/v1/merchant/redemptions", shop.till(), json=order))

        assert await redeem(shop.order(code)) == (201, "redeemed")
        assert await redeem(shop.order(other, store="mall-far")) == (403, "wrong_city"), "not another merchant's"
