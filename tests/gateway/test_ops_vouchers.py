"""Operators see a voucher and take it back: once, for good, in the trail, with the reason that its holder reads."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from msgspec.structs import replace

from engine.domain.codes import claim_id, grouped
from engine.ledger.trail import read_trail, verify_trail
from engine.settings import Settings
from tests.gateway.drop import Reply
from tests.gateway.shop import Shop, running_shop
from tests.gateway.test_voucher_refusals import another


@pytest.fixture
def drop_settings(settings: Settings, redis_url: str, database_url: str) -> Settings:
    return replace(settings, redis_url=redis_url, database_url=database_url, arrival_wait_ms=200)


@pytest.fixture
async def shop(drop_settings: Settings) -> AsyncIterator[Shop]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(running_shop(drop_settings))


async def take(shop: Shop, code: str, act: str = "invalidate", reason: str = "门店停业", sub: str = "li") -> Reply:
    auth = shop.drop.token(sub, scope="ops", role="operator")
    return await shop.drop.call("POST", f"/v1/ops/vouchers/{code}/{act}", auth, json={"reason": reason})


async def look(shop: Shop, code: str) -> Reply:
    return await shop.drop.call("GET", f"/v1/ops/vouchers/{code}", shop.drop.token("wu", scope="ops", role="viewer"))


async def entries(shop: Shop) -> list[Any]:
    """Of the trail, those about vouchers."""
    [row] = await shop.rows("select campaign_no from campaigns where id = 'shops'")
    ledger = shop.drop.stores.ledger
    assert await verify_trail(ledger, row["campaign_no"]) == []
    told = [entry.happening for entry in await read_trail(ledger, row["campaign_no"])]
    return [each for each in told if each.kind.endswith("_voucher")]


def told(reply: Reply) -> tuple[int, str]:
    return reply.status, reply["code"]


async def test_a_voucher_is_taken_back_once_and_everybody_is_told_why(shop: Shop) -> None:
    for act, state in (("invalidate", "invalidated"), ("cancel", "cancelled")):
        user = f"ann-{act}"
        code = await shop.settled(user)
        first = await take(shop, grouped(code).lower(), act)
        assert (first.status, first["act"], first["done"]) == (200, act, True)
        assert (first["before"]["state"], first["after"]["state"]) == ("pending", state)
        again = await take(shop, code, act, "another reason", "wang")
        assert (again.status, again["done"], again["after"]) == (200, False, first["after"])
        [step] = (await look(shop, code))["steps"]
        assert (step["kind"], step["actor"], step["reason"]) == (act, "li", "门店停业")
        refused = await shop.redeem(shop.order(code))
        assert (refused["code"], refused["reason"]) == (state, "门店停业")
        card = await shop.drop.call("GET", f"/v1/me/vouchers/{code}", shop.drop.token(user))
        assert (card["state"], card["made"]["reason"]) == (state, "门店停业")
        assert "门店停业" in card["next_step"]
        entry = (await entries(shop))[-1]
        assert (entry.kind, entry.actor, entry.reason, entry.subject) == (
            f"{act}_voucher",
            "li",
            "门店停业",
            "shops-open",
        )
        assert entry.before == {"claim": claim_id(code), "state": "pending"}
        assert entry.after == {"claim": claim_id(code), "state": state}
        other = "cancel" if act == "invalidate" else "invalidate"
        assert told(await take(shop, code, other)) == (409, "act_refused")
    assert len(await entries(shop)) == 2
    [kept] = await shop.rows("select count(*) as claims from claims")
    assert kept["claims"] == 2, "the claims stay"


async def test_what_was_used_or_is_held_stays(shop: Shop) -> None:
    used, held = await shop.settled("ann"), await shop.settled("ben")
    assert (await shop.redeem(shop.order(used))).status == 201
    refused = await take(shop, used)
    assert told(refused) == (409, "act_refused")
    assert "redeemed at mall" in refused["reasons"][0]
    await shop.rows(
        "insert into voucher_steps (campaign_no, code, step, kind, at, offer_no, terms_version, merchant, until) "
        "select campaign_no, code, 1, 'lock', now(), 1, 1, 'm1', now() + interval '1 hour' from vouchers "
        "where code = $1",
        held,
    )
    await shop.rows("update vouchers set state = 'locked', step = 1, made_by = 1 where code = $1", held)
    assert told(await take(shop, held)) == (409, "act_refused")
    assert await entries(shop) == []
    assert (await look(shop, held))["state"] == "locked"


async def test_a_till_and_an_operator_at_once_one_of_them_has_it(shop: Shop) -> None:
    codes = [await shop.settled(f"u{number}") for number in range(6)]
    for number, code in enumerate(codes):
        mixed = [take(shop, code), shop.redeem(shop.order(code)), take(shop, code, "cancel")]
        replies = await asyncio.gather(*(mixed[number % 3 :] + mixed[: number % 3]))
        won = [reply for reply in replies if reply.status in (200, 201)]
        assert len(won) == 1, replies
    steps = await shop.rows("select code, count(*) as steps from voucher_steps group by code")
    assert {(row["code"], row["steps"]) for row in steps} == {(code, 1) for code in codes}
    taken = await shop.rows("select count(*) as taken from vouchers where state in ('invalidated', 'cancelled')")
    assert len(await entries(shop)) == taken[0]["taken"]


async def test_a_code_that_is_not_there_is_told_truly(shop: Shop) -> None:
    code = await shop.settled("ann")
    for ask in (look, take, lambda shop, code: take(shop, code, "cancel")):
        assert told(await ask(shop, another(code))) == (404, "unknown_code")
        assert told(await ask(shop, code[:-1] + "U")) == (400, "mistyped_code")
    await shop.writer.stop()
    quick = await shop.claim("ben")
    for act in ("invalidate", "cancel"):
        assert told(await take(shop, quick, act)) == (503, "not_settled_yet")
    assert told(await look(shop, quick)) == (503, "not_settled_yet")
    bad = await take(shop, code, reason="two\nlines")
    assert (bad.status, bad["code"], bad["at"]) == (400, "invalid_request", "$.reason")
