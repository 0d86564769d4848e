"""What a till is told of a user's vouchers, and that a redemption at the same instant says the same."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from msgspec.structs import replace

from engine.settings import Settings
from tests.gateway.drop import Reply, running_gateway
from tests.gateway.shop import Shop, running_shop
from tests.support.waiting import wait_until


@pytest.fixture
def drop_settings(settings: Settings, redis_url: str, database_url: str) -> Settings:
    return replace(settings, redis_url=redis_url, database_url=database_url, arrival_wait_ms=5_000)


@pytest.fixture
async def shop(drop_settings: Settings) -> AsyncIterator[Shop]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(running_shop(drop_settings))


async def quotes(shop: Shop, user: str, auth: str = "", **order: Any) -> Reply:
    """What a till hears of this user."""
    body = {"user": user, "store": "mall", "amount": 6_000} | order
    headers = {"Accept-Language": shop.language}
    return await shop.drop.call("POST", "/v1/merchant/quotes", auth or shop.till(), json=body, headers=headers)


async def test_a_voucher_of_this_second_is_quoted_with_its_shares(shop: Shop) -> None:
    code = await shop.claim("ann")
    lines = [{"id": "tea", "amount": 3000}, {"amount": 1250}]
    told = await quotes(shop, "ann", amount=4250, lines=lines)
    assert (told.status, told["complete"], told["left_out"], told["unusable"]) == (200, True, 0, []), told
    [usable] = told["usable"]
    assert (usable["code"], usable["discount"], usable["due"], usable["currency"]) == (code, 1000, 3250, "CNY")
    assert [(line["id"], line["discount"]) for line in usable["lines"]] == [("tea", 706), (None, 294)]
    assert told.headers["Content-Language"] == "en"


async def test_the_best_comes_first(shop: Shop) -> None:
    small, great = await shop.settled("ann"), await shop.settled("ben", "gift")
    await shop.rows("update claims set claimant = 'ann', nth = 2 where claimant = 'ben'")
    told = await quotes(shop, "ann")
    assert [(each["code"], each["discount"]) for each in told["usable"]] == [(great, 5000), (small, 1000)]
    told = await quotes(shop, "ann", amount=900)
    assert ([each["discount"] for each in told["usable"]], len(told["unusable"])) == ([900], 1)


async def test_what_another_merchant_gave_is_not_shown_and_not_counted(shop: Shop) -> None:
    await shop.settled("ann", "noodles", "food-open")
    told = await quotes(shop, "ann")
    assert (told["usable"], told["unusable"], told["left_out"]) == ([], [], 0)
    nobody = await quotes(shop, "nobody")
    assert told.body | {"user": "", "as_of_ms": 0} == nobody.body | {"user": "", "as_of_ms": 0}
    assert len((await quotes(shop, "ann", shop.till("food"), store="food"))["usable"]) == 1


async def test_why_a_voucher_is_not_usable_is_told_without_its_code(shop: Shop) -> None:
    code = await shop.settled("ann")
    shop.language = "zh"
    told = await quotes(shop, "ann", amount=2_999)
    [unusable] = told["unusable"]
    assert unusable["reason"] == {
        "code": "below_min_spend",
        "title": "未达到使用门槛",
        "detail": "还差 0.01 元",
        "short_by": 1,
    }
    assert unusable["title"] == "商场消费券 10 元"
    assert code not in str(told.body)
    assert (await quotes(shop, "ann", store="food", auth=shop.till("mall"))).status == 403


async def test_what_is_not_settled_is_said_to_be_missing(shop: Shop) -> None:
    await shop.settled("ann", "gift")
    await shop.writer.stop()
    await shop.claim("ben")
    async with running_gateway(replace(shop.drop.settings, arrival_wait_ms=100), shop.drop.stores) as hasty:
        await wait_until(lambda: hasty.board.ready and hasty.board.sees_all, what="all campaigns on the board")
        for user, usable in (("ann", 1), ("ben", 0)):
            body = {"user": user, "store": "mall", "amount": 6_000}
            told = await hasty.call("POST", "/v1/merchant/quotes", shop.till(), json=body)
            assert (told["complete"], len(told["usable"])) == (False, usable)


async def test_a_claim_that_was_kept_apart_is_missing_too(shop: Shop) -> None:
    await shop.settled("ann")
    await shop.rows(
        "insert into quarantine (campaign_no, epoch, sequence, claim, wave_no, offer_no, unit, nth, request_no, "
        "claimant, account, code, sqlstate, constraint_name, error) select campaign_no, epoch, 999, '{}', 1, 1, 1, "
        "1, 1, 'ann', 'ann', 'x', '', '', '' from claims"
    )
    assert not (await quotes(shop, "ann"))["complete"]


CHANGES = (
    "valid_from = now() + interval '1 hour'",
    "expires_at = valid_from + interval '1 microsecond'",
    "state = 'deleted'",
    "is_hidden = true",
    "step = step",
    "step = step",
)


async def test_a_quote_and_a_redemption_say_the_same(shop: Shop, seed: int) -> None:
    """Vouchers in many states, orders of all kinds: what fits is redeemed with that discount, else refused so."""
    draw = random.Random(seed)
    codes: dict[str, set[str]] = {}
    for number in range(24):
        code = await shop.claim(f"user-{number}", draw.choice(["cut", "cut", "gift"]))
        codes.setdefault(f"user-{number}", set()).add(code)
    await asyncio.gather(*(quotes(shop, user) for user in codes))
    seen: set[str] = set()
    for user, (code,) in codes.items():
        order: dict[str, Any] = {"amount": 6_100, "store": "mall"}
        payment = draw.choice(["", f"p-{user}"])
        if user != "user-0":  # whose voucher fits, whatever is drawn
            await shop.rows(f"update vouchers set {draw.choice(CHANGES)} where code = $1", code)
            if draw.random() < 0.2:
                await shop.redeem(shop.order(code, amount=5_000))
            payment = draw.choice([payment, "shared"])
            order = {
                "amount": draw.choice([0, 2_999, 3_000, 6_100]),
                "store": draw.choice(["mall", "mall", "mall-2", "mall-far"]),
            }
        told = await quotes(shop, user, **order, payment_no=payment)
        redeemed = await shop.redeem(shop.order(code, **order, payment_no=payment or f"own-{user}"))
        if not told["usable"] and not told["unusable"]:
            [row] = await shop.rows("select is_hidden from vouchers where code = $1", code)
            assert row["is_hidden"]
            continue
        if told["usable"]:
            [usable] = told["usable"]
            assert (usable["code"], usable["discount"]) == (code, redeemed["redemption"]["discount"]), (user, redeemed)
            seen.add("redeemed")
        else:
            reason = dict(told["unusable"][0]["reason"])
            assert reason == {name: redeemed[name] for name in reason}, (user, redeemed)
            seen.add(reason["code"])
    assert "redeemed" in seen
    assert len(seen) > 3, f"seed {seed} reached only {seen}"


async def test_a_token_that_guesses_codes_is_slowed_down(shop: Shop) -> None:
    settings = replace(shop.drop.settings, code_guesses_burst=3, code_guesses_per_second=0.01)
    code = await shop.settled("ann")
    wrong = code[:-1] + ("0" if code[-1] != "0" else "1")
    async with running_gateway(settings, shop.drop.stores) as slow:

        async def redeem(code: str, auth: str) -> Reply:
            return await slow.call("POST", "/v1/merchant/redemptions", auth, json=shop.order(code))

        told = [(await redeem(wrong, shop.till())).status for _ in range(4)]
        assert told == [400, 400, 400, 429]
        refused = await redeem(code, shop.till())
        assert (refused.status, refused["code"]) == (429, "too_many_requests"), "else it would tell"
        assert 90_000 < refused["retry_after_ms"] < 110_000
        other = shop.drop.token("another", scope="merchant", stores=["mall"])
        assert (await redeem(code, other)).status == 201


async def test_a_token_that_guesses_users_is_slowed_down(shop: Shop) -> None:
    settings = replace(shop.drop.settings, user_guesses_burst=2, user_guesses_per_second=0.01)
    await shop.settled("ann")
    async with running_gateway(settings, shop.drop.stores) as slow:

        async def ask(user: str) -> int:
            body = {"user": user, "store": "mall", "amount": 1}
            return (await slow.call("POST", "/v1/merchant/quotes", shop.till(), json=body)).status

        assert [await ask("ann") for _ in range(5)] == [200] * 5
        assert [await ask(f"nobody-{number}") for number in range(3)] == [200, 200, 429]
        assert await ask("ann") == 429
