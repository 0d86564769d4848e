"""Every reason not to take a voucher, reached at a till on real servers, in both languages, as docs/http.md has it.

What no request can do yet is done to the ledger by hand: a shop has to answer truly whoever has changed a voucher.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from msgspec.structs import replace

from engine.domain.codes import ALPHABET, is_code
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
    return replace(settings, redis_url=redis_url, database_url=database_url, arrival_wait_ms=200)


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
    return await shop.redeem(shop.order(code))


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
    return reply


@reaches("one_per_payment")
async def _(shop: Shop) -> Reply:
    first, second = await shop.settled("pair-1"), await shop.settled("pair-2")
    assert (await shop.redeem(shop.order(first, payment_no="both"))).status == 201
    return await shop.redeem(shop.order(second, payment_no="both"))


@reaches("not_settled_yet")
async def _(shop: Shop) -> Reply:
    """The writer is gone: the claim stays in the log."""
    await shop.writer.stop()
    return await shop.redeem(shop.order(await shop.claim("quick")))


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_every_reason_is_reached(shop: Shop, language: str) -> None:
    assert MEANS.keys() == OF_VOUCHERS | {"cancelled"}
    carried: dict[str, set[str]] = {}
    shop.language = language
    for code, means in MEANS.items():
        reply = await means(shop)
        check(code, reply, language)
        carried[code] = set(reply.body) - USUAL | {name for name in HEADERS if name in reply.headers}
    documents = {code: set(re.findall("`([^`]+)`", carries)) for code, carries in documented().items()}
    assert carried == {code: documents[code] for code in MEANS} | {"cancelled": {"detail", "reason"}}
