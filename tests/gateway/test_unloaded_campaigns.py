"""Pages of campaigns that have left the hot store: from the ledger, and never a crowd on it."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from engine.claiming.elsewhere import LOOKS_PER_SECOND_MAX
from engine.settings import Settings
from tests.gateway.drop import Drop, Reply, running_drop
from tests.support.proxy import Proxy
from tests.support.stage import hook_ledger


async def page(drop: Drop, campaign: str, **headers: str) -> Reply:
    return await drop.call("GET", f"/v1/campaigns/{campaign}", headers=headers)


async def test_a_campaign_that_is_over_has_its_page(drop: Drop) -> None:
    assert drop.board.campaign("past") is None
    made = await page(drop, "past")
    assert (made.status, made["id"], made["title"], made["limits"]) == (
        200,
        "past",
        "三张",
        [{"max": 3, "per": "wave"}],
    )
    assert [offer["id"] for offer in made["offers"]] == ["x", "y"]
    (wave,) = made["waves"]
    assert (wave["id"], wave["state"], wave["offers"][0]["stock"]) == ("past", "closed", 9)
    assert (wave["offers"][0]["left"], made["left_age_ms"]) == (None, None)
    alone = await drop.call("GET", "/v1/waves/past")
    assert alone.body | {"left_age_ms": None} == wave | {key: alone[key] for key in alone.body if key not in wave}
    same = await drop.call("GET", "/v1/campaigns/past", headers={"If-None-Match": made.headers["ETag"]})
    assert same.status == 304


async def test_how_its_waves_ended_is_told(drop: Drop) -> None:
    await drop.stores.ledger.fetch(
        "update waves set state = 'cancelled', reason = 'a flood', closed_at = opens_at where id = $1", "past"
    )
    (wave,) = (await page(drop, "past"))["waves"]
    assert (wave["state"], wave["reason"], wave["closed_at"]) == ("cancelled", "a flood", wave["opens_at"])


async def test_a_crowd_is_one_look(drop: Drop) -> None:
    looks = 0

    async def count(_: int) -> None:
        nonlocal looks
        looks += 1

    await drop.steward.stop()
    hook_ledger(drop.stores.ledger, before=count)
    for campaign, status in (("past", 200), ("nonsense", 404), ("%00", 404), ("n" * 200, 404)):
        looks = 0
        replies = await asyncio.gather(*(page(drop, campaign) for _ in range(60)))
        assert {reply.status for reply in replies} == {status}, campaign
        assert looks <= 3, campaign  # one; on a machine that is very slow the moment is over, and another


async def test_many_made_up_ids_are_told_to_come_back(drop: Drop) -> None:
    began_s = time.monotonic()
    replies = await asyncio.gather(*(page(drop, f"nonsense-{n}") for n in range(200)))
    took_s = time.monotonic() - began_s
    told = Counter((reply.status, reply["code"]) for reply in replies)
    # While so much goes on, a slow machine's board can be too old to be sure of anything; and where they came slowly,
    # there was a look for each.
    assert set(told) - {(503, "recovering"), (503, "busy")} <= {(404, "not_found")}
    assert told[503, "busy"] or told[503, "recovering"] or took_s > 200 / LOOKS_PER_SECOND_MAX / 2
    assert (await page(drop, "one")).status == 200, "what is on the board needs no look"


@pytest.fixture
async def lines(redis_url: str, database_url: str) -> AsyncIterator[tuple[Proxy, Proxy]]:
    """The ways to Redis and to Postgres, which a test can cut."""
    redis, postgres = urlsplit(redis_url), urlsplit(database_url)
    assert redis.hostname
    assert redis.port
    assert postgres.hostname
    assert postgres.port
    async with Proxy(redis.hostname, redis.port) as one, Proxy(postgres.hostname, postgres.port) as other:
        yield one, other


async def test_without_the_stores_nobody_is_told_that_it_is_not_there(
    settings: Settings, redis_url: str, database_url: str, lines: tuple[Proxy, Proxy]
) -> None:
    to_redis, to_postgres = lines
    settings = replace(settings, redis_url=to_redis.url_of(redis_url), database_url=to_postgres.url_of(database_url))
    async with AsyncExitStack() as stack:
        drop = await stack.enter_async_context(running_drop(settings))
        await to_postgres.refuse()
        for campaign in ("past", "nowhere"):
            reply = await page(drop, campaign)
            assert (reply.status, reply["code"]) == (503, "busy"), campaign
            assert "Retry-After" in reply.headers
        await to_postgres.accept()
        assert (await page(drop, "past")).status == 200
        await to_postgres.refuse()
        assert (await page(drop, "past")).status == 200, "what is known is shown"
        await to_redis.refuse()
        unknown = await page(drop, "another")
        assert (unknown.status, unknown["code"]) in {(503, "busy"), (503, "recovering")}
        await to_redis.accept()
        await to_postgres.accept()
