"""A gateway asked for everything at once, while something is wrong with a store."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from msgspec.structs import replace

from engine.errors import HotStoreError, LedgerUnavailable
from engine.hotstore import watch as hot_store_watch
from engine.ledger import watch as ledger_watch
from engine.settings import Settings
from engine.settling import writer
from engine.wiring import connected, running, writer_services
from tests.gateway.drop import Drop, Reply, running_drop
from tests.support.waiting import wait_until

IMPATIENT = {
    "redis_timeout_ms": 200,
    "redis_connect_timeout_ms": 2_000,
    "claim_decide_ms": 250,
    "claim_deadline_ms": 300,
    "settle_deadline_ms": 400,
    "ledger_timeout_ms": 300,
    "ledger_connect_timeout_ms": 500,
    "user_requests_per_second": 0,
}
"""What hangs is noticed soon. Nothing here is asserted of times: a wait that had no end would end the test."""

FINE = {
    "new": "claimed",
    "again": "replayed",
    "other offer": "already_claimed",
    "sold out": "sold_out",
    "ticket": "issued",
    "own in wave": "ok",
    "own": "ok",
    "page": "ok",
    "act": "ok",
    "ready": "ok",
}
"""What is asked, and the answer where nothing is wrong."""

NOT_NOW = frozenset({"busy", "recovering", "outcome_unknown", "act_incomplete", "not_ready"})
"""What may be told beside while a fault is being noticed."""

_OK = {200: "ok", 201: "issued"}
_numbers = itertools.count(1)


def otherwise(**told: str) -> dict[str, str]:
    """The answers where some differ from FINE; `_` stands for a blank."""
    return FINE | {name.replace("_", " "): code for name, code in told.items()}


class Asked:
    """A running gateway, with somebody who holds a claim and an offer that is sold out."""

    def __init__(self, drop: Drop) -> None:
        self.drop = drop
        self.held = ""

    async def prepare(self) -> None:
        """One who holds `a`; `rare` goes to another."""
        self.held = await wait_until(lambda: self._claim_of("holder", "a"))
        await wait_until(lambda: self._claim_of("lucky", "rare"))

    async def _claim_of(self, account: str, offer: str) -> str:
        """The id of its claim; empty where it has to be asked for again."""
        reply = await self.drop.claim("one-open", {"offer": offer}, self.drop.token(account))
        return str(reply["claim"]["id"]) if reply.status < 300 else ""

    async def everything(self) -> dict[str, str]:
        """One answer of each kind, all asked at once: what was granted, or the code of the refusal."""
        nth = next(_numbers)
        ops = self.drop.token("ops", scope="ops", role="operator")
        holder, wave = self.drop.token("holder"), "/v1/waves/one-open"
        new = self.drop.token(f"new-{nth}")
        asking = {
            "new": self.drop.claim("one-open", {"offer": "a"}, new),
            "again": self.drop.claim("one-open", {"offer": "a"}, holder),
            "other offer": self.drop.claim("one-open", {"offer": "b"}, holder),
            "sold out": self.drop.claim("one-open", {"offer": "rare"}, self.drop.token("late")),
            "ticket": self.drop.call("POST", f"{wave}/tickets", new),
            "own in wave": self.drop.call("GET", f"{wave}/claims", holder),
            "own": self.drop.call("GET", "/v1/me/claims", holder),
            "page": self.drop.call("GET", wave),
            "act": self.drop.call(
                "POST", "/v1/ops/waves/many-open/restock", ops, json={"reason": "why", "stock": {"x": 100 + nth}}
            ),
            "ready": self.drop.call("GET", "/readyz"),
        }
        replies = dict(zip(asking, await asyncio.gather(*asking.values()), strict=True))
        for name in ("again", "other offer"):
            if "claim" in replies[name].body:
                assert replies[name]["claim"]["id"] == self.held
        for name in ("own in wave", "own"):
            if replies[name].status == 200:
                assert self.held in [claim["id"] for claim in replies[name]["claims"]], "an empty list would be a lie"
        return {name: _code(reply) for name, reply in replies.items()}

    async def one(self, account: str) -> str:
        """The answer to a claim of that account."""
        return _code(await self.drop.claim("one-open", {"offer": "a"}, self.drop.token(account)))

    async def is_well(self) -> bool:
        """Whether everything is answered as if nothing had been."""
        return await self.everything() == FINE


def _code(reply: Reply) -> str:
    if reply.status >= 400:
        return str(reply.body.get("code") or reply.body["status"])
    if reply.body.get("status") == "claimed":
        return "claimed" if reply.status == 201 else "replayed"
    return _OK[reply.status]


@asynccontextmanager
async def asked_gateway(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Asked]:
    """Gateway, steward and writer over the stores of these settings."""
    for module in (hot_store_watch, ledger_watch):
        monkeypatch.setattr(module, "LOOK_S", 0.05)
    monkeypatch.setattr(writer, "BACK_OFF_MAX_MS", 100)
    settings = replace(settings, **IMPATIENT)
    await wait_until(lambda: _both_answer(settings), what="a machine that has time to greet")
    async with AsyncExitStack() as stack:
        drop = await stack.enter_async_context(running_drop(settings))
        await stack.enter_async_context(running(writer_services(drop.stores, drop.settings)))
        asked = Asked(drop)
        await asked.prepare()
        await wait_until(asked.is_well)
        yield asked


async def _both_answer(settings: Settings) -> bool:
    try:
        async with connected(settings):
            return True
    except (HotStoreError, LedgerUnavailable):  # on a busy machine it takes longer than these settings wait
        return False


async def answers_become(asked: Asked, wanted: Mapping[str, str], fault: str) -> None:
    """The answers under a fault, once it has been noticed by whoever looks only now and then (`ready`)."""
    told: dict[str, str] = {}

    async def as_wanted() -> bool:
        nonlocal told
        told = await asked.everything()
        for name, code in told.items():
            assert code in {FINE[name], wanted[name], *NOT_NOW}, f"{fault}: {name} is told {code}"
        return told == wanted

    try:
        await wait_until(as_wanted, deadline_s=8.0)
    except AssertionError:
        differing = {name: (told[name], wanted[name]) for name in wanted if told[name] != wanted[name]}
        raise AssertionError(f"{fault}: told, and what is true: {differing}") from None
