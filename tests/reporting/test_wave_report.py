"""A report is true whenever it is asked for: before, during and after a drop, whatever is away."""

import random
from collections import Counter
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import msgspec
import pytest
from msgspec.structs import replace

from engine.domain.campaign import Limit
from engine.domain.decisions import WaveState
from engine.errors import LedgerUnavailable, UnknownWave
from engine.hotstore import keys
from engine.hotstore.store import HotStore
from engine.ledger.campaigns import apply_campaign
from engine.ledger.cursors import read_cursor
from engine.ledger.database import Ledger
from engine.ledger.settlement import settle
from engine.ledger.wave_books import read_wave_books
from engine.reporting.report import Peak, WaveReport
from engine.reporting.sight import look
from engine.reporting.stock import Stock
from engine.reporting.wave_report import _agrees, report_on
from engine.scheduling import acts
from engine.scheduling.performing import Actor
from engine.settings import Settings
from tests.ledger.samples import campaign as spring
from tests.ledger.samples import claim as settled_claim
from tests.ledger.samples import rows_of, vouchers_of
from tests.support.drop import HOUR_MS, ask, campaign, wave
from tests.support.proxy import Proxy
from tests.support.stage import Stage

OPS = Actor("li", "more for everybody")
UNLOAD_AFTER_MS = 7 * 24 * HOUR_MS


async def report(stage: Stage, wave_id: str = "now", unload_after_ms: int = UNLOAD_AFTER_MS) -> WaveReport:
    return await report_on(stage.ledger, stage.store, wave_id, unload_after_ms=unload_after_ms)


async def claim_at_random(stage: Stage, seed: int, count: int) -> Counter[str]:
    """Claims of either wave's offers until so many were asked for; what was granted in wave 1, by offer."""
    draw = random.Random(seed)
    asks = [
        ask(f"u{draw.randrange(200)}", draw.choice((1, 2, 3)), request_no=draw.choice((1, 2))) for _ in range(count)
    ]
    for start in range(0, count, 50):
        await stage.drop.batch(*asks[start : start + 50])
    return Counter(f"o{claim.offer_no}" for claim in await stage.held_claims())


async def test_before_the_opening(stage: Stage) -> None:
    early = await report(stage, "next")
    assert (early.status, early.complete, early.settled.behind) == ("scheduled", False, 3)
    await stage.settle()
    made = await report(stage, "next")
    assert (made.status, made.complete, made.settled.behind, made.agrees) == ("scheduled", True, 0, True)
    assert made.planned_ms == (made.state.opens_ms, made.state.closes_ms)
    assert [(offer.id, offer.stock, offer.left) for offer in made.offers] == [
        ("o1", Stock(put=3), 3),
        ("o2", Stock(put=5), 5),
        ("o3", Stock(put=100), 100),
    ]
    assert (made.claimed, made.first_claim_ms, made.peak, made.sold_out_ms, made.accounts) == (0, None, None, None, 0)
    assert [(act.kind, act.actor) for _, act in made.acts] == [("put_wave", "steward")]


async def test_during_the_drop_the_settled_part_and_how_much_is_missing(stage: Stage, seed: int) -> None:
    await claim_at_random(stage, seed, 100)
    await stage.settle()
    settled = await report(stage)
    assert (settled.complete, settled.settled.behind, settled.agrees) == (True, 0, True)
    granted = [await stage.drop.granted(ask(f"late{n}", 3)) for n in range(4)]
    during = await report(stage)
    assert (during.complete, during.settled.behind, during.agrees) == (False, 4, True)
    assert (during.claimed, during.settled.place) == (settled.claimed, settled.settled.place)
    third = during.offers[2]
    assert third.hot is not None
    assert third.hot.claimed == third.claimed + 4
    await stage.settle()
    after = await report(stage)
    assert (after.complete, after.claimed, after.last_claim_ms) == (
        True,
        settled.claimed + 4,
        granted[-1].claim.claimed_at_ms,
    )


async def test_the_sum_of_offers_is_what_the_ledger_has(stage: Stage, seed: int, database_url: str) -> None:
    granted = await claim_at_random(stage, seed, 300)
    await stage.settle()
    made = await report(stage)
    assert {offer.id: offer.claimed for offer in made.offers} == granted
    rows = await rows_of(database_url, "select account, claimant, claimed_at from claims where wave_no = 1")
    assert made.claimed == len(rows) == sum(given.claims for offer in made.offers for given in offer.terms)
    assert made.accounts == len({row["account"] or row["claimant"] for row in rows})
    assert made.persons is None
    assert made.value_given == granted["o1"] * 500 + granted["o2"] * 2_000 + granted["o3"] * 1_000
    assert made.stock.total - made.claimed == sum(offer.left for offer in made.offers)
    first, second, _ = made.offers
    sold_out = (await stage.drop.view()).sold_out_ms
    assert (first.sold_out_ms, second.sold_out_ms) == (sold_out[1, 1], sold_out[1, 2])
    assert made.since_opening_ms(first.sold_out_ms) == sold_out[1, 1] - made.state.opens_ms
    assert made.sold_out_ms is None, "one offer is left"


async def test_no_person_and_no_code_is_in_it(stage: Stage) -> None:
    granted = [await stage.drop.granted(ask(f"secret-account-{n}", 3, person=f"secret-person-{n}")) for n in range(5)]
    await stage.settle()
    text = msgspec.json.encode(await report(stage)).decode()
    assert "secret" not in text
    assert not [each for each in granted if each.claim.code in text]


async def test_persons_are_counted(store: HotStore, ledger: Ledger, settings: Settings) -> None:
    now_ms = await store.time_ms()
    stage = Stage(store, ledger, settings)
    waves = [wave("now", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": 9})]
    await stage.begin(campaign(waves, by="person", limits=[Limit(3, "wave")]))
    for account, person in (("ann", "p1"), ("ann-again", "p1"), ("bob", "p2")):
        await stage.drop.granted(ask(account, person=person))
    await stage.drop.granted(ask("bob", person="p2", request_no=2))
    await stage.settle()
    made = await report(stage)
    assert (made.claimed, made.accounts, made.persons) == (4, 3, 2)


async def test_restocks_and_rollovers_add_up(stage: Stage) -> None:
    for n in range(3):
        await stage.drop.granted(ask(f"u{n}", 1))
    await acts.restock(stage.store, "spring", 1, {1: 4, 3: 60}, OPS)
    await stage.drop.granted(ask("u3", 1))
    now_ms = await stage.store.time_ms()
    await acts.close(stage.store, "spring", 1, OPS, now_ms=now_ms)
    await acts.roll_out(stage.store, "spring", 1, {"1": 0, "2": 5, "3": 60}, OPS)
    await acts.roll_in(stage.store, "spring", 2, 1, {"2": 5, "3": 60}, OPS)
    await acts.restock(stage.store, "spring", 2, {2: 7}, OPS)
    await stage.settle()
    made, target = await report(stage), await report(stage, "next")
    assert {offer.id: offer.stock for offer in made.offers} == {
        "o1": Stock(put=3, restocked=1),
        "o2": Stock(put=5, rolled_out=5),
        "o3": Stock(put=100, restocked=-40, rolled_out=60),
    }
    assert (made.status, made.stock.total, made.claimed) == ("closed", 4, 4)
    assert made.offers[0].sold_out_ms == made.offers[0].last_claim_ms
    assert [offer.sold_out_ms for offer in made.offers[1:]] == [None, None], "what was rolled over was not sold out"
    assert {offer.id: offer.stock for offer in target.offers} == {
        "o1": Stock(put=3),
        "o2": Stock(put=5, restocked=2, rolled_in=5),
        "o3": Stock(put=100, rolled_in=60),
    }
    view = await stage.drop.view()
    for each, wave_no in ((made, 1), (target, 2)):
        totals = {int(no): offer.total for no, offer in view.waves[wave_no].offers.items()}
        assert [offer.stock.total for offer in each.offers] == list(totals.values())
    assert [(act.kind, act.reason) for _, act in made.acts][1:] == [
        ("restock", OPS.reason),
        ("close", OPS.reason),
        ("roll_out", OPS.reason),
    ]
    assert made.state.closed_ms == now_ms


async def test_an_operator_who_takes_the_rest_away_sells_out(stage: Stage) -> None:
    await stage.drop.granted(ask("u1", 3))
    await acts.restock(stage.store, "spring", 1, {3: 1}, OPS)
    await stage.settle()
    third = (await report(stage)).offers[2]
    assert (third.left, third.sold_out_ms) == (0, (await stage.drop.view()).sold_out_ms[1, 3])


async def test_a_moved_wave_shows_both_times(stage: Stage) -> None:
    planned = await report(stage, "next")
    opens_ms = planned.state.opens_ms + HOUR_MS
    await acts.move(stage.store, "spring", 2, opens_ms, opens_ms + HOUR_MS, "2026-11-12", OPS)
    for _ in range(2):  # not settled yet, and settled
        made = await report(stage, "next")
        assert made.planned_ms == (planned.state.opens_ms, planned.state.closes_ms)
        assert (made.state.opens_ms, made.state.closes_ms) == (opens_ms, opens_ms + HOUR_MS)
        await stage.settle()


async def test_the_terms_that_were_given_count(stage: Stage) -> None:
    for n in range(2):
        await stage.drop.granted(ask(f"u{n}", 3))
    await stage.settle()
    file = campaign([])
    dearer = tuple(replace(offer, face=9_000) if offer.id == "o3" else offer for offer in file.offers)
    listed = stage.catalogue.waves
    waves = [
        wave(each.id, each.opens_at_ms, each.closes_at_ms, {f"o{no}": units for no, units in each.stock.items()})
        for each in listed
    ]
    drop = stage.drop
    await stage.apply(replace(campaign(waves, limits=[Limit(2, "wave")]), offers=dearer))
    stage.drop = drop  # a new one would give its codes again
    dearer_now = WaveState.of(stage.catalogue, stage.catalogue.waves[0])
    await acts.put_wave(stage.store, "spring", 1, dearer_now, OPS, now_ms=await stage.store.time_ms())
    await stage.drop.granted(ask("u9", 3))
    await stage.settle()
    third = (await report(stage)).offers[2]
    assert [(given.version, given.value, given.claims) for given in third.terms] == [(1, 1_000, 2), (2, 9_000, 1)]
    assert (third.face, third.value_given) == (9_000, 11_000)


async def test_stops_of_the_campaign_that_concern_the_wave(stage: Stage) -> None:
    await acts.stop(stage.store, "spring", OPS)
    stopped = await report(stage)
    assert (stopped.status, stopped.stopped) == ("paused", OPS.reason)
    await stage.settle()
    alone = await report_on(stage.ledger, None, "now", unload_after_ms=0, away="it is away")
    assert (alone.status, alone.stopped) == ("paused", OPS.reason)
    await acts.start(stage.store, "spring", OPS)
    await stage.settle()
    assert [act.kind for _, act in (await report(stage)).acts] == ["put_wave", "stop", "start"]
    assert [act.kind for _, act in (await report(stage, "next")).acts] == ["put_wave"], "it went on before the opening"


async def test_after_the_campaign_has_left_the_hot_store(stage: Stage, seed: int) -> None:
    await claim_at_random(stage, seed, 100)
    now_ms = await stage.store.time_ms()
    for wave_no in (1, 2):
        await acts.close(stage.store, "spring", wave_no, OPS, now_ms=now_ms)
    unsettled = await report(stage)
    assert not unsettled.complete
    await stage.recovery.retire(stage.catalogue, 1)
    made = await report(stage, unload_after_ms=-2 * HOUR_MS)
    assert (made.sight.state, made.complete, made.agrees, made.status) == ("unloaded", True, None, "closed")
    assert made.settled.behind == 0
    assert made.claimed == len(await stage.settled_claims()) > 0
    assert [offer.hot for offer in made.offers] == [None, None, None]
    missing = await report(stage)
    assert (missing.sight.state, missing.settled.behind) == ("recovering", None), "it should be there by now"


async def test_while_the_shard_is_recovered(stage: Stage) -> None:
    await stage.drop.granted(ask("u1", 3))
    await stage.settle()
    await stage.store.call("HSET", keys.head("spring"), "incarnation", "another")
    made = await report(stage)
    assert (made.sight.state, made.complete, made.settled.behind, made.agrees) == ("recovering", False, None, None)
    assert (made.claimed, made.status) == (1, "open")
    await stage.recover(2)
    assert (await report(stage)).complete


async def test_a_hot_store_that_says_otherwise_is_told(stage: Stage) -> None:
    await stage.drop.granted(ask("u1", 3))
    await stage.settle()
    for left, agrees in (("99", True), ("98", False), ("100", False)):
        await stage.store.call("HSET", stage.drop.keys.left, "1:3", left)
        made = await report(stage)
        assert (made.agrees, made.complete) == (agrees, True), left


async def test_a_claim_in_the_middle_of_a_look_is_no_disagreement(stage: Stage) -> None:
    await stage.drop.granted(ask("u1", 3))
    await stage.settle()
    books = await read_wave_books(stage.ledger, "now")
    assert books is not None
    before = await look(stage.store, books.catalogue, 1, UNLOAD_AFTER_MS)
    await stage.drop.granted(ask("u2", 3))
    after = await look(stage.store, books.catalogue, 1, UNLOAD_AFTER_MS)
    torn = replace(before, offers=after.offers)  # the number was read before the claim, the stock behind it
    assert await _agrees(stage.store, books, torn, UNLOAD_AFTER_MS)
    one_more = {**after.offers, 3: replace(after.offers[3], left=after.offers[3].left - 1)}
    assert not await _agrees(stage.store, books, replace(before, offers=one_more), UNLOAD_AFTER_MS)


async def test_claims_in_quarantine_are_told_apart_and_their_units_are_used(stage: Stage) -> None:
    for n in range(3):
        await stage.drop.granted(ask(f"u{n}", 1))
    await stage.settle()
    for unit, state in ((1, "held"), (2, "voided"), (3, "retried")):
        await stage.ledger.fetch(
            "insert into quarantine (campaign_no, epoch, sequence, claim, wave_no, offer_no, unit, nth, request_no,"
            " claimant, account, code, sqlstate, constraint_name, error, state) select campaign_no, epoch, sequence,"
            " '', wave_no, offer_no, unit, nth, request_no, claimant, claimant, code, '22003', '', 'too long', $2"
            " from claims where unit = $1",
            *(unit, state),
        )
    await stage.ledger.fetch("delete from claims where unit < 3")
    made = await report(stage)
    first = made.offers[0]
    assert (first.claimed, first.quarantined, first.voided, first.left) == (1, 1, 1, 0)
    assert (made.claimed, made.quarantined, made.voided, made.left) == (1, 1, 1, made.stock.total - 3)
    assert (made.agrees, made.complete) == (True, True)
    assert first.sold_out_ms == first.last_claim_ms


async def test_pace_is_counted_in_seconds_from_the_opening(ledger: Ledger) -> None:
    catalogue = (await apply_campaign(ledger, spring(), "ann")).catalogue
    opens_ms = catalogue.waves[0].opens_at_ms
    rush = {0: 2, 1: 5, 59: 1, 60: 3, 90_000: 4}  # second → claims; the last a day later
    late = [ms for second, count in rush.items() for ms in [opens_ms + second * 1_000 + 999] * count]
    given = [settled_claim(n, claimed_at_ms=at_ms, offer_no=1 + n % 2, unit=n) for n, at_ms in enumerate(late, start=1)]
    await settle(ledger, await read_cursor(ledger, 0), len(given), given, vouchers_of(catalogue, given), [])
    made = await report_on(ledger, None, "spring-past", unload_after_ms=0)
    assert (made.by_second[0], made.by_second[1], made.by_second[59], sum(made.by_second)) == (2, 5, 1, 8)
    assert len(made.by_second) == 60
    assert tuple(map(sum, zip(*(offer.by_second for offer in made.offers), strict=True))) == made.by_second
    assert made.peak == Peak(1, 5)
    assert (made.first_claim_ms, made.last_claim_ms) == (late[0], late[-1])
    assert made.claimed == len(late)


@pytest.fixture
async def lines(redis_url: str, database_url: str) -> AsyncIterator[tuple[Proxy, Proxy]]:
    """The ways to Redis and to Postgres, which a test can cut."""
    redis, postgres = urlsplit(redis_url), urlsplit(database_url)
    assert redis.hostname
    assert redis.port
    assert postgres.hostname
    assert postgres.port
    async with Proxy(redis.hostname, redis.port) as one, Proxy(postgres.hostname, postgres.port) as other:
        yield one, other


async def test_what_is_away(
    stage: Stage, settings: Settings, redis_url: str, database_url: str, lines: tuple[Proxy, Proxy]
) -> None:
    await stage.drop.granted(ask("u1", 3))
    await stage.settle()
    to_redis, to_postgres = lines
    store = await HotStore.connect(to_redis.url_of(redis_url), settings)
    ledger = await Ledger.connect(to_postgres.url_of(database_url), replace(settings, ledger_timeout_ms=1_000))
    try:
        await to_redis.refuse()
        made = await report_on(ledger, store, "now", unload_after_ms=0)
        assert (made.sight.state, made.complete, made.settled.behind, made.agrees) == ("away", False, None, None)
        assert "Redis" in made.sight.why
        assert (made.claimed, made.status) == (1, "open")
        await acts.close(stage.store, "spring", 1, OPS, now_ms=await stage.store.time_ms())
        await stage.settle()
        closed = await report_on(ledger, store, "now", unload_after_ms=0)
        assert (closed.complete, closed.status) == (True, "closed"), "nothing is given behind a close that is settled"
        await to_postgres.refuse()
        with pytest.raises(LedgerUnavailable):
            await report_on(ledger, stage.store, "now", unload_after_ms=0)
    finally:
        await store.close()
        await ledger.close()


async def test_waves_that_nobody_knows(stage: Stage) -> None:
    with pytest.raises(UnknownWave, match="no wave nowhere is applied"):
        await report(stage, "nowhere")


async def test_a_wave_that_no_steward_has_seen(ledger: Ledger, store: HotStore) -> None:
    await apply_campaign(ledger, campaign([wave("w", 1_000, 2_000, {"o1": 5}), wave("x", 3_000, 4_000, {})]), "ann")
    made = await report_on(ledger, store, "w", unload_after_ms=0)
    assert (made.status, made.sight.state, made.complete, made.acts) == ("closed", "unloaded", True, ())
    assert [(offer.id, offer.stock) for offer in made.offers] == [("o1", Stock(put=5))]
    assert isinstance(made.state, WaveState)
    empty = await report_on(ledger, store, "x", unload_after_ms=0)
    assert (empty.offers, empty.stock, empty.by_second) == ((), Stock(), (0,) * 60)
