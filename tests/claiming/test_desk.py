"""The desk: how asks become batches, and how each ends whatever happens on the way to Redis."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence

import pytest
from msgspec.structs import replace

from engine.claiming.clock import StoreClock
from engine.claiming.desk import BUSY, OUTCOME_UNKNOWN, PASSING, RECOVERING, Desk
from engine.claiming.presence import Presence
from engine.domain.campaign import Limit
from engine.domain.outcome import Ask, Claimed, Outcome, RefusalCode, Refused
from engine.hotstore import load
from engine.hotstore.scripts import CLAIM
from engine.hotstore.store import HotStore
from engine.settings import Settings
from tests.support.drop import HOUR_MS, Drop, ask, campaign, catalogue_of, wave
from tests.support.own_redis import OwnRedis, own_redis
from tests.support.proxy import LOOPBACK, Fault, Proxy, Trap
from tests.support.waiting import wait_until

CALL = CLAIM.sha.encode()
"""What the proxy knows a call of the claim script by."""
PATIENT = {
    "redis_timeout_ms": 4_000,
    "redis_connect_timeout_ms": 4_000,
    "claim_decide_ms": 8_000,
    "claim_deadline_ms": 10_000,
    "claim_wait_max_ms": 10_000,
    "drain_ms": 20_000,
    "claim_calls_max": 1,
}
"""What a test is not about has all the time there is, on a busy machine too; and one call tells who came first."""
SHORT = {"redis_timeout_ms": 200, "redis_connect_timeout_ms": 200}
"""For tests in which replies are lost: that is noticed soon."""


class Counter:
    """A desk behind a proxy, and the shard that it sells from, seen past the proxy."""

    def __init__(self, drop: Drop, proxy: Proxy, store: HotStore, settings: Settings) -> None:
        self.drop = drop
        self.proxy = proxy
        self.clock = StoreClock()
        self.desk = Desk(store, drop.campaign, drop.catalogue.code_prefix, drop.epoch, self.clock, settings)

    async def open(self) -> None:
        self.clock.heard(await self.drop.now_ms())
        await self.desk.start()

    def asks(self, *asks: Ask) -> "list[asyncio.Task[Outcome]]":
        return [asyncio.create_task(self.desk.claim(each)) for each in asks]

    async def calls(self) -> int:
        """How often Redis has run the claim script so far (loaded ones only)."""
        stats = (await self.drop.store.call("INFO", "commandstats")).decode()
        found = re.search(r"cmdstat_evalsha:calls=(\d+)", stats)
        return int(found.group(1)) if found else 0

    async def hold_one_call(self) -> Trap:
        """A call is under way, and does not come back until the trap is released."""
        trap = self.proxy.trap(CALL, Fault.DELAY)
        self.first = self.asks(ask("first"))[0]
        await trap.springs()
        return trap


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[Proxy]:
    port = int(redis_url.rpartition(":")[2].partition("/")[0])
    async with Proxy(LOOPBACK, port) as between:
        yield between


@pytest.fixture
def patience() -> dict[str, int]:
    """Settings that a test wants otherwise; tests override it by parametrize."""
    return {}


@pytest.fixture
async def counter(
    store: HotStore, proxy: Proxy, redis_url: str, settings: Settings, patience: dict[str, int]
) -> AsyncIterator[Counter]:
    now_ms = await store.time_ms()
    stock = {"o1": 1_000, "o2": 1_000, "o3": 0}
    waves = [
        wave("w1", now_ms - HOUR_MS, now_ms + HOUR_MS, stock),
        wave("w2", now_ms + HOUR_MS, now_ms + 2 * HOUR_MS, stock),
    ]
    drop = Drop(store, catalogue_of(campaign(waves)))
    await drop.load()
    await drop.batch(ask("who was here before"))  # loads the script
    desired = replace(settings, **(PATIENT | patience))
    through = await HotStore.connect(proxy.url_of(redis_url), desired)
    counter = Counter(drop, proxy, through, desired)
    await counter.open()
    yield counter
    proxy.resume()
    await proxy.accept()
    await counter.desk.stop()
    await through.close()


def with_settings(**values: int) -> pytest.MarkDecorator:
    if "claim_deadline_ms" in values:
        values |= SHORT
    return pytest.mark.parametrize(
        "patience", [values], ids=["-".join(f"{k}={v}" for k, v in values.items() if k not in SHORT)]
    )


quickly_lost = pytest.mark.parametrize("patience", [SHORT], ids=["quickly"])


def granted(outcomes: Sequence[Outcome]) -> list[str]:
    """The codes of claims; none may be refused or a replay."""
    for outcome in outcomes:
        assert isinstance(outcome, Claimed)
        assert not outcome.replayed
    return [outcome.claim.code for outcome in outcomes if isinstance(outcome, Claimed)]


def code_of(outcome: Outcome) -> RefusalCode | None:
    return outcome.code if isinstance(outcome, Refused) else None


# Batches


@pytest.mark.loops
async def test_what_gathers_during_a_call_is_one_batch(counter: Counter) -> None:
    before = await counter.calls()
    trap = await counter.hold_one_call()
    waiting = counter.asks(*(ask(f"u{nth}") for nth in range(300)))
    await asyncio.sleep(0)
    trap.release()
    granted(await asyncio.gather(counter.first, *waiting))
    assert await counter.calls() - before == 2
    entries = await counter.drop.log()
    assert [len(entry.claims) for entry in entries] == [1, 1, 300]
    assert [claim.account for claim in entries[-1].claims] == [f"u{nth}" for nth in range(300)], "in order of arrival"


@with_settings(claim_batch_max=64)
async def test_a_batch_is_bounded(counter: Counter) -> None:
    trap = await counter.hold_one_call()
    waiting = counter.asks(*(ask(f"u{nth}") for nth in range(200)))
    await asyncio.sleep(0)
    trap.release()
    granted(await asyncio.gather(*waiting))
    assert [len(entry.claims) for entry in await counter.drop.log()] == [1, 1, 64, 64, 64, 8]


@with_settings(claim_calls_max=2)
async def test_a_call_that_hangs_holds_up_its_own_batch_alone(counter: Counter) -> None:
    trap = await counter.hold_one_call()
    for nth in range(3):
        granted([await counter.desk.claim(ask(f"u{nth}"))])
    assert not counter.first.done()
    trap.release()
    granted([await counter.first])


@with_settings(claim_calls_max=2)
async def test_no_more_calls_are_under_way_than_may_be(counter: Counter) -> None:
    before = await counter.calls()
    one, other = counter.proxy.trap(CALL, Fault.DELAY), counter.proxy.trap(CALL, Fault.DELAY)
    sent = counter.asks(ask("first"))
    await one.springs()
    sent += counter.asks(ask("second"))
    await other.springs()
    waiting = counter.asks(*(ask(f"u{nth}") for nth in range(9)))
    await asyncio.sleep(0)
    assert counter.desk.waiting == 9
    one.release()
    other.release()
    granted(await asyncio.gather(*sent, *waiting))
    assert await counter.calls() - before == 3


@pytest.mark.loops
@with_settings(claim_calls_max=2)
async def test_one_user_in_two_calls_at_a_time(counter: Counter) -> None:
    """The second is decided first; one claim, and who lost hears of it."""
    trap = await counter.hold_one_call()
    told = [await counter.desk.claim(ask("first")) for _ in range(2)]
    trap.release()
    told.append(await counter.first)
    assert [each.replayed for each in told if isinstance(each, Claimed)] == [False, True, True]
    assert len({each.claim.code for each in told if isinstance(each, Claimed)}) == 1


@with_settings(claim_calls_max=2)
async def test_a_recovery_between_two_calls_is_followed_by_both(counter: Counter) -> None:
    """Each finds the later epoch by itself; that the other has seen it before makes no server an old one."""
    drop = counter.drop
    traps = [counter.proxy.trap(CALL, Fault.DELAY) for _ in range(2)]
    waiting = []
    for trap, who in zip(traps, ("ann", "ben"), strict=True):
        waiting += counter.asks(ask(who))
        await trap.springs()
    seen = await load.unbind(drop.store, drop.campaign, 1)
    await load.rebind(drop.store, drop.campaign, 1, 1, 2, 1, seen.incarnation)
    drop.epoch = 2
    for trap in traps:
        trap.release()
    granted(await asyncio.gather(*waiting))
    assert counter.desk.epoch == 2
    assert [(entry.epoch, entry.last) for entry in await drop.log()] == [(1, 1), (2, 1), (2, 2)]


@with_settings(claim_calls_max=2)
async def test_two_calls_of_a_server_that_has_forgotten_the_script(counter: Counter) -> None:
    """One is decided, the other meets a server that knows no script any more: it is sent with its text."""
    traps = [counter.proxy.trap(CALL, Fault.DELAY) for _ in range(2)]
    waiting = []
    for trap, who in zip(traps, ("ann", "ben"), strict=True):
        waiting += counter.asks(ask(who))
        await trap.springs()
    traps[0].release()
    granted([await waiting[0]])
    await counter.drop.store.call("SCRIPT", "FLUSH")
    traps[1].release()
    granted([await waiting[1]])
    assert (await counter.drop.view()).claims == 3


async def test_an_idle_desk_sends_at_once(counter: Counter) -> None:
    before = await counter.calls()
    for nth in range(5):
        granted([await counter.desk.claim(ask(f"u{nth}"))])
    assert await counter.calls() - before == 5


@with_settings(claim_queue_max=10, claim_batch_max=10)
async def test_a_full_queue_is_busy(counter: Counter) -> None:
    trap = await counter.hold_one_call()
    waiting = counter.asks(*(ask(f"u{nth}") for nth in range(12)))
    await asyncio.sleep(0)
    assert [task.done() for task in waiting] == [False] * 10 + [True] * 2, "at once, not at some deadline"
    assert {code_of(task.result()) for task in waiting[10:]} == {RefusalCode.BUSY}
    trap.release()
    granted(await asyncio.gather(*waiting[:10]))


@pytest.mark.loops
async def test_twenty_parallel_asks_of_one_user_over_two_desks(
    counter: Counter, redis_url: str, settings: Settings
) -> None:
    """Two gateways, one user: one claim; every other answer carries that claim."""
    other_store = await HotStore.connect(redis_url, settings)
    drop = counter.drop
    other = Desk(other_store, drop.campaign, drop.catalogue.code_prefix, drop.epoch, counter.clock, settings)
    await other.start()
    told = await asyncio.gather(
        *(desk.claim(ask("the same", 1 + nth % 2)) for nth in range(10) for desk in (counter.desk, other))
    )
    new = [answer for answer in told if isinstance(answer, Claimed) and not answer.replayed]
    assert len(new) == 1
    held = new[0].claim
    assert set(told) == {
        Claimed(held), Claimed(held, replayed=True), Refused(RefusalCode.ALREADY_CLAIMED, claim=held)
    }  # fmt: skip
    await other.stop()
    await other_store.close()


# Who does not wait


@with_settings(claim_batch_max=10, claim_wait_max_ms=300)
async def test_a_claim_whose_turn_would_come_too_late_is_busy_at_once(counter: Counter) -> None:
    """The store is silent; whoever comes behind the next batch is told so, and when to come back."""
    trap = await counter.hold_one_call()
    waiting = counter.asks(*(ask(f"u{nth}") for nth in range(10)))

    async def refused() -> Outcome | None:
        (task,) = counter.asks(ask("late"))
        await asyncio.sleep(0)
        if task.done():
            return task.result()
        task.cancel()
        return None

    outcome = await wait_until(refused)
    assert isinstance(outcome, Refused)
    assert outcome.code is RefusalCode.BUSY
    assert outcome.wait_ms >= 300
    trap.release()
    granted(await asyncio.gather(counter.first, *waiting))
    granted([await counter.desk.claim(ask("late"))])
    assert "late" not in {claim.account for entry in (await counter.drop.log())[:-1] for claim in entry.claims}


@pytest.mark.loops
async def test_a_client_that_leaves_the_queue_is_never_sent(counter: Counter) -> None:
    trap = await counter.hold_one_call()
    here, gone = Presence(), Presence()
    waiting = [
        asyncio.create_task(counter.desk.claim(ask(f"{name}{nth}"), presence))
        for nth, (name, presence) in enumerate([("here", here), ("gone", gone)])
    ]
    await asyncio.sleep(0)
    gone.leave()
    trap.release()
    granted([await waiting[0], await counter.first])
    with pytest.raises(asyncio.CancelledError):
        await waiting[1]
    late = asyncio.create_task(counter.desk.claim(ask("late"), gone))  # it had left before the desk heard of it
    with pytest.raises(asyncio.CancelledError):
        await late
    granted([await counter.desk.claim(ask("last"))])
    accounts = [claim.account for entry in await counter.drop.log() for claim in entry.claims]
    assert accounts[1:] == ["first", "here0", "last"]


async def test_a_client_that_leaves_during_the_call_has_its_claim(counter: Counter) -> None:
    """It was written: decided it is, for whoever asks again."""
    presence = Presence()
    trap = counter.proxy.trap(CALL, Fault.DELAY)
    waiting = asyncio.create_task(counter.desk.claim(ask("ann"), presence))
    await trap.springs()
    presence.leave()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    trap.release()
    outcome = await counter.desk.claim(ask("ann"))
    assert isinstance(outcome, Claimed)
    assert outcome.replayed


@with_settings(claim_queue_max=100, claim_batch_max=100)
async def test_those_who_left_take_nobodys_place(counter: Counter) -> None:
    """Twenty queues full of clients that leave; the last in the queue find it empty."""
    trap = await counter.hold_one_call()
    for crowd in range(20):
        presences = [Presence() for _ in range(90)]
        waiting = [
            asyncio.create_task(counter.desk.claim(ask(f"crowd{crowd}-{nth}"), presence))
            for nth, presence in enumerate(presences)
        ]
        await asyncio.sleep(0)
        for presence in presences:
            presence.leave()
        told = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(each) for each in told} == {asyncio.CancelledError}, "nobody is busy: there is place"
        assert len(counter.desk._queue) <= 90
    leaving = [Presence() for _ in range(40)]
    left = [asyncio.create_task(counter.desk.claim(ask(f"left-{nth}"), each)) for nth, each in enumerate(leaving)]
    many = counter.asks(*(ask(f"many-{nth}") for nth in range(60)))
    await asyncio.sleep(0)
    for presence in leaving:
        presence.leave()
    await asyncio.gather(*left, return_exceptions=True)
    assert counter.desk.waiting == 60
    more = counter.asks(*(ask(f"more-{nth}") for nth in range(41)))
    await asyncio.sleep(0)
    assert [task.done() for task in more] == [False] * 40 + [True], "the hundredth has a place, and no other"
    trap.release()
    granted(await asyncio.gather(counter.first, *many, *more[:40]))
    accounts = [claim.account for entry in await counter.drop.log() for claim in entry.claims]
    assert accounts[2:] == [f"many-{nth}" for nth in range(60)] + [f"more-{nth}" for nth in range(40)]


# Lost replies


@pytest.mark.loops
@quickly_lost
@pytest.mark.parametrize("fault", [Fault.CUT_BEFORE, Fault.CUT_AFTER, Fault.SWALLOW])
async def test_a_lost_reply_ends_in_the_same_claim(counter: Counter, fault: Fault) -> None:
    """Whether or not the lost call was done: one claim each, told as a first answer is."""
    trap = counter.proxy.trap(CALL, fault)
    outcomes = await asyncio.gather(*counter.asks(ask("ann"), ask("ben", 2), ask("ann"), ask("who was here before")))
    assert trap.sprung.is_set()
    codes = granted(outcomes[:2])
    assert isinstance(outcomes[0], Claimed)
    assert outcomes[2] == Claimed(outcomes[0].claim, replayed=True)
    assert isinstance(outcomes[3], Claimed)
    assert outcomes[3].replayed, "of somebody else's code it is told that it was held before"
    log = [claim for entry in await counter.drop.log() for claim in entry.claims]
    assert [claim.code for claim in log[1:]] == codes
    assert (await counter.drop.view()).claims == 3


async def test_several_lost_replies_in_a_row(counter: Counter) -> None:
    counter.proxy.trap(CALL, Fault.CUT_AFTER, times=4)
    granted(await asyncio.gather(*counter.asks(*(ask(f"u{nth}") for nth in range(20)))))
    assert (await counter.drop.view()).claims == 21


@pytest.mark.loops
@with_settings(claim_deadline_ms=1_200, claim_decide_ms=1_000)
async def test_a_reply_that_stays_lost_is_an_unknown_outcome(counter: Counter) -> None:
    """Redis is gone behind a call that it may or may not have done."""
    trap = counter.proxy.trap(CALL, Fault.CUT_AFTER)
    waiting = counter.asks(ask("ann"), ask("ben"))
    await trap.springs()
    await counter.proxy.refuse()
    started_s = asyncio.get_running_loop().time()
    assert await asyncio.gather(*waiting) == [OUTCOME_UNKNOWN, OUTCOME_UNKNOWN]
    assert asyncio.get_running_loop().time() - started_s < 10
    await counter.proxy.accept()
    again = await asyncio.gather(*counter.asks(ask("ann"), ask("ben"), ask("cui")))
    assert [outcome.replayed for outcome in again if isinstance(outcome, Claimed)] == [True, True, False]


@with_settings(claim_deadline_ms=1_200, claim_decide_ms=1_000)
async def test_a_line_that_fell_silent_is_an_unknown_outcome(counter: Counter) -> None:
    counter.proxy.stall()
    assert await counter.desk.claim(ask("ann")) in (OUTCOME_UNKNOWN, BUSY)
    counter.proxy.resume()
    granted([await counter.desk.claim(ask("ben"))])


@with_settings(claim_decide_ms=201, claim_deadline_ms=5_000)
async def test_past_not_after_a_lost_call_is_surely_not_decided(counter: Counter) -> None:
    """The lost call never arrived. Its repetition comes too late to decide, finds nothing: busy, and truly nothing."""
    counter.proxy.trap(CALL, Fault.HOLD, times=2)
    outcome = await counter.desk.claim(ask("ann"))
    assert outcome == BUSY
    assert (await counter.drop.view()).claims == 1


@with_settings(claim_decide_ms=201, claim_deadline_ms=5_000)
async def test_past_not_after_what_was_decided_is_told(counter: Counter) -> None:
    counter.proxy.trap(CALL, Fault.SWALLOW, times=2)
    granted([await counter.desk.claim(ask("ann"))])


@pytest.mark.loops
@quickly_lost
async def test_a_lost_call_that_arrives_later_makes_no_second_claim(counter: Counter) -> None:
    trap = counter.proxy.trap(CALL, Fault.HOLD)
    (code,) = granted([await counter.desk.claim(ask("ann"))])
    trap.release()
    await trap.is_answered()
    assert (await counter.drop.view()).claims == 2
    (claim,) = (await counter.drop.log())[-1].claims
    assert claim.code == code


@pytest.mark.loops
@quickly_lost
async def test_a_lost_call_that_arrives_when_the_wave_is_open_was_not_refused(counter: Counter) -> None:
    """Told "not open yet", in fact claimed a moment later: so it is not told (P9)."""
    trap = counter.proxy.trap(CALL, Fault.HOLD)
    outcomes = await asyncio.gather(
        *counter.asks(ask("ann", wave=2), ask("ben", 3), ask("cui", broken_rule="city"), ask("who was here before", 2))
    )
    now_ms = await counter.drop.now_ms()
    await counter.drop.change(2, opens_ms=now_ms - 1)
    trap.release()
    await trap.is_answered()
    (claim,) = (await counter.drop.log())[-1].claims
    assert claim.account == "ann", "the lost call was granted after all"
    assert outcomes[:2] == [OUTCOME_UNKNOWN, OUTCOME_UNKNOWN]
    assert isinstance(outcomes[2], Refused)
    assert outcomes[2].code is RefusalCode.NOT_ELIGIBLE, "what stays is told"
    assert isinstance(outcomes[3], Refused)
    assert outcomes[3].code is RefusalCode.ALREADY_CLAIMED
    assert await counter.desk.claim(ask("ann", wave=2)) == Claimed(claim, replayed=True)


@pytest.mark.loops
@quickly_lost
async def test_a_lost_call_that_arrives_when_the_wave_closes_later_was_not_refused(counter: Counter) -> None:
    """A clock that steps back stands before the closing again: the same as a closing that much later.

    The repetition of a lost call comes behind the closing, the call itself before it.
    """
    now_ms = await counter.drop.now_ms()
    await counter.drop.change(1, closes_ms=now_ms)
    trap = counter.proxy.trap(CALL, Fault.HOLD)
    outcome = await counter.desk.claim(ask("ann"))
    await counter.drop.change(1, closes_ms=now_ms + HOUR_MS)
    trap.release()
    await trap.is_answered()
    (claim,) = (await counter.drop.log())[-1].claims
    assert claim.account == "ann", "the lost call was granted after all"
    assert outcome == OUTCOME_UNKNOWN
    assert await counter.desk.claim(ask("ann")) == Claimed(claim, replayed=True)


def test_every_refusal_of_the_script_either_passes_or_stays() -> None:
    stays = {
        RefusalCode.NOT_ELIGIBLE,
        RefusalCode.CANCELLED,
        RefusalCode.ALREADY_CLAIMED,
        RefusalCode.LIMIT_REACHED,
    }
    of_the_desk = {RefusalCode.RECOVERING, RefusalCode.OUTCOME_UNKNOWN}
    assert PASSING | stays | of_the_desk == set(RefusalCode)
    assert not PASSING & stays


# Surely not decided


@with_settings(claim_deadline_ms=1_200, claim_decide_ms=1_000)
async def test_a_store_that_is_down_before_is_busy_at_once(counter: Counter) -> None:
    await counter.proxy.refuse()
    await wait_until(lambda: counter.desk.claim(ask("one")), what="an answer")  # a connection may be open still
    started_s = asyncio.get_running_loop().time()
    assert await asyncio.gather(*counter.asks(*(ask(f"u{nth}") for nth in range(10)))) == [BUSY] * 10
    assert asyncio.get_running_loop().time() - started_s < 1
    await counter.proxy.accept()
    granted([await counter.desk.claim(ask("ann"))])


async def test_a_connection_that_died_unnoticed_is_replaced(counter: Counter) -> None:
    granted([await counter.desk.claim(ask("ann"))])
    counter.proxy.cut()
    granted([await counter.desk.claim(ask("ben"))])


async def test_a_fenced_shard_is_recovering(counter: Counter) -> None:
    await load.unbind(counter.drop.store, counter.drop.campaign, 1)
    assert await asyncio.gather(*counter.asks(ask("ann"), ask("who was here before"))) == [RECOVERING] * 2


@pytest.mark.loops
async def test_a_recovery_in_between_is_followed(counter: Counter) -> None:
    """The desk believes in the old epoch; what it asks is decided in the new one."""
    drop = counter.drop
    seen = await load.unbind(drop.store, drop.campaign, 1)
    await load.rebind(drop.store, drop.campaign, 1, 1, 2, 1, seen.incarnation)
    drop.epoch = 2
    outcome = await counter.desk.claim(ask("ann"))
    assert isinstance(outcome, Claimed)
    assert (outcome.claim.epoch, outcome.claim.sequence) == (2, 1)
    assert counter.desk.epoch == 2


@pytest.mark.loops
async def test_a_recovery_behind_a_lost_reply_keeps_the_claim(counter: Counter) -> None:
    """Decided, reply lost, Redis looked at by the steward in between: the same claim, of the epoch that is over."""
    drop = counter.drop
    trap = counter.proxy.trap(CALL, Fault.CUT_AFTER)
    waiting = counter.asks(ask("ann"))
    await trap.springs()
    await counter.proxy.refuse()
    seen = await load.unbind(drop.store, drop.campaign, 1)
    await load.rebind(drop.store, drop.campaign, 1, 2, 2, 1, seen.incarnation)
    drop.epoch = 2
    await counter.proxy.accept()
    (outcome,) = await asyncio.gather(*waiting)
    granted([outcome])
    assert isinstance(outcome, Claimed)
    assert outcome.claim.epoch == 1
    assert (await drop.view()).claims == 2


@with_settings(claim_decide_ms=201, claim_deadline_ms=5_000)
async def test_too_late_in_another_epoch_is_not_surely_not_decided(counter: Counter) -> None:
    """The call was lost with its epoch, perhaps decided: nothing found in the next one proves nothing."""
    drop = counter.drop
    trap = counter.proxy.trap(CALL, Fault.CUT_AFTER)
    waiting = counter.asks(ask("ann"))
    await trap.springs()
    await counter.proxy.refuse()
    drop.term = 2
    await drop.load()  # as from a ledger that has not seen the claim
    not_before_ms = await drop.now_ms() + 250

    async def late() -> bool:
        return await drop.now_ms() > not_before_ms

    await wait_until(late)
    await counter.proxy.accept()
    assert await asyncio.gather(*waiting) == [OUTCOME_UNKNOWN]


async def test_a_server_behind_what_the_desk_has_seen_sells_nothing(counter: Counter) -> None:
    counter.desk.saw_epoch(7)
    assert await counter.desk.claim(ask("ann")) == RECOVERING
    counter.desk.saw_epoch(3)
    assert counter.desk.epoch == 7
    assert (await counter.drop.view()).claims == 1


@pytest.mark.parametrize("opens_meanwhile", [False, True])
async def test_a_full_redis_is_busy_and_replays_answer(counter: Counter, opens_meanwhile: bool) -> None:
    store = counter.drop.store
    if opens_meanwhile:  # that the wave was seen open would be noted by the next call
        await store.call("HDEL", counter.drop.keys.meta, "latch:1")
    await store.call("CONFIG", "SET", "maxmemory", 1)
    try:
        told = await asyncio.gather(
            *counter.asks(ask("ann"), ask("who was here before"), ask("who was here before", 2), ask("ben", 3))
        )
        assert told[0] == BUSY
        assert isinstance(told[1], Claimed)
        assert told[1].replayed
        assert [code_of(each) for each in told[2:]] == [RefusalCode.ALREADY_CLAIMED, RefusalCode.SOLD_OUT]
    finally:
        await store.call("CONFIG", "SET", "maxmemory", 0)
    granted([await counter.desk.claim(ask("ann"))])


@with_settings(log_lag_max=1)
async def test_a_log_that_nobody_settles_is_busy(counter: Counter) -> None:
    assert await counter.desk.claim(ask("ann")) == BUSY


@with_settings(claim_deadline_ms=400, claim_decide_ms=201)
async def test_what_waited_too_long_for_its_turn_is_busy_and_never_sent(counter: Counter) -> None:
    """The batch before it is sent at 0 and 220 ms and lost both times, which takes it past both deadlines."""
    trap = counter.proxy.trap(CALL, Fault.HOLD, times=2)
    first = counter.asks(ask("first"))
    await trap.springs()
    second = counter.asks(ask("second"))
    assert await asyncio.gather(*first, *second) == [OUTCOME_UNKNOWN, BUSY]
    trap.release()
    await counter.desk.stop()
    assert {claim.account for entry in await counter.drop.log() for claim in entry.claims} <= {
        "who was here before",
        "first",
    }


# Those who leave, and the end


@pytest.mark.loops
async def test_a_client_that_leaves_breaks_nothing(counter: Counter) -> None:
    trap = await counter.hold_one_call()
    waiting = counter.asks(*(ask(f"u{nth}") for nth in range(10)))
    await asyncio.sleep(0)
    counter.first.cancel()  # while its call is under way
    for task in waiting[::2]:  # while they wait for their turn
        task.cancel()
    await asyncio.sleep(0)
    trap.release()
    granted(await asyncio.gather(*waiting[1::2]))
    held = [claim.account for entry in await counter.drop.log() for claim in entry.claims]
    assert held == ["who was here before", "first", *(f"u{nth}" for nth in range(1, 10, 2))]
    again = await counter.desk.claim(ask("first"))
    assert isinstance(again, Claimed)
    assert again.replayed


@pytest.mark.loops
@with_settings(claim_batch_max=8)
async def test_stopping_answers_all_that_was_accepted(counter: Counter) -> None:
    trap = await counter.hold_one_call()
    waiting = counter.asks(*(ask(f"u{nth}") for nth in range(30)))
    await asyncio.sleep(0)
    stopping = asyncio.create_task(counter.desk.stop())
    await asyncio.sleep(0)
    assert await counter.desk.claim(ask("too late")) == BUSY
    trap.release()
    await stopping
    granted([task.result() for task in (counter.first, *waiting)])
    await counter.desk.stop()
    assert await counter.desk.claim(ask("too late")) == BUSY


@with_settings(claim_deadline_ms=1_200, claim_decide_ms=1_000)
async def test_stopping_while_redis_is_away_answers_too(counter: Counter) -> None:
    trap = counter.proxy.trap(CALL, Fault.CUT_BEFORE)
    waiting = counter.asks(ask("ann"))
    await trap.springs()
    await counter.proxy.refuse()
    waiting += counter.asks(ask("ben"))
    await asyncio.sleep(0)
    await counter.desk.stop()
    assert [task.result() for task in waiting] == [OUTCOME_UNKNOWN, BUSY]


async def test_a_batch_that_cannot_be_sent_does_not_end_the_desk(counter: Counter) -> None:
    """A writing that UTF-8 has no bytes for gets this far only by a mistake elsewhere."""
    assert await counter.desk.claim(ask("\ud800")) == OUTCOME_UNKNOWN
    granted([await counter.desk.claim(ask("ann"))])


async def test_starting_twice_and_stopping_what_never_started(counter: Counter) -> None:
    await counter.desk.start()
    granted([await counter.desk.claim(ask("ann"))])
    never = Desk(counter.drop.store, "spring", "AAA", 1, counter.clock, Settings())
    await never.stop()


# A Redis that dies


async def test_redis_killed_under_load(settings: Settings) -> None:
    """kill -9 in the middle: whoever was told of a claim has it afterwards; nobody hears a thing that is not so."""
    async with own_redis() as own:
        await _kill_under_load(own, replace(settings, **(SHORT | {"claim_decide_ms": 500, "claim_deadline_ms": 1_000})))


async def _kill_under_load(own: OwnRedis, settings: Settings) -> None:
    store = await HotStore.connect(own.url, settings)
    now_ms = await store.time_ms()
    waves = [wave("w1", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": 100_000})]
    drop = Drop(store, catalogue_of(campaign(waves, limits=[Limit(1, "campaign")])))
    await drop.load()
    clock = StoreClock()
    clock.heard(now_ms)
    desk = Desk(store, drop.campaign, drop.catalogue.code_prefix, drop.epoch, clock, settings)
    await desk.start()
    told: dict[str, Outcome] = {}

    async def user(name: str) -> None:
        told[name] = await desk.claim(ask(name))

    async def crowd() -> None:
        for start in range(0, 100_000, 50):
            await asyncio.gather(*(user(f"u{nth}") for nth in range(start, start + 50)))

    running = asyncio.create_task(crowd())
    await wait_until(lambda: len(told) > 500)
    await own.kill()
    at_least = len(told) + 50
    await own.start()
    await wait_until(lambda: len(told) > at_least)
    view = await drop.view()
    assert not view.bound
    assert {outcome for name, outcome in told.items() if not isinstance(outcome, Claimed)} <= {
        RECOVERING,
        BUSY,
        OUTCOME_UNKNOWN,
    }
    seen = await load.unbind(store, drop.campaign, 1)
    await load.rebind(store, drop.campaign, 1, view.last, 2, 1, seen.incarnation)
    at_least = len(told) + 200
    await wait_until(lambda: len(told) > at_least)
    running.cancel()
    await asyncio.wait([running])
    await desk.stop()
    drop.epoch = 2
    codes = {claim.code for entry in await drop.log() for claim in entry.claims}
    for outcome in told.values():
        if isinstance(outcome, Claimed):
            assert outcome.claim.code in codes
    assert {outcome.claim.epoch for outcome in told.values() if isinstance(outcome, Claimed)} == {1, 2}
    await store.close()
