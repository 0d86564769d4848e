"""kill -9 of a gateway and of Postgres in mid-redemption: one redemption each, one answer to who asks again."""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec.structs import replace

from engine.embedded.ports import free_port
from engine.embedded.role import RoleProcess
from engine.embedded.up import environment_of
from engine.ledger.migrate import migrate
from engine.settings import Settings
from loadtests.chaos.stores import PostgresServer, kill_server, start_server
from tests.gateway.shop import Shop, running_shop
from tests.support.servers import servers_folder
from tests.support.waiting import wait_until

VOUCHERS = 12


@pytest.fixture
def folder() -> Iterator[Path]:
    made = servers_folder()
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
async def postgres(folder: Path) -> AsyncIterator[PostgresServer]:
    """One of this test's own, to be killed."""
    server = PostgresServer(folder / "postgres")
    await server.start()
    yield server
    await server.stop()


async def redeemed_once(shop: Shop, orders: list[dict[str, Any]], heard: dict[str, str]) -> None:
    """Ask again for each order until there is an answer: the redemption that somebody heard of, if anybody did; and the
    books have one for each voucher."""

    async def ask(order: dict[str, Any]) -> None:
        async def answer() -> bool:
            reply = await shop.redeem(order)
            if reply.status == 503:
                return False
            assert reply.status in (200, 201), reply
            told = heard.setdefault(order["request_no"], reply["redemption"]["id"])
            assert told == reply["redemption"]["id"]
            return True

        is_told: bool = await wait_until(answer, what="an answer")
        assert is_told

    await asyncio.gather(*map(ask, orders))
    rows = await shop.rows("select code, count(*) as times from voucher_steps where kind = 'redeem' group by code")
    assert {row["code"]: row["times"] for row in rows} == {order["code"]: 1 for order in orders}


async def test_twenty_of_each_request_at_two_gateways_of_which_one_is_killed(
    settings: Settings, redis_url: str, database_url: str, tmp_path: Path
) -> None:
    """Half of the vouchers are being settled meanwhile. No till is told that its own redemption was somebody else's,
    and the gateway that is left has the answers of the other."""
    settings = replace(settings, redis_url=redis_url, database_url=database_url)
    async with AsyncExitStack() as stack:
        shop = await stack.enter_async_context(running_shop(settings))
        port = free_port(tmp_path / "port")
        victim = RoleProcess("gateway", "victim", tmp_path, stop_within_s=5)
        stack.push_async_callback(victim.stop)
        await victim.start(environment_of(replace(settings, port=port)))
        codes = await asyncio.gather(*(shop.settled(f"u{no}") for no in range(VOUCHERS // 2)))
        codes += await asyncio.gather(*(shop.claim(f"v{no}") for no in range(VOUCHERS // 2)))
        orders = [shop.order(code) for code in codes]
        heard: dict[str, str] = {}
        headers = {"Authorization": shop.till()}
        url = f"http://127.0.0.1:{port}/v1/merchant/redemptions"
        session = await stack.enter_async_context(aiohttp.ClientSession(headers=headers))

        def hear(order: dict[str, Any], status: int, body: Any) -> None:
            assert status in (200, 201, 503), body
            if status < 300:
                told = heard.setdefault(order["request_no"], body["redemption"]["id"])
                assert told == body["redemption"]["id"]

        async def ask_victim(order: dict[str, Any]) -> None:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.post(url, json=order) as response:
                    hear(order, response.status, await response.json())
                    if response.status == 201:
                        os.kill(victim.child.pid, signal.SIGKILL)  # an answer is out: others are under way

        async def ask_other(order: dict[str, Any]) -> None:
            reply = await shop.redeem(order)
            hear(order, reply.status, reply.body)

        asking = [ask(order) for _ in range(10) for order in orders for ask in (ask_victim, ask_other)]
        await asyncio.gather(*asking)
        assert heard
        await redeemed_once(shop, orders, heard)


@pytest.mark.long
async def test_a_postgres_that_is_killed(settings: Settings, redis_url: str, postgres: PostgresServer) -> None:
    """What it had committed it has; what it had not is not said to be done."""
    settings = replace(settings, redis_url=redis_url, database_url=postgres.url, ledger_timeout_ms=2_000)
    await migrate(postgres.url, settings)
    async with running_shop(settings) as shop:
        codes = await asyncio.gather(*(shop.settled(f"u{no}") for no in range(VOUCHERS)))
        orders = [shop.order(code) for code in codes]
        heard: dict[str, str] = {}

        async def ask(order: dict[str, Any]) -> None:
            reply = await shop.redeem(order)
            assert reply.status in (200, 201, 503), reply
            if reply.status < 300:
                heard[order["request_no"]] = reply["redemption"]["id"]

        asking = [asyncio.create_task(ask(order)) for order in orders]
        await asyncio.wait(asking[:1])
        port = postgres.port
        await kill_server(postgres)
        await start_server(postgres)
        assert postgres.port == port
        await asyncio.gather(*asking)
        await redeemed_once(shop, orders, heard)
