"""Board, desks, archive, holdings and the wait for the ledger, together on real servers."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest
from msgspec.structs import replace

from engine.claiming.archive import Archive
from engine.claiming.board import Board, LiveWave
from engine.claiming.clock import StoreClock
from engine.claiming.desk import BUSY, OUTCOME_UNKNOWN, RECOVERING
from engine.claiming.desks import Desks
from engine.claiming.elsewhere import LOOKS_PER_SECOND_MAX
from engine.claiming.holdings import Holdings
from engine.claiming.presence import Presence
from engine.claiming.settled import SettledWatch
from engine.domain.campaign import Limit
from engine.domain.eligibility import Identity
from engine.domain.outcome import Ask, Claim, Claimed, Outcome, RefusalCode, Refused
from engine.errors import HotStoreUnavailable, LedgerUnavailable
from engine.hotstore import keys, load
from engine.hotstore.scripts import Fenced
from engine.hotstore.store import HotStore
from engine.ledger.claims import settled_codes
from engine.ledger.cursors import all_cursors
from engine.ledger.database import Ledger
from engine.scheduling import acts
from engine.scheduling.performing import Actor
from engine.settings import Settings
from tests.support.drop import HOUR_MS, ask, campaign, wave
from tests.support.stage import Stage
from tests.support.waiting import wait_until

OPS = Actor("ops", "a reason")


class Hall:
    """One gateway's part of it, and the stage that the rest plays on."""

    def __init__(self, store: HotStore, ledger: Ledger, settings: Settings) -> None:
        self.stage = Stage(store, ledger, settings)
        self.settings = settings
        self.clock = StoreClock()
        self.archive = Archive(ledger, settings)
        self.board = Board(store, self.clock, self.archive, settings)
        self.ledger_away = False
        self.watch = SettledWatch(self.places, self.found, settings) if settings.ack == "settled" else None
        self.desks = Desks(store, self.board, self.clock, self.archive, self.watch, settings)
        self.holdings = Holdings(store, ledger, self.board)

    async def places(self) -> Mapping[str, tuple[int, int]]:
        if self.ledger_away:
            raise LedgerUnavailable("away")
        return {cursor.campaign: cursor.place for cursor in await all_cursors(self.stage.ledger)}

    async def found(self, campaign: str, claims: Sequence[Claim]) -> set[str]:
        return await settled_codes(self.stage.ledger, campaign, claims)

    async def open(self) -> None:
        """Begin a campaign with a wave that is open, one to come and one that is over."""
        now_ms = await self.stage.store.time_ms()
        waves = [
            wave("open", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": 3, "o2": 1}),
            wave("to come", now_ms + HOUR_MS, now_ms + 2 * HOUR_MS, {"o1": 3}),
            wave("over", now_ms - 2 * HOUR_MS, now_ms - HOUR_MS, {"o1": 3}),
        ]
        await self.stage.begin(campaign(waves, limits=[Limit(1, "wave")]))
        await self.stage.settle()
        await self.desks.start()
        await self.board.refresh()

    async def claim(self, ask: Ask, wave: str = "open") -> Outcome:
        live = await self.board.find_wave(wave)
        assert live is not None
        return await self.desks.claim(live, ask)

    async def won(self, account: str) -> Claim:
        outcome = await self.claim(ask(account))
        assert isinstance(outcome, Claimed)
        return outcome.claim

    async def end_of_the_campaign(self) -> None:
        """Eight days pass for its waves; then it leaves the hot store."""
        await self.stage.settle()
        async with self.stage.ledger.transaction() as connection:
            await connection.execute("update waves set opens_at = opens_at - interval '8 days'")
            await connection.execute("update waves set closes_at = closes_at - interval '8 days'")
        await self.stage.recovery.retire(self.stage.catalogue, 1)


@pytest.fixture
def wanted() -> dict[str, object]:
    """Settings that a test wants otherwise."""
    return {}


@pytest.fixture
async def hall(store: HotStore, ledger: Ledger, settings: Settings, wanted: dict[str, object]) -> AsyncIterator[Hall]:
    hall = Hall(store, ledger, replace(settings, **wanted))
    await hall.open()
    yield hall
    await hall.board.stop()
    await hall.desks.stop()
    await hall.desks.stop()


SETTLED = {"ack": "settled", "settle_deadline_ms": 800, "settle_poll_ms": 5}
settled = pytest.mark.parametrize("wanted", [SETTLED], ids=["settled"])


# Board


@pytest.mark.loops
async def test_the_board_shows_what_the_hot_store_has(hall: Hall) -> None:
    board = hall.board
    assert board.ready
    assert board.age_ms() < 10_000
    assert [catalogue.id for catalogue in board.campaigns()] == ["spring"]
    assert board.campaign("spring") == hall.stage.catalogue
    assert board.campaign("autumn") is None
    now_ms = board.store_time_ms()
    assert abs(now_ms - await hall.stage.store.time_ms()) < 1_000
    assert {live.wave.id: live.status(now_ms) for live in board.waves()} == {
        "open": "open",
        "to come": "scheduled",
        "over": "closed",
    }
    live = board.wave("open")
    assert live is not None
    assert live.left == {1: 3, 2: 1}


async def test_states_of_a_wave(hall: Hall) -> None:
    async def status() -> str:
        await hall.board.refresh()
        live = hall.board.wave("open")
        assert live is not None
        return live.status(hall.board.store_time_ms())

    store = hall.stage.store
    await acts.pause(store, "spring", 1, OPS)
    assert await status() == "paused"
    await acts.resume(store, "spring", 1, OPS)
    for account, offer in (("a", 1), ("b", 1), ("c", 1), ("d", 2)):
        assert await status() == "open"
        await hall.claim(ask(account, offer))
    assert await status() == "sold_out"
    live = hall.board.wave("open")
    assert live is not None
    assert set(live.sold_out_ms) == {1, 2}
    await acts.close(store, "spring", 1, OPS, now_ms=await store.time_ms())
    assert await status() == "closed"


async def test_a_wave_that_was_just_put_is_found_before_anybody_is_refused(hall: Hall) -> None:
    now_ms = await hall.stage.store.time_ms()
    more = campaign([wave("another", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": 3})], id="autumn")
    other = Stage(hall.stage.store, hall.stage.ledger, hall.settings)
    assert await hall.board.find_wave("another") is None
    await other.apply(more)
    await wait_until(lambda: hall.board.find_wave("another"))
    live = await hall.board.find_wave("another")
    assert live is not None
    assert not live.loaded
    assert await hall.desks.claim(live, ask("ann")) == RECOVERING, "the ledger knows it, the hot store not yet"
    with pytest.raises(HotStoreUnavailable):
        await hall.holdings.in_wave(live, Identity("ann"))
    await other.recover()
    await other.put()
    live = await hall.board.find_wave("another")
    assert live is not None
    assert live.loaded
    assert isinstance(await hall.desks.claim(live, ask("ann")), Claimed)


async def test_looks_for_waves_that_are_nowhere_are_bounded(hall: Hall) -> None:
    assert await hall.board.find_wave("made up") is None
    before = (await hall.stage.store.call("INFO", "commandstats")).decode()
    for _ in range(50):
        assert await hall.board.find_wave("made up") is None, "known to be unknown for a second"
    after = (await hall.stage.store.call("INFO", "commandstats")).decode()
    assert _calls(after, "smembers") == _calls(before, "smembers")

    async def look_for_many() -> None:
        for nth in range(50 * LOOKS_PER_SECOND_MAX):
            await hall.board.find_wave(f"made up {nth}")

    with pytest.raises(HotStoreUnavailable, match="too many looks"):
        await look_for_many()
    assert await hall.board.find_wave("open") is not None, "what is on the board needs no look"


def _calls(stats: str, command: str) -> int:
    found = [line for line in stats.splitlines() if line.startswith(f"cmdstat_{command}:")]
    return int(found[0].partition("calls=")[2].partition(",")[0]) if found else 0


async def test_a_board_that_cannot_read_is_not_ready_and_keeps_what_it_knew(hall: Hall) -> None:
    await load.unbind(hall.stage.store, "spring", 1)
    await hall.board.refresh()
    assert not hall.board.ready
    await hall.stage.store.call("FLUSHALL")
    await hall.board.refresh()
    assert not hall.board.ready
    assert hall.board.wave("open") is not None
    assert await hall.claim(ask("ann")) == RECOVERING
    await hall.stage.recover()
    await hall.board.refresh()
    assert hall.board.ready
    assert isinstance(await hall.claim(ask("ann")), Claimed)


@pytest.mark.loops
async def test_refreshing_goes_on_by_itself(hall: Hall) -> None:
    await hall.board.start()
    await hall.board.start()
    await acts.pause(hall.stage.store, "spring", 1, OPS)

    def paused() -> bool:
        live = hall.board.wave("open")
        return live is not None and live.state.state == "paused"

    await wait_until(paused)
    await hall.board.stop()
    await hall.board.stop()


async def test_many_who_look_at_once_share_a_reading(hall: Hall) -> None:
    stats = (await hall.stage.store.call("INFO", "commandstats")).decode()
    await asyncio.gather(*(hall.board.refresh() for _ in range(50)))
    after = (await hall.stage.store.call("INFO", "commandstats")).decode()
    assert _calls(after, "smembers") - _calls(stats, "smembers") == 1


async def test_the_clock_before_anything_was_heard() -> None:
    clock = StoreClock(lambda: 5.0)
    assert clock.now_ms() == 0
    clock.heard(1_000)
    assert clock.now_ms() == 1_000


# Desks and the archive


@pytest.mark.loops
async def test_a_claim_from_board_to_hot_store(hall: Hall) -> None:
    claim = await hall.won("ann")
    assert await hall.claim(ask("ann")) == Claimed(claim, replayed=True)
    assert await hall.claim(ask("ann", 2)) == Refused(RefusalCode.ALREADY_CLAIMED, claim=claim)
    refused = await hall.claim(ask("ann", wave=2), "to come")
    assert isinstance(refused, Refused)
    assert refused.code is RefusalCode.NOT_OPEN
    assert await hall.holdings.in_wave(_live(hall), Identity("ann")) == [claim]
    assert await hall.holdings.in_wave(_live(hall), Identity("ben")) == []
    assert await hall.holdings.of(Identity("ann")) == [(hall.stage.catalogue, claim)]


def _live(hall: Hall, wave: str = "open") -> LiveWave:
    live = hall.board.wave(wave)
    assert live is not None
    return live


@pytest.mark.loops
async def test_after_the_campaign_has_left_winners_get_their_claims_from_the_ledger(hall: Hall) -> None:
    claim = await hall.won("ann")
    await acts.close(hall.stage.store, "spring", 1, OPS, now_ms=await hall.stage.store.time_ms())
    await hall.end_of_the_campaign()
    assert await hall.stage.store.call("DBSIZE") == 0
    later = Hall(hall.stage.store, hall.stage.ledger, hall.settings)
    await later.board.refresh()
    assert later.board.waves() == []
    assert await later.claim(ask("ann")) == Claimed(claim, replayed=True)
    assert await later.claim(ask("ann", 2, 1)) == Claimed(claim, replayed=True)
    lost = await later.claim(ask("ben"))
    assert isinstance(lost, Refused)
    assert lost.code is RefusalCode.CLOSED
    assert lost.at_ms > 0
    assert await later.claim(ask("ann", 2)) == lost
    assert await later.claim(ask("ann", request_no=2)) == lost
    assert await later.claim(ask("ben", broken_rule="city")) == Refused(RefusalCode.NOT_ELIGIBLE, rule="city")
    live = await later.board.find_wave("open")
    assert live is not None
    assert await later.holdings.in_wave(live, Identity("ann")) == [claim]
    assert [found for _, found in await later.holdings.of(Identity("ann"))] == [claim]
    # A gateway that knew the campaign before lets go of it as well
    await hall.board.refresh()
    assert isinstance(await hall.claim(ask("ann")), Refused | Claimed)


async def test_a_campaign_that_is_only_gone_for_the_moment_is_recovering(hall: Hall) -> None:
    """Claims that were not settled may come back with their Redis: nobody is told that there are none."""
    await hall.won("ann")
    await hall.stage.store.call("FLUSHALL")
    fresh = Hall(hall.stage.store, hall.stage.ledger, hall.settings)
    live = await fresh.board.find_wave("open")
    assert live is not None
    assert await fresh.desks.claim(live, ask("ann")) == RECOVERING
    with pytest.raises(HotStoreUnavailable):
        await fresh.holdings.in_wave(live, Identity("ann"))
    with pytest.raises(Fenced):
        await hall.holdings.in_wave(_live(hall), Identity("ann"))
    with pytest.raises(Fenced):
        await hall.holdings.of(Identity("ann"))


async def test_a_newcomer_does_not_take_the_ledger_for_all_there_is(hall: Hall) -> None:
    """A gateway that starts while its campaign is being loaded: the ledger may lack the newest claims."""
    await hall.won("ann")
    await hall.stage.settle()
    await hall.stage.store.call("FLUSHALL")
    fresh = Hall(hall.stage.store, hall.stage.ledger, hall.settings)
    await fresh.board.refresh()
    with pytest.raises(HotStoreUnavailable):
        await fresh.holdings.of(Identity("ann"))
    await hall.stage.store.call("SADD", keys.CAMPAIGNS, "spring")  # as far as a load has got
    await fresh.board.refresh()
    assert not fresh.board.ready
    with pytest.raises(HotStoreUnavailable):
        await fresh.holdings.of(Identity("ben"))


async def test_what_another_gateway_gave_in_a_campaign_that_was_just_loaded_is_listed(hall: Hall) -> None:
    """As behind a Redis that was lost: campaigns come back one by one, and a board that has seen some is not all."""
    now_ms = await hall.stage.store.time_ms()
    later = Stage(hall.stage.store, hall.stage.ledger, hall.settings)
    await later.begin(campaign([wave("another", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": 3})], id="autumn"))
    claim = (await later.drop.granted(ask("ann"))).claim
    assert hall.board.campaign("autumn") is None
    assert await hall.holdings.of(Identity("ann")) == [(later.catalogue, claim)]


async def test_holdings_follow_a_recovery_that_the_board_has_not_seen(hall: Hall) -> None:
    claim = await hall.won("ann")
    await hall.stage.recover()
    assert await hall.holdings.in_wave(_live(hall), Identity("ann")) == [claim]
    assert await hall.holdings.of(Identity("ann")) == [(hall.stage.catalogue, claim)]


async def test_holdings_by_person_are_the_accounts_own(store: HotStore, ledger: Ledger, settings: Settings) -> None:
    hall = Hall(store, ledger, settings)
    now_ms = await store.time_ms()
    waves = [wave("open", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": 3})]
    await hall.stage.begin(campaign(waves, by="person", limits=[Limit(2, "wave")]))
    await hall.board.refresh()
    phone = (await hall.stage.drop.granted(ask("phone", person="p1"))).claim
    await hall.stage.drop.granted(ask("tablet", person="p1"))
    for _ in range(2):
        assert await hall.holdings.in_wave(_live(hall), Identity("phone", person="p1")) == [phone]
        assert [claim for _, claim in await hall.holdings.of(Identity("phone", person="p1"))] == [phone]
        assert await hall.holdings.in_wave(_live(hall), Identity("phone")) == []
        await hall.stage.settle()
    assert len(await hall.holdings.in_campaign(_live(hall), "p1")) == 2


async def test_after_the_stop_everything_is_busy(hall: Hall) -> None:
    await hall.won("ann")
    await hall.desks.stop()
    assert await hall.claim(ask("ben")) == BUSY


async def test_a_ledger_that_is_away_cannot_answer_for_the_archive(hall: Hall, database_url: str) -> None:
    await hall.end_of_the_campaign()
    later = Hall(hall.stage.store, await Ledger.connect(database_url, hall.settings), hall.settings)
    live = await later.board.find_wave("open")
    assert live is not None
    await later.stage.ledger.close()
    assert await later.desks.claim(live, ask("ann")) == BUSY


# Where the answer waits for the ledger


@pytest.mark.loops
@settled
async def test_the_answer_waits_for_the_ledger(hall: Hall) -> None:
    asking = asyncio.create_task(hall.claim(ask("ann")))
    await wait_until(lambda: _held(hall, 1))
    assert not asking.done()
    await hall.stage.settle()
    outcome = await asking
    assert isinstance(outcome, Claimed)
    assert [claim.code for claim in await hall.stage.settled_claims()] == [outcome.claim.code]
    again = await hall.claim(ask("ann"))
    assert again == Claimed(outcome.claim, replayed=True)
    refused = await hall.claim(ask("ann", 2))
    assert isinstance(refused, Refused)


async def _held(hall: Hall, claims: int) -> bool:
    return (await hall.stage.drop.view()).claims == claims


@settled
async def test_a_replay_waits_for_the_ledger_too(hall: Hall) -> None:
    asking = [asyncio.create_task(hall.claim(ask("ann"))) for _ in range(3)]
    await wait_until(lambda: _held(hall, 1))
    asking.append(asyncio.create_task(hall.claim(ask("ann"))))
    await asyncio.sleep(0)
    assert not any(task.done() for task in asking)
    await hall.stage.settle()
    codes = {outcome.claim.code for outcome in await asyncio.gather(*asking) if isinstance(outcome, Claimed)}
    assert len(codes) == 1


@settled
async def test_a_ledger_that_does_not_come_is_an_unknown_outcome(hall: Hall) -> None:
    assert await hall.claim(ask("ann")) == OUTCOME_UNKNOWN
    await hall.stage.settle()
    outcome = await hall.claim(ask("ann"))
    assert isinstance(outcome, Claimed)
    assert outcome.replayed


@settled
async def test_while_the_ledger_is_away_nobody_is_kept_longer_than_the_deadline(hall: Hall) -> None:
    hall.ledger_away = True
    outcomes = await asyncio.gather(*(hall.claim(ask(name)) for name in "abc"))
    assert outcomes == [OUTCOME_UNKNOWN] * 3
    watch = hall.watch
    assert watch is not None
    await wait_until(lambda: not watch._waiting, what="those who have given up are forgotten")
    hall.ledger_away = False
    await hall.stage.settle()
    assert isinstance(await hall.claim(ask("a")), Claimed)


@settled
async def test_a_ledger_that_falls_silent_holds_nobody_past_the_deadline(hall: Hall) -> None:
    """Neither does one look that breaks: the next claims are told of."""
    silence, places = asyncio.Event(), hall.places

    async def silent() -> Mapping[str, tuple[int, int]]:
        await silence.wait()
        raise KeyError("a mistake of ours")

    watch = hall.watch
    assert watch is not None
    watch._read_places = silent
    async with asyncio.timeout(10):
        assert await asyncio.gather(*(hall.claim(ask(name)) for name in "abc")) == [OUTCOME_UNKNOWN] * 3
    watch._read_places = places
    silence.set()
    await hall.stage.settle()

    async def told() -> bool:
        return isinstance(await hall.claim(ask("a")), Claimed)

    await wait_until(told, what="the next look tells, however long a busy machine takes to log the one that broke")


@settled
async def test_a_claim_that_a_recovery_has_settled_is_told_to_who_waits(hall: Hall) -> None:
    """Its epoch is over, and the ledger has it: the recovery has settled the tail of the log."""
    asking = asyncio.create_task(hall.claim(ask("ann")))
    await wait_until(lambda: _held(hall, 1))
    hall.ledger_away = True  # nobody looks between the settling of the tail and the new epoch
    await hall.stage.recover()
    hall.ledger_away = False
    outcome = await asking
    assert isinstance(outcome, Claimed)
    assert not outcome.replayed
    assert [claim.code for claim in await hall.stage.settled_claims()] == [outcome.claim.code]
    await hall.board.refresh()
    assert await hall.claim(ask("ann")) == Claimed(outcome.claim, replayed=True)


@settled
async def test_what_a_recovery_did_not_settle_is_unknown_though_its_number_is_used_again(hall: Hall) -> None:
    """The claim is lost with its Redis; another one has its place in the ledger by the time somebody looks."""
    asking = asyncio.create_task(hall.claim(ask("ann")))
    await wait_until(lambda: _held(hall, 1))
    hall.ledger_away = True
    lost = await hall.stage.drop.view()
    await hall.stage.store.call("FLUSHALL")
    await hall.stage.ledger.fetch(
        "insert into claims (campaign_no, epoch, sequence, wave_no, offer_no, unit, nth, request_no, terms_version,"
        " claimed_at, claimant, code) values ($1, $2, $3, 1, 1, 1, 1, 1, 1, now(), 'ben', 'ANOTHER')",
        hall.stage.catalogue.campaign_no, lost.epoch, lost.last,
    )  # fmt: skip
    await hall.stage.recover()
    hall.ledger_away = False
    assert await asking == OUTCOME_UNKNOWN


@settled
async def test_a_replay_right_behind_a_recovery(hall: Hall) -> None:
    """It is decided in the new epoch, whatever the board has seen: a claim of the old one is in the ledger by then."""
    claim = await _settled_claim(hall, "ann")
    await hall.stage.recover()
    hall.ledger_away = True  # needed by nobody
    assert await hall.claim(ask("ann")) == Claimed(claim, replayed=True)


@settled
async def test_what_was_seen_settled_is_told_while_the_ledger_is_away(hall: Hall) -> None:
    claim = await _settled_claim(hall, "ann")
    hall.ledger_away = True
    assert await hall.claim(ask("ann")) == Claimed(claim, replayed=True)
    assert await hall.claim(ask("ann", 2)) == Refused(RefusalCode.ALREADY_CLAIMED, claim=claim)
    assert await hall.claim(ask("ben")) == OUTCOME_UNKNOWN
    assert await hall.claim(ask("ben", 2)) == OUTCOME_UNKNOWN, "a refusal that would show what may be lost"


async def _settled_claim(hall: Hall, account: str) -> Claim:
    asking = asyncio.create_task(hall.claim(ask(account)))
    await wait_until(lambda: _held(hall, 1))
    await hall.stage.settle()
    outcome = await asking
    assert isinstance(outcome, Claimed)
    return outcome.claim


async def test_claims_are_refused_while_a_promise_is_broken(hall: Hall) -> None:
    """And what was decided meanwhile is not acknowledged under a name that is not true."""
    kept = [True, False]
    hall.desks._keeps_promise = lambda: kept.pop(0)
    assert await hall.claim(ask("ann")) == OUTCOME_UNKNOWN
    hall.desks._keeps_promise = lambda: False
    assert await hall.claim(ask("ben")) == BUSY
    assert (await hall.stage.drop.view()).claims == 1
    hall.desks._keeps_promise = lambda: True
    assert isinstance(await hall.claim(ask("ann")), Claimed)


@settled
async def test_a_claim_that_was_lost_with_its_epoch_was_not_acknowledged(hall: Hall) -> None:
    """The board sees the new epoch between the script's answer and the wait: the claim waits all the same (P3)."""
    desk = hall.desks._desks["spring"]
    decide, lost = desk.decided, asyncio.Event()

    async def decided_then_lost(ask: Ask, presence: Presence | None) -> tuple[Outcome, int]:
        decided = await decide(ask, presence)
        await hall.stage.store.call("FLUSHALL")
        await hall.stage.recover()
        await hall.board.refresh()
        lost.set()
        return decided

    desk.decided = decided_then_lost  # type: ignore[method-assign, assignment]
    assert await hall.claim(ask("ann")) == OUTCOME_UNKNOWN
    assert lost.is_set()
    assert await hall.stage.settled_claims() == []


@settled
async def test_stopping_tells_those_who_wait(hall: Hall) -> None:
    asking = asyncio.create_task(hall.claim(ask("ann")))
    await wait_until(lambda: _held(hall, 1))
    await hall.desks.stop()
    assert await asking == OUTCOME_UNKNOWN


@settled
async def test_two_campaigns_settle_apart(hall: Hall) -> None:
    now_ms = await hall.stage.store.time_ms()
    other = Stage(hall.stage.store, hall.stage.ledger, hall.settings)
    await other.begin(campaign([wave("another", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": 3})], id="autumn"))
    asking = [asyncio.create_task(hall.claim(ask("ann"), name)) for name in ("open", "another")]
    await wait_until(lambda: _held(hall, 1))
    await hall.stage.settle()
    assert isinstance(await asking[0], Claimed)
    assert not asking[1].done()
    await other.settle()
    assert isinstance(await asking[1], Claimed)
