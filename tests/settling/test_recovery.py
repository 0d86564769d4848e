"""Recovery on real servers: whatever was lost, wherever it broke off, every claim is there once, with its code."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from msgspec.structs import replace

from engine.claiming.clock import StoreClock
from engine.claiming.desk import Desk
from engine.domain.campaign import Limit
from engine.domain.outcome import Claim, Claimed, RefusalCode, Refused
from engine.errors import CursorMoved, HotStoreError, LeaseLost, ShardBroken
from engine.hotstore import keys, load
from engine.hotstore.log import read_log, trim_log
from engine.hotstore.scripts import Fenced, OtherEpoch
from engine.hotstore.store import HotStore
from engine.hotstore.view import loaded_campaigns, read_shard
from engine.ledger.database import Ledger
from engine.ledger.quarantine import Place as QuarantinePlace
from engine.ledger.quarantine import list_quarantined
from engine.ledger.quarantine_ends import void_quarantined
from engine.ledger.refill import add_claims
from engine.scheduling import acts
from engine.scheduling.performing import Actor
from engine.settings import Settings
from engine.settling.quarantine import Voided, void
from engine.settling.writer import Writer
from tests.support.drop import HOUR_MS, ask, campaign, wave
from tests.support.own_redis import OwnRedis, own_redis
from tests.support.stage import Interrupted, Stage, hook, hook_store

STOCK = 12
STEPS_MAX = 100
"""Exchanges with one store that no recovery of this little campaign comes near."""
OPS = Actor("ops", "a reason")
Company = Callable[..., Awaitable[Stage]]


@pytest.fixture
async def stage(store: HotStore, ledger: Ledger, settings: Settings) -> Stage:
    """A drop in its middle: eight claims, five of them settled, one wave sold out of an offer."""
    return await staged(store, ledger, settings)


@pytest.fixture
async def own() -> AsyncIterator[OwnRedis]:
    async with own_redis() as server:
        yield server


@pytest.fixture
async def own_stage(own: OwnRedis, ledger: Ledger, settings: Settings) -> AsyncIterator[Stage]:
    """The same on a Redis that can be killed."""
    store = await HotStore.connect(own.url, settings)
    yield await staged(store, ledger, settings)
    await store.close()


@pytest.fixture
async def company(redis_url: str, database_url: str, settings: Settings) -> AsyncIterator[Company]:
    """More stages on the same two stores, each with connections of its own."""
    async with contextlib.AsyncExitStack() as closing:

        async def join(like: Stage | None = None) -> Stage:
            store = await HotStore.connect(redis_url, settings)
            closing.push_async_callback(store.close)
            ledger = await Ledger.connect(database_url, settings)
            closing.push_async_callback(ledger.close)
            stage = Stage(store, ledger, settings)
            if like is not None:
                stage.catalogue, stage.drop = like.catalogue, like.drop
            return stage

        yield join


async def leave(stage: Stage) -> None:
    """Close the connections of a stage early: a test may need many, one after the other."""
    await stage.store.close()
    await stage.ledger.close()


async def staged(store: HotStore, ledger: Ledger, settings: Settings) -> Stage:
    stage = Stage(store, ledger, settings)
    now_ms = await store.time_ms()
    waves = [
        wave("w1", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": STOCK, "o2": 1}),
        wave("w2", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": STOCK}, round="r2"),
    ]
    await stage.begin(campaign(waves, limits=[Limit(1, "wave")]))
    await stage.drop.batch(*(ask(f"u{nth}") for nth in range(3)), ask("u3", 2), ask("u1", wave=2))
    await stage.settle()
    await stage.drop.batch(ask("u4"), ask("u2", wave=2), ask("王五"))
    return stage


async def everybody_has_their_claim(stage: Stage, claims: list[Claim]) -> None:
    """Whoever asks again gets the same claim with the same code (P5)."""
    for claim in claims:
        answer = await stage.drop.claim(ask(claim.account, claim.offer_no, wave=claim.wave_no))
        assert answer == Claimed(claim, replayed=True)


async def sells_exactly_the_rest(stage: Stage) -> None:
    """P1, P2, P4 and P7 after a recovery: no unit twice, none kept back, numbers from 1 in the new epoch."""
    before = await stage.held_claims()
    view = await stage.drop.view()
    told = []
    for nth in range(2 * STOCK):
        told += (await stage.drop.batch(ask(f"new {nth}"), ask(f"new {nth}", wave=2), ask(f"new {nth}", 2))).answers
    new = [answer.claim for answer in told if isinstance(answer, Claimed) and not answer.replayed]
    after = [*before, *new]
    for wave_no, offer_no, total in ((1, 1, STOCK), (1, 2, 1), (2, 1, STOCK)):
        units = sorted(c.unit for c in after if (c.wave_no, c.offer_no) == (wave_no, offer_no))
        assert units == list(range(1, total + 1))
    assert [claim.sequence for claim in new] == list(range(view.last + 1, view.last + 1 + len(new)))
    assert {claim.epoch for claim in new} == {view.epoch}
    await stage.settle()
    assert sorted(c.code for c in await stage.settled_claims()) == sorted(c.code for c in after)
    for claim in before:
        answer = await stage.drop.claim(ask(claim.account, 3 - claim.offer_no, wave=claim.wave_no))
        assert isinstance(answer, Refused)
        assert answer.code in (RefusalCode.ALREADY_CLAIMED, RefusalCode.UNKNOWN_OFFER)


# What can have happened


@pytest.mark.loops
async def test_the_first_load_of_a_campaign(store: HotStore, ledger: Ledger, settings: Settings) -> None:
    stage = Stage(store, ledger, settings)
    now_ms = await store.time_ms()
    await stage.apply(campaign([wave("w1", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": 2})]))
    assert await read_shard(store, "spring") is None
    recovered = await stage.recover()
    assert (recovered.loaded, recovered.claims) == (True, 0)
    assert await loaded_campaigns(store) == ["spring"]
    assert await stage.drop.claim(ask("ann")) == Refused(RefusalCode.UNKNOWN_WAVE), "nothing is put yet"
    await stage.put()
    assert (await stage.drop.granted(ask("ann"))).claim.unit == 1
    await stage.settle()
    await stage.whole()
    view = await stage.drop.view()
    assert view.catalogue == stage.catalogue
    assert (view.last, view.settled, view.act) == (3, 3, 2)


@pytest.mark.loops
async def test_an_emptied_redis_is_loaded_from_the_ledger(stage: Stage) -> None:
    await stage.settle()
    claims, before = await stage.held_claims(), await stage.drop.view()
    assert await stage.settled_claims() == claims
    await stage.store.call("FLUSHALL")
    recovered = await stage.recover()
    assert (recovered.loaded, recovered.claims) == (True, 8)
    await stage.whole()
    view = await stage.drop.view()
    assert view.epoch > before.epoch
    assert (view.last, view.claims, view.value, view.act) == (0, 8, before.value, before.act)
    assert (view.left, view.waves, view.catalogue) == (before.left, before.waves, before.catalogue)
    assert view.sold_out_ms == {(1, 2): next(claim.claimed_at_ms for claim in claims if claim.offer_no == 2)}
    assert await stage.held_claims() == claims
    await everybody_has_their_claim(stage, claims)
    await sells_exactly_the_rest(stage)


@pytest.mark.loops
async def test_a_restart_under_the_append_only_file_goes_on_as_it_is(own: OwnRedis, own_stage: Stage) -> None:
    stage = own_stage
    claims, before = await stage.held_claims(), await stage.drop.view()
    await own.restart()
    with pytest.raises(Fenced):
        await stage.drop.claim(ask("u0"))
    recovered = await stage.recover()
    assert (recovered.loaded, recovered.claims) == (False, 8)
    await stage.whole()
    view = await stage.drop.view()
    assert (view.last, view.left, view.claims, view.sold_out_ms) == (0, before.left, 8, before.sold_out_ms)
    assert await stage.settled_claims() == claims, "the tail of the log was settled on the way"
    await everybody_has_their_claim(stage, claims)
    await sells_exactly_the_rest(stage)


async def test_a_redis_that_came_back_old_is_loaded(own: OwnRedis, own_stage: Stage) -> None:
    stage = own_stage
    old = own.keep_data()
    await stage.drop.batch(ask("later 1"), ask("later 2", wave=2))
    await stage.settle()
    claims = await stage.held_claims()
    await own.go_back(old)
    assert (await stage.drop.view()).claims == 8, "it lacks two claims, and does not know"
    recovered = await stage.recover()
    assert (recovered.loaded, recovered.claims) == (True, 10)
    await stage.whole()
    assert await stage.held_claims() == claims
    await everybody_has_their_claim(stage, claims)
    await sells_exactly_the_rest(stage)


async def test_an_old_copy_that_lacks_a_whole_epoch_is_loaded(own: OwnRedis, own_stage: Stage) -> None:
    """It is whole as far as its own epoch goes, and its claims are all there: only an act is missing."""
    stage = own_stage
    await stage.settle()
    old = own.keep_data()
    assert not (await stage.recover()).loaded
    now_ms = await stage.drop.now_ms()
    await acts.close(stage.store, "spring", 2, OPS, now_ms=now_ms)
    await acts.pause(stage.store, "spring", 1, OPS)
    await stage.settle()
    await own.go_back(old)
    recovered = await stage.recover()
    assert recovered.loaded
    assert await stage.drop.claim(ask("somebody", wave=2)) == Refused(RefusalCode.CLOSED, at_ms=now_ms)
    assert await stage.drop.claim(ask("somebody")) == Refused(RefusalCode.PAUSED, reason="a reason")
    await stage.whole()


async def test_an_old_copy_with_an_old_epoch_and_its_claims(own: OwnRedis, own_stage: Stage) -> None:
    stage = own_stage
    old = own.keep_data()
    await stage.recover()
    await stage.drop.granted(ask("later"))
    await stage.settle()
    claims = await stage.held_claims()
    await own.go_back(old)
    assert (await stage.recover()).loaded
    await stage.whole()
    assert await stage.held_claims() == claims
    await sells_exactly_the_rest(stage)


@pytest.mark.parametrize("lost", ["meta", "left", "holders"])
async def test_a_part_that_is_lost_is_loaded(stage: Stage, lost: str) -> None:
    claims = await stage.held_claims()
    await stage.store.call("DEL", getattr(stage.drop.keys, lost))
    assert await read_shard(stage.store, "spring") is None
    assert (await stage.recover()).loaded
    await stage.whole()
    assert await stage.held_claims() == claims
    await sells_exactly_the_rest(stage)


async def test_paused_closed_and_restocked_waves_come_back_as_they_were(stage: Stage) -> None:
    await acts.pause(stage.store, "spring", 1, OPS)
    state = (await stage.drop.view()).waves[2]
    offers = {no: replace(offer, total=5) for no, offer in state.offers.items()}
    await stage.drop.put(2, replace(state, offers=offers))
    await stage.settle()
    before = await stage.drop.view()
    await stage.store.call("FLUSHALL")
    await stage.recover()
    view = await stage.drop.view()
    assert (view.waves, view.left, view.act) == (before.waves, before.left, before.act)
    assert await stage.drop.claim(ask("somebody")) == Refused(RefusalCode.PAUSED, reason="a reason")
    assert await acts.resume(stage.store, "spring", 1, OPS), "and the next act has the next number"
    await stage.settle()


async def test_a_wave_with_claims_has_opened_whatever_the_clock_says(stage: Stage) -> None:
    """The latch is loaded too: a clock that steps back behind a recovery does not shut the wave."""
    await stage.settle()
    await stage.store.call("FLUSHALL")
    await stage.recover()
    await stage.drop.change(1, opens_ms=await stage.drop.now_ms() + 30_000)
    await stage.drop.granted(ask("somebody"))


async def test_more_claims_than_a_chunk(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Claimants with several claims at the edges of chunks."""
    monkeypatch.setattr("engine.settling.recovery.CHUNK_CLAIMS", 3)
    await stage.settle()
    claims = await stage.held_claims()
    await stage.store.call("FLUSHALL")
    assert (await stage.recover()).claims == 8
    assert await stage.held_claims() == claims


async def test_numbers_begin_again_and_ids_stay_unique(stage: Stage) -> None:
    await stage.recover()
    await stage.recover()
    claim = (await stage.drop.granted(ask("somebody"))).claim
    assert claim.sequence == 1
    await stage.settle()
    places = [(claim.epoch, claim.sequence) for claim in await stage.settled_claims()]
    assert len(set(places)) == len(places) == 9
    with pytest.raises(OtherEpoch):
        await stage.drop.claim(ask("somebody"), epoch=claim.epoch - 1)


async def test_gateways_go_on_though_both_stores_went_back(stage: Stage) -> None:
    """Neither store knows any more which epochs gateways have seen; a gateway never sells in a lower one."""
    backup = await stage.cursor()
    for _ in range(3):
        seen = (await stage.recover()).epoch
    clock = StoreClock()
    clock.heard(await stage.drop.now_ms())
    desk = Desk(stage.store, "spring", stage.catalogue.code_prefix, seen, clock, stage.settings)
    await desk.start()
    try:
        assert isinstance(await desk.claim(ask("before")), Claimed)
        await stage.store.call("FLUSHALL")
        await _back_in_time(stage, f"update cursors set epoch = {backup.epoch}, last = {backup.last}")
        assert (await stage.recover()).loaded
        after = await desk.claim(ask("behind"))
        assert isinstance(after, Claimed), after
        assert after.claim.epoch > seen
    finally:
        await desk.stop()


async def test_two_histories_never_share_an_epoch(own: OwnRedis, own_stage: Stage) -> None:
    """Redis comes back older and Postgres too: what a writer still holds of the lost epoch fits nowhere."""
    stage = own_stage
    await stage.settle()
    old, backup = own.keep_data(), await stage.cursor()
    lost = (await stage.recover()).epoch
    await stage.drop.granted(ask("lost"))
    entries = await read_log(stage.store, "spring", (lost, 0), 1)
    await own.go_back(old)
    await _back_in_time(stage, f"update cursors set epoch = {backup.epoch}, last = {backup.last}")
    await stage.recover()
    with pytest.raises(ShardBroken, match="and the log goes on with"):
        await stage.settler.settle(await stage.cursor(), entries)
    await stage.drop.granted(ask("new"))
    await stage.settle()
    assert "lost" not in [claim.claimant for claim in await stage.settled_claims()]
    await stage.whole()


# Where it can break off


@pytest.mark.parametrize("case", ["restarted", "emptied"])
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("at", ["store", "ledger"])
async def test_a_steward_that_dies_at_any_step_leaves_it_to_the_next(
    stage: Stage, company: Company, case: str, moment: str, at: str
) -> None:
    """For every exchange of a recovery with Redis or Postgres: it dies there, and the next steward ends it the same."""
    await stage.settle()
    claims = await stage.held_claims()
    step, died = 0, True
    while died:
        step += 1
        assert step < STEPS_MAX
        if case == "emptied":
            await stage.store.call("FLUSHALL")
        else:
            await load.unbind(stage.store, "spring", 1)
        died = await _dies(await company(stage), step, moment, at)
        shard = await read_shard(stage.store, "spring")
        if shard is None or not shard.bound:  # else the next steward sees nothing to do
            await stage.recover()
        await stage.whole()
        assert await stage.held_claims() == claims
        assert await stage.settled_claims() == claims
    assert step > 3
    await everybody_has_their_claim(stage, claims)
    await sells_exactly_the_rest(stage)


async def _dies(dying: Stage, step: int, moment: str, at: str) -> bool:
    """A recovery by a steward that dies at that step; False where it had fewer steps."""

    async def die(now: int) -> None:
        if now == step:
            raise Interrupted

    hook(dying.store if at == "store" else dying.ledger, **{moment: die})
    try:
        await dying.recovery.recover(dying.catalogue, 1)
    except Interrupted:
        return True
    finally:
        await leave(dying)
    return False


@pytest.mark.parametrize("at", ["store", "ledger"])
async def test_a_steward_that_slept_at_any_step_changes_nothing_any_more(
    stage: Stage, company: Company, at: str
) -> None:
    """Another one takes over while it sleeps, recovers, and claims go on: none of them may be lost to the late one."""
    step, slept, term = 0, True, 1
    while slept:
        step, slept = step + 1, False
        assert step < STEPS_MAX
        if step % 2:
            await stage.settle()
            await stage.store.call("FLUSHALL")
        late = await company(stage)

        async def sleep(now: int, step: int = step, term: int = term) -> None:
            nonlocal slept
            if now == step:
                slept = True
                await stage.recover(term + 1)
                await stage.drop.granted(ask(f"while {at} {step} slept", 1, wave=1 + step % 2))

        hook(late.store if at == "store" else late.ledger, before=sleep)
        try:
            await late.recovery.recover(stage.catalogue, term)
        except (LeaseLost, CursorMoved, ShardBroken):
            assert slept
        await leave(late)
        await stage.whole()
        term += 2
        await stage.drop.batch(ask("and goes on"))
        await stage.settle()
        assert {c.code for c in await stage.settled_claims()} == {c.code for c in await stage.held_claims()}
        await _restock(stage)
    assert step > 5


@pytest.mark.parametrize("retires", [False, True])
async def test_two_stewards_of_one_term_free_nothing_that_lives(stage: Stage, company: Company, retires: bool) -> None:
    """A ledger that went back gives a term once more: the store cannot tell the one that slept by it."""
    step, slept = 0, True
    while slept:
        step, slept = step + 1, False
        assert step < STEPS_MAX
        late = await company(stage)

        async def other(now: int, step: int = step) -> None:
            nonlocal slept
            if now == step:
                slept = True
                await stage.recover()
                await stage.drop.granted(ask(f"meanwhile {step}", wave=2))

        hook_store(late.store, before=other)
        with contextlib.suppress(LeaseLost, HotStoreError):
            await (late.recovery.retire if retires else late.recovery.recover)(late.catalogue, 1)
        await leave(late)
        if slept and not retires:
            assert await stage.drop.view() is not None
        await stage.recover()
        await stage.settle()
        assert sorted(await stage.settled_claims(), key=str) == sorted(await stage.held_claims(), key=str)
        assert sum(claim.account.startswith("meanwhile") for claim in await stage.held_claims()) == step - (not slept)
        await _restock(stage)


async def _restock(stage: Stage) -> None:
    for wave_no in (1, 2):
        state = (await stage.drop.view()).waves[wave_no]
        offers = {no: replace(offer, total=offer.total + 3) for no, offer in state.offers.items()}
        await stage.drop.put(wave_no, replace(state, offers=offers))


@pytest.mark.parametrize("case", ["restarted", "emptied"])
@pytest.mark.parametrize("at", ["store", "ledger"])
async def test_a_writer_that_settles_in_between(stage: Stage, company: Company, case: str, at: str) -> None:
    """Whatever moves under a recovery's feet, each decision is settled once and the shard is bound in the end."""
    for step in range(1, 12):
        await stage.drop.batch(ask(f"{step}", 1 + step % 2), ask(f"{step}", wave=2))
        if case == "emptied":
            await stage.settle()
            await stage.store.call("FLUSHALL")

        async def settle(now: int, step: int = step) -> None:
            if now == step:
                with contextlib.suppress(CursorMoved):
                    await stage.settle()

        racing = await company(stage)
        hook(racing.store if at == "store" else racing.ledger, before=settle)
        await racing.recovery.recover(stage.catalogue, 1)
        await leave(racing)
        await stage.whole()
        await stage.settle()
        assert await stage.settled_claims() == await stage.held_claims()


async def test_a_real_writer_and_many_recoveries(stage: Stage, company: Company) -> None:
    """Claims go on, the writer settles, the shard is bound anew again and again: in the end both hold the same."""
    beside = await company()
    writer = Writer(beside.ledger, beside.store, stage.settings, "a writer")
    for _ in range(10):
        await _restock(stage)
    told: list[Claim] = []

    async def crowd() -> None:
        for nth in range(300):
            try:
                answer = await stage.drop.claim(ask(f"c{nth}", wave=1 + nth % 2))
            except (Fenced, OtherEpoch):
                continue
            if isinstance(answer, Claimed):
                told.append(answer.claim)

    await writer.start()
    try:
        crowding = asyncio.create_task(crowd())
        for term in range(2, 8):
            await stage.recover(term)
        await crowding
    finally:
        await writer.stop()
    await stage.whole()
    assert await stage.settled_claims() == await stage.held_claims()
    assert {claim.code for claim in told} <= {claim.code for claim in await stage.held_claims()}
    assert told


# What a person has to look at


async def _back_in_time(stage: Stage, *statements: str) -> None:
    async with stage.ledger.transaction() as connection:
        for statement in statements:
            await connection.execute(statement)


async def _stays_unbound(stage: Stage, why: str) -> None:
    for _ in range(2):
        with pytest.raises(ShardBroken, match=why):
            await stage.recover()
        with pytest.raises(Fenced):
            await stage.drop.claim(ask("u0"))


async def test_a_ledger_that_went_back_an_epoch_catches_up(stage: Stage) -> None:
    """Through the rest of an old epoch and all of the next."""
    await stage.settle()
    await stage.recover()
    await stage.drop.granted(ask("in the new epoch"))
    await stage.settle()
    claims = await stage.held_claims()
    await _back_in_time(
        stage,
        f"delete from vouchers where epoch = {stage.drop.epoch} or sequence > 9",
        f"delete from claims where epoch = {stage.drop.epoch} or sequence > 9",
        f"update cursors set epoch = {stage.drop.epoch - 1}, last = 9",
    )
    await stage.recover()
    assert await stage.settled_claims() == claims
    await stage.whole()


async def test_a_log_that_was_trimmed_to_where_an_epoch_began_hides_no_claim(stage: Stage) -> None:
    """What is left of the log begins with number 1 and looks whole; the newest unit is known again by then, too."""
    await stage.settle()
    await stage.recover()
    await stage.drop.batch(ask("in the new epoch"), ask("in the new epoch", wave=2))
    await stage.settle()
    claims = await stage.held_claims()
    await stage.store.call("XTRIM", stage.drop.keys.log, "MINID", f"{stage.drop.epoch}-0")
    await _back_in_time(
        stage,
        f"delete from vouchers where epoch = {stage.drop.epoch} or sequence > 8",
        f"delete from claims where epoch = {stage.drop.epoch} or sequence > 8",
        f"update cursors set epoch = {stage.drop.epoch - 1}, last = 8",
    )
    await stage.recover()
    assert await stage.settled_claims() == claims
    await stage.whole()


@pytest.mark.parametrize("decides", [True, False], ids=["the next epoch has decisions", "it has none"])
async def test_a_log_that_hides_the_end_of_an_epoch_is_not_taken_for_whole(stage: Stage, decides: bool) -> None:
    """Keys of the shard are missing, so the holders cannot help: a person has to know that something is.

    An entry of many claims fills a node of the stream, and trimming drops whole nodes: it can end where an epoch does.
    """
    await stage.settle()
    first = stage.drop.epoch
    await stage.drop.batch(*(ask(f"{nth}".ljust(400, "x"), wave=1 + nth % 2) for nth in range(14)))
    await stage.settle()
    await stage.recover()
    if decides:
        await stage.drop.granted(ask("in the new epoch", wave=2))
    await trim_log(stage.store, "spring", (stage.drop.epoch, 0))
    kept = await stage.drop.log()
    assert [entry.epoch for entry in kept] == [stage.drop.epoch] * decides
    await _back_in_time(
        stage,
        "delete from vouchers where sequence > 8",
        "delete from claims where sequence > 8",
        f"update cursors set epoch = {first}, last = 8",
    )
    await stage.store.call("DEL", stage.drop.keys.holders)
    await _stays_unbound(stage, "the log does not reach back to .*-8, and keys of the shard are missing")
    if decides:  # a person gives up what is lost, and keeps what the log has: docs/operations.md
        await _back_in_time(stage, f"update cursors set epoch = {kept[0].epoch}, last = {kept[0].first - 1}")
        await stage.recover()
        assert kept[0].claims[0] in await stage.held_claims()
        await stage.whole()


@pytest.mark.parametrize("epochs", [1, 3])
async def test_a_log_that_has_the_end_of_an_epoch_is_followed_over_it(stage: Stage, epochs: int) -> None:
    await stage.settle()
    first = stage.drop.epoch
    for nth in range(epochs):
        await stage.recover()
        if nth != 1:
            await stage.drop.granted(ask(f"in the new epoch {nth}"))
    await stage.settle()
    claims = await stage.held_claims()
    await _back_in_time(
        stage,
        f"delete from vouchers where epoch > {first} or sequence > 8",
        f"delete from claims where epoch > {first} or sequence > 8",
        f"update cursors set epoch = {first}, last = 8",
    )
    await stage.store.call("DEL", stage.drop.keys.holders)
    assert (await stage.recover()).loaded
    assert await stage.held_claims() == claims
    await stage.settle()
    await stage.whole()


async def test_acts_that_a_trimmed_log_hides_are_told_by_the_waves(stage: Stage) -> None:
    """An act of the old epoch is gone from the log, and one of the next has a higher number."""
    await stage.settle()
    before = await stage.cursor()
    await acts.pause(stage.store, "spring", 1, OPS)
    await stage.settle()
    await stage.recover()
    await acts.pause(stage.store, "spring", 2, OPS)
    await stage.settle()
    await stage.store.call("XTRIM", stage.drop.keys.log, "MINID", f"{stage.drop.epoch}-0")
    await _back_in_time(
        stage,
        f"delete from acts where number > {before.act}",
        f"update cursors set epoch = {before.epoch}, last = {before.last}, act = {before.act}",
    )
    await stage.recover()
    await stage.store.call("FLUSHALL")
    await stage.recover()
    assert {no: wave.state for no, wave in (await stage.drop.view()).waves.items()} == {1: "paused", 2: "paused"}
    await stage.whole()


async def test_a_refill_over_an_epochs_end_that_breaks_off_anywhere_is_ended_by_the_next(
    stage: Stage, company: Company
) -> None:
    """The end of an old epoch is gone from the log, and the cursor may not pass it before the holders were read."""
    await stage.settle()
    await stage.recover()
    await stage.drop.batch(ask("in the new epoch"), ask("in the new epoch", wave=2))
    await stage.settle()
    claims = await stage.held_claims()
    await stage.store.call("XTRIM", stage.drop.keys.log, "MINID", f"{stage.drop.epoch}-0")
    for step in range(1, STEPS_MAX):
        epoch = stage.drop.epoch
        first = min(claim.epoch for claim in claims)
        await _back_in_time(
            stage,
            f"delete from vouchers where epoch > {first} or sequence > 8",
            f"delete from claims where epoch > {first} or sequence > 8",
            f"update cursors set epoch = {first}, last = 8",
        )
        dying = await company(stage)
        died = await _dies(dying, step, "after", "ledger")
        await leave(dying)
        await stage.recover()
        assert await stage.settled_claims() == claims, step
        await stage.whole()
        assert stage.drop.epoch > epoch
        if not died:
            return
    raise AssertionError("never ended")


async def test_a_ledger_that_went_back_is_refilled_from_the_log(stage: Stage) -> None:
    await stage.settle()
    claims = await stage.held_claims()
    await _back_in_time(
        stage,
        "delete from vouchers where sequence > 8",
        "delete from claims where sequence > 8",
        "update cursors set last = 8",
    )
    recovered = await stage.recover()
    assert not recovered.loaded
    assert await stage.settled_claims() == claims
    await stage.whole()


async def test_a_ledger_that_went_back_further_than_the_log_reaches(stage: Stage) -> None:
    """Claims come back from the holders, and what came of the lost acts from the waves."""
    await stage.settle()
    claims = await stage.held_claims()
    await stage.store.call("XTRIM", stage.drop.keys.log, "MINID", f"{stage.drop.epoch}-11")
    await _back_in_time(
        stage,
        "delete from vouchers",
        "delete from claims",
        "delete from acts where number > 1",
        "update cursors set last = 1, act = 1",
    )
    await stage.recover()
    assert await stage.settled_claims() == claims
    await stage.whole()


async def test_a_shard_whose_log_is_gone_tells_by_its_holders(stage: Stage) -> None:
    claims = await stage.held_claims()
    await stage.store.call("DEL", stage.drop.keys.log)
    await stage.recover()
    assert await stage.settled_claims() == claims
    await stage.whole()


async def test_holders_that_contradict_the_ledger_are_left_to_a_person(stage: Stage) -> None:
    await stage.settle()
    await stage.store.call("XTRIM", stage.drop.keys.log, "MAXLEN", 0)
    await _back_in_time(
        stage,
        "delete from vouchers where sequence > 5",
        "delete from claims where sequence > 5",
        "update claims set code = 'another' where sequence = 5",
        "update cursors set last = 5",
    )
    await _stays_unbound(stage, "is another claim there")
    assert (await stage.drop.view()).claims == 8, "what it has is still there to be looked at"


async def test_a_gap_in_the_log_is_filled_from_the_holders(stage: Stage) -> None:
    await stage.drop.granted(ask("behind the gap"))
    first = stage.drop.epoch, 11
    entries = await stage.store.call("XRANGE", stage.drop.keys.log, f"{first[0]}-9", f"{first[0]}-11")
    await stage.store.call("XDEL", stage.drop.keys.log, entries[0][0])
    claims = await stage.held_claims()
    await stage.recover()
    assert await stage.settled_claims() == claims
    await stage.whole()


async def test_a_refill_knows_a_quarantined_claim_again_whatever_its_code_is(stage: Stage) -> None:
    """Of a code that is too long for an index, or holds a NUL, the quarantine has a hash to look it up by."""
    await stage.ledger.fetch("alter table claims add constraint not_this check (claimant <> 'odd')")
    await stage.drop.batch(ask("odd"), codes=["X" * 600])
    await stage.settle()
    assert len(await list_quarantined(stage.ledger)) == 1
    before = await stage.cursor()
    await stage.drop.granted(ask("behind it"))
    await stage.settle()
    claims = await stage.held_claims()
    await stage.store.call("XTRIM", stage.drop.keys.log, "MAXLEN", 0)
    await _back_in_time(
        stage,
        f"delete from vouchers where sequence > {before.last}",
        f"delete from claims where sequence > {before.last}",
        f"update cursors set last = {before.last}",
    )
    await stage.recover()
    assert sorted(await stage.settled_claims(), key=str) == sorted(claims, key=str)
    await stage.whole()


async def test_a_void_that_broke_off_is_ended_by_the_next_recovery(stage: Stage) -> None:
    """The ledger has taken the claim back, and whoever was to tell the shard is dead; Redis restarts."""
    await stage.ledger.fetch("alter table claims add constraint not_this check (claimant <> 'odd')")
    odd = (await stage.drop.granted(ask("odd"))).claim
    await stage.settle()
    await void_quarantined(stage.ledger, QuarantinePlace("spring", odd.epoch, odd.sequence), "bob", "a test")
    await stage.recover()
    again = (await stage.drop.granted(ask("odd"))).claim
    assert again.unit == odd.unit + 1
    assert again.code != odd.code
    await stage.whole()


async def _voided(stage: Stage) -> Claim:
    """A claim that was kept apart, voided and forgotten; it had the highest unit of its offer."""
    await stage.ledger.fetch("alter table claims add constraint not_this check (claimant <> 'odd')")
    odd = (await stage.drop.granted(ask("odd"))).claim
    await stage.settle()
    assert (await _void(stage, odd)).forgotten
    return odd


async def _void(stage: Stage, claim: Claim) -> Voided:
    place = QuarantinePlace("spring", claim.epoch, claim.sequence)
    return await void(stage.ledger, stage.store, place, "bob", "a test", unload_after_ms=HOUR_MS)


async def _stays_voided(stage: Stage, odd: Claim) -> None:
    [kept] = await list_quarantined(stage.ledger)
    assert (kept.claim, kept.state) == (odd, "voided")
    assert odd not in await stage.held_claims()
    await stage.whole()
    await stage.ledger.fetch("alter table claims drop constraint not_this")
    again = (await stage.drop.granted(ask("odd"))).claim
    assert (again.unit, again.code != odd.code) == (odd.unit + 1, True)
    await stage.settle()
    assert (await stage.recover()).loaded is False, "nothing is missing on either side"
    await stage.store.call("FLUSHALL")
    await stage.recover()
    assert odd not in await stage.held_claims()


async def _lose_behind(stage: Stage, last: int, *, quarantine: bool) -> None:
    kept = "delete from quarantine" if quarantine else "update quarantine set state = 'held', ended_at = null"
    await _back_in_time(
        stage,
        kept,
        f"delete from vouchers where sequence > {last}",
        f"delete from claims where sequence > {last}",
        f"update cursors set last = {last}",
    )


@pytest.mark.parametrize("where", ["from the log", "from the holders", "over an epoch"])
async def test_a_voided_claim_with_the_highest_unit_that_the_ledger_has_lost(stage: Stage, where: str) -> None:
    before = await stage.cursor()
    odd = await _voided(stage)
    if where == "over an epoch":
        await stage.recover()
    if where != "from the log":
        await stage.store.call("XTRIM", stage.drop.keys.log, "MAXLEN", 0)
    await _lose_behind(stage, before.last, quarantine=True)
    await _back_in_time(stage, f"update cursors set epoch = {before.epoch}")
    await stage.recover()
    await _stays_voided(stage, odd)


async def test_a_voided_claim_that_was_loaded_as_such_and_is_then_lost(stage: Stage) -> None:
    """What the shard remembers of it comes from the ledger, and goes back to it."""
    before = await stage.cursor()
    odd = await _voided(stage)
    await stage.store.call("FLUSHALL")
    await stage.recover()
    await _lose_behind(stage, before.last, quarantine=True)
    await stage.recover()
    await _stays_voided(stage, odd)


async def test_a_void_that_the_ledger_has_lost_is_done_again(stage: Stage) -> None:
    odd = await _voided(stage)
    await _lose_behind(stage, (await stage.cursor()).last, quarantine=False)
    await stage.recover()
    await _stays_voided(stage, odd)


async def test_a_lost_void_of_a_claim_that_postgres_takes_by_now_is_left_to_a_person(stage: Stage) -> None:
    """The log brings the claim back and nothing is in its way: it is settled, and its voucher is out."""
    before = await stage.cursor()
    odd = await _voided(stage)
    await _lose_behind(stage, before.last, quarantine=True)
    await stage.ledger.fetch("alter table claims drop constraint not_this")
    await stage.recover()
    assert odd in await stage.settled_claims()
    assert odd in await stage.held_claims()
    assert (await stage.recover()).loaded is False
    await stage.whole()


async def test_an_older_copy_of_redis_does_not_show_a_voided_claim_again(own: OwnRedis, own_stage: Stage) -> None:
    stage = own_stage
    await stage.ledger.fetch("alter table claims add constraint not_this check (claimant <> 'odd')")
    odd = (await stage.drop.granted(ask("odd"))).claim
    await stage.settle()
    old = own.keep_data()
    assert (await _void(stage, odd)).forgotten
    await own.go_back(old)
    assert odd in await stage.held_claims(), "so it says"
    await stage.recover()
    await _stays_voided(stage, odd)


async def test_an_older_copy_that_has_forgotten_another_claim_is_loaded(own: OwnRedis, own_stage: Stage) -> None:
    """As many claims on either side, and as many voided, but not the same ones."""
    stage = own_stage
    await stage.ledger.fetch("alter table claims add constraint not_these check (claimant not like 'odd%')")
    first, second = [(await stage.drop.granted(ask(name))).claim for name in ("odd 1", "odd 2")]
    await stage.settle()
    assert (await _void(stage, first)).forgotten
    old = own.keep_data()
    assert (await _void(stage, second)).forgotten
    await own.go_back(old)
    await _back_in_time(stage, "update quarantine set state = 'retried' where claimant = 'odd 1'")
    await stage.ledger.fetch("alter table claims drop constraint not_these")
    settled = await stage.settler.vouchers(await stage.cursor(), [first], {1: "2026-01-01"})
    await add_claims(stage.ledger, await stage.cursor(), [first], settled)
    assert (await stage.drop.view()).claims == len(await stage.settled_claims())
    assert (await stage.recover()).loaded
    held = await stage.held_claims()
    assert (first in held, second in held) == (True, False)


async def test_claims_that_the_ledger_lacks_below_its_highest_unit_come_from_the_holders(stage: Stage) -> None:
    await stage.settle()
    claims = await stage.held_claims()
    await _back_in_time(stage, "delete from vouchers where sequence = 9", "delete from claims where sequence = 9")
    await stage.recover()
    assert await stage.settled_claims() == claims
    await stage.whole()


async def test_units_that_nobody_holds_and_no_log_tells_of_are_left_to_a_person(stage: Stage) -> None:
    await stage.drop.granted(ask("the last one"))
    await stage.store.call("DEL", stage.drop.keys.log)
    await stage.store.call("HDEL", stage.drop.keys.holders, "the last one")
    await _stays_unbound(stage, "units given in the hot store")


# Taking it out


@pytest.mark.loops
async def test_retiring_leaves_nothing_in_redis_and_everything_in_the_ledger(stage: Stage) -> None:
    claims = await stage.held_claims()
    await stage.recovery.retire(stage.catalogue, 1)
    assert await stage.keys() == set()
    assert await stage.settled_claims() == claims
    with pytest.raises(Fenced):
        await stage.drop.claim(ask("u0"))
    await stage.recovery.retire(stage.catalogue, 1)
    assert await stage.keys() == set()
    # And it can come back
    assert (await stage.recover()).loaded
    await stage.whole()
    assert await stage.held_claims() == claims


async def test_retiring_that_breaks_off_anywhere_is_ended_by_the_next(stage: Stage, company: Company) -> None:
    claims = await stage.held_claims()
    step, died = 0, True
    while died:
        step, died = step + 1, False
        assert step < STEPS_MAX
        late = await company(stage)

        async def die(now: int, step: int = step) -> None:
            if now == step:
                raise Interrupted

        hook_store(late.store, after=die)
        try:
            await late.recovery.retire(stage.catalogue, 1)
        except Interrupted:
            died = True
            if await loaded_campaigns(stage.store):  # else nobody would come back for it
                await stage.recovery.retire(stage.catalogue, 1)
        await leave(late)
        assert await stage.keys() == set()
        assert await stage.settled_claims() == claims
        await stage.recover()
    assert step > 5


async def test_a_late_retirement_does_not_touch_a_campaign_that_is_live_again(stage: Stage, company: Company) -> None:
    """Another steward takes over while this one sleeps, and the campaign goes on: it stays, with all its claims."""
    term, slept, step = 1, True, 0
    while slept:
        step, slept = step + 1, False
        assert step < STEPS_MAX
        late = await company(stage)

        async def sleep(now: int, step: int = step, term: int = term) -> None:
            nonlocal slept
            if now == step:
                slept = True
                await stage.recover(term + 1)
                await stage.drop.batch(ask(f"while {step}"))

        hook_store(late.store, before=sleep)
        try:
            await late.recovery.retire(stage.catalogue, term)
        except (LeaseLost, CursorMoved, ShardBroken):
            assert slept
            await stage.whole()
            assert await stage.store.call("EXISTS", keys.log("spring")) == 1
        else:  # it slept before it struck the campaign off the list; a steward puts it back at its next pass
            if slept:
                await load.list_campaign(stage.store, "spring")
                await stage.whole()
            await stage.recover(term + 2)
        await leave(late)
        term += 3
        await stage.settle()
        assert await stage.settled_claims() == await stage.held_claims()
    assert step > 5


async def test_claims_by_person_come_back_with_their_accounts(
    store: HotStore, ledger: Ledger, settings: Settings
) -> None:
    stage = Stage(store, ledger, settings)
    now_ms = await store.time_ms()
    waves = [wave("w1", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": 9})]
    await stage.begin(campaign(waves, by="person", limits=[Limit(2, "wave")]))
    phone = (await stage.drop.granted(ask("phone", person="p1"))).claim
    tablet = (await stage.drop.granted(ask("tablet", person="p1"))).claim
    await stage.settle()
    await store.call("FLUSHALL")
    await stage.recover()
    assert await stage.held_claims() == [phone, tablet]
    assert await stage.drop.claim(ask("tablet", person="p1")) == Claimed(tablet, replayed=True)
    assert await stage.drop.claim(ask("laptop", person="p1")) == Refused(RefusalCode.LIMIT_REACHED)
