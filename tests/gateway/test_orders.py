"""Orders that are not paid yet, and refunds, at tills on real servers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from engine.settings import Settings
from engine.wiring import connected
from tests.gateway.drop import Drop, Reply, running_gateway
from tests.gateway.shop import Shop, running_shop, told
from tests.support.proxy import Fault, Proxy


@pytest.fixture
async def shop(drop_settings: Settings) -> AsyncIterator[Shop]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(running_shop(drop_settings))


async def test_an_order_holds_its_voucher_until_it_is_paid_or_cancelled(shop: Shop) -> None:
    code = await shop.settled("ann")
    order = shop.held(code, order_no="mine")
    first = await shop.lock(order)
    assert told(first) == (201, "locked"), first
    lock = first["lock"]
    assert (lock["discount"], lock["due"], lock["order_no"]) == (1000, 3250, "mine")
    again = await shop.lock(order)
    assert (again.status, again.body, again.headers["Idempotent-Replayed"]) == (200, first.body, "true")
    assert told(await shop.lock(order | {"hold_ms": 1})) == (409, "request_no_used")
    assert told(await shop.redeem(shop.order(code, request_no=order["request_no"]))) == (409, "request_no_used")
    other = await shop.redeem(shop.order(code, store="mall-far"))
    assert (told(other), other["locked_until"]) == ((409, "locked"), lock["locked_until"])
    own = await shop.lock(shop.held(code, order_no="mine"))
    assert told(own) == (409, "locked")
    assert "this very order" in own["detail"]
    assert own["title"] == "This voucher is held for an unpaid order", "whosever order it is"
    assert told(await shop.redeem(shop.order(code, order_no="mine"))) == (201, "redeemed")
    late = await shop.release(lock["id"])
    assert told(late) == (409, "already_redeemed")


async def test_a_cancelled_order_frees_its_voucher_and_saying_so_again_is_safe(shop: Shop) -> None:
    code = await shop.settled("ann")
    lock = (await shop.lock(shop.held(code)))["lock"]["id"]
    freed = await shop.release(lock)
    assert told(freed) == (200, "released")
    assert told(await shop.lock(shop.held(code, order_no="next"))) == (201, "locked")
    again = await shop.release(lock, clerk="wang")
    assert (told(again), again.body) == (told(freed), freed.body)
    assert told(await shop.redeem(shop.order(code))) == (409, "locked"), "the next order's lock stands"
    for token in (shop.till("food"), shop.till("mall-far")):
        assert told(await shop.release(lock, token)) == (404, "unknown_lock")


async def test_a_lock_that_was_in_time_pays_after_the_expiry_and_frees_nothing_else(shop: Shop) -> None:
    paid, freed = await shop.settled("ann"), await shop.settled("ben")
    locks = [(await shop.lock(shop.held(code, order_no="late")))["lock"]["id"] for code in (paid, freed)]
    await shop.rows("update vouchers set expires_at = (select claimed_at from claims c where c.code = vouchers.code)")
    assert told(await shop.redeem(shop.order(paid))) == (409, "locked")
    card = await shop.drop.call("GET", f"/v1/me/vouchers/{paid}", shop.drop.token("ann"))
    assert "so it cannot be used elsewhere" in card["next_step"], "who cancels now has nothing"
    assert told(await shop.redeem(shop.order(paid, order_no="late"))) == (201, "redeemed")
    assert told(await shop.release(locks[1])) == (200, "released")
    assert told(await shop.redeem(shop.order(freed, order_no="late"))) == (410, "expired")


async def test_a_merchants_refund_before_completion_gives_the_voucher_back(shop: Shop) -> None:
    code = await shop.settled("ann")
    order = shop.order(code, payment_no="one")
    made = (await shop.redeem(order))["redemption"]
    holder = shop.drop.token("ann")
    assert (await shop.drop.call("DELETE", f"/v1/me/vouchers/{code}", holder)).status < 300
    refund = shop.refund(by="merchant", completed=False)
    first = await shop.reverse(made["id"], refund)
    assert told(first) == (201, "reversed")
    pack = (await shop.drop.call("GET", "/v1/me/vouchers", holder))["vouchers"]
    assert [card["code"] for card in pack] == [code], "a card that was hidden when it was used is there again"
    back = first["reversal"]
    assert (back["given_back"], back["voucher"], back["amount"], back["discount"]) == (True, "pending", 4250, 1000)
    again = await shop.reverse(made["id"], refund)
    assert (again.status, again.body) == (200, first.body)
    assert told(await shop.reverse(made["id"], refund | {"by": "user"})) == (409, "request_no_used")
    second = await shop.reverse(made["id"], shop.refund())
    assert (told(second), second["reversed_at"]) == ((409, "already_reversed"), back["reversed_at"])
    replayed = await shop.redeem(order)
    assert (replayed.status, replayed["redemption"]) == (200, made), "what was done is told, not done again"
    once_more = await shop.redeem(shop.order(code, payment_no="one"))
    assert told(once_more) == (201, "redeemed"), "the place of the payment is free again"
    assert told(await shop.reverse(made["id"], shop.refund())) == (409, "already_reversed"), "not the second one's"
    seen = await shop.look(once_more["redemption"]["id"])
    assert (seen.status, seen["reversals"], seen["left"]) == (200, [], 4250)


@pytest.mark.parametrize(("by", "completed"), [("user", False), ("user", True), ("merchant", True)])
async def test_any_other_refund_leaves_it_used(shop: Shop, by: str, completed: bool) -> None:
    code = await shop.settled("ann")
    made = (await shop.redeem(shop.order(code)))["redemption"]
    reply = await shop.reverse(made["id"], shop.refund(by=by, completed=completed))
    assert (reply["reversal"]["given_back"], reply["reversal"]["voucher"]) == (False, "redeemed")
    refused = await shop.redeem(shop.order(code))
    assert (told(refused), refused["redeemed_at"]) == ((409, "already_redeemed"), made["redeemed_at"])


async def test_refunds_in_parts_add_up_to_the_redemption_and_no_further(shop: Shop) -> None:
    code = await shop.settled("ann")
    made = (await shop.redeem(shop.order(code)))["redemption"]
    parts = [await shop.reverse(made["id"], shop.refund(amount=amount)) for amount in (1_250, 1_750)]
    assert [(part["reversal"]["discount"], part["reversal"]["voucher"]) for part in parts] == [
        (294, "redeemed"),
        (411, "redeemed"),
    ]
    above = await shop.reverse(made["id"], shop.refund(amount=1_251))
    assert (told(above), above["left"]) == ((409, "above_redeemed"), 1_250)
    last = (await shop.reverse(made["id"], shop.refund(by="merchant", completed=False)))["reversal"]
    assert (last["amount"], last["discount"], last["paid_back"], last["given_back"]) == (1_250, 295, 955, False)
    seen = await shop.look(made["id"])
    assert [each["amount"] for each in seen["reversals"]] == [1_250, 1_750, 1_250]
    assert (seen["left"], seen["redemption"]) == (0, made)


async def test_nothing_revives_a_voucher_that_has_expired(shop: Shop) -> None:
    code = await shop.settled("ann")
    made = (await shop.redeem(shop.order(code)))["redemption"]
    await shop.rows("update vouchers set expires_at = (select claimed_at from claims c where c.code = vouchers.code)")
    back = (await shop.reverse(made["id"], shop.refund(by="merchant", completed=False)))["reversal"]
    assert (back["given_back"], back["voucher"]) == (True, "expired")
    assert told(await shop.redeem(shop.order(code))) == (410, "expired")


async def test_a_gift_without_money_is_refunded_once(shop: Shop) -> None:
    code = await shop.settled("ann", "gift")
    made = (await shop.redeem(shop.order(code, amount=0, payment_no="", order_no="")))["redemption"]
    assert (made["amount"], made["discount"]) == (0, 0)
    above = await shop.reverse(made["id"], shop.refund(amount=1))
    assert (told(above), above["left"]) == ((409, "above_redeemed"), 0)
    assert told(await shop.reverse(made["id"], shop.refund())) == (201, "reversed")
    assert told(await shop.reverse(made["id"], shop.refund())) == (409, "already_reversed")


async def test_who_was_not_there_learns_nothing_of_a_redemption(shop: Shop) -> None:
    made = (await shop.redeem(shop.order(await shop.settled("ann"))))["redemption"]
    lock = (await shop.lock(shop.held(await shop.settled("ben"))))["lock"]["id"]
    for token in (shop.till("food"), shop.till("mall-2", "mall-far"), shop.till("elsewhere")):
        assert told(await shop.look(made["id"], token)) == (404, "unknown_redemption")
        assert told(await shop.reverse(made["id"], shop.refund(), token)) == (404, "unknown_redemption")
    for name in (lock, lock.replace("l-", "r-"), "r-" + "0" * 32, "r-1", "nonsense", made["id"].upper()):
        assert told(await shop.look(name)) == (404, "unknown_redemption"), name
    for name in (made["id"], made["id"].replace("r-", "l-")):
        assert told(await shop.release(name)) == (404, "unknown_lock"), name


async def test_of_twenty_tills_at_two_gateways_one_does_it(shop: Shop) -> None:
    """Of locks, redemptions and refunds alike; and the same request of twenty has one answer."""
    async with running_gateway(shop.drop.settings, shop.drop.stores) as second:
        both = [shop.drop, second]

        async def at_once(path: str, bodies: list[dict[str, Any]]) -> list[Reply]:
            auth = shop.till()
            return await asyncio.gather(
                *(both[no % 2].call("POST", path, auth, json=body) for no, body in enumerate(bodies))
            )

        code = await shop.settled("ann")
        order = shop.held(code)
        same = await at_once("/v1/merchant/locks", [order] * 20)
        assert sorted(reply.status for reply in same) == [200] * 19 + [201]
        redemption = shop.order(code, order_no=order["order_no"])
        replies = await at_once("/v1/merchant/redemptions", [redemption] * 10 + [shop.order(code) for _ in range(10)])
        assert sorted(told(reply) for reply in replies[:10]) == [(200, "redeemed")] * 9 + [(201, "redeemed")]
        made = replies[0]["redemption"]
        for reply in replies[10:]:
            assert told(reply) in ((409, "already_redeemed"), (409, "locked"))
        many = await at_once("/v1/merchant/redemptions", [shop.order(code) for _ in range(20)])
        assert {told(reply) for reply in many} == {(409, "already_redeemed")}
        assert {(reply["store"], reply["redeemed_at"]) for reply in many} == {("mall", made["redeemed_at"])}
        refunds = [shop.refund(by="merchant", completed=False) for _ in range(20)]
        path = f"/v1/merchant/redemptions/{made['id']}/reversal"
        backs = await at_once(path, refunds)
        assert sorted(told(reply) for reply in backs) == [(201, "reversed")] + [(409, "already_reversed")] * 19
        fresh = await at_once("/v1/merchant/redemptions", [shop.order(code) for _ in range(20)])
        assert sorted(told(reply) for reply in fresh) == [(201, "redeemed")] + [(409, "already_redeemed")] * 19
    rows = await shop.rows("select kind from voucher_steps where code = $1 order by step", code)
    assert [row["kind"] for row in rows] == ["lock", "redeem", "give_back", "redeem"]


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("locks", {"hold_ms": 0}, "$.hold_ms"),
    ("locks", {"hold_ms": 3_600_001}, "$.hold_ms"),
    ("locks", {"hold_ms": True}, "$.hold_ms"),
    ("locks", {"hold_ms": None}, "$.hold_ms"),
    ("locks", {"order_no": ""}, "$.order_no"),
    ("locks", {"order_no": "a\u0000"}, "$.order_no"),
    ("locks", {"amount": -1}, "$.amount"),
    ("reversal", {"by": "thief"}, "$.by"),
    ("reversal", {"by": ["merchant"]}, "$.by"),
    ("reversal", {"completed": 1}, "$.completed"),
    ("reversal", {"amount": 0}, "$.amount"),
    ("reversal", {"amount": 1.5}, "$.amount"),
    ("reversal", {"amount": 1 << 54}, "$.amount"),
    ("reversal", {"request_no": ""}, "$.request_no"),
    ("release", {"clerk": ""}, "$.clerk"),
    ("release", {"clerk": 7}, "$.clerk"),
]


async def test_what_is_wrong_with_a_body_is_told_with_its_place(shop: Shop) -> None:
    nothing = "0" * 32
    paths = {
        "locks": "/v1/merchant/locks",
        "reversal": f"/v1/merchant/redemptions/r-{nothing}/reversal",
        "release": f"/v1/merchant/locks/l-{nothing}/release",
    }
    right: dict[str, dict[str, Any]] = {
        "locks": shop.held("7ZZS5N2CNT5750W5"),
        "reversal": shop.refund(),
        "release": {"clerk": "li"},
    }
    for kind, wrong, at in BAD:
        for language in ("en", "zh"):
            headers = {"Accept-Language": language}
            body = right[kind] | wrong
            reply = await shop.drop.call("POST", paths[kind], shop.till(), json=body, headers=headers)
            assert (told(reply), reply["at"]) == ((400, "invalid_request"), at), (kind, wrong)


async def test_what_may_have_been_done_is_not_known_and_asking_again_tells(drop_settings: Settings) -> None:
    """The statements lie on the line: nothing is said that may turn out false, and asking elsewhere has the answers."""
    parts = urlsplit(drop_settings.database_url)
    assert parts.hostname is not None
    assert parts.port is not None
    async with AsyncExitStack() as stack:
        line = await stack.enter_async_context(Proxy(parts.hostname, parts.port))
        shop = await stack.enter_async_context(running_shop(drop_settings))
        impatient = replace(drop_settings, ledger_timeout_ms=200, redeem_deadline_ms=1_000)
        bad = await connected_through(stack, impatient, line)
        one, two, three, four = [await shop.settled(user) for user in ("ann", "ben", "cui", "dan")]
        made = (await shop.redeem(shop.order(three)))["redemption"]["id"]
        lock = (await shop.lock(shop.held(four)))["lock"]["id"]
        who = {"clerk": "nobody-hears"}
        asked = [
            ("redemptions", shop.order(one, **who)),
            ("locks", shop.held(two, **who)),
            (f"redemptions/{made}/reversal", shop.refund(**who)),
            (f"locks/{lock}/release", who),
        ]

        async def ask(drop: Drop) -> list[tuple[int, str]]:
            calls = (drop.call("POST", f"/v1/merchant/{path}", shop.till(), json=body) for path, body in asked)
            return [told(reply) for reply in await asyncio.gather(*calls)]

        trap = line.trap(b"nobody-hears", Fault.HOLD, times=1_000)
        assert await ask(bad) == [(503, "outcome_unknown")] * 4
        assert await ask(shop.drop) == [(201, "redeemed"), (201, "locked"), (201, "reversed"), (200, "released")]
        trap.release()
        await trap.is_answered()
        assert await ask(shop.drop) == [(200, "redeemed"), (200, "locked"), (200, "reversed"), (200, "released")]
        line.disarm()


async def connected_through(stack: AsyncExitStack, settings: Settings, line: Proxy) -> Drop:
    """One more gateway, with that line to Postgres."""
    through = replace(settings, database_url=line.url_of(settings.database_url))
    stores = await stack.enter_async_context(connected(through))
    return await stack.enter_async_context(running_gateway(through, stores))
