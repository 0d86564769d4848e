"""A drop with every role in a process of its own: what they say of it, and what they never say."""

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec.structs import replace

from engine.gateway.identity.minting import mint_token
from engine.gateway.keyring import Keyring
from engine.ledger.campaigns import apply_campaign
from engine.ledger.database import Ledger
from engine.settings import Settings
from tests.gateway.drop import campaigns
from tests.settling.shards import client_of, end_sessions
from tests.support.waiting import wait_until
from tests.telemetry.house import figure, figures_at, free_port, get, running_house

Outcomes = Counter[tuple[str, str]]


class Crowd:
    """Sends requests, and remembers every secret that was in them or came back, and what each was answered."""

    def __init__(self, settings: Settings, session: aiohttp.ClientSession) -> None:
        self.url = f"http://127.0.0.1:{settings.port}"
        self.key = Keyring.of(settings).token_keys[0]
        self.session = session
        self.secrets: set[str] = {settings.secret, self.key.decode("latin-1")}
        self.outcomes: Outcomes = Counter()
        self.request_ids: list[str] = []

    def token(self, sub: str, **claims: Any) -> str:
        token = mint_token(self.key, sub, ttl_s=600, **claims)
        self.secrets |= {token, token.split(".")[1], token.split(".")[2]}
        if "person" in claims:
            self.secrets.add(claims["person"])
        return f"Bearer {token}"

    async def ask(self, endpoint: str, method: str, path: str, auth: str = "", **rest: Any) -> dict[str, Any]:
        headers = {"Authorization": auth} if auth else {}
        async with self.session.request(method, self.url + path, headers=headers, **rest) as response:
            body: dict[str, Any] = await response.json(content_type=None)
            self.request_ids.append(response.headers["X-Request-Id"])
        granted = "issued" if "ticket" in body else body.get("status", "ok")
        replayed = "Idempotent-Replayed" in response.headers
        self.outcomes[endpoint, "replayed" if replayed else body.get("code", granted)] += 1
        claims = [body["claim"]] if isinstance(body.get("claim"), dict) else body.get("claims", [])
        for voucher in (voucher for claim in claims for voucher in claim["vouchers"]):
            self.secrets |= {voucher["code"], voucher["code"].lower()}
        if "ticket" in body:
            self.secrets.add(body["ticket"])
        return body

    async def visit(self, no: int) -> None:
        """One user: status, ticket, claim, the same again, what is held; and some mistakes."""
        auth = self.token(f"user-{no}", person=f"person-hash-{no}", tags=["vip"])
        ticket = (await self.ask("ticket", "POST", "/v1/waves/people-open/tickets", auth))["ticket"]
        for offer in ("x", "x"):
            await self.ask("claim", "POST", "/v1/waves/people-open/claims", f"Ticket {ticket}", json={"offer": offer})
        held = await self.ask("own", "GET", "/v1/waves/people-open/claims", auth)
        code = held["claims"][0]["vouchers"][0]["code"] if held["claims"] else ticket
        await self.ask("claim", "POST", f"/v1/waves/one-open/claims?token={ticket}", auth, json={"offer": "a"})
        await self.ask("claim", "POST", "/v1/waves/one-open/claims", f"Bearer {ticket}", json={"offer": "a"})
        await self.ask("claim", "POST", "/v1/waves/one-open/claims", auth, json={"offer": code.lower()})
        await self.ask("status", "GET", f"/v1/waves/{code}?code={code}&person=person-hash-{no}")
        await self.ask("connection", "GET", f"/v1/{code}", auth)

    async def ask_again(self, no: int) -> None:
        """The same claim, whatever comes of it just now."""
        auth = self.token(f"user-{no}", person=f"person-hash-{no}", tags=["vip"])
        await self.ask("claim", "POST", "/v1/waves/people-open/claims", auth, json={"offer": "x"})
        await self.ask("own", "GET", "/v1/me/vouchers", auth)


async def test_a_drop(settings: Settings, redis_url: str, database_url: str, tmp_path: Path) -> None:
    settings = replace(
        settings,
        redis_url=redis_url,
        database_url=database_url,
        port=free_port(),
        log_format="json",
        log_level="debug",
        access_log="all",
        access_log_addresses=True,
        access_log_lines_per_second_max=100_000,
        trace_ratio=0.0,
    )
    ledger = await Ledger.connect(database_url, settings)
    for campaign in campaigns(datetime.now(UTC)):
        await apply_campaign(ledger, campaign, "tests")
    await ledger.close()
    ports = {name: free_port() for name in ("gateway", "writer", "steward")}
    with running_house(settings, tmp_path) as house:
        roles = [house.start(role, metrics_port=ports[role]) for role in ("writer", "steward")]
        gateways = [house.start("gateway", shares=True, metrics_port=ports["gateway"]) for _ in range(2)]
        for role in (*roles, *gateways):
            await asyncio.to_thread(role.ready)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
            crowd = Crowd(settings, session)
            await wait_until(lambda: _all_waves_open(ports["gateway"]), 30)
            await asyncio.gather(*map(crowd.visit, range(6)))
            before = await _summed(ports["gateway"], crowd.outcomes)

            # One is killed, another takes its place: nothing goes back, and what the dead one held is nobody's.
            gateways[0].kill()
            after = await figures_at(ports["gateway"])
            assert all(after[key] >= value for key, value in before.items() if key[0].endswith("_total"))
            gateways.append(house.start("gateway", shares=True, metrics_port=ports["gateway"]))
            await asyncio.to_thread(gateways[-1].ready)
            await asyncio.gather(*map(crowd.visit, range(6, 12)))
            await _summed(ports["gateway"], crowd.outcomes)

            claimed = 9 + 12  # all of people-open, and one in one-open for each of twelve users
            await wait_until(lambda: _settled(ports["writer"], claimed))

            # Both stores cut every connection: lines about that quote nothing of what was asked.
            async with client_of(redis_url) as client:
                await client.client_kill_filter(_type="normal", skipme=True)
            await end_sessions(database_url)
            await asyncio.gather(*(crowd.ask_again(no) for no in range(12)))
            await _summed(ports["gateway"], crowd.outcomes)
        await _check_roles(ports)
        with pytest.raises(OSError, match="404"):  # not on the users' port, where there is one for them
            get(settings.port, "/metrics")
        house.stop(*roles, *gateways[1:])
        _check_logs(house.logs, crowd)


async def _all_waves_open(port: int) -> bool:
    figures = await figures_at(port)
    waves = sum(value for (name, _), value in figures.items() if name == "dropwave_waves")
    return waves == 6 and all(value for (name, _), value in figures.items() if name == "dropwave_shard_bound")


async def _summed(port: int, outcomes: Outcomes) -> Any:
    """The figures, as soon as every answer is among them; a process tells of its own a moment late."""
    figures: Any = {}

    async def are_told() -> bool:
        nonlocal figures
        figures = await figures_at(port)
        told = {
            (dict(labels)["endpoint"], dict(labels)["outcome"]): value
            for (name, labels), value in figures.items()
            if name == "dropwave_answers_total"
            and dict(labels)["endpoint"] not in ("metrics", "ready", "health", "docs")
        }
        return told == outcomes

    await wait_until(are_told, what="every answer to be counted")
    assert figure(figures, "dropwave_claim_batch_claims_sum") >= outcomes["claim", "claimed"]
    assert figure(figures, "dropwave_connections") == 0
    return figures


async def _check_roles(ports: dict[str, int]) -> None:
    async def settled() -> bool:
        return figure(await figures_at(ports["writer"]), "dropwave_log_lag_decisions", campaign="one") == 0

    async def shown() -> bool:
        return figure(await figures_at(ports["gateway"]), "dropwave_units_left", campaign="people") == 0

    await wait_until(settled, 20, "the log is read again, and nothing lags")
    await wait_until(shown, 20, "the board is read again, and nothing is left")
    writer, steward, gateway = [await figures_at(ports[role]) for role in ("writer", "steward", "gateway")]
    assert figure(writer, "dropwave_leads", role="writer") == 1
    assert figure(steward, "dropwave_leads", role="steward") == 1
    assert figure(writer, "dropwave_settle_seconds_count") >= 2
    assert figure(steward, "dropwave_recoveries_total", outcome="loaded") == 4
    assert figure(gateway, "dropwave_open_offers", stock="sold_out") == 1
    assert figure(gateway, "dropwave_waves", state="scheduled") == 1
    assert figure(gateway, "dropwave_next_opening_timestamp_seconds") > datetime.now(UTC).timestamp()
    assert figure(gateway, "dropwave_shard_epoch", campaign="one") > 1.7e12, "an instant, in ms"
    for role, figures in (("writer", writer), ("steward", steward), ("gateway", gateway)):
        assert 10e6 < figure(figures, "dropwave_process_resident_memory_bytes", role=role) < 1e9
        assert figure(figures, "dropwave_process_cpu_seconds_total", role=role) > 0.1
        assert figure(figures, "dropwave_process_open_fds", role=role) > 5
        assert figure(figures, "dropwave_event_loop_lag_seconds_count", role=role) > 0
        assert json.loads(get(ports[role], "/healthz")) == {"status": "ok"}


async def _settled(port: int, claims: int) -> bool:
    figures = await figures_at(port)
    return sum(value for (name, _), value in figures.items() if name == "dropwave_settled_claims_total") == claims


def _check_logs(logs: str, crowd: Crowd) -> None:
    assert len(crowd.secrets) > 60
    assert not [secret for secret in crowd.secrets if secret and secret in logs]
    lines = [json.loads(line) for line in logs.splitlines() if line]
    answered = [line for line in lines if line["event"] == "answered"]
    named = Counter(line["request_id"] for line in answered)
    assert all(named[request_id] == 1 for request_id in crowd.request_ids)
    assert {line["role"] for line in lines} == {"gateway", "writer", "steward"}
    claim = next(line for line in answered if line["outcome"] == "claimed")
    assert (claim["method"], claim["route"], claim["status"]) == ("POST", "/v1/waves/{wave}/claims", 201)
    assert (claim["address"], claim["bytes"] > 100) == ("127.0.0.1", True)
    assert 0 < claim["duration_ms"] < 10_000
    assert not [line for line in answered if "account" in line or "user-" in str(line)]
    assert [line for line in lines if line["level"] == "warning"], "the stores were cut off"
    assert not [line for line in lines if "Traceback" in str(line)]
