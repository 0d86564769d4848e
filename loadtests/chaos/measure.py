"""How long recoveries take, measured and not judged: machines differ. What is aimed at stands beside each figure."""

import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg
from redis.exceptions import RedisError

from engine.errors import CannotRun
from loadtests.chaos.client import Api
from loadtests.chaos.servers import Servers
from loadtests.chaos.stores import kill_server
from loadtests.chaos.waiting import happens
from loadtests.chaos.workload import OFFERS, PROBE, Plan

_TIMES: Final = 5
_LATEST_S: Final = 600.0
_LOOK_S: Final = 0.01
_FILL: Final = """
    insert into claims (campaign_no, epoch, sequence, wave_no, offer_no, unit, nth, request_no, terms_version,
                        claimed_at, claimant, account, code)
    select p.campaign_no, 0, n, 1, o.offer_no, n, 1, 1, 1, now(), 'filled' || n, null,
           p.code_prefix || lpad(upper(to_hex(n)), 13, '0')
    from campaigns p join offers o using (campaign_no) cross join generate_series(1, $2::integer) n
    where p.id = $1 and o.id = $3
"""
"""Claims of an epoch before the first: what is loaded is the claims, whoever made them."""


async def measure(servers: Servers, gateways: dict[str, Api], plan: Plan, rebuild_claims: int) -> list[str]:
    """A line for each figure, on a campaign that is open and that nobody has claimed in.

    Raises CannotRun where a shard does not come back at all.
    """
    rebinds = [await _rebind(servers, plan.campaign) for _ in range(_TIMES)]
    takeovers = [await _takeover(servers, gateways, plan) for _ in range(_TIMES)]
    lines = [
        _line("Redis restarted under AOF: bound again", rebinds, "3 s"),
        _line("writer killed: another one settles", takeovers, "2 s"),
    ]
    if rebuild_claims:
        rebuilt = await _rebuild(servers, gateways, plan, rebuild_claims)
        lines.append(_line(f"Redis lost: {rebuild_claims:,} claims loaded", [rebuilt], "30 s for a million"))
    return lines


def _line(what: str, took_s: list[float], aim: str) -> str:
    return f"{what}: median {statistics.median(took_s):.2f} s, worst {max(took_s):.2f} s (aim: {aim})"


async def _rebind(servers: Servers, campaign: str) -> float:
    """From the moment that Redis answers again."""
    await kill_server(servers.redis)
    await servers.revive(servers.redis)
    return await _until(lambda: _is_bound(servers, campaign), "the shard is not bound again")


async def _takeover(servers: Servers, gateways: dict[str, Api], plan: Plan) -> float:
    """From the kill of the one that leads to the first claim that another one settles."""
    api = next(iter(gateways.values()))
    await _until(lambda: _is_granted(api, plan, "before"), "nobody is granted a claim")
    (lease,) = await servers.ask_ledger("select holder from leases where role = 'writer'")
    pid = int(lease["holder"].split(":")[1])
    role = next(role for role in servers.roles.values() if role.pid == pid)
    await role.kill()
    began_s = time.monotonic()
    account = f"takeover{began_s}"
    await _until(lambda: _is_granted(api, plan, account), "nobody is granted a claim")
    await _until(lambda: _is_settled(servers, account), "no writer has taken over")
    took_s = time.monotonic() - began_s
    role.let_up()
    await role.ready()
    return took_s


async def _rebuild(servers: Servers, gateways: dict[str, Api], plan: Plan, claims: int) -> float:
    """From the moment that an empty Redis answers. The offer gets stock for as many claims first."""
    api = next(iter(gateways.values()))
    body = {"reason": "chaos", "stock": {OFFERS[0]: claims}}
    status, said = await api.operate("POST", f"/v1/ops/waves/{plan.waves[0]}/restock", body)
    if status != 200:
        raise CannotRun(f"no stock for {claims} claims: {said}")
    await _until(lambda: servers.is_settled(plan.campaign), "the restock is not settled")
    connection = await asyncpg.connect(servers.postgres.url)
    try:
        await connection.execute(_FILL, plan.campaign, claims, OFFERS[0], timeout=_LATEST_S)
        await connection.execute("analyze claims")
    finally:
        await connection.close()
    await kill_server(servers.redis)
    (servers.redis.folder / "appendonly.aof").unlink()
    await servers.revive(servers.redis)
    return await _until(lambda: _is_bound(servers, plan.campaign), "the shard is not loaded again")


async def _until(condition: Callable[[], Awaitable[bool]], otherwise: str) -> float:
    began_s = time.monotonic()
    if not await happens(condition, _LATEST_S, _LOOK_S):
        raise CannotRun(f"{otherwise} after {_LATEST_S:.0f} s")
    return time.monotonic() - began_s


async def _is_bound(servers: Servers, campaign: str) -> bool:
    try:
        (incarnation,) = await servers.redis.command("HMGET", f"{{{campaign}/0}}:head", "incarnation")
        info = await servers.redis.command("INFO", "replication")
    except (RedisError, OSError, TimeoutError):
        return False
    return bool(incarnation) and incarnation.decode() == info["master_replid"]


async def _is_granted(api: Api, plan: Plan, account: str) -> bool:
    """Behind a restart of Redis a gateway may say `recovering` at first."""
    answer = await api.claim(plan.waves[0], f"Bearer {api.token(account, person=account)}", (PROBE,), 1)
    return answer.is_acknowledged


async def _is_settled(servers: Servers, account: str) -> bool:
    return bool(await servers.ask_ledger("select from claims where claimant = $1", account))
