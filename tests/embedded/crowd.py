"""Users of a running `dropwave up`, over HTTP, and what they were told."""

import asyncio
import itertools
import re
from collections import Counter

import aiohttp
from msgspec import Struct

from engine.audit.audit import audit
from engine.embedded.running import Running
from engine.gateway.identity.minting import mint_token
from engine.gateway.keyring import Keyring
from engine.settings import Settings
from engine.wiring import connected
from tests.embedded.command import Up
from tests.support.waiting import wait_until

CAMPAIGN = """
campaign: try-it
title: 试一试
timezone: Asia/Shanghai
currency: CNY
limits: [{max: 1, per: campaign}]
validity: {days_after_claim: 7}
stores: {s1: {title: 店, merchant: m1, city: 武汉}}
offers: [{id: ten, title: 十元, kind: threshold, face: 1000, min_spend: 3000, stores: all}]
waves: [{id: try-it, opens_at: "2026-01-01 00:00", closes_at: "2036-01-01 00:00", stock: {ten: 1000000}}]
"""
USERS = 8
PAUSE_S = 0.1
"""Between two claims of a user: enough for each second of a fault, and few enough to ask for all of them again."""


class Given(Struct):
    """A claim that somebody was told of."""

    code: str
    claimed_at: str


class Crowd:
    """Users who claim one after the other, and ask on until they are told."""

    def __init__(self, up: Up, running: Running) -> None:
        self._url = running.url
        self._key = Keyring.of(Settings(secret=(up.data / "secret").read_text().strip())).token_keys[0]
        self._names = itertools.count(1)
        self._tasks: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession
        self.given: dict[str, Given] = {}
        self.wrong: list[str] = []

    async def __aenter__(self) -> "Crowd":
        # A connection for each request: one that is kept would stay with its gateway, and meet only its death.
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.close()

    def token(self, account: str, **claims: str) -> str:
        return "Bearer " + mint_token(self._key, account, ttl_s=600, **claims)

    async def apply(self) -> None:
        """The campaign, and its wave open."""
        headers = {
            "Authorization": self.token("li", scope="ops", role="operator"),
            "Content-Type": "application/yaml",
        }
        url = f"{self._url}/v1/ops/campaigns/try-it"
        async with self._session.put(url, data=CAMPAIGN.encode(), headers=headers) as answer:
            assert answer.status == 201, await answer.text()
        await wait_until(lambda: self.ask("first"))

    async def ask(self, account: str) -> Given | None:
        """What the user is told; None where the answer is to ask again, or none came."""
        headers = {"Authorization": self.token(account)}
        url, timeout = f"{self._url}/v1/waves/try-it/claims", aiohttp.ClientTimeout(total=8)
        try:
            async with self._session.post(url, json={"offer": "ten"}, headers=headers, timeout=timeout) as answer:
                body = await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError):
            return None
        if answer.status in (200, 201):
            return Given(body["claim"]["vouchers"][0]["code"], body["claim"]["claimed_at"])
        if body["code"] not in ("recovering", "outcome_unknown", "busy", "unknown_wave"):
            self.wrong.append(f"{answer.status} {body}")
        return None

    def begin(self) -> None:
        self._tasks = [asyncio.create_task(self._ask_on()) for _ in range(USERS)]

    async def _ask_on(self) -> None:
        while True:
            account = f"u{next(self._names)}"
            while (given := await self.ask(account)) is None:
                await asyncio.sleep(0.02)
            self.given[account] = given
            await asyncio.sleep(PAUSE_S)

    async def more(self, claims: int, within_s: float = 20.0) -> None:
        """Until so many more were given."""
        enough = len(self.given) + claims
        await wait_until(lambda: len(self.given) >= enough, within_s, "claims are granted again")

    async def hold(self) -> None:
        """Everybody who was told of a claim is told of the same one again."""

        async def ask_again(some: list[tuple[str, Given]]) -> None:
            for account, given in some:
                assert await wait_until(lambda account=account: self.ask(account)) == given

        everybody = list(self.given.items())
        await asyncio.gather(*(ask_again(everybody[no::USERS]) for no in range(USERS)))

    async def restarts_counted(self) -> Counter[str]:
        """What `/metrics` tells of them, by role."""
        async with self._session.get(f"{self._url}/metrics") as answer:
            found = re.findall(r'^dropwave_restarts_total{role="(\w+)"} (\d+)', await answer.text(), re.MULTILINE)
        return Counter({role: int(count) for role, count in found})


async def audited(running: Running) -> None:
    """Every promise was kept, as far as the stores know."""
    settings = Settings(redis_url=running.redis_url, database_url=running.database_url)
    async with connected(settings) as stores:
        verdict = await audit(stores.ledger, stores.hot_store, "try-it")
    assert [finding for finding in verdict.findings if finding.held is not True] == []
