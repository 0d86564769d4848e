"""Campaign files over HTTP: applied, planned, refused with every mistake, and two operators at once."""

import asyncio
import json
from typing import Any

import pytest

from tests.gateway.drop import Drop, Reply
from tests.support.waiting import wait_until

FILE = """
campaign: fresh
title: 新活动 😀
timezone: Asia/Shanghai
currency: CNY
validity: {days_after_claim: 7}
stores: {s1: {title: 店, merchant: m1, city: 武汉}}
offers:
  - {id: a, title: a, category: mall, kind: instant, face: 100, stores: all}
waves:
  - {id: fresh-1, opens_at: "2026-01-01 20:00", closes_at: "2035-01-01 20:00", stock: {a: 10}}
  - {id: fresh-2, opens_at: "2035-02-01 20:00", lasts: 4h, stock: {a: 10}}
"""
AS_JSON: dict[str, Any] = {
    "campaign": "fresh",
    "title": "新活动 😀",
    "timezone": "Asia/Shanghai",
    "currency": "CNY",
    "validity": {"days_after_claim": 7},
    "stores": {"s1": {"title": "店", "merchant": "m1", "city": "武汉"}},
    "offers": [{"id": "a", "title": "a", "category": "mall", "kind": "instant", "face": 100, "stores": "all"}],
    "waves": [
        {"id": "fresh-1", "opens_at": "2026-01-01 20:00", "closes_at": "2035-01-01 20:00", "stock": {"a": 10}},
        {"id": "fresh-2", "opens_at": "2035-02-01 20:00", "lasts": "4h", "stock": {"a": 10}},
    ],
}
YAML = "application/yaml"


async def put(
    drop: Drop,
    body: str | dict[str, Any],
    campaign: str = "fresh",
    query: str = "",
    kind: str = "",
    role: str = "operator",
    **headers: str,
) -> Reply:
    text = body if isinstance(body, str) else json.dumps(body)
    kind = kind or (YAML if isinstance(body, str) else "application/json")
    sent = {name.replace("_", "-"): value for name, value in headers.items()} | {"Content-Type": kind}
    auth = drop.token("li", scope="ops", role=role)
    return await drop.call("PUT", f"/v1/ops/campaigns/{campaign}{query}", auth, headers=sent, data=text.encode())


async def test_a_file_is_put_into_force_and_claims_follow(drop: Drop) -> None:
    new = await put(drop, FILE)
    assert (new.status, new.headers["ETag"]) == (201, '"1"')
    assert new.body == {"campaign": "fresh", "revision": 1, "changed": True}
    await wait_until(lambda: drop.board.wave("fresh-1"))
    assert (await drop.claim("fresh-1", {"offer": "a"})).status == 201
    same = await put(drop, FILE)
    assert (same.status, same["changed"], same.headers["ETag"]) == (200, False, '"1"')
    more = await put(
        drop, FILE.replace("{a: 10}}\n  - {id: fresh-2", "{a: 10}}\n  - {id: fresh-2", 1).replace("4h", "5h")
    )
    assert (more.status, more["changed"], more["revision"]) == (200, True, 2)
    auth = drop.token("wang", scope="ops")
    seen = await drop.call("GET", "/v1/ops/campaigns/fresh", auth)
    assert (seen["revision"], seen["title"], seen["loaded"], seen.headers["ETag"]) == (2, "新活动 😀", True, '"2"')
    rows = await drop.call("GET", "/v1/ops/campaigns", auth)
    assert rows["complete"]
    assert {"fresh", "one", "past"} <= {row["id"] for row in rows["campaigns"]}
    assert (await drop.call("GET", "/v1/ops/campaigns/nothing", auth)).status == 404


async def test_every_way_to_send_a_file_is_the_same_campaign(drop: Drop) -> None:
    assert (await put(drop, FILE, kind="text/yaml; charset=utf-8")).status == 201
    for body, kind in (
        (FILE, "application/x-yaml"),
        (AS_JSON, ""),
        (json.dumps(AS_JSON, ensure_ascii=False, indent="\t"), "application/json"),
        ({"file": FILE}, ""),
        ({"file": json.dumps(AS_JSON, ensure_ascii=False), "lists": {}}, ""),
    ):
        reply = await put(drop, body, kind=kind)  # type: ignore[arg-type]  # both kinds of body stand in the tuple
        assert (reply.status, reply["changed"]) == (200, False), (body, reply)


async def test_lists_are_sent_along(drop: Drop) -> None:
    file = FILE.replace("waves:", "eligibility: {allow: vips.txt, deny: barred.txt}\nwaves:")
    missing = await put(drop, file)
    assert [mistake["path"] for mistake in missing["mistakes"]] == ["eligibility.allow", "eligibility.deny"]
    assert "no list vips.txt came with this campaign" in missing["mistakes"][0]["what"].replace('"', "")
    sent = await put(drop, {"file": file, "lists": {"vips.txt": "ann\nbob\n", "barred.txt": ["bob"]}})
    assert sent.status == 201, sent
    await wait_until(lambda: drop.board.wave("fresh-1"))
    for account, status in (("ann", 201), ("bob", 403), ("cy", 403)):
        assert (await drop.claim("fresh-1", {"offer": "a"}, drop.token(account))).status == status


async def test_every_mistake_is_told_with_its_line(drop: Drop) -> None:
    reply = await put(
        drop, FILE.replace("face: 100", "face: -1").replace("{a: 10}", "{b: 10}").replace("fresh-2", "x y")
    )
    assert (reply.status, reply["code"], reply["at"]) == (400, "invalid_request", "body")
    assert [(mistake["line"], mistake["path"]) for mistake in reply["mistakes"]] == [
        (9, "offers[0].face"),
        (11, "waves[0].stock.b"),
        (12, "waves[1].stock.b"),
        (12, "waves[1].id"),
    ]
    assert all(mistake["what"] for mistake in reply["mistakes"])
    assert reply["mistakes_in_all"] == 4
    other = await put(drop, FILE, campaign="other")
    assert other["mistakes"] == [
        {
            "line": None,
            "path": "campaign",
            "what": "is fresh, and the address says other: they have to be the same",
        }
    ]
    auth = drop.token("wang", scope="ops")
    assert (await drop.call("GET", "/v1/ops/campaigns/fresh", auth)).status == 404, "nothing was applied"


async def test_bodies_that_are_no_campaign(drop: Drop) -> None:
    for body, kind, status in (
        (FILE, "text/plain", 415),
        (FILE, "application/yaml; charset=gbk", 415),
        (FILE, "application/json", 400),
        ("[]", "application/json", 400),
        ('{"file": 5}', "application/json", 400),
        ('{"file": "x", "lists": []}', "application/json", 400),
        ('{"file": "x", "lists": {"a": 5}}', "application/json", 400),
        ("", YAML, 400),
        ("{" * 100_000, YAML, 400),
    ):
        assert (await put(drop, body, kind=kind)).status == status, (body[:50], kind)


async def test_a_dry_run_changes_nothing(drop: Drop) -> None:
    plan = await put(drop, FILE, query="?dry_run=1")
    assert (plan.status, plan["dry_run"], plan["revision"], plan["refusals"]) == (200, True, 0, [])
    assert plan["changes"]
    assert plan.headers["ETag"] == '"0"'
    assert (await put(drop, FILE, If_Match='"0"')).status == 201
    plan = await put(drop, FILE.replace("2026-01-01 20:00", "2026-01-01 21:00"), query="?dry_run=1")
    assert plan.status == 200
    assert any("fresh-1" in why for why in plan["refusals"])
    assert (await put(drop, FILE, query="?dry_run=1"))["changes"] == []
    moved = await put(drop, FILE.replace("4h", "5h"), query="?dry_run=1", If_Match='"9"')
    assert (moved.status, moved["code"], moved["revision"]) == (412, "precondition_failed", 1)


async def test_what_an_opened_wave_forbids(drop: Drop) -> None:
    await put(drop, FILE)
    reply = await put(drop, FILE.replace("2026-01-01 20:00", "2026-01-01 21:00").replace("fresh-2", "one-open"))
    assert (reply.status, reply["code"]) == (409, "act_refused")
    assert any("fresh-1" in why for why in reply["reasons"])
    assert any("one-open" in why for why in reply["reasons"]), "a wave of another campaign"


async def test_of_two_operators_the_second_is_told(drop: Drop) -> None:
    await put(drop, FILE)
    replies = await asyncio.gather(
        put(drop, FILE.replace("4h", "5h"), If_Match='"1"'), put(drop, FILE.replace("4h", "6h"), If_Match='"1"')
    )
    told = next(reply for reply in replies if reply.status != 200)
    assert sorted(reply.status for reply in replies) == [200, 412]
    assert (told["code"], told["revision"], told.headers["ETag"]) == ("precondition_failed", 2, '"2"')
    assert (await put(drop, FILE.replace("4h", "7h"), If_Match='"0"')).status == 412
    for tag in ("2", 'W/"2"', '"2", "3"', '"x"', "*"):
        reply = await put(drop, FILE.replace("4h", "7h"), If_Match=tag)
        assert (reply.status, reply["at"]) == (400, "If-Match"), tag
    assert (await put(drop, FILE.replace("4h", "7h"), If_Match='"2"')).status == 200


@pytest.mark.parametrize("role", ["viewer", ""])
async def test_only_operators_put(drop: Drop, role: str) -> None:
    for query in ("", "?dry_run=1"):
        reply = await put(drop, FILE, query=query, role=role)
        assert (reply.status, reply["detail"]) == (403, "this takes the role operator")
