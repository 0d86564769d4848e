"""A whole rehearsal over real HTTP, with gateway, steward and writer in this process."""

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from engine.audit.audit import audit
from engine.domain.campaign import (
    Catalogue,
    CatalogueWave,
    Eligibility,
    Limit,
    TagRule,
)
from engine.domain.tickets import TicketBook
from engine.domain.verdict import Verdict
from engine.gateway.keyring import Keyring
from engine.gateway.problems import KINDS
from engine.rehearsal.client import Address
from engine.rehearsal.drop import Scene, rehearse
from engine.rehearsal.own_stores import OwnStores
from engine.rehearsal.plan import draw_plan
from engine.rehearsal.screen import drawn, line_of
from engine.scheduling import acts
from engine.scheduling.performing import Actor
from engine.settings import Settings
from engine.wiring import Stores
from tests.rehearsal.machine import Pictures, campaign, machine, put, settings_of, token_maker

USERS = 320
OPENS_IN_S = 1.5
OPS = Actor("tests", "rehearsal")


@asynccontextmanager
async def scene(settings: Settings, **rules: object) -> AsyncIterator[tuple[Stores, Scene]]:
    """Everything started, the campaign applied, its first wave about to open."""
    async with machine(settings) as (stores, port):
        opens_at = datetime.now(UTC) + timedelta(seconds=OPENS_IN_S)
        catalogue = await put(stores, campaign(opens_at, **rules))
        yield stores, _scene(settings, stores, port, catalogue, catalogue.waves[0])


def _scene(settings: Settings, stores: Stores, port: int, catalogue: Catalogue, wave: CatalogueWave) -> Scene:
    store = stores.hot_store

    async def close() -> None:
        await acts.close(store, catalogue.id, wave.no, OPS, now_ms=await store.time_ms())

    return Scene(
        address=Address.of(f"http://127.0.0.1:{port}"),
        backstage=OwnStores(stores.ledger, store, catalogue, wave),
        catalogue=catalogue,
        wave=wave,
        mint_ticket=TicketBook(Keyring.of(settings).ticket_keys).mint,
        mint_token=token_maker(settings),
        pause=lambda: acts.pause(store, catalogue.id, wave.no, OPS),
        resume=lambda: acts.resume(store, catalogue.id, wave.no, OPS),
        close=close,
        audit=lambda: audit(stores.ledger, store, catalogue.id, wave.id),
        documented={code: kind.status for code, kind in KINDS.items()},
    )


async def run(where: Scene, seed: int, pictures: Pictures | None = None, claims_max: int = 1) -> Verdict:
    plan = draw_plan(
        where.wave.id,
        {"a": 70, "b": 30},
        USERS,
        seed,
        claims_max=claims_max,
        countdown_ms=int(OPENS_IN_S * 1000),
        tokens=True,
        spread_ms=600,
    )
    return await rehearse(plan, where, pictures or Pictures())


RULES: dict[str, dict[str, object]] = {
    "one of each account": {},
    "three of each person": {"by": "person", "limits": (Limit(3, "wave"), Limit(5, "campaign"))},
    "for members of a city": {
        "eligibility": Eligibility(cities=("武汉",), tags=TagRule(any=("gold",), all=("member",)))
    },
}


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
async def test_every_promise_holds(
    settings: Settings, redis_url: str, database_url: str, seed: int, rules: dict[str, object]
) -> None:
    async with scene(settings_of(settings, redis_url, database_url), **rules) as (_, where):
        pictures = Pictures()
        verdict = await run(where, seed, pictures, claims_max=3 if "limits" in rules else 1)
    assert [finding.held for finding in verdict.findings] == [True] * 8, verdict
    assert f"{USERS} users" in verdict.notes[0]
    assert pictures.shown[-1].claims == 100
    assert sum(shelf.left for shelf in pictures.shown[-1].shelves) == 0
    assert "not_open" in pictures.shown[-1].refusals
    for picture in pictures.shown:
        assert line_of(picture)
        assert drawn(picture)


async def _lose_a_claim(stores: Stores) -> None:
    await stores.ledger.fetch("delete from claims where unit = 7")


async def _let_a_claim_be_early(stores: Stores) -> None:
    await stores.ledger.fetch("update claims set claimed_at = claimed_at - interval '1 hour' where unit = 7")


@pytest.mark.parametrize("harm", [_lose_a_claim, _let_a_claim_be_early])
async def test_a_promise_that_breaks_behind_the_users_back(
    settings: Settings, redis_url: str, database_url: str, seed: int, harm: Callable[[Stores], Awaitable[None]]
) -> None:
    async with scene(settings_of(settings, redis_url, database_url)) as (stores, where):

        async def close() -> None:
            await where.close()
            await harm(stores)

        verdict = await run(dataclasses.replace(where, close=close), seed)
    assert verdict.broken, verdict
