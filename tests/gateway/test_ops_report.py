"""Reports over HTTP: who may have one, what it says while stores come and go, and how many are made at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from engine.settings import Settings
from engine.wiring import running, writer_services
from tests.gateway.drop import Drop, Reply, running_drop
from tests.support.proxy import Proxy
from tests.support.stage import hook_ledger
from tests.support.waiting import wait_until


async def report(drop: Drop, wave: str, role: str = "viewer", **headers: str) -> Reply:
    auth = drop.token("wang", scope="ops", role=role)
    return await drop.call("GET", f"/v1/ops/waves/{wave}/report", auth, headers=headers)


async def test_a_wave_while_it_runs(drop: Drop) -> None:
    for n in range(3):
        assert (await drop.claim("one-open", {"offer": "a"}, drop.token(f"u{n}"))).status == 201
    assert (await drop.claim("one-open", {"offer": "rare"}, drop.token("lucky"))).status == 201
    early = await report(drop, "one-open")
    assert (early.status, early.headers["Cache-Control"], early["state"]) == (200, "no-store", "open")
    assert (early["complete"], early["total"]["claimed"], early["hot_store"]["claimed"]) == (False, 0, 4)
    assert early["settled"]["behind"] >= 4
    async with running(writer_services(drop.stores, drop.settings)):
        await wait_until(lambda: _is_complete(drop), what="the ledger has everything")
    made = await report(drop, "one-open")
    assert (made["hot_store"]["agrees"], made["settled"]["behind"], made["claimants"]["accounts"]) == (True, 0, 4)
    stock = {offer["id"]: (offer["stock"]["total"], offer["claimed"], offer["left"]) for offer in made["offers"]}
    assert stock == {"a": (1000, 3, 997), "b": (1000, 0, 1000), "rare": (1, 1, 0)}
    assert made["total"]["value_given"] == 4 * 1000
    assert made["offers"][2]["sold_out_at"] == made["offers"][2]["first_claim_at"]
    assert datetime.fromisoformat(made["as_of"]).utcoffset() == datetime.fromisoformat(early["as_of"]).utcoffset()
    assert made["as_of"].endswith("+08:00")
    assert made["pace"]["peak"]["claims"] <= 4
    assert [act["act"] for act in made["acts"]] == ["put_wave"]
    assert "lucky" not in str(made.body)


async def _is_complete(drop: Drop) -> bool:
    return bool((await report(drop, "one-open"))["complete"])


async def test_a_wave_that_has_left_the_hot_store(drop: Drop) -> None:
    made = await report(drop, "past")
    assert (made["state"], made["complete"], made["hot_store"]["state"]) == ("closed", True, "unloaded")
    assert (made["offers"][0]["hot_store"], made["pace"]["peak"], made["acts"]) == (None, None, [])


async def test_who_may(drop: Drop) -> None:
    for role in ("viewer", "", "operator"):
        assert (await report(drop, "one-later", role)).status == 200
    for auth, status in ((drop.token(), 403), (drop.token(scope="ops", role="owner"), 403), ("", 401)):
        assert (await drop.call("GET", "/v1/ops/waves/one-later/report", auth)).status == status
    for wave in ("nowhere", "%00", "%ED%A0%80", "w" * 200):
        reply = await report(drop, wave)
        assert (reply.status, reply["code"]) == (404, "unknown_wave"), wave
    auth = drop.token(scope="ops")
    assert (await drop.call("HEAD", "/v1/ops/waves/one-later/report", auth)).status == 405
    assert (await drop.call("POST", "/v1/ops/waves/one-later/report", auth, json={})).status == 405


async def test_a_crowd_of_reports_waits_its_turn_or_is_told(drop: Drop) -> None:
    await drop.steward.stop()
    may_read = asyncio.Event()

    async def hold(_: int) -> None:
        await may_read.wait()

    hook_ledger(drop.stores.ledger, before=hold)
    crowd = [asyncio.create_task(report(drop, "one-open")) for _ in range(12)]
    await wait_until(lambda: sum(each.done() for each in crowd) == 8)
    may_read.set()
    replies = await asyncio.gather(*crowd)
    assert sorted(reply.status for reply in replies) == [200] * 4 + [503] * 8
    busy = next(reply for reply in replies if reply.status == 503)
    assert (busy["code"], busy["detail"]) == ("busy", "other reports are being made here")
    assert (await report(drop, "one-open")).status == 200


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


async def test_without_redis_and_without_postgres(
    settings: Settings, redis_url: str, database_url: str, lines: tuple[Proxy, Proxy]
) -> None:
    to_redis, to_postgres = lines
    settings = replace(settings, redis_url=to_redis.url_of(redis_url), database_url=to_postgres.url_of(database_url))
    async with AsyncExitStack() as stack:
        drop = await stack.enter_async_context(running_drop(settings))
        await to_redis.refuse()
        alone = await report(drop, "one-open")
        assert (alone.status, alone["hot_store"]["state"], alone["complete"]) == (200, "away", False)
        assert (alone["settled"]["behind"], alone["hot_store"]["agrees"]) == (None, None)
        assert alone["hot_store"]["why"]
        await to_redis.accept()
        await to_postgres.refuse()
        nothing = await report(drop, "one-open")
        assert (nothing.status, nothing["code"]) == (503, "busy")
        assert "Retry-After" in nothing.headers
        await to_postgres.accept()
