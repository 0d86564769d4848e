"""A drop whose vouchers are used: a writer beside the gateway, tills of two merchants, the ledger at hand."""

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
from msgspec.structs import replace

from engine.domain.campaign import Campaign, Offer, Store, Use, Validity, Wave
from engine.ledger.campaigns import apply_campaign
from engine.settings import Settings
from engine.settling.writer import Writer
from engine.wiring import connected, running, steward_services, writer_services
from tests.gateway.drop import HOUR, Drop, Reply, running_gateway, wave
from tests.support.waiting import wait_until

STORES = {
    "mall": Store("武商广场", "m1", "武汉"),
    "mall-2": Store("江汉路百货", "m1", "武汉"),
    "mall-far": Store("宜昌商场", "m1", "宜昌"),
    "food": Store("户部巷小吃", "m2", "武汉"),
}


def shop_campaigns(now: datetime) -> list[Campaign]:
    """shops: `cut` is a threshold for m1's mall and mall-far, `gift` is exchanged there, `shown` is taken there while
    its code page is open. food: m2's own."""
    common: dict[str, Any] = {"timezone": "Asia/Shanghai", "currency": "CNY", "stores": STORES}
    cut = Offer("cut", "商场消费券 10 元", "threshold", ("mall", "mall-far"), face=1000, min_spend=3000)
    gift = Offer("gift", "礼品", "gift", ("mall",), face=5000)
    shown = Offer("shown", "当面出示券", "instant", ("mall",), face=700, code_page=True)
    shops = Campaign(
        id="shops",
        title="用券",
        validity=Validity(natural_days=7),
        offers=(cut, gift, shown),
        waves=(wave("shops-open", now, {"cut": 1000, "gift": 100, "shown": 100}, -HOUR, HOUR),),
        use=Use(cities=("武汉",)),
        **common,
    )
    food = replace(
        shops,
        id="food",
        offers=(Offer("noodles", "餐饮消费券", "instant", ("food",), face=500),),
        waves=(wave("food-open", now, {"noodles": 1000}, -HOUR, HOUR),),
    )
    return [shops, food]


def told(reply: Reply) -> tuple[int, str]:
    """Status and code of a refusal, status and what was done of any other answer."""
    return reply.status, str(reply.body.get("code", reply.body.get("status", "")))


class Shop:
    """What a test needs of tills."""

    def __init__(self, drop: Drop, database_url: str, writer: Writer) -> None:
        self.drop = drop
        self.database_url = database_url
        self.writer = writer
        self.language = "en"
        self.waves: dict[str, tuple[Wave, ...]] = {}
        """As they were applied, by campaign."""
        self.asked: tuple[dict[str, Any], str] = ({}, "")
        """The last redemption that was asked for, and by which token."""
        self._numbers = itertools.count(1)

    async def claim(self, user: str, offer: str = "cut", wave_id: str = "shops-open") -> str:
        """The code of a voucher that this user claims."""
        reply = await self.drop.claim(wave_id, {"offer": offer}, self.drop.token(user))
        assert reply.status in (200, 201), reply
        code: str = reply["claim"]["vouchers"][0]["code"]
        return code

    async def settled(self, user: str, offer: str = "cut", wave_id: str = "shops-open") -> str:
        """The same, once the ledger has it."""
        code = await self.claim(user, offer, wave_id)

        async def is_settled() -> bool:
            return bool(await self.rows("select from vouchers where code = $1", code))

        await wait_until(is_settled, what="the voucher is settled")
        return code

    def till(self, *stores: str, **claims: Any) -> str:
        """The token of a merchant's till."""
        return self.drop.token(
            "till", scope="merchant", stores=list(stores or ("mall", "mall-2", "mall-far")), **claims
        )

    def order(self, code: str, **changes: Any) -> dict[str, Any]:
        """A redemption of its own order, payment and request."""
        number = next(self._numbers)
        plain = {"code": code, "store": "mall", "clerk": "li", "amount": 4_250, "request_no": f"q{number}"}
        return plain | {"order_no": f"o{number}", "payment_no": f"p{number}"} | changes

    async def redeem(self, body: Mapping[str, Any], auth: str = "", **headers: str) -> Reply:
        self.asked = (dict(body), auth)
        sent = {"Accept-Language": self.language} | headers
        return await self.drop.call(
            "POST", "/v1/merchant/redemptions", auth or self.till(), json=dict(body), headers=sent
        )

    def held(self, code: str, **changes: Any) -> dict[str, Any]:
        """A lock for an order of its own, for a minute."""
        order = self.order(code)
        del order["payment_no"]
        return order | {"hold_ms": 60_000} | changes

    def refund(self, **changes: Any) -> dict[str, Any]:
        """A reversal of all that is left, asked for by the user after completion."""
        return {"clerk": "li", "by": "user", "completed": True, "request_no": f"q{next(self._numbers)}"} | changes

    async def lock(self, body: Mapping[str, Any], auth: str = "") -> Reply:
        return await self._post("locks", body, auth)

    async def release(self, lock: str, auth: str = "", clerk: str = "li") -> Reply:
        return await self._post(f"locks/{lock}/release", {"clerk": clerk}, auth)

    async def reverse(self, redemption: str, body: Mapping[str, Any], auth: str = "") -> Reply:
        return await self._post(f"redemptions/{redemption}/reversal", body, auth)

    async def look(self, redemption: str, auth: str = "") -> Reply:
        """A redemption, with its reversals."""
        headers = {"Accept-Language": self.language}
        path = f"/v1/merchant/redemptions/{redemption}"
        return await self.drop.call("GET", path, auth or self.till(), headers=headers)

    async def _post(self, path: str, body: Mapping[str, Any], auth: str) -> Reply:
        headers = {"Accept-Language": self.language}
        path = f"/v1/merchant/{path}"
        return await self.drop.call("POST", path, auth or self.till(), json=dict(body), headers=headers)

    async def rows(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """What Postgres says, or does, past the engine."""
        connection = await asyncpg.connect(self.database_url)
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()


@asynccontextmanager
async def running_shop(settings: Settings) -> AsyncIterator[Shop]:
    """Campaigns applied, steward, writer and gateway at work, every wave on the board."""
    async with connected(settings) as stores:
        applied = shop_campaigns(datetime.now(UTC))
        for campaign in applied:
            await apply_campaign(stores.ledger, campaign, "tests")
        roles = [*writer_services(stores, settings), *steward_services(stores, settings)]
        writer = next(role for role in roles if isinstance(role, Writer))
        async with running(roles), running_gateway(settings, stores) as drop:
            await wait_until(lambda: drop.board.ready and len(drop.board.waves()) == 2, what="all waves on the board")
            shop = Shop(drop, settings.database_url, writer)
            shop.waves = {campaign.id: campaign.waves for campaign in applied}
            yield shop
