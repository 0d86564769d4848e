"""What every operation answers where a store is away, silent or being restored: never "there is none", never a lie."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from engine.domain.campaign import Campaign
from engine.gateway import ops_campaigns
from engine.gateway.openapi.operation import Operation
from engine.gateway.openapi.operations import OPERATIONS
from engine.scheduling.files import parse_campaign
from engine.settings import Settings
from tests.gateway.drop import Drop, running_drop, running_gateway
from tests.gateway.openapi.asking import ask
from tests.support.proxy import Fault, Proxy
from tests.support.waiting import wait_until

BY_ID = {operation.id: operation for operation in OPERATIONS}
NOWHERE = {"wave": "nowhere", "campaign": "nowhere"}
SENT = {"restock_wave": {"reason": "why", "stock": {"a": 7}}, "claim": {"offer": "a"}}
ONE_CARD = ("get_my_voucher", "get_my_qr_code", "delete_my_voucher", "open_my_code_page", "close_my_code_page")
CARDS = ("list_my_vouchers", *ONE_CARD)
TILLS = ("redeem", "get_redemption", "reverse_redemption", "lock_voucher", "release_lock")
ACTS = [operation for operation in OPERATIONS if operation.who == "operator" and "recovering" in operation.refusals]


class Lines:
    """The ways to both stores, which a test can cut."""

    def __init__(self, drop: Drop, redis: Proxy, postgres: Proxy) -> None:
        self.drop = drop
        self.redis = redis
        self.postgres = postgres


def proxy_to(url: str) -> Proxy:
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    return Proxy(address.hostname, address.port)


@pytest.fixture
async def lines(settings: Settings, redis_url: str, database_url: str) -> AsyncIterator[Lines]:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(proxy_to(redis_url))
        postgres = await stack.enter_async_context(proxy_to(database_url))
        through = replace(
            settings,
            redis_url=redis.url_of(redis_url),
            database_url=postgres.url_of(database_url),
            redis_timeout_ms=500,
        )
        drop = await stack.enter_async_context(running_drop(through))
        await drop.steward.stop()
        yield Lines(drop, redis, postgres)
        await redis.accept()
        await postgres.accept()


async def refused(drop: Drop, operation: Operation | str, **rest: Any) -> tuple[int, str]:
    operation = BY_ID[operation] if isinstance(operation, str) else operation
    if operation.id in SENT:
        rest["json"] = SENT[operation.id]
    reply = await ask(drop, operation, **rest)
    assert reply.status >= 400, (operation.id, reply)
    return reply.status, reply["code"]


async def test_redis_is_away(lines: Lines) -> None:
    drop = lines.drop
    await lines.redis.refuse()
    await wait_until(lambda: not drop.board.ready)
    looks = [BY_ID[name] for name in ("show_wave", "list_my_claims", "list_claims_in_wave", *CARDS)]
    for operation in (*ACTS, *looks):
        assert await refused(drop, operation) == (503, "recovering"), operation.id
    for name in ("get_wave", "issue_ticket", "claim", "list_claims_in_wave", "audit_wave"):
        assert await refused(drop, name, other=NOWHERE) == (503, "recovering"), name
    assert await refused(drop, "get_campaign", other=NOWHERE) == (503, "recovering")
    assert await refused(drop, "audit_wave") == (503, "busy")
    async with running_gateway(drop.settings, drop.stores) as newcomer:  # it has never heard the store's clock
        assert await refused(newcomer, "get_time") == (503, "recovering")


async def test_redis_does_not_say_what_it_did(lines: Lines) -> None:
    drop = lines.drop
    silent = (
        lines.redis.trap(b"one/0", Fault.CUT_AFTER, times=10_000),
        lines.redis.trap(b"SMEMBERS", Fault.CUT_AFTER, 10_000),
    )
    for operation in ACTS:
        assert await refused(drop, operation) == (503, "act_incomplete"), operation.id
    assert await refused(drop, "show_wave") == (503, "busy"), "a look leaves nothing incomplete"
    for trap in silent:
        trap.left = 0


async def test_postgres_is_away(lines: Lines) -> None:
    drop = lines.drop
    await lines.postgres.refuse()
    for operation in (
        "get_wave",
        "issue_ticket",
        "claim",
        "list_claims_in_wave",
        "audit_wave",
        "show_wave",
        "report_wave",
    ):
        assert await refused(drop, operation, other=NOWHERE) == (503, "busy"), operation
    shops = ("quote", "merchant_statement", "ops_statement")
    for operation in ("list_my_claims", "report_wave", "show_voucher", *CARDS, *TILLS, *shops):
        assert await refused(drop, operation) == (503, "busy"), operation
    assert await refused(drop, "show_campaign", other=NOWHERE) == (503, "busy")
    assert await refused(drop, "put_campaign", other={"campaign": "try-it"}) == (503, "act_incomplete")
    for operation in ("invalidate_voucher", "cancel_voucher"):
        assert await refused(drop, operation) == (503, "act_incomplete"), operation
    await lines.redis.refuse()
    assert await refused(drop, "list_campaigns") == (503, "busy")


async def test_too_many_campaign_files_at_once(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, begun = threading.Event(), threading.Event()

    def wait(*arguments: Any) -> Campaign:
        begun.set()
        go_on.wait(10)
        return parse_campaign(*arguments)

    monkeypatch.setattr(ops_campaigns, "parse_campaign", wait)
    put = BY_ID["put_campaign"]
    first = [asyncio.create_task(ask(drop, put, other={"campaign": "try-it"})) for _ in range(ops_campaigns._FILES_MAX)]
    await asyncio.to_thread(begun.wait, 10)
    refusals: set[tuple[int, str]] = set()

    async def is_refused() -> bool:
        late = asyncio.create_task(refused(drop, put, other={"campaign": "try-it"}))
        done, _ = await asyncio.wait([late], timeout=0.2)
        refusals.update(task.result() for task in done)
        return bool(done)

    while not await is_refused():  # one that came early enough waits with the others
        pass
    go_on.set()
    assert refusals == {(503, "busy")}
    await asyncio.gather(*first)


async def test_what_has_ended_one_way_cannot_end_the_other_way(drop: Drop) -> None:
    for done, undone in (("cancel_wave", "close_wave"), ("close_wave", "cancel_wave")):
        wave = {"wave": "one-open" if done == "cancel_wave" else "many-open"}
        assert (await ask(drop, BY_ID[done], other=wave)).status == 200
        assert await refused(drop, undone, other=wave) == (409, "act_refused")
