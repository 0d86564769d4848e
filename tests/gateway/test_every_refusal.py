"""Every code there is, reached over HTTP on real servers, in both languages, with everything that docs/http.md lists.

The table of codes reached is printed: pytest -s tests/gateway/test_every_refusal.py
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from engine.domain.tickets import Ticket, TicketBook
from engine.gateway.problems import KINDS
from engine.gateway.voucher_problems import VOUCHER_KINDS
from engine.hotstore import keys
from engine.ledger.watch import LedgerWatch
from engine.settings import Settings
from engine.wiring import connected
from tests.gateway.drop import Drop, Reply, running_drop, running_gateway
from tests.gateway.shop import STORES
from tests.support.proxy import Fault, Proxy
from tests.support.waiting import wait_until

OF_VOUCHERS = {kind.code for kind in VOUCHER_KINDS}
"""Reached at a till: test_voucher_refusals."""
A, X = {"offer": "a"}, {"offer": "x"}
WHY = "支付系统故障"
CAMPAIGN = """
{campaign: one, title: 一张, timezone: Asia/Shanghai, currency: CNY, validity: {days_after_claim: 7},
 stores: {s1: {title: 店, merchant: m1, city: 武汉}},
 offers: [{id: a, title: a, category: mall, kind: instant, face: 100, stores: all}],
 waves: [{id: one-open, opens_at: "2035-01-01 20:00", lasts: 4h, stock: {a: 10}}]}
"""


class Ground:
    """A gateway with a line to each of its servers that can be cut, and one language to ask in."""

    def __init__(self, drop: Drop, redis_line: Proxy, postgres_line: Proxy, language: str, patch: pytest.MonkeyPatch):
        self.drop = drop
        self.redis_line = redis_line
        self.postgres_line = postgres_line
        self.language = language
        self.patch = patch

    async def call(self, method: str, path: str, auth: str = "", **how: Any) -> Reply:
        headers = {"Accept-Language": self.language} | how.pop("headers", {})
        return await self.drop.call(method, path, auth, headers=headers, **how)

    async def claim(self, wave: str, body: Any, auth: str | None = None, by: Drop | None = None) -> Reply:
        return await (by or self.drop).claim(wave, body, auth, **{"Accept-Language": self.language})

    async def act(self, path: str, body: dict[str, Any] | None = None) -> Reply:
        auth = self.drop.token("li", scope="ops", role="operator")
        return await self.call("POST", f"/v1/ops/{path}", auth, json={"reason": WHY} | (body or {}))

    async def put(self, text: str, **headers: str) -> Reply:
        auth = self.drop.token("li", scope="ops", role="operator")
        sent = {"Content-Type": "application/yaml"} | headers
        return await self.call("PUT", "/v1/ops/campaigns/one", auth, headers=sent, data=text.encode())

    def ticket(self, wave: str, key: bytes = b"", **fields: Any) -> str:
        ticket = Ticket("one", wave, "u1", "u1", "account", "", 0)
        return "Ticket " + TicketBook([key] if key else self.drop.keyring.ticket_keys).mint(replace(ticket, **fields))

    def wave_no(self, wave: str) -> int:
        return self.drop.live(wave).wave.no


Means = Callable[[Ground], Awaitable[list[Reply]]]
REACHED: dict[str, Means] = {}


def reaches(code: str) -> Callable[[Means], Means]:
    """Enter it into the table. Its docstring says by what means; it leaves the ground as it was."""

    def enter(means: Means) -> Means:
        assert code not in REACHED
        REACHED[code] = means
        return means

    return enter


@reaches("not_found")
async def _(ground: Ground) -> list[Reply]:
    """an address, a campaign, a problem that there is not"""
    return [
        await ground.call("GET", "/v2/waves"),
        await ground.call("GET", "/v1/campaigns/nothing"),
        await ground.call("GET", "/problems/nothing"),
    ]


@reaches("method_not_allowed")
async def _(ground: Ground) -> list[Reply]:
    """DELETE of a claim"""
    reply = await ground.call("DELETE", "/v1/waves/one-open/claims")
    assert set(reply.headers["Allow"].split(",")) == {"GET", "HEAD", "POST"}
    return [reply]


@reaches("too_large")
async def _(ground: Ground) -> list[Reply]:
    """9 kB, announced and in chunks"""

    async def chunks() -> AsyncIterator[bytes]:
        yield b" " * 9_000

    path, auth = "/v1/waves/one-open/claims", ground.drop.token()
    headers = {"Content-Type": "application/json"}
    return [
        await ground.call("POST", path, auth, headers=headers, data=b" " * 9_000),
        await ground.call("POST", path, auth, headers=headers, data=chunks()),
    ]


@reaches("unsupported_media_type")
async def _(ground: Ground) -> list[Reply]:
    """a form, a compressed body"""
    path, auth = "/v1/waves/one-open/claims", ground.drop.token()
    packed = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    return [
        await ground.call("POST", path, auth, data={"offer": "a"}),
        await ground.call("POST", path, auth, data=b"{}", headers=packed),
    ]


@reaches("headers_too_large")
async def _(ground: Ground) -> list[Reply]:
    """a header of 9 kB. It could not be read, so it is answered in English"""
    return [await ground.call("GET", "/v1/time", headers={"X-Filling": "x" * 9_000})]


@reaches("timeout")
async def _(ground: Ground) -> list[Reply]:
    """half a body"""
    ends = asyncio.Event()

    async def half() -> AsyncIterator[bytes]:
        yield b'{"offer"'
        await ends.wait()

    headers = {"Content-Type": "application/json"}
    reply = await ground.call("POST", "/v1/waves/one-open/claims", ground.drop.token(), headers=headers, data=half())
    ends.set()
    return [reply]


@reaches("unauthenticated")
async def _(ground: Ground) -> list[Reply]:
    """no token, what is no token, another's signature, a ticket that was altered"""
    path = "/v1/waves/one-open/claims"
    token, ticket = ground.drop.token(), ground.ticket("one-open")
    others = [token[:-3] + ("AAA" if token[-3:] != "AAA" else "BBB"), ticket[:-3] + "~~~"]
    return [await ground.call("POST", path, auth, json=A) for auth in ("", "Bearer x", "Basic dTpw", *others)]


@reaches("token_expired")
async def _(ground: Ground) -> list[Reply]:
    """a token of a minute ago"""
    return [await ground.call("GET", "/v1/me/claims", ground.drop.token(ttl_s=-60))]


@reaches("ticket_expired")
async def _(ground: Ground) -> list[Reply]:
    """a key that is gone; tickets made void by operators"""
    await ground.act("waves/one-open/void-tickets")
    await wait_until(lambda: ground.drop.live("one-open").state.void_before_ms)
    return [
        await ground.claim("one-open", A, ground.ticket("one-open", key=b"g" * 32)),
        await ground.claim("one-open", A, ground.ticket("one-open")),
        await ground.call("GET", "/v1/waves/one-open/claims", ground.ticket("one-open")),
    ]


@reaches("ticket_mismatch")
async def _(ground: Ground) -> list[Reply]:
    """a ticket of another wave, of another campaign"""
    return [
        await ground.claim("one-open", A, ground.ticket("one-later")),
        await ground.claim("one-later", A, ground.ticket("one-later", campaign="two")),
    ]


@reaches("forbidden")
async def _(ground: Ground) -> list[Reply]:
    """a merchant claims, a user and a viewer act"""
    reason = {"json": {"reason": WHY}}
    return [
        await ground.claim("one-open", A, ground.drop.token(scope="merchant")),
        await ground.call("POST", "/v1/ops/stop-all", ground.drop.token(), **reason),
        await ground.call("POST", "/v1/ops/stop-all", ground.drop.token(scope="ops", role="viewer"), **reason),
        await ground.call("GET", "/v1/ops/campaigns", ground.drop.token(scope="ops", role="owner")),
    ]


@reaches("too_many_requests")
async def _(ground: Ground) -> list[Reply]:
    """a second request where one a quarter of an hour is allowed"""
    strict = replace(ground.drop.settings, user_requests_per_second=0.001, user_requests_burst=1)
    async with running_gateway(strict, ground.drop.stores) as gateway:
        assert (await ground.claim("one-later", A, by=gateway)).status == 409
        return [await ground.claim("one-later", A, by=gateway)]


@reaches("invalid_request")
async def _(ground: Ground) -> list[Reply]:
    """no JSON, wrong members, an act without a reason, a campaign file with mistakes, an expectation"""
    auth = ground.drop.token("li", scope="ops", role="operator")
    asked = [await ground.claim("one-open", body) for body in ([], {"offer": 5}, {"offer": "a", "request_no": 0})]
    acted = await ground.call("POST", "/v1/ops/stop-all", auth, json={})
    expecting = await ground.call("POST", "/v1/ops/stop-all", auth, json={}, headers={"Expect": "a miracle"})
    return [*asked, acted, expecting, await ground.put(CAMPAIGN.replace("face: 100", "face: -1"))]


@reaches("unknown_wave")
async def _(ground: Ground) -> list[Reply]:
    """a claim, a ticket, a status page, an act for a wave that there is not"""
    return [
        await ground.claim("nowhere", A),
        await ground.call("POST", "/v1/waves/nowhere/tickets", ground.drop.token()),
        await ground.call("GET", "/v1/waves/nowhere"),
        await ground.act("waves/nowhere/pause"),
    ]


@reaches("unknown_offer")
async def _(ground: Ground) -> list[Reply]:
    """an offer that the wave has not, by a user and by an operator"""
    return [
        await ground.claim("one-later", {"offers": ["a", "b"]}),
        await ground.act("waves/one-open/restock", {"stock": {"nothing": 1}}),
    ]


@reaches("not_eligible")
async def _(ground: Ground) -> list[Reply]:
    """another city, a tag, a list, no person; for a claim and for a ticket"""
    token = ground.drop.token
    replies = [
        await ground.claim("one-open", A, token(city="宜昌")),
        await ground.claim("one-open", A, token(tags=["staff"])),
        await ground.claim("one-open", A, token("barred")),
        await ground.claim("people-open", X),
        await ground.call("POST", "/v1/waves/people-open/tickets", token()),
    ]
    assert [reply["rule"] for reply in replies] == ["city", "tags", "list", "person_required", "person_required"]
    return replies


@reaches("cancelled")
async def _(ground: Ground) -> list[Reply]:
    """a wave that operators called off"""
    await ground.act("waves/people-open/cancel")
    await wait_until(lambda: ground.drop.live("people-open").state.state == "cancelled")
    token = ground.drop.token("someone", person="p")
    replies = [
        await ground.claim("people-open", X, token),
        await ground.call("POST", "/v1/waves/people-open/tickets", token),
    ]
    assert {reply["reason"] for reply in replies} == {WHY}
    return replies


@reaches("closed")
async def _(ground: Ground) -> list[Reply]:
    """a wave whose time is over, one that the hot store has no more"""
    token = ground.drop.token("late")
    return [
        await ground.claim("one-over", A, token),
        await ground.call("POST", "/v1/waves/one-over/tickets", token),
        await ground.claim("past", X, token),
    ]


@reaches("not_open")
async def _(ground: Ground) -> list[Reply]:
    """a wave of in two hours"""
    return [await ground.claim("one-later", A, ground.drop.token("early"))]


@reaches("stopped")
async def _(ground: Ground) -> list[Reply]:
    """the button that stops everything"""
    await ground.act("stop-all")
    reply = await ground.claim("many-open", X, ground.drop.token("stopped"))
    await ground.act("start-all")
    assert reply["reason"] == WHY
    return [reply]


@reaches("paused")
async def _(ground: Ground) -> list[Reply]:
    """a pause"""
    await ground.act("waves/many-open/pause")
    reply = await ground.claim("many-open", X, ground.drop.token("paused"))
    await ground.act("waves/many-open/resume")
    assert reply["reason"] == WHY
    return [reply]


@reaches("already_claimed")
async def _(ground: Ground) -> list[Reply]:
    """a second offer, where one claim is all"""
    won = await ground.claim("one-open", A, ground.drop.token("winner"))
    reply = await ground.claim("one-open", {"offer": "b"}, ground.drop.token("winner"))
    assert reply["claim"] == won["claim"]
    return [reply]


@reaches("limit_reached")
async def _(ground: Ground) -> list[Reply]:
    """three claims of three, and a fourth under a number that was used"""
    token = ground.drop.token("collector")
    for number in (1, 2, 3):
        assert (await ground.claim("many-open", X | {"request_no": number}, token)).status in (200, 201)
    reply = await ground.claim("many-open", {"offer": "y", "request_no": 3}, token)
    assert reply["claim"]["offer"] == "x"
    return [reply]


@reaches("cap_reached")
async def _(ground: Ground) -> list[Reply]:
    """a campaign that gives out one, and has"""
    assert (await ground.claim("capped-open", X, ground.drop.token("first"))).status in (200, 201)
    return [await ground.claim("capped-open", X, ground.drop.token("second"))]


@reaches("sold_out")
async def _(ground: Ground) -> list[Reply]:
    """the last unit of an offer is gone, and others are left"""
    await ground.claim("one-open", {"offer": "rare"}, ground.drop.token("quick"))
    reply = await ground.claim("one-open", {"offer": "rare"}, ground.drop.token("slow"))
    assert [other["offer"] for other in reply["alternatives"]] == ["a", "b"]
    return [reply]


@reaches("busy")
async def _(ground: Ground) -> list[Reply]:
    """Redis refuses connections; the log is too long; another audit is under way"""
    full = replace(ground.drop.settings, log_lag_max=1)
    async with running_gateway(full, ground.drop.stores) as gateway:
        too_long = await ground.claim("one-open", A, ground.drop.token("unlucky"), by=gateway)
    viewer = ground.drop.token("wang", scope="ops")
    path = "/v1/ops/waves/one-later/audit"
    audits = [asyncio.create_task(ground.call("GET", path, viewer)) for _ in range(2)]
    done, running = await asyncio.wait(audits, return_when=asyncio.FIRST_COMPLETED)
    for audit in running:  # it waits for a writer, and there is none here
        audit.cancel()
    await asyncio.wait(audits)
    await ground.redis_line.refuse()
    cut = await ground.claim("one-open", A, ground.drop.token("unlucky"))
    await ground.redis_line.accept()
    await wait_until(lambda: ground.drop.board.ready)
    return [too_long, cut, *(audit.result() for audit in done)]


@reaches("recovering")
async def _(ground: Ground) -> list[Reply]:
    """a Redis that the steward has not looked at yet"""
    drop = ground.drop
    await drop.steward.stop()
    await drop.stores.hot_store.call("HSET", keys.head("one"), "incarnation", "another server")
    replies = [
        await ground.claim("one-open", A, drop.token("unlucky")),
        await ground.call("GET", "/v1/waves/one-open/claims", drop.token("winner")),
        await ground.call("GET", "/v1/me/vouchers", drop.token("winner")),
    ]
    await drop.steward.start()

    async def is_bound() -> bool:
        return bool(await drop.stores.hot_store.call("HGET", keys.head("one"), "incarnation") != b"another server")

    await wait_until(is_bound)  # perhaps before the board has seen that it was not
    await wait_until(lambda: drop.board.ready)
    return replies


@reaches("outcome_unknown")
async def _(ground: Ground) -> list[Reply]:
    """the answer of Redis is swallowed on the way; a decision that cannot be printed"""
    hasty = replace(ground.drop.settings, redis_timeout_ms=60, claim_decide_ms=150, claim_deadline_ms=300)
    account = f"unheard-{ground.language}"
    async with connected(hasty) as stores, running_gateway(hasty, stores) as gateway:
        trap = ground.redis_line.trap(account.encode(), Fault.SWALLOW, times=100)
        swallowed = await ground.claim("one-open", A, gateway.token(account), by=gateway)
    trap.left = 0

    def fail(*_: object) -> str:
        raise RuntimeError("cannot print")

    with ground.patch.context() as patch, capture_logs() as logged:
        patch.setattr("engine.gateway.printing.rfc3339", fail)
        unprinted = await ground.claim("one-open", A, ground.drop.token(account))
    assert unprinted["id"] in str(logged)
    assert (await ground.claim("one-open", A, ground.drop.token(account))).status == 200, "it was decided"
    return [swallowed, unprinted]


@reaches("precondition_failed")
async def _(ground: Ground) -> list[Reply]:
    """`If-Match` with a revision that the campaign is not at"""
    reply = await ground.put(CAMPAIGN, **{"If-Match": '"9"'})
    assert (reply["revision"], reply.headers["ETag"]) == (1, '"1"')
    return [reply]


@reaches("act_refused")
async def _(ground: Ground) -> list[Reply]:
    """an opened wave shall move, by an act and by a file"""
    return [
        await ground.act("waves/one-open/move", {"opens_at": "2098-01-01 20:00"}),
        await ground.put(CAMPAIGN),
    ]


@reaches("act_incomplete")
async def _(ground: Ground) -> list[Reply]:
    """Redis is lost in mid-act, a shard is broken in mid-stop, Postgres is lost at the commit of a file"""
    reason = f"cut off in {ground.language}"
    trap = ground.redis_line.trap(reason.encode(), Fault.CUT_AFTER, times=100)
    cut = await ground.act("waves/one-later/pause", {"reason": reason})
    trap.left = 0
    done = await ground.act("waves/one-later/pause")
    assert (done.status, done["done"]) == (200, False), f"it had been done: {done}"
    assert done["after"]["reason"] == reason
    await ground.act("waves/one-later/resume")

    trap = ground.redis_line.trap(b"stop-" + ground.language.encode(), Fault.CUT_AFTER, times=100)
    stopped = await ground.act("stop-all", {"reason": f"stop-{ground.language}"})
    trap.left = 0
    assert {each["done"] for each in stopped["campaigns"]} == {None}
    await ground.act("start-all")

    return [cut, stopped, await lose_postgres_at_the_commit(ground)]


async def lose_postgres_at_the_commit(ground: Ground) -> Reply:
    """A file is put, and the line to Postgres is cut when that is committed, before anybody hears so."""
    settings = ground.drop.settings
    remote = replace(settings, database_url=ground.postgres_line.url_of(settings.database_url))
    fresh = CAMPAIGN.replace("campaign: one", "campaign: fresh").replace("one-open", "fresh-open")
    # What watches the ledger commits too, though nothing.
    async with connected(remote) as stores, running_gateway(remote, stores, without=(LedgerWatch,)) as gateway:

        async def put() -> Reply:
            auth = gateway.token("li", scope="ops", role="operator")
            headers = {"Content-Type": "application/yaml", "Accept-Language": ground.language}
            return await gateway.call("PUT", "/v1/ops/campaigns/fresh", auth, headers, data=fresh.encode())

        ground.postgres_line.trap(b"commit\0", Fault.CUT_AFTER)
        lost, again = await put(), await put()
    assert again.body == {"campaign": "fresh", "revision": 1, "changed": False}, f"it had been done: {again}"
    return lost


@reaches("internal")
async def _(ground: Ground) -> list[Reply]:
    """a record in Redis that makes no sense"""
    drop = ground.drop
    epoch = drop.board.epoch("one")
    assert epoch is not None
    holders = keys.shard("one", epoch).holders
    await drop.stores.hot_store.call("HSET", holders, "spoilt", "1\nnothing of this is a claim\n")
    with capture_logs() as logged:
        reply = await ground.call("GET", "/v1/waves/one-open/claims", drop.token("spoilt"))
    assert reply["id"] in str(logged)
    assert "claims_of_record" not in str(reply.body), "no stack trace"
    await drop.stores.hot_store.call("HDEL", holders, "spoilt")
    return [reply]


def test_the_table_has_every_code() -> None:
    assert list(REACHED) == [code for code in KINDS if code not in OF_VOUCHERS]


# What every refusal has ---------------------------------------------------------------------------------

USUAL = {"type", "title", "status", "code", "final", "retry_after_ms"}
HEADERS = ("Allow", "ETag", "Retry-After", "WWW-Authenticate")
NAMED = [store.title for store in STORES.values()]
IN_ENGLISH = re.compile(r"[\x20-\x7e…]+")
CHALLENGES = {
    "unauthenticated": "Bearer ",
    "token_expired": "Bearer ",
    "ticket_expired": "Ticket ",
    "ticket_mismatch": "Ticket ",
}


def check(code: str, reply: Reply, language: str) -> None:
    """That this is a whole problem of that code, in that language."""
    kind, headers = KINDS[code], reply.headers
    assert reply.headers["Content-Type"] == "application/problem+json", reply
    assert (reply.status, reply["code"], reply["status"]) == (kind.status, code, kind.status)
    assert (reply["type"], reply["title"], reply["final"]) == (
        f"/problems/{kind.slug}",
        kind.title.say("zh" if language == "zh" else "en"),
        kind.final,
    )
    assert (headers["Content-Language"], headers["Cache-Control"]) == (language, "no-store")
    assert "Accept-Language" in headers["Vary"]
    assert (headers["Server"], headers["X-Content-Type-Options"]) == ("dropwave", "nosniff")
    assert headers["X-Request-Id"]
    assert headers.get("WWW-Authenticate", "").startswith(CHALLENGES.get(code, ""))
    assert ("WWW-Authenticate" in headers) == (code in CHALLENGES)
    assert ("Allow" in headers) == (code == "method_not_allowed")
    check_pause(code, reply)
    detail = reply.body.get("detail")
    if detail is not None:
        assert 0 < len(detail) <= 1_000
        assert detail.isprintable()
        for named in (WHY, *NAMED, str(reply.body.get("reason") or "")):  # by people, in whatever language
            detail = detail.replace(named, "")
        assert language == "zh" or IN_ENGLISH.fullmatch(detail), detail


def check_pause(code: str, reply: Reply) -> None:
    """`final` means that there is nothing to wait for; else the pause is within the bounds of its code."""
    kind = KINDS[code]
    if kind.retry is None:
        assert kind.final
        assert not {"retry_after_ms"} & set(reply.body)
        assert "Retry-After" not in reply.headers
        return
    pause_ms = reply["retry_after_ms"]
    assert int(reply.headers["Retry-After"]) == max(1, -(-pause_ms // 1000))
    assert pause_ms >= kind.retry.at_least_ms
    if code not in (
        "not_open",
        "not_yet_effective",
        "locked",
        "too_many_requests",
        "busy",
    ):  # which wait for something besides
        assert pause_ms < kind.retry.at_least_ms + kind.retry.jitter_ms


def documented() -> dict[str, str]:
    """Code to the column of docs/http.md that says what it carries."""
    page = (Path(__file__).parents[2] / "docs" / "http.md").read_text("utf-8")
    rows = re.findall(r"^\| ((?:`[a-z_]+`(?:, )?)+) \| \d{3} \|[^|]*\|([^|]*)\|", page, re.MULTILINE)
    return {code: carried for codes, carried in rows for code in re.findall("[a-z_]+", codes)}


def test_pauses_are_documented() -> None:
    stated = {
        code: (round(float(least) * 1000), round(float(most) * 1000))
        for code, carried in documented().items()
        for least, most in re.findall(r"`Retry-After` \([^)]*?([\d.]+) to ([\d.]+) s", carried)
    }
    assert stated == {
        code: (kind.retry.at_least_ms, kind.retry.at_least_ms + kind.retry.jitter_ms)
        for code, kind in KINDS.items()
        if kind.retry is not None
    }


@pytest.fixture
async def lines(redis_url: str, database_url: str) -> AsyncIterator[list[Proxy]]:
    """The ways to Redis and to Postgres, which a test can cut."""
    async with AsyncExitStack() as stack:
        proxies = []
        for url in (redis_url, database_url):
            address = urlsplit(url)
            assert address.hostname
            assert address.port
            proxies.append(await stack.enter_async_context(Proxy(address.hostname, address.port)))
        yield proxies


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_every_code_is_reached(
    settings: Settings,
    redis_url: str,
    database_url: str,
    lines: list[Proxy],
    language: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    through = replace(
        settings,
        redis_url=lines[0].url_of(redis_url),
        database_url=database_url,
        body_deadline_ms=200,
        user_requests_per_second=0,
        board_refresh_ms=50,
    )
    carried: dict[str, set[str]] = {}
    table: list[str] = []
    wrong: dict[str, Exception] = {}
    async with AsyncExitStack() as stack:
        drop = await stack.enter_async_context(running_drop(through))
        ground = Ground(drop, *lines, language, monkeypatch)
        for code, means in REACHED.items():
            try:
                replies = await means(ground)
                for reply in replies:
                    check(code, reply, "en" if code == "headers_too_large" else language)
                    carried.setdefault(code, set()).update(set(reply.body) - USUAL)
                    carried[code].update(name for name in HEADERS if name in reply.headers)
            except Exception as error:
                wrong[code] = error
            else:
                title = replies[0]["title"]
                table.append(f"{KINDS[code].status}  {code:23} {len(replies)} x  {title:42}  {means.__doc__}")
    print("\n" + "\n".join(table))  # noqa: T201 - what -s is for
    if wrong:
        raise ExceptionGroup(f"not reached as they should be: {', '.join(wrong)}", list(wrong.values()))
    documents = {code: set(re.findall("`([^`]+)`", carries)) for code, carries in documented().items()}
    assert carried == {code: carries for code, carries in documents.items() if code not in OF_VOUCHERS}
