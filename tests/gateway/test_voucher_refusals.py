"""Every reason not to take a voucher, reached at a till on real servers, in both languages, as docs/http.md has it.

What no till can ask for is done to the ledger by hand: a shop has to answer truly whoever has changed a voucher.
"""

import itertools
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from msgspec.structs import replace

from engine.domain.codes import ALPHABET, is_code
from engine.domain.redemption import UnfitCode
from engine.gateway.problems import KINDS
from engine.settings import Settings
from tests.gateway.drop import Reply
from tests.gateway.shop import Shop, running_shop
from tests.gateway.test_every_refusal import HEADERS, OF_VOUCHERS, USUAL, check, documented

Means = Callable[[Shop], Awaitable[Reply]]
MEANS: dict[str, Means] = {}


def reaches(code: str) -> Callable[[Means], Means]:
    """Enter it into the table."""

    def enter(means: Means) -> Means:
        assert code not in MEANS
        MEANS[code] = means
        return means

    return enter


@pytest.fixture
def drop_settings(settings: Settings, redis_url: str, database_url: str) -> Settings:
    stores = {"redis_url": redis_url, "database_url": database_url}
    return replace(settings, **stores, arrival_wait_ms=200, code_guesses_per_second=0)


@pytest.fixture
async def shop(drop_settings: Settings) -> AsyncIterator[Shop]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(running_shop(drop_settings))


def another(code: str) -> str:
    """A code of the same campaign that nobody was given."""
    return next(
        made
        for swapped in ALPHABET
        for last in ALPHABET
        if is_code(made := code[:8] + swapped + code[9:15] + last) and made != code
    )


async def changed(shop: Shop, user: str, change: str) -> Reply:
    """The answer of a till to a voucher whose row was changed so."""
    code = await shop.settled(user)
    await shop.rows(f"update vouchers set {change} where code = $1", code)
    return await shop.redeem(shop.order(code))


async def made(shop: Shop, user: str, state: str, kind: str, **columns: str) -> Reply:
    """The answer to a voucher that some step has brought into that state."""
    code = await shop.settled(user)
    names, values = "".join(f", {name}" for name in columns), "".join(f", {value}" for value in columns.values())
    await shop.rows(
        f"insert into voucher_steps (campaign_no, code, step, kind, at, offer_no, terms_version{names}) "
        f"select campaign_no, code, 1, '{kind}', now(), 1, 1{values} from vouchers where code = $1",
        code,
    )
    await shop.rows(f"update vouchers set state = '{state}', step = 1, made_by = 1 where code = $1", code)
    return await shop.redeem(shop.order(code))


@reaches("request_no_used")
async def _(shop: Shop) -> Reply:
    order = shop.order(await shop.settled("used"))
    assert (await shop.redeem(order)).status == 201
    return await shop.redeem(order | {"clerk": "wang"})


@reaches("mistyped_code")
async def _(shop: Shop) -> Reply:
    code = await shop.settled("mistyped")
    return await shop.redeem(shop.order(code[:-1] + ("0" if code[-1] != "0" else "1")))


@reaches("unknown_code")
async def _(shop: Shop) -> Reply:
    return await shop.redeem(shop.order(another(await shop.settled("unknown"))))


@reaches("other_merchant")
async def _(shop: Shop) -> Reply:
    code = await shop.settled("other")
    return await shop.redeem(shop.order(code, store="food"), shop.till("food"))


@reaches("not_yet_effective")
async def _(shop: Shop) -> Reply:
    return await changed(shop, "early", "valid_from = now() + interval '1 hour'")


@reaches("expired")
async def _(shop: Shop) -> Reply:
    return await changed(shop, "late", "expires_at = (select claimed_at from claims c where c.code = vouchers.code)")


@reaches("already_redeemed")
async def _(shop: Shop) -> Reply:
    code = await shop.settled("twice")
    assert (await shop.redeem(shop.order(code))).status == 201
    reply = await shop.redeem(shop.order(code))
    assert "武商广场" in reply["detail"]
    return reply


@reaches("invalidated")
async def _(shop: Shop) -> Reply:
    return await made(shop, "void", "invalidated", "invalidate", actor="'ops'", reason="'门店停业'")


@reaches("cancelled")
async def _(shop: Shop) -> Reply:
    return await made(shop, "cancelled", "cancelled", "cancel", actor="'ops'", reason="'误发'")


@reaches("deleted")
async def _(shop: Shop) -> Reply:
    return await made(shop, "deleted", "deleted", "delete")


@reaches("locked")
async def _(shop: Shop) -> Reply:
    until = "now() + interval '10 minutes'"
    return await made(shop, "locked", "locked", "lock", merchant="'m1'", order_no="'other'", until=until)


@reaches("wrong_store")
async def _(shop: Shop) -> Reply:
    return await shop.redeem(shop.order(await shop.settled("store"), store="mall-2"))


@reaches("wrong_city")
async def _(shop: Shop) -> Reply:
    return await shop.redeem(shop.order(await shop.settled("city"), store="mall-far"))


@reaches("below_min_spend")
async def _(shop: Shop) -> Reply:
    reply = await shop.redeem(shop.order(await shop.settled("little"), amount=2_999))
    assert reply["short_by"] == 1
    assert reply["detail"] == ("CNY 0.01 more is needed" if shop.language == "en" else "还差 0.01 元")
    return reply


@reaches("one_per_payment")
async def _(shop: Shop) -> Reply:
    first, second = await shop.settled("pair-1"), await shop.settled("pair-2")
    assert (await shop.redeem(shop.order(first, payment_no="both"))).status == 201
    return await shop.redeem(shop.order(second, payment_no="both"))


@reaches("code_page_closed")
async def _(shop: Shop) -> Reply:
    return await shop.redeem(shop.order(await shop.settled("screenshot", "shown")))


@reaches("unknown_lock")
async def _(shop: Shop) -> Reply:
    lock = await shop.lock(shop.held(await shop.settled("held")))
    return await shop.release(lock["lock"]["id"], shop.till("food"))


@reaches("unknown_redemption")
async def _(shop: Shop) -> Reply:
    made = await shop.redeem(shop.order(await shop.settled("foreign")))
    return await shop.reverse(made["redemption"]["id"], shop.refund(), shop.till("food"))


@reaches("already_reversed")
async def _(shop: Shop) -> Reply:
    made = await shop.redeem(shop.order(await shop.settled("returned")))
    assert (await shop.reverse(made["redemption"]["id"], shop.refund())).status == 201
    return await shop.reverse(made["redemption"]["id"], shop.refund())


@reaches("above_redeemed")
async def _(shop: Shop) -> Reply:
    made = await shop.redeem(shop.order(await shop.settled("partly")))
    return await shop.reverse(made["redemption"]["id"], shop.refund(amount=4_251))


@reaches("not_settled_yet")
async def _(shop: Shop) -> Reply:
    """The writer is gone: the claim stays in the log."""
    await shop.writer.stop()
    return await shop.redeem(shop.order(await shop.claim("quick")))


NOT_OF_LOCKS = {"one_per_payment", "unknown_lock", "unknown_redemption", "already_reversed", "above_redeemed"}


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_every_reason_is_reached(shop: Shop, language: str) -> None:
    assert MEANS.keys() == OF_VOUCHERS | {"cancelled"}
    carried: dict[str, set[str]] = {}
    shop.language = language
    for code, means in MEANS.items():
        reply = await means(shop)
        check(code, reply, language)
        if code not in NOT_OF_LOCKS:  # whatever keeps a voucher from being redeemed keeps it from being held
            order, auth = shop.asked
            shown = {name: value for name, value in order.items() if name != "payment_no"} | {"hold_ms": 1_000}
            assert (await shop.lock(shown, auth))["code"] == code
        carried[code] = set(reply.body) - USUAL | {name for name in HEADERS if name in reply.headers}
    documents = {code: set(re.findall("`([^`]+)`", carries)) for code, carries in documented().items()}
    assert carried == {code: documents[code] for code in MEANS} | {"cancelled": {"detail", "reason"}}


def test_the_order_is_the_one_of_the_table() -> None:
    """`cancelled` waves share with vouchers, and a payment that is missing is an `invalid_request`."""
    decided = [code.value for code in UnfitCode if code.value in OF_VOUCHERS]
    assert decided == [code for code in KINDS if code in decided]


async def test_of_several_reasons_the_first_is_told(shop: Shop) -> None:
    """What the gateway finds, what the books say and what the terms say, in one order; of each what can go together."""
    good, over = await shop.settled("good"), await shop.settled("over")
    await shop.rows(
        "update vouchers set expires_at = (select claimed_at from claims c where c.code = $1) where code = $1", over
    )
    used = shop.order(await shop.settled("before"))
    made = await shop.redeem(used)
    mistyped = good[:-1] + ("0" if good[-1] != "0" else "1")
    codes = {"": good, "mistyped_code": mistyped, "unknown_code": another(good), "expired": over}
    stores = {"": "mall", "forbidden": "elsewhere", "wrong_store": "mall-2"}
    found_here = ["forbidden", "mistyped_code"]
    order = [*found_here, "request_no_used", "unknown_code", "expired", "wrong_store", "below_min_spend"]
    for (code, its), (store, place), is_used, is_little in itertools.product(
        codes.items(), stores.items(), (False, True), (False, True)
    ):
        faults = [code, store, "request_no_used" if is_used else "", "below_min_spend" if is_little else ""]
        changes: dict[str, Any] = {"store": place, "amount": 2_999 if is_little else 3_000}
        if is_used:
            changes["request_no"] = used["request_no"]
        wanted = next((fault for fault in order if fault in faults), "")
        if wanted:
            assert (await shop.redeem(shop.order(its, **changes)))["code"] == wanted, faults
            assert (await shop.lock(shop.held(its, **changes)))["code"] == wanted, faults
    id = made["redemption"]["id"]
    partly = shop.refund(amount=4_000)
    assert (await shop.reverse(id, partly)).status == 201
    for redemption, wrong, wanted in (
        ("r-" + "0" * 32, {"request_no": used["request_no"], "amount": 5_000, "by": "me"}, "invalid_request"),
        ("r-" + "0" * 32, {"request_no": used["request_no"], "amount": 5_000}, "unknown_redemption"),
        (id, {"request_no": used["request_no"], "amount": 5_000}, "request_no_used"),
        (id, {"request_no": partly["request_no"], "amount": 5_000}, "request_no_used"),
        (id, {"amount": 5_000}, "above_redeemed"),
    ):
        assert (await shop.reverse(redemption, shop.refund(**wrong)))["code"] == wanted
