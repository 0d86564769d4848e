"""What dies while `dropwave up` runs is started again; what dies again and again stops it."""

import asyncio
import itertools
from collections.abc import Callable

import aiohttp
import pytest
from msgspec import Struct

from engine.embedded.running import Running, find_running
from engine.gateway.identity.minting import mint_token
from engine.gateway.keyring import Keyring
from engine.settings import Settings
from tests.embedded.command import Up
from tests.support.processes import kill_all, processes_in
from tests.support.waiting import wait_until

Start = Callable[..., Up]

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


class Given(Struct):
    """A claim that somebody was told of."""

    code: str
    sequence: int


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
            return Given(body["claim"]["vouchers"][0]["code"], body["claim"]["sequence"])
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

    async def more(self, claims: int, within_s: float = 20.0) -> None:
        """Until so many more were given."""
        enough = len(self.given) + claims
        await wait_until(lambda: len(self.given) >= enough, within_s, "claims are granted again")

    async def hold(self) -> None:
        """Everybody who was told of a claim is told of the same one again."""
        for account, given in list(self.given.items()):
            assert await wait_until(lambda account=account: self.ask(account)) == given


@pytest.mark.parametrize("ack", ["logged", "settled"])
async def test_whatever_dies_under_claims_comes_back_and_nothing_is_lost(start: Start, ack: str) -> None:
    up = await asyncio.to_thread(lambda: start("--workers", "2", "--ack", ack).ready())
    running = find_running(up.data)
    assert running
    async with Crowd(up, running) as crowd:
        await crowd.apply()
        crowd.begin()
        await crowd.more(20)
        deaths = ["gateway", "writer", "steward", "redis", "postgres"]
        for role in deaths:
            seen = len(up.restarted())
            await asyncio.to_thread(up.kill, role)
            await wait_until(lambda seen=seen: len(up.restarted()) > seen, 20)
            await crowd.more(20)
        assert [name.partition("-")[0] for name in up.restarted()] == deaths

        kill_all({pid for pid in processes_in(up.data) if pid != up.process.pid})
        await wait_until(lambda: len(up.restarted()) == len(deaths) + 6, 30)
        await crowd.more(20)
        await crowd.hold()
        assert crowd.wrong == []
    audit = await asyncio.to_thread(up.command, "audit")
    assert audit.returncode == 0, audit.stdout + audit.stderr
