"""The campaigns of these tests, and a running gateway that serves them."""

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
from msgspec.structs import replace
from multidict import CIMultiDict

from engine.claiming.board import Board, LiveWave
from engine.claiming.desks import Desks
from engine.domain.campaign import Campaign, Cap, Eligibility, Limit, Offer, Store, TagRule, Validity, Wave
from engine.gateway.identity.minting import mint_token
from engine.gateway.keyring import Keyring
from engine.gateway.server import Gateway
from engine.gateway_wiring import gateway_services
from engine.ledger.campaigns import all_catalogues, apply_campaign
from engine.scheduling.acts import Actor
from engine.service import Service
from engine.settings import Settings
from engine.wiring import Stores, connected, running, steward_services
from tests.support.waiting import wait_until

OPS = Actor("ops", "a reason for people")
STORES = {"s1": Store("店", "m1", "武汉")}
HOUR = timedelta(hours=1)
ZONE = ZoneInfo("Asia/Shanghai")


def offer(name: str, title: str = "券 5% off") -> Offer:
    return Offer(name, title, "threshold", ("s1",), face=1000, min_spend=3000)


def wave(name: str, now: datetime, stock: Mapping[str, int], opens: timedelta, closes: timedelta, **rest: Any) -> Wave:
    opens_at = now + opens
    return Wave(name, opens_at, now + closes, opens_at.astimezone(ZONE).date(), dict(stock), **rest)


def campaigns(now: datetime) -> list[Campaign]:
    """one: limit 1. many: 3 a wave. people: by person. capped: one claim in all. past: no longer in the hot store."""
    common: dict[str, Any] = {"timezone": "Asia/Shanghai", "currency": "CNY", "stores": STORES}
    one = Campaign(
        id="one",
        title="一张",
        validity=Validity(natural_days=7),
        offers=(offer("a"), offer("b"), offer("rare")),
        waves=(
            wave("one-open", now, {"a": 1000, "b": 1000, "rare": 1}, -HOUR, HOUR),
            wave("one-later", now, {"a": 5}, 2 * HOUR, 3 * HOUR),
            wave("one-over", now, {"a": 5}, -3 * HOUR, -2 * HOUR),
        ),
        eligibility=Eligibility(cities=("武汉", ""), tags=TagRule(none=("staff",)), deny=frozenset({"barred"})),
        **common,
    )
    many = Campaign(
        id="many",
        title="三张",
        validity=Validity(days_after_claim=14),
        offers=(offer("x"), Offer("y", "八折", "percent", ("s1",), percent_off=20, max_discount=1500)),
        waves=(wave("many-open", now, {"x": 100, "y": 100}, -HOUR, HOUR),),
        limits=(Limit(3, "wave"),),
        **common,
    )
    people = replace(
        many,
        id="people",
        by="person",
        limits=(Limit(1, "campaign"),),
        waves=(wave("people-open", now, {"x": 9}, -HOUR, HOUR),),
    )
    capped = replace(many, id="capped", cap=Cap(claims=1), waves=(wave("capped-open", now, {"x": 9}, -HOUR, HOUR),))
    past = replace(many, id="past", waves=(wave("past", now, {"x": 9}, -240 * HOUR, -216 * HOUR),))
    return [one, many, people, capped, past]


class Drop:
    """What a test needs of a running gateway."""

    def __init__(
        self,
        settings: Settings,
        stores: Stores,
        board: Board,
        desks: Desks,
        gateway: Gateway,
        session: aiohttp.ClientSession,
    ) -> None:
        self.settings = settings
        self.stores = stores
        self.board = board
        self.desks = desks
        self.gateway = gateway
        self.session = session
        self.keyring = Keyring.of(settings)
        self.steward: Service

    @property
    def port(self) -> int:
        return self.gateway.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def token(self, sub: str = "u1", ttl_s: int = 600, **claims: Any) -> str:
        return "Bearer " + mint_token(self.keyring.token_keys[0], sub, ttl_s=ttl_s, **claims)

    def live(self, wave_id: str) -> LiveWave:
        live = self.board.wave(wave_id)
        assert live is not None
        return live

    async def claim(self, wave_id: str, body: Any, auth: str | None = None, **headers: str) -> "Reply":
        """POST a claim; `auth` of None is the token of u1."""
        return await self.call("POST", f"/v1/waves/{wave_id}/claims", auth or self.token(), json=body, headers=headers)

    async def call(
        self, method: str, path: str, auth: str = "", headers: Mapping[str, str] = {}, **rest: Any
    ) -> "Reply":
        sent = dict(headers) | ({"Authorization": auth} if auth else {})
        async with self.session.request(method, self.url + path, headers=sent, **rest) as response:
            data = await response.read()
            is_json = "json" in response.headers.get("Content-Type", "")
            return Reply(
                response.status,
                CIMultiDict(response.headers),
                await response.json(content_type=None) if is_json else data,
            )


@asynccontextmanager
async def silent_store(drop: Drop) -> AsyncIterator[None]:
    """No claim is decided for the time of the block; what was sent is decided after it."""
    await drop.stores.hot_store.call("CLIENT", "PAUSE", 30_000, "WRITE")
    try:
        yield
    finally:
        await drop.stores.hot_store.call("CLIENT", "UNPAUSE")


class Reply:
    """Status, headers, and the decoded body."""

    def __init__(self, status: int, headers: Mapping[str, str], body: Any) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def __getitem__(self, name: str) -> Any:
        return self.body[name]

    def __repr__(self) -> str:
        return f"{self.status} {self.body} {self.headers}"


@asynccontextmanager
async def running_drop(settings: Settings) -> AsyncIterator[Drop]:
    """Apply the campaigns if they are not there, start steward and gateway, wait until every wave is on the board."""
    async with connected(settings) as stores:
        if not await all_catalogues(stores.ledger):
            now = datetime.now(UTC)
            for campaign in campaigns(now):
                await apply_campaign(stores.ledger, campaign, "tests")
        (steward,) = steward_services(stores, settings)
        async with running([steward]), running_gateway(settings, stores) as drop:
            drop.steward = steward
            # A shard is bound before its waves are put into it.
            await wait_until(lambda: drop.board.ready and len(drop.board.waves()) == 6, what="all waves on the board")
            yield drop


async def loaded(redis_url: str, database_url: str) -> None:
    """Brings the campaigns into empty stores."""
    with tempfile.TemporaryDirectory() as data:
        stores = Settings(data=data, port=0, secret="5" * 64, redis_url=redis_url, database_url=database_url)
        async with running_drop(replace(stores, board_refresh_ms=20, steward_pass_ms=20)):
            pass


@asynccontextmanager
async def running_gateway(settings: Settings, stores: Stores, without: tuple[type, ...] = ()) -> AsyncIterator[Drop]:
    """One more gateway over these stores, without its services of those types."""
    services = [service for service in gateway_services(stores, settings) if not isinstance(service, without)]
    board = next(service for service in services if isinstance(service, Board))
    desks = next(service for service in services if isinstance(service, Desks))
    gateway = next(service for service in services if isinstance(service, Gateway))
    async with running(services), aiohttp.ClientSession() as session:
        yield Drop(settings, stores, board, desks, gateway, session)
