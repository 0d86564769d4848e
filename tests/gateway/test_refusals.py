"""Each refusal that a claim can meet, reached over HTTP, in the order of the contract."""

import asyncio
from datetime import datetime
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from engine.domain.decisions import ActLine
from engine.domain.tickets import Ticket, TicketBook
from engine.errors import ActOutrun
from engine.hotstore import keys
from engine.hotstore.decide import act
from engine.hotstore.view import read_shard
from engine.scheduling import acts
from engine.wiring import connected
from tests.gateway.drop import OPS, Drop, Reply, running_gateway
from tests.support.waiting import wait_until

A = {"offer": "a"}


def said(reply: Reply) -> tuple[int, str]:
    """Status and code, after a look at what every problem has."""
    assert reply.headers["Content-Type"] == "application/problem+json", reply
    assert reply["status"] == reply.status
    assert reply["type"] == f"/problems/{reply['code'].replace('_', '-')}"
    assert ("Retry-After" in reply.headers) == ("retry_after_ms" in reply.body) == (not reply["final"])
    assert ("WWW-Authenticate" in reply.headers) == (reply.status == 401)
    return reply.status, reply["code"]


async def test_paths_methods_and_bodies(drop: Drop) -> None:
    assert said(await drop.call("GET", "/v2/waves")) == (404, "not_found")
    assert said(await drop.call("POST", "/v1/waves/")) == (404, "not_found")
    for method, path, allowed in (
        ("DELETE", "/v1/waves/one-open/claims", "GET,HEAD,POST"),
        ("POST", "/v1/time", "GET,HEAD"),
        ("OPTIONS", "/v1/waves/one-open/tickets", "POST"),
    ):
        reply = await drop.call(method, path)
        assert (*said(reply), reply.headers["Allow"]) == (405, "method_not_allowed", allowed)
    large = {"offer": "a", "filling": "x" * drop.settings.body_bytes_max}
    assert said(await drop.claim("one-open", large)) == (413, "too_large")
    assert said(await drop.call("POST", "/v1/waves/one-open/claims", data=b"offer=a")) == (
        415,
        "unsupported_media_type",
    )
    assert (await drop.claim("one-open", A)).status == 201


async def test_who_asks_comes_before_what_is_asked(drop: Drop) -> None:
    url = "/v1/waves/nowhere/claims"
    for auth in ("", "Bearer", "Bearer x", "Basic dTpw", "Ticket", "Ticket 1abcd", drop.token("")):
        assert said(await drop.call("POST", url, auth, json=[])) == (401, "unauthenticated"), auth
    assert said(await drop.call("POST", url, drop.token(ttl_s=-60), json=[])) == (401, "token_expired")
    assert said(await drop.call("POST", url, drop.token(scope="merchant"), json=[])) == (403, "forbidden")
    assert said(await drop.call("POST", url, drop.token(), json=[])) == (400, "invalid_request")
    assert said(await drop.call("POST", url, drop.token(), json=A)) == (404, "unknown_wave")
    assert said(await drop.claim("one-open", {"offer": "nothing"})) == (404, "unknown_offer")
    assert said(await drop.claim("one-later", {"offers": ["a", "b"]})) == (404, "unknown_offer")  # b is in other waves


async def test_tickets_that_do_not_let_in(drop: Drop) -> None:
    issued = await drop.call("POST", "/v1/waves/one-later/tickets", drop.token())
    ticket = issued["ticket"]
    assert said(await drop.claim("one-open", A, f"Ticket {ticket}")) == (401, "ticket_mismatch")
    for forged in (ticket[:-1], ticket[:-1] + "~", ticket[:30] + ("A" if ticket[30] != "A" else "B") + ticket[31:]):
        assert said(await drop.claim("one-later", A, f"Ticket {forged}")) == (401, "unauthenticated")
    gone = TicketBook([b"g" * 32]).mint(Ticket("one", "one-later", "u1", "u1", "account", "", 0))
    assert said(await drop.claim("one-later", A, f"Ticket {gone}")) == (401, "ticket_expired")
    ours = TicketBook(drop.keyring.ticket_keys)
    elsewhere = ours.mint(Ticket("two", "one-later", "u1", "u1", "account", "", 0))
    counted_otherwise = ours.mint(Ticket("one", "one-later", "u1", "p1", "person", "", 0))
    assert said(await drop.claim("one-later", A, f"Ticket {elsewhere}")) == (401, "ticket_mismatch")
    assert said(await drop.claim("one-later", A, f"Ticket {counted_otherwise}")) == (401, "ticket_expired")
    assert said(await drop.call("GET", "/v1/me/claims", f"Ticket {ticket}")) == (401, "unauthenticated")


async def test_a_ticket_outlives_a_change_of_the_secret_by_one(drop: Drop) -> None:
    ticket = (await drop.call("POST", "/v1/waves/one-open/tickets", drop.token()))["ticket"]
    rotated = replace(drop.settings, secret="another secret of some length", secret_previous=drop.settings.secret)
    async with running_gateway(rotated, drop.stores) as next_gateway:
        assert (await next_gateway.claim("one-open", A, f"Ticket {ticket}")).status == 201
        assert (await next_gateway.claim("one-open", A, drop.token())).status == 200
    rotated = replace(drop.settings, secret="yet another secret of some length")
    async with running_gateway(rotated, drop.stores) as later_gateway:
        assert said(await later_gateway.claim("one-open", A, f"Ticket {ticket}")) == (401, "ticket_expired")
        assert said(await later_gateway.claim("one-open", A, drop.token())) == (401, "unauthenticated")


async def test_invalid_requests_say_what_and_where(drop: Drop) -> None:
    reply = await drop.claim("many-open", {"offer": "x", "request_no": 4})  # the limit is 3 a wave
    assert (*said(reply), reply["at"]) == (400, "invalid_request", "$.request_no")
    assert "1 to 3" in reply["detail"]
    reply = await drop.claim("many-open", {"offers": ["x", "x"]}, **{"Accept-Language": "zh"})
    assert (reply["at"], reply["detail"], reply["title"]) == ("$.offers[1]", "重复的券", "请求无效")
    assert reply.headers["Content-Language"] == "zh"


@pytest.mark.parametrize(
    ("identity", "wave", "rule"),
    [
        ({"city": "宜昌"}, "one-open", "city"),
        ({"tags": ["staff"]}, "one-open", "tags"),
        ({"sub": "barred"}, "one-open", "list"),
        ({}, "people-open", "person_required"),
    ],
)
async def test_not_eligible_names_the_rule(drop: Drop, identity: dict[str, Any], wave: str, rule: str) -> None:
    body = A if wave == "one-open" else {"offer": "x"}
    for reply in (
        await drop.claim(wave, body, drop.token(**identity)),
        await drop.call("POST", f"/v1/waves/{wave}/tickets", drop.token(**identity)),
    ):
        assert (*said(reply), reply["rule"]) == (403, "not_eligible", rule)
        assert reply["detail"]


async def test_before_the_opening_and_after_the_close(drop: Drop) -> None:
    early, late = await drop.claim("one-later", A), await drop.claim("one-over", A)
    assert said(early) == (409, "not_open")
    opens_ms = drop.live("one-later").state.opens_ms
    assert datetime.fromisoformat(early["opens_at"]).timestamp() * 1000 == opens_ms
    left_ms = opens_ms - drop.board.store_time_ms()
    assert -2_000 < early["retry_after_ms"] - left_ms < 2_000
    assert -3 < int(early.headers["Retry-After"]) - left_ms / 1000 < 3
    assert said(late) == (410, "closed")
    assert datetime.fromisoformat(late["closed_at"]).timestamp() * 1000 == drop.live("one-over").state.closes_ms
    ticket = await drop.call("POST", "/v1/waves/one-over/tickets", drop.token())
    assert (*said(ticket), ticket["closed_at"]) == (410, "closed", late["closed_at"])


async def test_a_wave_that_has_left_the_hot_store_is_answered_by_the_ledger(drop: Drop) -> None:
    reply = await drop.claim("past", {"offer": "x"})
    assert said(reply) == (410, "closed")
    assert said(await drop.call("POST", "/v1/waves/past/tickets", drop.token())) == (410, "closed")
    page = await drop.call("GET", "/v1/waves/past")
    assert (page["state"], page["offers"][0]["left"], page["left_age_ms"]) == ("closed", None, None)
    assert (await drop.call("GET", "/v1/waves/past/claims", drop.token()))["claims"] == []


async def test_a_cancelled_wave(drop: Drop) -> None:
    store, live = drop.stores.hot_store, drop.live("one-open")
    won = await drop.claim("one-open", A)
    cancelled = replace(live.state, state="cancelled", reason="暴雨")

    async def cancels() -> bool:
        shard = await read_shard(store, "one")
        assert shard is not None
        line = ActLine(shard.act + 1, "cancel", "close", "ops", "暴雨", live.wave.no, state=cancelled)
        try:
            return await act(store, "one", shard.epoch, line)
        except ActOutrun:  # by the steward, who closes another wave
            return False

    await wait_until(cancels)
    reply = await drop.claim("one-open", A, drop.token("u2"))
    assert (*said(reply), reply["reason"]) == (410, "cancelled", "暴雨")
    assert (await drop.claim("one-open", A))["claim"] == won["claim"]
    await wait_until(lambda: drop.live("one-open").state.state == "cancelled")
    reply = await drop.call("POST", "/v1/waves/one-open/tickets", drop.token("u2"))
    assert (*said(reply), reply["reason"]) == (410, "cancelled", "暴雨")


async def test_a_paused_wave(drop: Drop) -> None:
    await acts.pause(drop.stores.hot_store, "one", drop.live("one-open").wave.no, OPS)
    reply = await drop.claim("one-open", A)
    assert (*said(reply), reply["reason"]) == (503, "paused", OPS.reason)


async def test_limits_show_the_callers_own_claim_only(drop: Drop) -> None:
    won = await drop.claim("one-open", A)
    reply = await drop.claim("one-open", {"offer": "b"})
    assert (*said(reply), reply["claim"]) == (409, "already_claimed", won["claim"])
    for number in (1, 2, 3):
        last = await drop.claim("many-open", {"offer": "x", "request_no": number})
        assert last.status == 201
    reply = await drop.claim("many-open", {"offer": "y", "request_no": 3})
    assert (*said(reply), reply["claim"]["offer"]) == (409, "limit_reached", "x")
    first = await drop.claim("people-open", {"offer": "x"}, drop.token("phone-1", person="p"))
    assert first.status == 201
    second = await drop.claim("people-open", {"offer": "x"}, drop.token("phone-2", person="p"))
    assert said(second) == (409, "already_claimed")
    assert "claim" not in second.body
    assert first["claim"]["vouchers"][0]["code"] not in str(second.body)


async def test_stock_and_cap(drop: Drop) -> None:
    assert (await drop.claim("one-open", {"offer": "rare"})).status == 201
    reply = await drop.claim("one-open", {"offer": "rare"}, drop.token("u2"))
    assert said(reply) == (409, "sold_out")
    assert datetime.fromisoformat(reply["sold_out_at"]).timestamp() * 1000 <= drop.board.store_time_ms() + 1_000
    assert [(other["offer"], other["left"]) for other in reply["alternatives"]] == [("a", 1000), ("b", 1000)]
    assert 0 <= reply["alternatives_age_ms"] < 5_000
    other = await drop.claim("one-open", {"offers": ["rare", "b"]}, drop.token("u2"))
    assert (other.status, other["claim"]["offer"]) == (201, "b")
    assert (await drop.claim("capped-open", {"offer": "x"})).status == 201
    assert said(await drop.claim("capped-open", {"offer": "x"}, drop.token("u2"))) == (409, "cap_reached")


async def test_a_shard_that_is_not_bound_is_recovering(drop: Drop) -> None:
    won = await drop.claim("one-open", A)
    await drop.steward.stop()
    await drop.stores.hot_store.call("HSET", keys.head("one"), "incarnation", "another server")
    assert said(await drop.claim("one-open", A, drop.token("u2"))) == (503, "recovering")
    assert said(await drop.call("GET", "/v1/waves/one-open/claims", drop.token())) == (503, "recovering")
    assert said(await drop.call("GET", "/v1/me/claims", drop.token())) == (503, "recovering")
    await wait_until(lambda: not drop.board.ready)
    ready = await drop.call("GET", "/readyz")
    assert (ready.status, ready["status"]) == (503, "not_ready")
    assert said(await drop.call("GET", "/v1/campaigns/never-heard-of")) == (503, "recovering")
    assert (await drop.call("GET", "/v1/waves/one-open")).status == 200  # shown as it was last seen
    await drop.steward.start()
    await wait_until(lambda: drop.board.ready)
    assert (await drop.claim("one-open", A))["claim"] == won["claim"]


async def test_a_log_that_nobody_settles_makes_it_busy(drop: Drop) -> None:
    won = await drop.claim("one-open", A)
    async with running_gateway(replace(drop.settings, log_lag_max=1), drop.stores) as full:
        assert said(await full.claim("one-open", A, drop.token("u2"))) == (503, "busy")
        assert (await full.claim("one-open", A))["claim"] == won["claim"]  # replays pass


async def test_no_answer_of_the_store_is_an_unknown_outcome(drop: Drop) -> None:
    hasty = replace(drop.settings, redis_timeout_ms=60, claim_decide_ms=150, claim_deadline_ms=300)
    async with connected(hasty) as stores, running_gateway(hasty, stores) as gateway:
        # Several requests at once leave several connections open: the board's reading takes one of them.
        await asyncio.gather(*(gateway.call("GET", "/v1/waves/one-open/claims", drop.token()) for _ in range(8)))
        await drop.stores.hot_store.call("CLIENT", "PAUSE", 800, "ALL")
        reply = await gateway.claim("one-open", A)
        assert said(reply) == (503, "outcome_unknown")
        won = await drop.claim("one-open", A)
        assert won.status in (200, 201)
        assert (await gateway.claim("one-open", A))["claim"] == won["claim"]
        listed = await gateway.call("GET", "/v1/waves/one-open/claims", drop.token())
        assert listed["claims"] == [won["claim"]]


async def test_a_failure_before_the_desk_is_internal_and_shows_nothing(
    drop: Drop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_wave: str) -> None:
        raise RuntimeError("a secret of the house")

    monkeypatch.setattr(drop.board, "wave", fail)
    with capture_logs() as told:
        reply = await drop.claim("one-open", A)
    assert said(reply) == (500, "internal")
    assert "secret" not in str(reply.body)
    assert "Traceback" not in str(reply.body)
    assert reply["id"] in str(told)
    monkeypatch.undo()
    assert (await drop.claim("one-open", A)).status == 201


async def test_a_failure_after_the_desk_was_asked_leaves_the_outcome_unknown(
    drop: Drop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise RuntimeError("cannot print")

    monkeypatch.setattr("engine.gateway.printing.rfc3339", fail)
    reply = await drop.claim("one-open", A)
    assert said(reply) == (503, "outcome_unknown")
    assert reply["id"]
    monkeypatch.undo()
    assert (await drop.claim("one-open", A)).status == 200
