"""The quarantine in a shard that lives: the writer, recoveries, replays, kill -9, and claims that are taken back."""

import asyncio
import secrets
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from msgspec.structs import replace

from engine.audit.audit import audit
from engine.claiming.archive import Archive
from engine.claiming.board import Board
from engine.claiming.clock import StoreClock
from engine.claiming.holdings import Holdings
from engine.domain.campaign import Limit
from engine.domain.codes import new_code
from engine.domain.eligibility import Identity
from engine.domain.outcome import Ask, Claim, Claimed, Outcome, RefusalCode, Refused
from engine.domain.verdict import Verdict
from engine.embedded.role import PROGRAM
from engine.embedded.up import environment_of
from engine.errors import CannotRun
from engine.hotstore import keys
from engine.hotstore.decide import Late, decide
from engine.hotstore.load import unbind
from engine.hotstore.store import HotStore
from engine.hotstore.view import bound_epoch, claims_of_claimants
from engine.ledger.database import Ledger
from engine.ledger.quarantine import Place, list_quarantined
from engine.ledger.trail import read_trail, verify_trail
from engine.settings import Settings
from engine.settling.quarantine import QuarantineWatch, Voided, retry, void
from engine.telemetry import QUARANTINE_HELD
from tests.settling.conftest import MakeWriter
from tests.settling.shards import TERM, WAVE, Shard
from tests.support.waiting import wait_until

UNLOAD_AFTER_MS = 3_600_000
BAD = "spring-u7"


async def forbid(ledger: Ledger, *claimants: str) -> None:
    names = ", ".join(f"'{name}'" for name in claimants)
    await ledger.fetch(f"alter table claims add constraint not_these check (claimant not in ({names}))")


async def ask(shard: Shard, claimant: str, request_no: int = 1) -> Outcome | Late:
    """One more claim of somebody."""
    epoch = await bound_epoch(shard.store, shard.campaign)
    assert epoch is not None
    one = (Ask(WAVE, request_no, (1,), claimant, claimant), new_code(shard.catalogue.code_prefix, secrets.randbits))
    not_after_ms = await shard.store.time_ms() + 60_000
    return (await decide(shard.store, shard.campaign, epoch, [one], not_after_ms, 10_000_000)).answers[0]


async def held_in_hot_store(shard: Shard, claimant: str) -> list[Claim]:
    epoch = await bound_epoch(shard.store, shard.campaign)
    assert epoch is not None
    return (await claims_of_claimants(shard.store, shard.campaign, epoch, [claimant]))[0]


async def take_back(shard: Shard, place: Place, wait_s: float = 10.0) -> Voided:
    return await void(shard.ledger, shard.store, place, "bob", "a test", unload_after_ms=UNLOAD_AFTER_MS, wait_s=wait_s)


async def judge(shard: Shard) -> Verdict:
    return await audit(shard.ledger, shard.store, shard.campaign, settle_wait_ms=200)


def bad_claim(shard: Shard, claimant: str = BAD) -> tuple[Claim, Place]:
    claim = next(claim for claim in shard.claims if claim.claimant == claimant)
    return claim, Place(shard.campaign, claim.epoch, claim.sequence)


@pytest.fixture
async def spoiled(shard: Shard, start_writer: MakeWriter) -> Shard:
    """Forty claims, settled; the seventh is in quarantine."""
    await forbid(shard.ledger, BAD)
    await shard.claim(40)
    await start_writer()
    await shard.wait_settled()
    return shard


async def test_the_writer_goes_on_past_it(spoiled: Shard) -> None:
    bad, place = bad_claim(spoiled)
    (found,) = await list_quarantined(spoiled.ledger)
    assert (found.claim, found.place) == (bad, place)
    await spoiled.claim(40)
    await spoiled.wait_settled()
    assert (await spoiled.view()).bound
    assert len(await spoiled.settled_claims()) == 79
    verdict = await judge(spoiled)
    assert not verdict.broken, verdict
    assert "79 claims and 79 vouchers in the ledger, 1 in quarantine" in str(verdict)
    await QuarantineWatch(spoiled.ledger).look_once()
    assert QUARANTINE_HELD.labels("spring")._value.get() == 1


async def test_eleven_stop_the_shard(shard: Shard, neighbour: Shard, start_writer: MakeWriter) -> None:
    await forbid(shard.ledger, *(f"spring-u{number}" for number in range(5, 16)))
    await shard.claim(40)
    await start_writer()

    async def unbound() -> bool:
        return not (await shard.view()).bound

    await wait_until(unbound)
    assert await list_quarantined(shard.ledger) == []
    await neighbour.claim(5)
    await neighbour.wait_settled()


async def test_a_load_brings_it_back_as_held(spoiled: Shard, redis_url: str) -> None:
    """P2, P5: its claimant holds it in the new epoch too. P1: its unit is not given again."""
    bad, _ = bad_claim(spoiled)
    await spoiled.store.call("FLUSHALL")
    await spoiled.recover()
    assert await held_in_hot_store(spoiled, BAD) == [bad]
    assert await ask(spoiled, BAD) == Claimed(bad, replayed=True)
    more = await ask(spoiled, "late")
    assert isinstance(more, Claimed)
    assert more.claim.unit == 41
    await spoiled.wait_settled()
    assert not (await judge(spoiled)).broken


async def test_the_last_unit_may_be_in_quarantine(shard: Shard, start_writer: MakeWriter) -> None:
    """The next unit is one above it, whether it is held or voided."""
    await forbid(shard.ledger, "spring-u40")
    await shard.claim(40)
    await start_writer()
    await shard.wait_settled()
    _, place = bad_claim(shard, "spring-u40")
    for unit in (41, 42):
        await shard.store.call("FLUSHALL")
        await shard.recover()
        more = await ask(shard, f"late-{unit}")
        assert isinstance(more, Claimed)
        assert more.claim.unit == unit
        await shard.wait_settled()
        await take_back(shard, place)
    assert not (await judge(shard)).broken


async def test_a_restart_that_lost_nothing_is_not_loaded(spoiled: Shard) -> None:
    recovered = await spoiled.recovery.recover(spoiled.catalogue, TERM)
    assert (recovered.loaded, recovered.claims) == (False, 40)


async def test_voided_it_is_gone_and_its_claimant_may_claim_again(spoiled: Shard) -> None:
    _, place = bad_claim(spoiled)
    before = await spoiled.view()
    assert isinstance(await ask(spoiled, BAD), Claimed), "a replay, so far"
    first, again = await take_back(spoiled, place), await take_back(spoiled, place)
    assert (first.ended.done, first.forgotten, again.ended.done, again.forgotten) == (True, True, False, False)
    assert await held_in_hot_store(spoiled, BAD) == []
    after = await spoiled.view()
    assert (after.left, after.claims, after.value) == (before.left, before.claims - 1, before.value - 5_000)
    await spoiled.ledger.fetch("alter table claims drop constraint not_these")
    new = await ask(spoiled, BAD)
    assert isinstance(new, Claimed)
    assert not new.replayed
    assert (new.claim.unit, new.claim.nth) == (41, 2), "another unit, and a number that was never given"
    refused = await ask(spoiled, BAD, request_no=2)
    assert isinstance(refused, Refused)
    assert (refused.code, refused.claim) == (RefusalCode.ALREADY_CLAIMED, new.claim)
    await spoiled.wait_settled()
    verdict = await judge(spoiled)
    assert not verdict.broken, verdict
    assert "1 voided there" in str(verdict)
    await spoiled.store.call("FLUSHALL")
    await spoiled.recover()
    assert await held_in_hot_store(spoiled, BAD) == [new.claim]
    assert await ask(spoiled, BAD) == Claimed(new.claim, replayed=True)
    assert (await spoiled.view()).claims == 40
    assert not (await judge(spoiled)).broken


async def test_a_claim_in_the_middle_is_voided_and_the_others_keep_their_numbers(
    ledger: Ledger, store: HotStore, settings: Settings, seed: int, start_writer: MakeWriter
) -> None:
    """Three may be claimed. With the second one taken back a third and a fourth number are still different ones."""
    shard = await Shard(ledger, store, settings, seed).start(limits=(Limit(3, "campaign"),))
    await ledger.fetch("alter table claims add constraint not_these check (request_no <> 2)")
    held = []
    for number in (1, 2, 3):
        answer = await ask(shard, "ann", number)
        assert isinstance(answer, Claimed)
        held.append(answer.claim)
    assert isinstance(await ask(shard, "ann", 4), Refused)
    await start_writer()
    await shard.wait_settled()
    await take_back(shard, Place("spring", held[1].epoch, held[1].sequence))
    assert await held_in_hot_store(shard, "ann") == [held[0], held[2]]
    for _ in range(2):  # as it lives, and as it is loaded
        assert await held_in_hot_store(shard, "ann") == [held[0], held[2]]
        assert await ask(shard, "ann", 3) == Claimed(held[2], replayed=True)
        await store.call("FLUSHALL")
        await shard.recover()
    fourth = await ask(shard, "ann", 4)
    assert isinstance(fourth, Claimed)
    assert fourth.claim.nth == 4
    assert isinstance(await ask(shard, "ann", 5), Refused), "three at most, as ever"
    await shard.wait_settled()
    assert len(await shard.settled_claims()) == 3
    assert not (await judge(shard)).broken


async def test_a_void_while_the_shard_is_recovered(spoiled: Shard) -> None:
    """The ledger has taken it back, the shard cannot be told: a recovery that begins later leaves it out."""
    bad, place = bad_claim(spoiled)
    await unbind(spoiled.store, spoiled.campaign, TERM)
    with pytest.raises(CannotRun, match="voided in the ledger, but the hot store still shows it"):
        await take_back(spoiled, place, wait_s=0.3)
    assert [found.state for found in await list_quarantined(spoiled.ledger)] == ["voided"]
    waiting = asyncio.create_task(take_back(spoiled, place))
    await spoiled.recover()
    assert not (await waiting).forgotten, "there was nothing left to forget"
    assert await held_in_hot_store(spoiled, BAD) == []
    assert bad in spoiled.claims


async def test_voids_recoveries_and_replays_at_once(spoiled: Shard) -> None:
    """P1, P2: whatever comes first, the claimant never holds two claims, and no unit is given twice."""
    await spoiled.ledger.fetch("alter table claims drop constraint not_these")
    _, place = bad_claim(spoiled)
    seen: list[str] = []

    async def recover() -> None:
        for emptied in (False, True, False, True):
            if emptied:
                await spoiled.store.call("DEL", *keys.shard(spoiled.campaign, (await spoiled.view()).epoch)[2:])
            for _ in range(20):
                try:
                    await spoiled.recover()
                except Exception as error:  # the steward would begin again
                    seen.append(type(error).__name__)
                else:
                    break

    async def replay() -> None:
        for _ in range(40):
            try:
                await ask(spoiled, BAD)
            except Exception as error:  # fenced: users hear `recovering`
                seen.append(type(error).__name__)

    ends = await asyncio.gather(recover(), replay(), *(take_back(spoiled, place) for _ in range(20)))
    assert sum(end.ended.done for end in ends[2:] if end is not None) == 1
    await spoiled.recover()
    await take_back(spoiled, place)
    answer = await ask(spoiled, BAD)
    assert isinstance(answer, Claimed)
    assert (answer.claim.epoch, answer.claim.sequence) != (place.epoch, place.sequence)
    assert await held_in_hot_store(spoiled, BAD) == [answer.claim]
    await spoiled.wait_settled()
    verdict = await judge(spoiled)
    assert not verdict.broken, (verdict, seen)
    entries = [entry.happening.kind for entry in await read_trail(spoiled.ledger, spoiled.catalogue.campaign_no)]
    assert entries.count("void_quarantined") == 1
    assert await verify_trail(spoiled.ledger, spoiled.catalogue.campaign_no) == []


async def test_a_retry_while_it_lives(spoiled: Shard) -> None:
    bad, place = bad_claim(spoiled)
    await spoiled.ledger.fetch("alter table claims drop constraint not_these")
    assert (await retry(spoiled.ledger, place, "bob", "mended")).done
    await spoiled.check()
    await spoiled.store.call("FLUSHALL")
    await spoiled.recover()
    assert await held_in_hot_store(spoiled, BAD) == [bad]
    assert not (await judge(spoiled)).broken


async def test_own_claims_and_replays_after_the_campaign_has_left_redis(
    spoiled: Shard, ledger: Ledger, store: HotStore, settings: Settings
) -> None:
    """Its user sees the claim all the time: from the hot store, then from the ledger."""
    bad, place = bad_claim(spoiled)
    archive = Archive(ledger, settings)
    over = replace(settings, unload_after_ms=-24 * UNLOAD_AFTER_MS)  # its waves are hours from their close
    board = Board(store, StoreClock(), archive, over)
    holdings = Holdings(store, ledger, board)
    await spoiled.recovery.retire(spoiled.catalogue, TERM)
    await board.refresh()
    live = await archive.find_wave("spring-now")
    assert live is not None
    over_ms = max(wave.closes_at_ms for wave in spoiled.catalogue.waves) + settings.unload_after_ms
    again = Ask(WAVE, 1, (1,), BAD, BAD)
    assert await archive.claim(live, again, over_ms) == Claimed(bad, replayed=True)
    assert [claim for _, claim in await holdings.of(Identity(BAD))] == [bad]
    ended = await void(
        ledger, store, place, "bob", "a test", unload_after_ms=over.unload_after_ms
    )  # it is over: no shard has to be told
    assert (ended.ended.done, ended.forgotten) == (True, False)
    refused = await archive.claim(live, again, over_ms)
    assert isinstance(refused, Refused)
    assert await holdings.of(Identity(BAD)) == []


async def test_a_refill_knows_what_is_in_quarantine(spoiled: Shard, ledger: Ledger) -> None:
    """The ledger goes back to before the forty; once with, once without what its quarantine had."""
    bad, place = bad_claim(spoiled)
    for kept in (True, False):
        await ledger.fetch("delete from claims")
        await ledger.fetch("delete from vouchers")
        if not kept:
            await ledger.fetch("delete from quarantine")
        await ledger.fetch("update cursors set epoch = 2, last = 2")
        await spoiled.store.call("XTRIM", keys.log(spoiled.campaign), "MAXLEN", 0)
        await spoiled.recover()
        (found,) = await list_quarantined(ledger)
        assert (found.claim, found.place) == (bad, place)
        assert len(await spoiled.settled_claims()) == 39


@asynccontextmanager
async def locked(database_url: str, table: str) -> AsyncIterator[None]:
    """Nobody writes to that table meanwhile."""
    connection = await asyncpg.connect(database_url)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(f"lock table {table} in exclusive mode")
    try:
        yield
    finally:
        await transaction.rollback()
        await connection.close()


@pytest.fixture
def writer_process(settings: Settings, redis_url: str, database_url: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A writer in a process of its own."""
    named = replace(settings, redis_url=redis_url, database_url=database_url)
    process = subprocess.Popen(
        [*PROGRAM, "writer"], env=environment_of(named), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    yield process
    process.kill()
    process.wait(10)


async def test_kill_9_in_the_middle_of_halving_leaves_nothing(
    shard: Shard, writer_process: "subprocess.Popen[bytes]", database_url: str, start_writer: MakeWriter
) -> None:
    await forbid(shard.ledger, BAD)
    before = await shard.cursor()

    async def waits() -> bool:
        rows = await shard.ledger.fetch(
            "select count(*) as waiting from pg_locks where not granted and relation = 'quarantine'::regclass"
        )
        return bool(rows[0]["waiting"])

    async with locked(database_url, "quarantine"):
        await shard.claim(40)
        await wait_until(waits, 30, "the writer has halved, and is about to keep the claim apart")
        writer_process.kill()
        writer_process.wait(10)
    assert await shard.settled_claims() == []
    assert await list_quarantined(shard.ledger) == []
    assert (await shard.cursor()).last <= before.last + 2, "the put of wave and campaign at most"
    await start_writer()
    await shard.wait_settled()
    assert len(await shard.settled_claims()) == 39
    assert [found.place for found in await list_quarantined(shard.ledger)] == [bad_claim(shard)[1]]
    assert not (await judge(shard)).broken
