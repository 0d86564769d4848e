"""An installation in this process: steward, writer and a gateway on real servers."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import msgspec

from engine.domain.campaign import Campaign, Catalogue, Offer, Store, Validity, Wave
from engine.domain.eligibility import Identity
from engine.gateway.identity.minting import mint_token
from engine.gateway.keyring import Keyring
from engine.gateway.server import Gateway
from engine.gateway_wiring import gateway_services
from engine.hotstore.view import read_shard
from engine.ledger.campaigns import apply_campaign
from engine.rehearsal.picture import Picture
from engine.settings import Settings
from engine.wiring import Stores, connected, running, steward_services, writer_services
from tests.support.waiting import wait_until


class Pictures:
    """A screen that keeps what it is shown."""

    def __init__(self) -> None:
        self.shown: list[Picture] = []

    def show(self, picture: Picture) -> None:
        self.shown.append(picture)


def campaign(opens_at: datetime, **rules: object) -> Campaign:
    offers = tuple(Offer(name, name, "instant", ("s1",), face=100) for name in ("a", "b"))
    stock = {"a": 70, "b": 30}
    waves = (
        Wave("drop", opens_at, opens_at + timedelta(hours=1), opens_at.date(), stock),
        Wave("later", opens_at + timedelta(days=1), opens_at + timedelta(days=2), opens_at.date(), stock),
    )
    base = Campaign(
        id="small",
        title="small",
        timezone="Asia/Shanghai",
        currency="CNY",
        validity=Validity(natural_days=7),
        offers=offers,
        waves=waves,
        stores={"s1": Store("s1", "m1", "武汉")},
    )
    return msgspec.structs.replace(base, **rules)


@asynccontextmanager
async def machine(settings: Settings) -> AsyncIterator[tuple[Stores, int]]:
    """Everything started; the port is the gateway's."""
    async with connected(settings) as stores:
        services = gateway_services(stores, settings)
        gateway = next(service for service in services if isinstance(service, Gateway))
        roles = [*steward_services(stores, settings), *writer_services(stores, settings), *services]
        async with running(roles):
            yield stores, gateway.port


async def put(stores: Stores, wanted: Campaign) -> Catalogue:
    """Apply it, and wait until the steward has put its first wave."""
    catalogue = (await apply_campaign(stores.ledger, wanted, "tests")).catalogue

    async def is_put() -> bool:
        shard = await read_shard(stores.hot_store, catalogue.id)
        return shard is not None and 1 in shard.waves

    await wait_until(is_put)
    return catalogue


def token_maker(settings: Settings) -> Callable[[Identity, int], str]:
    """Mints users' tokens of that installation."""
    key = Keyring.of(settings).token_keys[0]

    def token(identity: Identity, ttl_s: int) -> str:
        person, tags = identity.person, identity.tags
        return mint_token(key, identity.account, ttl_s=ttl_s, city=identity.city, tags=tags, person=person)

    return token


def settings_of(settings: Settings, redis_url: str, database_url: str) -> Settings:
    return msgspec.structs.replace(settings, redis_url=redis_url, database_url=database_url)
