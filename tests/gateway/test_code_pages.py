"""Vouchers that are taken only while their holder has the code page open: a screenshot is worth nothing at a till."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any

import pytest
from msgspec.structs import replace

from engine.settings import Settings
from tests.gateway.drop import Reply
from tests.gateway.shop import Shop, running_shop, told
from tests.support.waiting import wait_until

CLOSED, TAKEN = (409, "code_page_closed"), (201, "redeemed")


@pytest.fixture
async def shop(settings: Settings, redis_url: str, database_url: str) -> AsyncIterator[Shop]:
    stores: dict[str, Any] = {"redis_url": redis_url, "database_url": database_url, "user_requests_burst": 10_000}
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(running_shop(replace(settings, **stores, arrival_wait_ms=200)))


async def page(shop: Shop, code: str, user: str = "ann", method: str = "PUT") -> Reply:
    return await shop.drop.call(method, f"/v1/me/vouchers/{code}/code-page", shop.drop.token(user))


async def quoted(shop: Shop, user: str) -> Reply:
    body = {"user": user, "store": "mall", "amount": 4_250}
    return await shop.drop.call("POST", "/v1/merchant/quotes", shop.till(), json=body)


async def end(shop: Shop, code: str) -> None:
    """Its five minutes are over."""
    await shop.rows("update code_pages set open_until = now() where code = $1", code)


async def test_a_screenshot_is_refused_until_the_holder_opens_the_page(shop: Shop) -> None:
    code = await shop.settled("ann", "shown")
    order = shop.order(code)
    card = await shop.drop.call("GET", f"/v1/me/vouchers/{code}", shop.drop.token("ann"))
    assert card["needs_code_page"]
    assert card["next_step"].endswith("Open its code page there: a screenshot is not taken.")
    assert told(await shop.redeem(order)) == told(await shop.lock(shop.held(code))) == CLOSED
    [unusable] = (await quoted(shop, "ann"))["unusable"]
    assert unusable["reason"]["code"] == "code_page_closed"

    assert (await page(shop, code, "bob"))["code"] == "unknown_code", "the buyer of a screenshot is not its holder"
    opened = await page(shop, code.lower())
    assert (opened.status, opened["code"], opened["needs_code_page"]) == (200, code, True)
    [row] = await shop.rows("select open_until - now() as left, open_until from code_pages")
    assert 290 < row["left"].total_seconds() <= 300
    assert datetime.fromisoformat(opened["open_until"]) == row["open_until"].replace(
        microsecond=row["open_until"].microsecond // 1000 * 1000
    )
    assert [each["code"] for each in (await quoted(shop, "ann"))["usable"]] == [code]

    await end(shop, code)
    assert told(await shop.redeem(order)) == CLOSED
    assert (await page(shop, code)).status == 200
    assert (await page(shop, code, method="DELETE")).status == (await page(shop, code, method="DELETE")).status == 204
    assert told(await shop.redeem(order)) == CLOSED, "what was refused has used no number"
    assert (await page(shop, code)).status == 200
    assert told(await shop.redeem(order)) == TAKEN
    await end(shop, code)
    assert told(await shop.redeem(order)) == (200, "redeemed"), "the same again, whatever is open by now"
    assert (await page(shop, code))["code"] == "already_redeemed"


async def test_an_order_that_was_shown_the_page_is_paid_without_it(shop: Shop) -> None:
    code = await shop.settled("ann", "shown")
    assert (await page(shop, code)).status == 200
    held = shop.held(code)
    assert (await shop.lock(held)).status == 201
    await end(shop, code)
    assert (await page(shop, code)).status == 200, "it may be shown while it is held"
    await end(shop, code)
    assert told(await shop.redeem(shop.order(code))) == (409, "locked")
    assert told(await shop.redeem(shop.order(code, order_no=held["order_no"]))) == TAKEN


async def test_a_page_is_opened_before_the_claim_is_settled(shop: Shop) -> None:
    await shop.writer.stop()
    code = await shop.claim("ann", "shown")
    assert (await page(shop, code)).status == 200
    await shop.writer.start()
    await wait_until(lambda: shop.rows("select from vouchers where code = $1", code), what="the voucher is settled")
    assert told(await shop.redeem(shop.order(code))) == TAKEN


async def test_who_asks_for_no_page_is_not_written_down(shop: Shop) -> None:
    code = await shop.settled("ann")
    opened = await page(shop, code)
    assert (opened.status, opened["needs_code_page"], opened["open_until"]) == (200, False, None)
    assert not await shop.rows("select from code_pages")
    assert told(await shop.redeem(shop.order(code))) == TAKEN


async def test_pages_past_their_end_do_not_gather(shop: Shop) -> None:
    code = await shop.settled("ann", "shown")
    await shop.rows(
        "insert into code_pages select 9, n::text, now() - interval '1 minute' from generate_series(1, 7) as n"
    )
    left = []
    for _ in range(3):
        await page(shop, code)
        [row] = await shop.rows("select count(*) as pages from code_pages")
        left.append(row["pages"])
    assert left == [5, 2, 1]


async def test_of_what_no_till_takes_no_page_is_opened(shop: Shop) -> None:
    for change, why in (
        ("valid_from = now() + interval '1 hour'", "not_yet_effective"),
        ("expires_at = (select claimed_at from claims c where c.code = vouchers.code)", "expired"),
        ("state = 'invalidated', step = 1, made_by = 1", "invalidated"),
        ("state = 'cancelled', step = 1, made_by = 1", "cancelled"),
        ("state = 'deleted', is_hidden = true", "deleted"),
    ):
        code = await shop.settled(why, "shown")
        await shop.rows(
            "insert into voucher_steps (campaign_no, code, step, kind, at, offer_no, terms_version, reason) "
            "select campaign_no, code, 1, 'invalidate', now(), 3, 1, 'misprinted' from vouchers where code = $1",
            code,
        )
        await shop.rows(f"update vouchers set {change} where code = $1", code)
        assert (await page(shop, code, why))["code"] == why
        assert (await page(shop, code, why, "DELETE")).status == (410 if why == "deleted" else 204)
        assert (await page(shop, code, "bob", "DELETE"))["code"] == "unknown_code"
    assert not await shop.rows("select from code_pages")
    assert {(await page(shop, "nothing", method=method))["code"] for method in ("PUT", "DELETE")} == {"mistyped_code"}
