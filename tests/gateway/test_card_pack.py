"""The card pack: what a user holds, settled or not, page by page, in words, as a picture, and deleted."""

import random
import re
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import zxingcpp
from msgspec.structs import replace

from engine.domain.codes import new_code
from engine.gateway.card_queries import CARDS_MAX, SHOWN_STATES
from engine.gateway.qr_codes import SVG_BYTES_MAX, qr_svg
from engine.settings import Settings
from engine.wallet import card_pack
from tests.gateway.drop import Reply
from tests.gateway.shop import Shop, running_shop
from tests.support.waiting import wait_until


@pytest.fixture
def drop_settings(settings: Settings, redis_url: str, database_url: str) -> Settings:
    return replace(
        settings, redis_url=redis_url, database_url=database_url, arrival_wait_ms=200, user_requests_burst=10_000
    )


@pytest.fixture
async def shop(drop_settings: Settings) -> AsyncIterator[Shop]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(running_shop(drop_settings))


async def ask(shop: Shop, path: str = "", user: str = "ann", method: str = "GET", language: str = "en") -> Reply:
    headers = {"Accept-Language": language}
    return await shop.drop.call(method, f"/v1/me/vouchers{path}", shop.drop.token(user), headers=headers)


def told(reply: Reply) -> tuple[int, str]:
    return reply.status, reply["code"]


async def codes_of(shop: Shop, query: str = "", user: str = "ann") -> list[str]:
    """All pages."""
    found: list[str] = []
    page = await ask(shop, f"?{query}", user)
    while True:
        assert page.status == 200, page
        found += [card["code"] for card in page["vouchers"]]
        if page["next_after"] is None:
            return found
        page = await ask(shop, f"?{query}&after={page['next_after']}", user)


async def rich(shop: Shop, user: str, vouchers: int, **columns: str) -> list[str]:
    """The codes of so many settled vouchers of a user, newest first; several have the same instant."""
    [row] = await shop.rows("select campaign_no, code_prefix from campaigns where id = 'shops'")
    numbers = iter(range(1 << 40, 1 << 60, 123_456_789_123))
    codes = [new_code(row["code_prefix"], lambda _: next(numbers)) for _ in range(vouchers)]
    await shop.rows(
        "insert into claims (campaign_no, epoch, sequence, wave_no, offer_no, request_no, unit, nth, terms_version, "
        "claimant, code, claimed_at) select $1, 1, n, 1, 1, 1, 100000 + n, n, 1, $2, code, "
        "date_trunc('milliseconds', now()) - interval '1 hour' + n / 3 * interval '1 second' "
        "from unnest($3::text[]) with ordinality as each (code, n)",
        row["campaign_no"],
        user,
        codes,
    )
    await shop.rows(
        "insert into vouchers (campaign_no, code, epoch, sequence, valid_from, expires_at) select campaign_no, code, "
        "epoch, sequence, claimed_at, claimed_at + interval '7 days' from claims where claimant = $1",
        user,
    )
    return codes[::-1]


async def test_a_claim_of_a_moment_ago_is_there_settled_or_not(shop: Shop) -> None:
    await shop.writer.stop()
    code = await shop.claim("ann")
    page, card = await ask(shop), await ask(shop, f"/{code.lower()}")
    assert page["next_after"] is None
    [listed] = page["vouchers"]
    assert (listed["code"], listed["state"], listed["settled"], listed["made"]) == (code, "pending", False, None)
    assert card.body == listed | {"stores": card["stores"]}
    assert card["stores"] == [{"id": "mall", "title": "武商广场", "city": "武汉"}], (
        "mall-far is in no city of the terms"
    )
    assert (card["store_count"], card["cities"], card["per_payment"], card["min_spend"]) == (1, ["武汉"], 1, 3000)
    assert (await ask(shop, f"/{code}/qr.svg")).status == 200
    assert told(await ask(shop, f"/{code}", method="DELETE")) == (503, "not_settled_yet")
    await shop.writer.start()
    await wait_until(lambda: shop.rows("select from vouchers where code = $1", code), what="the voucher is settled")
    settled = await ask(shop, f"/{code}")
    assert settled.body == card.body | {"settled": True}
    assert (await ask(shop))["vouchers"] == [listed | {"settled": True}]


async def test_a_card_that_is_settled_between_two_looks_is_there(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    await shop.writer.stop()
    code = await shop.claim("ann")
    look = card_pack.settled_among

    async def after_it_was_settled(*asked: Any) -> Any:
        await shop.writer.start()
        await wait_until(lambda: shop.rows("select from vouchers where code = $1", code), what="the voucher is settled")
        return await look(*asked)

    monkeypatch.setattr(card_pack, "settled_among", after_it_was_settled)
    card = await ask(shop, f"/{code}")
    assert (card.status, card["code"], card["settled"]) == (200, code, True)


async def test_pages_have_every_voucher_once_newest_first(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = await rich(shop, "ann", 130)
    await shop.rows("update vouchers set state = 'invalidated' where code = any($1::text[])", codes[::2])
    monkeypatch.setattr(card_pack, "READ_AT_ONCE", 40)
    monkeypatch.setattr(card_pack, "LOOKED_AT_MAX", 80)
    await shop.writer.stop()
    newest = await shop.claim("ann", "noodles", "food-open")
    for limit in (17, 100):
        assert await codes_of(shop, f"limit={limit}") == [newest, *codes]
    first = await ask(shop)
    assert len(first["vouchers"]) == 50, "unless another limit is asked for"
    assert await codes_of(shop, "state=pending") == [newest, *codes[1::2]]
    assert await codes_of(shop, "state=invalidated&limit=3") == codes[::2]
    assert await codes_of(shop, "state=invalidated,pending&state=redeemed&limit=100") == [newest, *codes]
    assert await codes_of(shop, "state=expired") == []
    await shop.rows("update vouchers set is_hidden = true where code = any($1::text[])", codes[3:100])
    assert await codes_of(shop, "limit=100") == [newest, *codes[:3], *codes[100:]]
    assert await codes_of(shop, user="ben") == []


WRONG = {
    "state": ["used", "", "pending,", "deleted"],
    "limit": ["0", str(CARDS_MAX + 1), "1.5", "", "1&limit=2", "%D9%A1"],
    "after": ["", "1.2.3", "1.1.1.1&after=1.1.1.1", "999999999999999.1.1.1", "-1.1.1.1"],
}


async def test_what_cannot_be_asked_for_is_told(shop: Shop) -> None:
    for at, values in WRONG.items():
        right = {"state": ", ".join(SHOWN_STATES), "limit": str(CARDS_MAX), "after": "next_after"}[at]
        for value in values:
            reply = await ask(shop, f"?{at}={value}")
            assert (reply.status, reply["code"], reply["at"]) == (400, "invalid_request", at), value
            assert right in reply["detail"]
        assert right in (await ask(shop, f"?{at}={value}", language="zh"))["detail"]


def scanned(svg: bytes) -> str:
    """What a scanner reads from the picture: its black strokes painted, a module eight points wide."""
    document = ET.fromstring(svg)
    side = int(document.attrib["viewBox"].split()[2])
    path = document.find("{http://www.w3.org/2000/svg}path[@stroke]")
    assert path is not None
    assert [part.attrib.get("fill", part.attrib.get("stroke")) for part in document] == ["#fff", "#000"]
    modules = [[255] * side for _ in range(side)]
    x = y = 0.0
    for command, numbers in re.findall("([Mmh])([^Mmh]*)", path.attrib["d"]):
        parts = [float(number) for number in re.findall(r"-?[0-9]*\.?[0-9]+", numbers)]
        if command == "h":
            for column in range(int(x), int(x + parts[0])):
                modules[int(y)][column] = 0
            x += parts[0]
        else:
            x, y = (parts[0], parts[1]) if command == "M" else (x + parts[0], y + parts[1])
    points = bytes(value for row in modules for _ in range(8) for value in row for _ in range(8))
    picture = memoryview(points).cast("B", (side * 8, side * 8))
    [found] = zxingcpp.read_barcodes(picture)
    return str(found.text)


async def test_a_scanner_reads_the_code(shop: Shop) -> None:
    code = await shop.claim("ann")
    reply = await ask(shop, f"/{code}/qr.svg")
    assert (reply.status, reply.headers["Content-Type"]) == (200, "image/svg+xml")
    assert reply.headers["Cache-Control"] == "no-store"
    assert scanned(reply.body) == code
    numbers = random.Random(7)
    for prefix in ("HB7", "000", "ZZZ"):
        for _ in range(20):
            other = new_code(prefix, numbers.getrandbits)
            picture = qr_svg(other)
            assert len(picture) <= SVG_BYTES_MAX
            assert scanned(picture) == other


async def test_somebody_elses_voucher_is_unknown(shop: Shop) -> None:
    code = await shop.settled("ann")
    for path, method in ((f"/{code}", "GET"), (f"/{code}/qr.svg", "GET"), (f"/{code}", "DELETE")):
        assert told(await ask(shop, path, "ben", method)) == (404, "unknown_code"), (path, method)
        mistyped = path.replace(code[-1], "U")
        assert told(await ask(shop, mistyped, "ann", method)) == (400, "mistyped_code"), (path, method)
    assert (await ask(shop, f"/{code}"))["state"] == "pending"


async def test_a_deleted_voucher_is_gone_for_good(shop: Shop) -> None:
    code = await shop.settled("ann")
    for _ in range(2):
        gone = await ask(shop, f"/{code}", method="DELETE")
        assert (gone.status, gone.body) == (204, b"")
    assert (await ask(shop))["vouchers"] == []
    assert told(await ask(shop, f"/{code}")) == (410, "deleted")
    assert told(await ask(shop, f"/{code}/qr.svg")) == (410, "deleted")
    assert told(await shop.redeem(shop.order(code))) == (410, "deleted")
    assert [
        tuple(row) for row in await shop.rows("select step, kind, actor from voucher_steps where code = $1", code)
    ] == [(1, "delete", "ann")]


async def test_of_a_used_one_the_card_alone_is_hidden(shop: Shop) -> None:
    code = await shop.settled("ann")
    assert (await shop.redeem(shop.order(code))).status == 201
    used = await ask(shop, f"/{code}")
    assert (used["state"], used["made"]["by"], used["made"]["store"]) == (
        "redeemed",
        "redeem",
        {"id": "mall", "title": "武商广场"},
    )
    assert (await ask(shop, f"/{code}", method="DELETE")).status == 204
    assert (await ask(shop))["vouchers"] == []
    again = await shop.redeem(shop.order(code))
    assert (told(again), again["store"], again["redeemed_at"]) == (
        (409, "already_redeemed"),
        "mall",
        used["made"]["at"],
    )


async def test_one_that_is_held_for_an_order_is_not_deleted(shop: Shop) -> None:
    code = await shop.settled("ann")
    await step(shop, code, "locked", "lock", merchant="'m1'", order_no="'A-1'", until="now() + interval '5 minutes'")
    refused = await ask(shop, f"/{code}", method="DELETE")
    assert told(refused) == (409, "locked")
    card = await ask(shop, f"/{code}")
    assert (card["state"], card["made"]["until"]) == ("locked", refused["locked_until"])
    await shop.rows("update voucher_steps set until = now() - interval '1 second' where code = $1", code)
    free = await ask(shop, f"/{code}")
    assert (free["state"], free["made"]) == ("pending", None)
    assert (await ask(shop, f"/{code}", method="DELETE")).status == 204


async def step(shop: Shop, code: str, state: str, kind: str, **columns: str) -> None:
    """Some step has brought the voucher into that state."""
    names, values = "".join(f", {name}" for name in columns), "".join(f", {value}" for value in columns.values())
    await shop.rows(
        f"insert into voucher_steps (campaign_no, code, step, kind, at, offer_no, terms_version{names}) "
        f"select campaign_no, code, 1, '{kind}', now(), 1, 1{values} from vouchers where code = $1",
        code,
    )
    await shop.rows(f"update vouchers set state = '{state}', step = 1, made_by = 1 where code = $1", code)


async def test_each_state_says_what_to_do_next_in_both_languages(shop: Shop) -> None:
    code = await shop.settled("ann")
    day = "timestamptz '2021-09-24 00:00+08'"
    long_ago = f"claimed_at = {day} - interval '7 days'"
    await shop.rows(f"update claims set {long_ago} where code = $1", code)
    period = "update vouchers set valid_from = {}, expires_at = {} where code = $1"
    late = "timestamptz '2099-09-24 00:00+08'"

    async def says(state: str, *parts: str) -> None:
        for language, part in zip(("en", "zh"), parts, strict=True):
            card = await ask(shop, f"/{code}", language=language)
            assert (card["state"], card.headers["Vary"]) == (state, "Accept-Language")
            assert part in card["next_step"], card["next_step"]

    await shop.rows(period.format(day, late), code)
    await says(
        "pending",
        "Show this code when you pay CNY 30 or more at 武商广场, before 2099-09-24 00:00.",
        "请在 2099-09-24 00:00 前到武商广场，付款满 30 元时出示此券码。",
    )
    assert (await ask(shop, f"/{code}"))["rule"] == "CNY 10 off when CNY 30 or more is due"
    assert (await ask(shop, f"/{code}", language="zh"))["rule"] == "满 30 元，减 10 元"
    await shop.rows(period.format("timestamptz '2099-09-01 08:30+08'", late), code)
    await says("not_yet_effective", "from 2099-09-01 08:30 on", "自 2099-09-01 08:30 起")
    await shop.rows(period.format(day + " - interval '7 days'", day), code)
    await says("expired", "before 2021-09-24 00:00", "已于 2021-09-24 00:00 过期")
    await step(shop, code, "locked", "lock", until="timestamptz '2099-01-01 12:00+08'", merchant="'m1'", order_no="'A'")
    await says("locked", "unpaid order until 2099-01-01 12:00", "占用至 2099-01-01 12:00")
    await shop.rows("update vouchers set state = 'redeemed' where code = $1", code)
    await shop.rows(f"update voucher_steps set kind = 'redeem', store = 'mall', at = {day} where code = $1", code)
    await says("redeemed", "used on 2021-09-24 00:00 at 武商广场", "已于 2021-09-24 00:00 在武商广场使用")
    for kind, state in (("invalidate", "invalidated"), ("cancel", "cancelled")):
        await shop.rows("update voucher_steps set kind = $2, store = null, reason = '停业' where code = $1", code, kind)
        await shop.rows("update vouchers set state = $2 where code = $1", code, state)
        await says(state, "2021-09-24 00:00: 停业", "原因：停业")
