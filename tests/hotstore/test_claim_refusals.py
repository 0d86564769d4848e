"""Why a claim is refused: one true reason each, the first in their order where several apply (P9)."""

import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from engine.domain.campaign import Cap, Limit
from engine.domain.outcome import Claimed, RefusalCode, Refused
from engine.hotstore.decide import Late
from engine.hotstore.store import HotStore
from engine.scheduling import acts
from engine.scheduling.performing import Actor
from tests.support.drop import HOUR_MS, Drop, ask, campaign, catalogue_of, wave

Breaking = Callable[[Drop, dict[str, Any]], Awaitable[None]]
"""Brings about one reason to refuse; may change how the claim is asked for."""


async def _no_such_wave(drop: Drop, how: dict[str, Any]) -> None:
    how["wave"] = 9


async def _no_such_offer(drop: Drop, how: dict[str, Any]) -> None:
    how["offers"] = (1, 9)


async def _not_eligible(drop: Drop, how: dict[str, Any]) -> None:
    how["broken_rule"] = "city"


async def _cancelled(drop: Drop, how: dict[str, Any]) -> None:
    await drop.change(state="cancelled", reason="storm")


async def _closed(drop: Drop, how: dict[str, Any]) -> None:
    """By the clock and by its state: what comes on top changes one of them at most."""
    now_ms = await drop.now_ms()
    state = (await drop.view()).waves[1]
    flag = "closed" if state.state == "live" else state.state
    await drop.change(opens_ms=now_ms - 2 * HOUR_MS, closes_ms=now_ms - HOUR_MS, state=flag, closed_ms=now_ms - HOUR_MS)


async def _not_open(drop: Drop, how: dict[str, Any]) -> None:
    now_ms = await drop.now_ms()
    state = (await drop.view()).waves[1]
    await drop.change(opens_ms=now_ms + HOUR_MS, closes_ms=max(now_ms + 2 * HOUR_MS, state.closes_ms))


async def _stopped(drop: Drop, how: dict[str, Any]) -> None:
    await acts.stop(drop.store, drop.campaign, Actor("ops", "all stop"))


async def _paused(drop: Drop, how: dict[str, Any]) -> None:
    await drop.change(state="paused", reason="one moment")


async def _limit_reached(drop: Drop, how: dict[str, Any]) -> None:
    how["account"] = "winner"


async def _cap_reached(drop: Drop, how: dict[str, Any]) -> None:
    for nth in range(1, 10):
        if not isinstance(await drop.claim(ask(f"someone {nth}", 3)), Claimed):
            return


async def _sold_out(drop: Drop, how: dict[str, Any]) -> None:
    how["offers"] = (2,)
    await drop.claim(ask("quick", 2))


async def _log_too_long(drop: Drop, how: dict[str, Any]) -> None:
    how["lag_max"] = 1


ORDER: list[tuple[str, Breaking]] = [
    ("unknown_wave", _no_such_wave),
    ("unknown_offer", _no_such_offer),
    ("not_eligible", _not_eligible),
    ("cancelled", _cancelled),
    ("closed", _closed),
    ("not_open", _not_open),
    ("stopped", _stopped),
    ("paused", _paused),
    ("already_claimed", _limit_reached),
    ("cap_reached", _cap_reached),
    ("sold_out", _sold_out),
    ("busy", _log_too_long),
]
"""Every reason that the script gives, in the order in which they are looked at."""

PAIRS = [pair for pair in itertools.combinations(ORDER, 2) if (pair[0][1], pair[1][1]) != (_cancelled, _paused)]
"""All but the two that exclude each other: a wave has one state."""


async def _dropped(store: HotStore, cap: Cap = Cap(claims=4)) -> Drop:  # noqa: B008 - a value that never changes
    """One open wave; offer 2 has one unit, the cap four claims; `winner` holds a claim already."""
    now_ms = await store.time_ms()
    stock = {"o1": 50, "o2": 1, "o3": 50}
    drop = Drop(store, catalogue_of(campaign([wave("w1", now_ms - HOUR_MS, now_ms + HOUR_MS, stock)], cap=cap)))
    await drop.load()
    await drop.granted(ask("winner", 1))
    return drop


async def _refusal(drop: Drop, breaking: list[Breaking]) -> str:
    how: dict[str, Any] = {"account": "somebody", "offers": (1,)}
    # What needs claims comes before what stops them, whichever is looked at first.
    for each in sorted(breaking, key=lambda each: each not in (_cap_reached, _sold_out)):
        await each(drop, how)
    lag_max = how.pop("lag_max", 1_000_000)
    account, offers = how.pop("account"), how.pop("offers")
    if account == "winner":  # asks for another offer than the held one: that is no replay
        offers = tuple(3 if offer == 1 else offer for offer in offers)
    answer = await drop.claim(ask(account, *offers, **how), lag_max=lag_max)
    assert isinstance(answer, Refused)
    return answer.code.value


@pytest.mark.parametrize(("reason", "breaking"), ORDER, ids=[reason for reason, _ in ORDER])
async def test_each_reason_alone(store: HotStore, reason: str, breaking: Breaking) -> None:
    assert await _refusal(await _dropped(store), [breaking]) == reason


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=lambda each: each[0])
async def test_the_first_that_applies_is_given(
    store: HotStore, first: tuple[str, Breaking], second: tuple[str, Breaking]
) -> None:
    assert await _refusal(await _dropped(store), [first[1], second[1]]) == first[0]


@pytest.mark.loops
async def test_a_replay_comes_before_every_reason_from_not_eligible_on(store: HotStore) -> None:
    drop = await _dropped(store)
    won = (await drop.view()).claims
    assert won == 1
    for _, breaking in ORDER[2:]:
        if breaking is not _limit_reached:
            await breaking(drop, {})
    answer = await drop.claim(ask("winner", 1, broken_rule="city"), lag_max=1)
    assert isinstance(answer, Claimed)
    assert answer.replayed


async def test_what_refusals_carry(store: HotStore) -> None:
    drop = await _dropped(store, Cap())
    state = (await drop.view()).waves[1]
    before_ms = await drop.now_ms()
    await drop.granted(ask("quick", 2))
    sold_out = await drop.claim(ask("slow", 2))
    assert isinstance(sold_out, Refused)
    assert before_ms <= sold_out.at_ms <= await drop.now_ms()
    assert await drop.claim(ask("stranger", 1, broken_rule="tags")) == Refused(RefusalCode.NOT_ELIGIBLE, rule="tags")
    await drop.put(1, replace(state, state="paused", reason='moment\n"please"'))
    assert await drop.claim(ask("slow", 1)) == Refused(RefusalCode.PAUSED, reason='moment\n"please"')
    await drop.put(1, replace(state, state="cancelled", reason="暴雨"))
    assert await drop.claim(ask("slow", 1)) == Refused(RefusalCode.CANCELLED, reason="暴雨")
    await drop.put(1, replace(state, state="closed", closed_ms=1_700_000_000_123))
    assert await drop.claim(ask("slow", 1)) == Refused(RefusalCode.CLOSED, at_ms=1_700_000_000_123)
    await drop.put(1, state)
    await acts.stop(store, drop.campaign, Actor("ops", "全部停止"))
    assert await drop.claim(ask("slow", 1)) == Refused(RefusalCode.STOPPED, reason="全部停止")
    await acts.start(store, drop.campaign, Actor("ops", "goes on"))
    later_ms = before_ms + HOUR_MS
    await drop.put(1, replace(state, opens_ms=later_ms, closes_ms=later_ms + 1))
    assert await drop.claim(ask("slow", 1)) == Refused(RefusalCode.NOT_OPEN, at_ms=later_ms)
    await drop.put(1, replace(state, opens_ms=1, closes_ms=2))
    assert await drop.claim(ask("slow", 1)) == Refused(RefusalCode.CLOSED, at_ms=2)


async def test_sold_out_since_the_last_of_the_offers_was(store: HotStore) -> None:
    now_ms = await store.time_ms()
    stock = {"o1": 1, "o2": 1, "o3": 0}
    drop = Drop(store, catalogue_of(campaign([wave("w1", now_ms - HOUR_MS, now_ms + HOUR_MS, stock)])))
    await drop.load()
    await drop.granted(ask("first", 1))
    first_ms = (await drop.view()).sold_out_ms[1, 1]
    while await drop.now_ms() == first_ms:  # at most a millisecond
        pass
    await drop.granted(ask("second", 2))
    second_ms = (await drop.view()).sold_out_ms[1, 2]
    assert second_ms > first_ms
    for offers in ((1, 2), (2, 1), (3, 2, 1)):
        assert await drop.claim(ask("late", *offers)) == Refused(RefusalCode.SOLD_OUT, at_ms=second_ms)
    # Never had a unit: there is no instant to tell.
    assert await drop.claim(ask("late", 3)) == Refused(RefusalCode.SOLD_OUT, at_ms=0)


async def test_an_offer_beyond_the_cap_is_passed_over(store: HotStore) -> None:
    """Offers cost 500, 2000 and 1000; 1600 may be spent in all."""
    drop = await _dropped(store, Cap(value=1_600))
    assert await drop.claim(ask("a", 2)) == Refused(RefusalCode.CAP_REACHED)
    assert (await drop.granted(ask("a", 2, 3))).claim.offer_no == 3
    assert (await drop.view()).value == 1_500
    assert await drop.claim(ask("b", 3, 1, 2)) == Refused(RefusalCode.CAP_REACHED)


async def test_past_not_after_nothing_new_is_decided_and_replays_answer(store: HotStore) -> None:
    drop = await _dropped(store)
    last = (await drop.view()).last
    late = await drop.batch(ask("winner", 1), ask("somebody", 1), not_after_ms=await drop.now_ms() - 1)
    assert isinstance(late.answers[0], Claimed)
    assert late.answers[0].replayed
    assert late.answers[1] == Late()
    assert (await drop.view()).last == last


@pytest.mark.loops
@pytest.mark.parametrize("limit", [1, 2])
async def test_another_offer_under_the_same_request_no(store: HotStore, limit: int) -> None:
    """It cannot be meant as a second claim: the claim that is held comes along."""
    now_ms = await store.time_ms()
    waves = [wave("w1", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": 9, "o2": 9})]
    drop = Drop(store, catalogue_of(campaign(waves, limits=[Limit(limit, "wave")])))
    await drop.load()
    held = (await drop.granted(ask("ann", 1))).claim
    code = RefusalCode.ALREADY_CLAIMED if limit == 1 else RefusalCode.LIMIT_REACHED
    assert await drop.claim(ask("ann", 2)) == Refused(code, claim=held)
    # With the held offer among those asked for it is the same claim again, wherever it stands among them.
    assert await drop.claim(ask("ann", 2, 1)) == Claimed(held, replayed=True)
    if limit == 2:
        second = (await drop.granted(ask("ann", 2, request_no=2))).claim
        assert await drop.claim(ask("ann", 1, request_no=2)) == Refused(code, claim=held)
        assert await drop.claim(ask("ann", 2, request_no=2)) == Claimed(second, replayed=True)


@pytest.mark.loops
async def test_a_second_account_of_a_person_does_not_see_the_code(store: HotStore) -> None:
    now_ms = await store.time_ms()
    waves = [wave("w1", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": 9, "o2": 9})]
    drop = Drop(store, catalogue_of(campaign(waves, by="person")))
    await drop.load()
    held = (await drop.granted(ask("phone", 1, person="p1"))).claim
    assert (held.claimant, held.account) == ("p1", "phone")
    for offers in ((1,), (2,), (2, 1)):
        assert await drop.claim(ask("tablet", *offers, person="p1")) == Refused(RefusalCode.ALREADY_CLAIMED)
    assert await drop.claim(ask("phone", 2, person="p1")) == Refused(RefusalCode.ALREADY_CLAIMED, claim=held)
    # An account that is called like the person is not the person's other account.
    assert await drop.claim(ask("p1", 1, person="p1")) == Refused(RefusalCode.ALREADY_CLAIMED)


async def test_a_claimant_holds_at_most_32_claims_of_a_campaign(store: HotStore) -> None:
    now_ms = await store.time_ms()
    waves = [wave(f"w{no}", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": 50}) for no in range(1, 34)]
    drop = Drop(store, catalogue_of(campaign(waves, limits=[])))
    await drop.load()
    batch = await drop.batch(*(ask("ann", wave=no) for no in range(1, 34)))
    assert [type(answer) for answer in batch.answers] == [Claimed] * 32 + [Refused]
    first = batch.answers[0]
    assert isinstance(first, Claimed)
    assert batch.answers[32] == Refused(RefusalCode.LIMIT_REACHED, claim=first.claim)


async def test_a_batch_may_name_more_offers_than_a_command_takes_words(store: HotStore) -> None:
    """512 claims of 32 offers each, every offer another one: a few such claims must not spoil it for all others."""
    drop = await _dropped(store)
    left = (await drop.view()).left[1, 2]
    asks = [ask(f"c{no}", *range(32 * no + 4, 32 * no + 36)) for no in range(511)]
    answers = (await drop.batch(*asks, ask("ann", 2))).answers
    assert answers[:-1] == [Refused(RefusalCode.UNKNOWN_OFFER)] * len(asks)
    assert isinstance(answers[-1], Claimed)
    assert (await drop.view()).left[1, 2] == left - 1
