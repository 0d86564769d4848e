"""Statements over HTTP: for the stores of a token, for operators, as JSON and as CSV."""

import csv
import io
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any
from urllib.parse import urlencode

import pytest

from engine import gateway_wiring
from engine.gateway import statements
from engine.reporting.statement import statement_on
from engine.settings import Settings
from tests.gateway.drop import Reply
from tests.gateway.shop import Shop, running_shop


@pytest.fixture
async def shop(drop_settings: Settings) -> AsyncIterator[Shop]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(running_shop(drop_settings))


async def today(shop: Shop) -> str:
    """In the zone of the campaigns."""
    [row] = await shop.rows("select (now() at time zone 'Asia/Shanghai')::date::text as day")
    return str(row["day"])


async def told(shop: Shop, auth: str = "", whose: str = "merchant", **query: Any) -> Reply:
    day = await today(shop)
    asked = urlencode({"from": day, "to": day} | query, doseq=True)
    return await shop.drop.call("GET", f"/v1/{whose}/statements?{asked}", auth or shop.till())


async def test_a_day_at_the_shops_as_json_and_csv(shop: Shop) -> None:
    lines = [{"id": "=tea", "amount": 3000}, {"amount": 1250}]
    for user in ("ann", "ben"):
        order = shop.order(await shop.claim(user), lines=lines)
        assert (await shop.redeem(order)).status == 201
    noodles = shop.order(await shop.claim("ann", "noodles", "food-open"), store="food")
    assert (await shop.redeem(noodles, shop.till("food"))).status == 201
    reply = await told(shop)
    assert reply.status == 200, reply
    [row] = reply["rows"]
    named = ("merchant", "store", "campaign", "sandbox", "funder", "currency", "timezone", "going_on", "line")
    assert [row[name] for name in named] == ["m1", "mall", "shops", False, None, "CNY", "Asia/Shanghai", True, None]
    summed = ("redemptions", "given_back", "refunded", "amount", "discount", "net_discount", "taken_back")
    assert [row[name] for name in summed] == [2, 0, 0, 8500, 2000, 2000, 0]
    by_line = (await told(shop, lines="1"))["rows"]
    assert [(row["line"], row["discount"]) for row in by_line] == [(None, 588), ("=tea", 1412)]
    sheet = await told(shop, format="csv", lines="1")
    assert sheet.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
    read = list(csv.DictReader(io.StringIO(sheet.body.decode(), newline="")))
    assert [(row["line"], row["discount"]) for row in read] == [("", "588"), ("'=tea", "1412")]
    ops = shop.drop.token("li", scope="ops")
    everything = await told(shop, ops, "ops")
    assert [(row["merchant"], row["discount"]) for row in everything["rows"]] == [("m1", 2000), ("m2", 500)]
    for only in ({"store": "food"}, {"merchant": "m2"}):
        assert [row["store"] for row in (await told(shop, ops, "ops", **only))["rows"]] == ["food"]


async def test_a_refund_counts_on_its_day(shop: Shop) -> None:
    code = await shop.claim("ann")
    made = (await shop.redeem(shop.order(code)))["redemption"]
    path = f"/v1/merchant/redemptions/{made['id']}/reversal"
    body = {"request_no": "back", "by": "merchant", "completed": False, "clerk": "li"}
    reversal = await shop.drop.call("POST", path, shop.till(), json=body)
    assert reversal.status == 201, reversal
    [row] = (await told(shop))["rows"]
    summed = ("redemptions", "given_back", "refunded", "discount", "taken_back", "net_discount", "reversed_amount")
    assert [row[name] for name in summed] == [1, 1, 0, 1000, 1000, 0, 4250]


async def test_gifts_are_told_apart(shop: Shop) -> None:
    """One handed over by itself, one on an order with its full price, one that came back."""
    assert (await shop.redeem(shop.order(await shop.claim("ann")))).status == 201
    for user, amount in (("ben", 0), ("eve", 6_000), ("joe", 0)):
        made = await shop.redeem(shop.order(await shop.claim(user, "gift"), amount=amount))
        assert made.status == 201, made
    back = {"by": "merchant", "completed": False}
    assert (await shop.reverse(made["redemption"]["id"], shop.refund(**back)))["reversal"]["given_back"]
    [row] = (await told(shop))["rows"]
    summed = ("redemptions", "net_discount", "gifts", "gifts_given_back", "gift_value", "gift_discount")
    assert [row[name] for name in summed] == [4, 6_000, 3, 1, 10_000, 5_000]


async def test_a_token_sees_its_stores_alone(shop: Shop) -> None:
    assert (await shop.redeem(shop.order(await shop.claim("ann")))).status == 201
    assert (await told(shop, shop.till("food")))["rows"] == []
    assert len((await told(shop, shop.till("mall", "food"), store=["mall", "food"]))["rows"]) == 1
    refused = await told(shop, shop.till("food"), store="mall")
    assert (refused.status, refused["code"]) == (403, "forbidden")
    await shop.rows("update voucher_steps set merchant = 'before'")  # the store was somebody else's then
    assert (await told(shop))["rows"] == []


WRONG: tuple[tuple[dict[str, str], str], ...] = (
    ({"from": "yesterday"}, "from"),
    ({"from": "2026-11-31"}, "from"),
    ({"to": ""}, "to"),
    ({"to": "1970-01-01"}, "to"),
    ({"from": "2020-01-01"}, "to"),
    ({"format": "xml"}, "format"),
    ({"lines": "all"}, "lines"),
    ({"store": ""}, "store"),
    ({"store": "s" * 65}, "store"),
    ({"merchant": "m" * 65}, "merchant"),
    ({"merchant": "m1", "store": "mall"}, "store"),
)


async def test_what_is_wrong_is_told(shop: Shop) -> None:
    for query, at in WRONG:
        reply = await told(shop, shop.drop.token("li", scope="ops"), "ops", **query)
        assert (reply.status, reply["code"], reply["at"]) == (400, "invalid_request", at), (query, reply)


async def test_more_than_can_be_told_is_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await shop.redeem(shop.order(await shop.claim("ann")))).status == 201
    monkeypatch.setattr(gateway_wiring, "statement_on", partial(statement_on, rows_max=0))
    refused = await told(shop)
    assert (refused.status, refused["at"]) == (400, "to")
    monkeypatch.setattr(statements, "_IN_LINE_MAX", 0)
    assert (await told(shop))["code"] == "busy"
