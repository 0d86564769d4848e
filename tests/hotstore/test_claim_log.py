"""What the claim script writes: the log first, numbers without gaps, every character and every number whole (P7)."""

import pytest
from msgspec.structs import replace

from engine.domain.campaign import Limit
from engine.domain.decisions import OfferState, WaveState
from engine.domain.outcome import Claimed
from engine.errors import HotStoreError, HotStoreUnavailable, ShardBroken
from engine.hotstore import keys, load
from engine.hotstore.log import read_log, tell_settled, trim_log, wait_log
from engine.hotstore.scripts import CLAIM
from engine.hotstore.store import HotStore
from engine.hotstore.view import claims_of_claimants, read_holders
from tests.support.drop import HOUR_MS, Drop, ask, campaign, catalogue_of, wave

BIG = 2**31 + 12_345
LONG = "a" * 128
EVERY_WRITING = [
    "王小明",
    "Ω≈ç√∫˜µ≤≥÷",
    "👩‍👩‍👧‍👦 family",
    "comma,comma,,",
    "quote\"'\\back%d%s%%",
    "[^,]*(.*)$^-",
    "right-to-left: مرحبا",
    "next line \u0085 and \u2028 and \u2029",
    "\ufeffbyte order mark",
    "1,1,1,1,1,1,1,1,AAA,",
    " spaces  ",
    "\U0010ffff",
    LONG,
]


async def dropped(store: HotStore, total: int = 1_000, **how: object) -> Drop:
    now_ms = await store.time_ms()
    waves = [wave("w1", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": total, "o2": total})]
    drop = Drop(store, catalogue_of(campaign(waves, **how)))  # type: ignore[arg-type]  # options of campaign
    await drop.load()
    return drop


async def snapshot(drop: Drop) -> tuple[object, ...]:
    """Everything that a call may write."""
    shard = drop.keys
    whole = [await drop.store.call("HGETALL", key) for key in (shard.head, shard.meta, shard.left, shard.holders)]
    return (*whole, await drop.store.call("XRANGE", shard.log, "-", "+"))


@pytest.mark.loops
async def test_a_batch_of_512_claims(store: HotStore) -> None:
    drop = await dropped(store)
    batch = await drop.batch(*(ask(f"user {nth}", 1 + nth % 2, person=f"person {nth}") for nth in range(512)))
    claims = [answer.claim for answer in batch.answers if isinstance(answer, Claimed)]
    assert [claim.sequence for claim in claims] == list(range(1, 513))
    entry = (await drop.log())[-1]
    assert (entry.epoch, entry.first, entry.last) == (drop.epoch, 1, 512)
    assert entry.claims == tuple(claims)
    held = {claimant: claims async for claimant, claims in read_holders(store, drop.campaign)}
    assert held == {claim.claimant: [claim] for claim in claims}
    # And 512 replays in one call, each with its own claim
    again = await drop.batch(*(ask(f"user {nth}", 1 + nth % 2, person=f"person {nth}") for nth in range(512)))
    assert again.answers == [Claimed(claim, replayed=True) for claim in claims]
    assert len(await drop.log()) == 1


async def test_numbers_above_2_to_31_and_long_ids_survive(store: HotStore) -> None:
    id = "c" * 64
    now_ms = await store.time_ms()
    drop = Drop(store, catalogue_of(campaign([wave("w1", now_ms - 1, now_ms + HOUR_MS, {})], id=id, limits=[])))
    state = replace(
        WaveState.of(drop.catalogue, drop.catalogue.waves[0]),
        offers={str(2**20): OfferState(total=2**40, terms=BIG, value=2**45)},
        round="r" * 64,
    )
    await drop.load({BIG: state}, epoch=BIG)
    await store.call("HSET", drop.keys.meta, "last", BIG, "claims", BIG, "value", 2**50)
    await store.call("HSET", drop.keys.left, keys.stock_field(BIG, 2**20), 2**40 - BIG)
    await tell_settled(store, drop.campaign, (BIG, BIG))
    account = "用" * 128
    claim = (await drop.granted(ask(account, 2**20, wave=BIG, request_no=1))).claim
    assert (claim.epoch, claim.sequence, claim.unit) == (BIG, BIG + 1, BIG + 1)
    assert (claim.wave_no, claim.offer_no, claim.terms_version) == (BIG, 2**20, BIG)
    assert claim.account == account
    view = await drop.view()
    assert (view.last, view.claims, view.value) == (BIG + 1, BIG + 1, 2**50 + 2**45)
    assert view.left == {(BIG, 2**20): 2**40 - BIG - 1}
    assert (await drop.log())[0].claims == (claim,)
    assert await drop.claim(ask(account, 2**20, wave=BIG)) == Claimed(claim, replayed=True)


@pytest.mark.parametrize("person", ["", "人/1"])
async def test_every_writing_survives(store: HotStore, person: str) -> None:
    """Accounts come back letter for letter from script, holders and log; none is taken for another."""
    drop = await dropped(store, limits=[Limit(32, "campaign")], by="person" if person else "account")
    asks = [ask(account, person=person, request_no=1 + nth % 3) for nth, account in enumerate(EVERY_WRITING)]
    claims = [answer.claim for answer in (await drop.batch(*asks)).answers if isinstance(answer, Claimed)]
    assert [claim.account for claim in claims] == EVERY_WRITING
    assert [claim.claimant for claim in claims] == [person or account for account in EVERY_WRITING]
    assert (await drop.log())[0].claims == tuple(claims)
    replays = await drop.batch(*asks)
    assert replays.answers == [Claimed(claim, replayed=True) for claim in claims]
    claimants = sorted({claim.claimant for claim in claims})
    found = await claims_of_claimants(store, drop.campaign, drop.epoch, claimants)
    assert sorted((c for held in found for c in held), key=lambda c: c.sequence) == claims


@pytest.mark.parametrize("claims", [1, 2, 3])
async def test_a_log_that_is_ahead_of_the_numbers_refuses_before_anything_is_written(
    store: HotStore, claims: int
) -> None:
    """The log entry is the first write, under an explicit id: a shard whose numbers went back cannot go on."""
    drop = await dropped(store)
    await drop.batch(ask("a"), ask("b"), ask("c"))
    await store.call("HSET", drop.keys.meta, "last", 0)
    before = await snapshot(drop)
    with pytest.raises(HotStoreError, match="XADD"):
        await drop.batch(*(ask(f"somebody {nth}", 2) for nth in range(claims)))
    with pytest.raises(HotStoreError, match="XADD"):
        await drop.change(state="paused")
    assert await snapshot(drop) == before


async def test_refusals_leave_no_trace_in_the_log(store: HotStore) -> None:
    drop = await dropped(store, total=1)
    await drop.batch(ask("a"), ask("b"), ask("a"), ask("c", 9), ask("d", wave=7), ask("e", broken_rule="city"))
    (entry,) = await drop.log()
    assert [claim.account for claim in entry.claims] == ["a"]
    before = await snapshot(drop)
    await drop.batch(ask("b"), ask("c", 9), ask("a"))
    assert await snapshot(drop) == before


async def test_an_entry_of_an_unknown_format_is_told(store: HotStore) -> None:
    drop = await dropped(store)
    await store.call("XADD", drop.keys.log, "1-1", "v", "4", "first", "1", "at", "1", "claims", "")
    with pytest.raises(ShardBroken, match="format"):
        await drop.log()


async def test_an_entry_with_fewer_claims_than_its_numbers_is_told(store: HotStore) -> None:
    drop = await dropped(store)
    await drop.batch(ask("a"))
    ((_, flat),) = await store.call("XRANGE", drop.keys.log, "-", "+")
    await store.call("XADD", drop.keys.log, "1-5", *flat[:2], "first", "2", *flat[4:])
    with pytest.raises(ShardBroken, match="1 claims, its numbers say 4"):
        await drop.log()


async def test_reading_waiting_trimming(store: HotStore) -> None:
    drop = await dropped(store)
    for nth in range(200):
        await drop.batch(ask(f"u{nth}"))
    entries = await drop.log()
    assert await read_log(store, drop.campaign, (drop.epoch, 150), 10) == entries[150:160]
    assert await read_log(store, drop.campaign, (drop.epoch, 200), 10) == []
    assert await wait_log(store, {drop.campaign: (drop.epoch, 198), "other": (1, 0)}, 1_000, 64) == {
        drop.campaign: entries[198:]
    }
    assert await wait_log(store, {drop.campaign: (drop.epoch, 200)}, 1, 64) == {}
    assert await wait_log(store, {}, 1_000, 64) == {}
    await trim_log(store, drop.campaign, (drop.epoch, 150))
    kept = await drop.log()
    assert kept == entries[200 - len(kept) :]
    assert 50 <= len(kept) < 200


async def test_a_thousand_claimants_a_chunk_load_whole(store: HotStore) -> None:
    drop = await dropped(store, total=3_000)
    for start in range(0, 2_500, 500):
        await drop.batch(*(ask(f"user {nth}") for nth in range(start, start + 500)))
    held = {claimant: claims async for claimant, claims in read_holders(store, drop.campaign)}
    seen = await load.unbind(store, drop.campaign, 1)
    await load.begin_epoch(store, drop.campaign, 2, 1)
    await load.load_holders(store, drop.campaign, 2, 1, held.values())
    view = await drop.view()
    contents = load.Contents(drop.catalogue, view.waves, view.left, view.act, view.claims, view.value, {})
    await load.load_contents(store, drop.campaign, 2, 1, contents)
    with pytest.raises(HotStoreError, match="changed"):
        await load.bind(store, drop.campaign, 2, 1, seen.incarnation, claimants=2_499)
    await load.bind(store, drop.campaign, 2, 1, seen.incarnation, claimants=2_500)
    assert {claimant: claims async for claimant, claims in read_holders(store, drop.campaign)} == held


async def test_scripts_that_redis_forgot_are_sent_again(store: HotStore) -> None:
    drop = await dropped(store)
    first = (await drop.granted(ask("a"))).claim
    await store.call("SCRIPT", "FLUSH")
    assert await store.call("SCRIPT", "EXISTS", CLAIM.sha) == [0]
    assert await drop.claim(ask("a")) == Claimed(first, replayed=True)
    assert await store.call("SCRIPT", "EXISTS", CLAIM.sha) == [1]
    await drop.granted(ask("b"))


async def test_a_full_redis_decides_nothing_and_answers_replays(store: HotStore) -> None:
    drop = await dropped(store)
    won = (await drop.granted(ask("winner"))).claim
    before = await snapshot(drop)
    await store.call("CONFIG", "SET", "maxmemory", 1)
    try:
        with pytest.raises(HotStoreUnavailable, match="OOM"):
            await drop.batch(ask("somebody"), ask("winner"))
        assert await drop.claim(ask("winner")) == Claimed(won, replayed=True)
        with pytest.raises(HotStoreUnavailable, match="OOM"):
            await drop.change(state="paused")
    finally:
        await store.call("CONFIG", "SET", "maxmemory", 0)
    assert await snapshot(drop) == before
    await drop.granted(ask("somebody"))
