"""What operators do to waves over HTTP: acts, refusals, roles, what users meet afterwards."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from engine.hotstore import keys
from engine.hotstore.log import read_log
from engine.settings import Settings
from engine.wiring import running, writer_services
from tests.gateway.drop import Drop, Reply, running_drop
from tests.support.proxy import Proxy
from tests.support.waiting import wait_until

A = {"offer": "a"}
WHY = {"reason": "支付系统故障"}


async def act(drop: Drop, path: str, body: Any = None, role: str = "operator", **claims: Any) -> Reply:
    auth = drop.token("li", scope="ops", role=role, **claims)
    return await drop.call("POST", f"/v1/ops/{path}", auth, json=WHY if body is None else body)


async def see(drop: Drop, path: str, role: str = "viewer") -> Reply:
    return await drop.call("GET", f"/v1/ops/{path}", drop.token("wang", scope="ops", role=role))


def refused(reply: Reply) -> tuple[int, str, str]:
    assert reply.headers["Content-Type"] == "application/problem+json", reply
    return reply.status, reply["code"], reply.body.get("detail", "")


async def test_pause_and_resume_take_effect_with_the_next_claim(drop: Drop) -> None:
    assert (await drop.claim("one-open", A)).status == 201
    done = await act(drop, "waves/one-open/pause")
    assert (done.status, done["wave"], done["act"], done["done"]) == (200, "one-open", "pause", True)
    assert (done["before"]["state"], done["after"]["state"], done["after"]["reason"]) == (
        "open",
        "paused",
        WHY["reason"],
    )
    paused = await drop.claim("one-open", A, drop.token("u2"))
    assert (paused.status, paused["code"], paused["reason"]) == (503, "paused", WHY["reason"])
    assert (await drop.claim("one-open", A)).status == 200, "a replay is answered in a pause"
    again = await act(drop, "waves/one-open/pause", {"reason": "another one"})
    assert (again.status, again["done"], again["after"]["reason"]) == (200, False, WHY["reason"])
    assert (await act(drop, "waves/one-open/resume"))["done"]
    assert (await drop.claim("one-open", A, drop.token("u2"))).status == 201
    assert (await act(drop, "waves/one-open/resume"))["done"] is False


async def test_close_and_cancel_are_for_good(drop: Drop) -> None:
    for name, wave, code in (("cancel", "one-open", "cancelled"), ("close", "many-open", "closed")):
        assert (await act(drop, f"waves/{wave}/{name}"))["done"]
        assert (await act(drop, f"waves/{wave}/{name}"))["done"] is False
        offer = {"offer": "x"} if wave == "many-open" else A
        gone = await drop.claim(wave, offer)
        assert (gone.status, gone["code"]) == (410, code)
        for undo in ("pause", "resume", "restock", "move"):
            body = WHY | {"stock": offer and {offer["offer"]: 5}, "opens_at": "2098-01-01 20:00"}
            assert refused(await act(drop, f"waves/{wave}/{undo}", body))[:2] == (409, "act_refused")
    assert (await drop.claim("one-open", A))["reason"] == WHY["reason"]
    reply = await act(drop, "waves/one-open/resume")
    assert reply["reasons"] == ["wave one-open is cancelled"]
    assert reply["final"] is True


async def test_restock(drop: Drop) -> None:
    assert (await drop.claim("one-open", {"offer": "rare"})).status == 201
    assert (await drop.claim("one-open", {"offer": "rare"}, drop.token("u2")))["code"] == "sold_out"
    done = await act(drop, "waves/one-open/restock", WHY | {"stock": {"rare": 2, "b": 7}})
    stock = {offer["id"]: (offer["stock"], offer["left"], offer["claimed"]) for offer in done["after"]["offers"]}
    assert stock == {"a": (1000, 1000, 0), "b": (7, 7, 0), "rare": (2, 1, 1)}
    assert (await drop.claim("one-open", {"offer": "rare"}, drop.token("u2"))).status == 201
    assert (await drop.claim("one-open", {"offer": "rare"}, drop.token("u3")))["code"] == "sold_out"
    for stock_sent, words in (
        (
            {"rare": 1},
            (409, "act_refused", "2 units of rare are claimed already: its stock cannot be 1; 2 is the least"),
        ),
        ({"x": 1}, (404, "unknown_offer", "wave one-open has no offer x; it has a, b, rare")),
        ({"a": -1}, (400, "invalid_request", "the stock of a must be a whole number from 0 to 10,000,000, not -1")),
        ({}, (400, "invalid_request", "no stock was named: name offers with their totals")),
        (
            {"a": "many"},
            (400, "invalid_request", 'stock has to be an object of offers with whole numbers: {"mall-50": 1500}'),
        ),
    ):
        assert refused(await act(drop, "waves/one-open/restock", WHY | {"stock": stock_sent})) == words


async def test_move(drop: Drop) -> None:
    ticket = (await drop.call("POST", "/v1/waves/one-later/tickets", drop.token()))["ticket"]
    done = await act(drop, "waves/one-later/move", WHY | {"opens_at": "2098-01-02 20:00"})
    assert (done["after"]["opens_at"], done["after"]["closes_at"], done["after"]["day"]) == (
        "2098-01-02T20:00:00.000+08:00",
        "2098-01-02T21:00:00.000+08:00",
        "2098-01-02",
    )
    early = await drop.claim("one-later", A, f"Ticket {ticket}")
    assert (early.status, early["code"], early["opens_at"]) == (409, "not_open", "2098-01-02T20:00:00.000+08:00")
    assert (await act(drop, "waves/one-later/move", WHY | {"opens_at": "2098-01-02T12:00:00Z"}))["done"] is False
    for wave, body, code, words in (
        ("one-open", {"opens_at": "2098-01-02 20:00"}, "act_refused", "it cannot move any more"),
        ("one-later", {"opens_at": "2020-01-02 20:00"}, "act_refused", "is past"),
        ("one-later", {"opens_at": "soon"}, "invalid_request", "is not a time"),
        ("one-later", {"opens_at": 5}, "invalid_request", "opens_at has to be a string"),
        ("one-later", {}, "invalid_request", "opens_at is missing"),
    ):
        reply = await act(drop, f"waves/{wave}/move", WHY | body)
        assert reply["code"] == code
        assert words in reply["detail"]


async def test_void_tickets(drop: Drop) -> None:
    async def ticket() -> str:
        return "Ticket " + str((await drop.call("POST", "/v1/waves/one-open/tickets", drop.token()))["ticket"])

    old = await ticket()
    now_ms = await drop.stores.hot_store.time_ms()
    await wait_until(lambda: drop.board.store_time_ms() > now_ms)
    done = await act(drop, "waves/one-open/void-tickets")
    void_ms = datetime.fromisoformat(done["after"]["tickets_void_before"]).timestamp() * 1000
    await wait_until(lambda: drop.live("one-open").state.void_before_ms == void_ms)
    for reply in (
        await drop.claim("one-open", A, old),
        await drop.call("GET", "/v1/waves/one-open/claims", old),
    ):
        assert (reply.status, reply["code"]) == (401, "ticket_expired")
    assert (await drop.claim("one-open", A, await ticket())).status == 201
    earlier = await act(drop, "waves/one-open/void-tickets", WHY | {"before": "2026-01-01 00:00"})
    assert earlier["done"] is False
    later = await act(drop, "waves/one-open/void-tickets", WHY | {"before": "2098-01-01 00:00"})
    assert "this instant is still to come" in refused(later)[2]


async def test_stop_all_and_start_all(drop: Drop) -> None:
    await drop.claim("one-open", A)
    stopped = await act(drop, "stop-all")
    assert stopped.status == 200
    assert {each["campaign"]: each["done"] for each in stopped["campaigns"]} == dict.fromkeys(
        ("capped", "many", "one", "people"), True
    )
    for wave, offer in (("one-open", "a"), ("many-open", "x")):
        reply = await drop.claim(wave, {"offer": offer}, drop.token("u9"))
        assert (reply.status, reply["code"], reply["reason"]) == (503, "stopped", WHY["reason"])
        assert int(reply.headers["Retry-After"]) >= 2
        assert reply["retry_after_ms"] >= 2_000
    assert (await drop.claim("one-open", A)).status == 200, "a replay is answered while all is stopped"
    await wait_until(lambda: drop.live("one-open").stopped)
    page = await drop.call("GET", "/v1/waves/one-open")
    assert (page["state"], page["reason"]) == ("paused", WHY["reason"])
    assert (await drop.call("GET", "/v1/waves/one-later"))["state"] == "scheduled"
    assert {row["id"]: row["stopped"] for row in (await see(drop, "campaigns"))["campaigns"]}["one"] == WHY["reason"]
    assert not any(each["done"] for each in (await act(drop, "stop-all"))["campaigns"])
    assert all(each["done"] for each in (await act(drop, "start-all"))["campaigns"])
    assert (await drop.claim("one-open", A, drop.token("u9"))).status == 201


async def test_stop_all_says_what_it_could_not_stop(drop: Drop) -> None:
    await drop.steward.stop()
    epoch = drop.board.epoch("many")
    assert epoch is not None
    await drop.stores.hot_store.call("DEL", keys.shard("many", epoch).left)
    reply = await act(drop, "stop-all")
    assert refused(reply) == (503, "act_incomplete", "1 of 4 campaigns could not be reached: do it again")
    assert {each["campaign"]: each["done"] for each in reply["campaigns"]} == {
        "capped": True,
        "many": None,
        "one": True,
        "people": True,
    }
    assert "Retry-After" in reply.headers


async def test_roles(drop: Drop) -> None:
    paths = ("waves/one-open/pause", "waves/one-open/void-tickets", "stop-all")
    for path in paths:
        for role in ("viewer", ""):
            assert refused(await act(drop, path, role=role)) == (403, "forbidden", "this takes the role operator")
        reply = await drop.call("POST", f"/v1/ops/{path}", drop.token(), json=WHY)
        assert refused(reply) == (403, "forbidden", "this needs the scope ops")
        assert (await drop.call("POST", f"/v1/ops/{path}", json=WHY)).status == 401
        assert (await drop.call("POST", f"/v1/ops/{path}", "Ticket 1abcd", json=WHY)).status == 401
    for path in ("campaigns", "campaigns/one", "waves/one-open"):
        for role in ("viewer", "", "operator"):
            assert (await see(drop, path, role)).status == 200
        assert refused(await see(drop, path, "owner")) == (403, "forbidden", "this takes the role viewer or operator")
        assert (await drop.call("GET", f"/v1/ops/{path}", drop.token())).status == 403
    zh = await drop.call(
        "POST", "/v1/ops/stop-all", drop.token(scope="ops"), json=WHY, headers={"Accept-Language": "zh"}
    )
    assert (zh["title"], zh["detail"]) == ("令牌权限不足", "此操作需要角色 operator")
    assert drop.live("one-open").state.state == "live"


async def test_what_is_asked_wrongly(drop: Drop) -> None:
    for body, at in (
        ({}, "$.reason"),
        ({"reason": " "}, "$.reason"),
        ({"reason": 5}, "$.reason"),
        ({"reason": "two\nlines"}, "$.reason"),
        ([], "$"),
    ):
        reply = await act(drop, "waves/one-open/pause", body)
        assert (reply.status, reply["code"], reply["at"]) == (400, "invalid_request", at), body
    auth = drop.token("li", scope="ops", role="operator")
    assert (await drop.call("POST", "/v1/ops/stop-all", auth, data=b"reason=x")).status == 415
    large = await drop.call(
        "POST",
        "/v1/ops/stop-all",
        auth,
        data=BytesIO(b" " * (drop.settings.ops_body_bytes_max + 1)),
        headers={"Content-Type": "application/json"},
    )
    assert large.status == 413
    assert refused(await act(drop, "waves/nowhere/pause"))[:2] == (404, "unknown_wave")
    assert refused(await act(drop, "waves/one-open/explode"))[:2] == (404, "not_found")
    wrong = await drop.call("GET", "/v1/ops/waves/one-open/pause", auth)
    assert (wrong.status, wrong.headers["Allow"]) == (405, "POST")


async def test_what_operators_see_of_a_wave(drop: Drop) -> None:
    await drop.claim("one-open", A)
    await act(drop, "waves/one-later/pause")
    shown = await see(drop, "waves/one-later")
    assert (shown["state"], shown["flag"], shown["reason"]) == ("scheduled", "paused", WHY["reason"])
    shown = await see(drop, "waves/one-open")
    assert shown["offers"][0]["claimed"] == 1
    assert (shown["revision"], shown["stopped"], shown["tickets_void_before"]) == (1, "", None)
    assert shown.headers["Cache-Control"] == "no-store"
    past = await see(drop, "waves/past")
    assert (past.status, past["state"], past["offers"][0]["left"]) == (200, "closed", None)
    assert refused(await see(drop, "waves/nowhere"))[:2] == (404, "unknown_wave")
    assert refused(await act(drop, "waves/past/pause")) == (404, "unknown_wave", "no wave past is in the hot store")


async def test_acts_stand_under_the_name_of_the_token(drop: Drop) -> None:
    await act(drop, "waves/one-open/pause")
    entries = await read_log(drop.stores.hot_store, "one", (0, 0), 100)
    (line,) = [entry.act for entry in entries if entry.act and entry.act.kind == "pause"]
    assert (line.actor, line.reason) == ("li", WHY["reason"])


async def test_the_audit_of_a_wave(drop: Drop) -> None:
    audits = [asyncio.create_task(see(drop, "waves/one-later/audit")) for _ in range(2)]
    (first,), (second,) = await asyncio.wait(audits, return_when=asyncio.FIRST_COMPLETED)
    assert refused(first.result()) == (503, "busy", "another audit is under way here")
    async with running(writer_services(drop.stores, drop.settings)):  # what the other one waits for
        verdict = await second
    assert (verdict.status, verdict["subject"]) == (200, "one-later")
    assert {finding["promise"] for finding in verdict["findings"]} >= {"P1", "P2", "P7"}
    assert refused(await see(drop, "waves/nowhere/audit"))[:2] == (404, "unknown_wave")
    assert (await drop.call("HEAD", "/v1/ops/waves/one-later/audit")).status == 405


@pytest.fixture
async def line(database_url: str) -> AsyncIterator[Proxy]:
    """The way to Postgres, which a test can cut."""
    address = urlsplit(database_url)
    assert address.hostname is not None
    assert address.port is not None
    async with Proxy(address.hostname, address.port) as proxy:
        yield proxy


async def test_without_postgres_and_steward(settings: Settings, redis_url: str, database_url: str, line: Proxy) -> None:
    """Acts need the hot store alone."""
    settings = replace(settings, redis_url=redis_url, database_url=line.url_of(database_url))
    async with AsyncExitStack() as stack:
        drop = await stack.enter_async_context(running_drop(settings))
        await drop.steward.stop()
        await line.refuse()
        assert (await act(drop, "waves/one-open/pause"))["done"]
        assert (await act(drop, "waves/many-open/restock", WHY | {"stock": {"x": 5}}))["done"]
        assert all(each["done"] for each in (await act(drop, "stop-all"))["campaigns"])
        assert (await drop.claim("many-open", {"offer": "x"}))["code"] == "stopped"
        assert all(each["done"] for each in (await act(drop, "start-all"))["campaigns"])
        assert (await drop.claim("many-open", {"offer": "x"})).status == 201
        rows = await see(drop, "campaigns")
        assert (rows["complete"], [row["id"] for row in rows["campaigns"]]) == (
            False,
            ["capped", "many", "one", "people"],
        )
        assert (await see(drop, "waves/one-open"))["state"] == "paused"
        await line.accept()
