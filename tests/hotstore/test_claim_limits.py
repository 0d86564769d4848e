"""Limits, alone and together: each counts within its own scope, and all have to leave room (P2)."""

import itertools

import pytest

from engine.domain.campaign import Limit, Scope
from engine.domain.outcome import Claimed, RefusalCode, Refused
from engine.hotstore.store import HotStore
from tests.support.drop import HOUR_MS, Drop, ask, campaign, catalogue_of, wave

WAVES = {1: ("r1", "2026-11-11"), 2: ("r1", "2026-11-12"), 3: ("r2", "2026-11-11"), 4: ("r2", "2026-11-12")}
"""Round and day of each wave."""
SCOPES: tuple[Scope, ...] = ("campaign", "round", "wave", "day")


async def dropped(store: HotStore, *limits: Limit) -> Drop:
    now_ms = await store.time_ms()
    waves = [
        wave(f"w{no}", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": 99, "o2": 99}, round=round, day=day)
        for no, (round, day) in WAVES.items()
    ]
    drop = Drop(store, catalogue_of(campaign(waves, limits=limits)))
    await drop.load()
    return drop


def within(limit: Limit, wave_no: int, held: list[int]) -> int:
    """How many of the claims in these waves count against the limit in that wave."""
    own = WAVES[wave_no]
    same = {
        "campaign": list(WAVES),
        "wave": [wave_no],
        "round": [other for other in WAVES if WAVES[other][0] == own[0]],
        "day": [other for other in WAVES if WAVES[other][1] == own[1]],
    }[limit.per]
    return sum(other in same for other in held)


async def asked_everywhere(drop: Drop, *limits: Limit) -> None:
    """One claimant asks in every wave, three times each, over and over: exactly what the limits leave is granted."""
    held: list[int] = []
    for wave_no, request_no in itertools.product(WAVES, (1, 2, 3)):
        answer = await drop.claim(ask("ann", wave=wave_no, request_no=request_no))
        reached = next((limit for limit in limits if within(limit, wave_no, held) >= limit.max), None)
        if reached is None:
            assert isinstance(answer, Claimed), (wave_no, request_no)
            held.append(wave_no)
            continue
        assert isinstance(answer, Refused), (wave_no, request_no)
        assert answer.code == (RefusalCode.ALREADY_CLAIMED if reached.max == 1 else RefusalCode.LIMIT_REACHED)
        assert answer.claim is not None
        assert within(reached, wave_no, [answer.claim.wave_no]) == 1, "the claim that stands in the way"


@pytest.mark.parametrize("per", SCOPES)
@pytest.mark.parametrize("most", [1, 2, 3])
async def test_one_limit(store: HotStore, per: Scope, most: int) -> None:
    await asked_everywhere(await dropped(store, Limit(most, per)), Limit(most, per))


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(SCOPES, 2)))
@pytest.mark.parametrize(("loose", "tight"), [(3, 1), (2, 1), (3, 2)])
async def test_two_limits(store: HotStore, first: Scope, second: Scope, loose: int, tight: int) -> None:
    limits = Limit(loose, first), Limit(tight, second)
    await asked_everywhere(await dropped(store, *limits), *limits)


async def test_all_limits_at_once(store: HotStore) -> None:
    limits = Limit(5, "campaign"), Limit(3, "round"), Limit(2, "wave"), Limit(4, "day")
    await asked_everywhere(await dropped(store, *limits), *limits)


async def test_limits_within_one_batch(store: HotStore) -> None:
    """Claims of one claimant in one call count for each other."""
    limits = Limit(3, "campaign"), Limit(2, "round")
    drop = await dropped(store, *limits)
    answers = (await drop.batch(*(ask("ann", wave=no, request_no=1) for no in (1, 2, 1, 3, 4, 2)))).answers
    assert [type(answer) for answer in answers] == [Claimed, Claimed, Claimed, Claimed, Refused, Claimed]
    assert [answer.replayed for answer in answers if isinstance(answer, Claimed)] == [False, False, True, False, True]
    assert (await drop.view()).claims == 3


@pytest.mark.parametrize("apart", [1, 2, 255, 511])
async def test_a_claimant_is_known_again_anywhere_in_a_batch(store: HotStore, apart: int) -> None:
    """The script finds it out itself: whoever sends a batch cannot forget to tell it."""
    now_ms = await store.time_ms()
    waves = [wave("w1", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": 999})]
    drop = Drop(store, catalogue_of(campaign(waves, limits=[Limit(1, "campaign")])))
    await drop.load()
    names = [f"u{place}" for place in range(512)]
    names[apart] = names[0]
    answers = (await drop.batch(*map(ask, names))).answers
    assert answers[apart] == Claimed(answers[0].claim, replayed=True)  # type: ignore[union-attr]  # not late: that fails
    assert [place for place, each in enumerate(answers) if each != Claimed(each.claim)] == [apart]  # type: ignore[union-attr]  # likewise
    assert (await drop.view()).claims == 511


async def test_others_have_their_own(store: HotStore) -> None:
    drop = await dropped(store, Limit(1, "campaign"))
    for account in ("ann", "ben", "an", "annn", "Ann"):
        await drop.granted(ask(account))
    assert (await drop.view()).claims == 5


@pytest.mark.parametrize("per", SCOPES)
async def test_a_person_is_counted_over_all_accounts(store: HotStore, per: Scope) -> None:
    now_ms = await store.time_ms()
    waves = [wave("w1", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": 99})]
    drop = Drop(store, catalogue_of(campaign(waves, by="person", limits=[Limit(2, per)])))
    await drop.load()
    first = (await drop.granted(ask("phone", person="p1"))).claim
    second = (await drop.granted(ask("tablet", person="p1"))).claim
    assert (first.nth, second.nth) == (1, 2)
    assert await drop.claim(ask("laptop", person="p1")) == Refused(RefusalCode.LIMIT_REACHED)
    assert await drop.claim(ask("tablet", person="p1", request_no=2)) == Refused(
        RefusalCode.LIMIT_REACHED, claim=second
    )
    await drop.granted(ask("phone", person="p2"))


async def test_claims_in_a_wave_that_moved_count_for_its_new_day(store: HotStore) -> None:
    """Day and round are labels of the wave, not of the claim."""
    drop = await dropped(store, Limit(1, "day"))
    held = (await drop.granted(ask("ann", wave=1))).claim
    await drop.change(1, day="2026-11-12")
    assert await drop.claim(ask("ann", wave=2)) == Refused(RefusalCode.ALREADY_CLAIMED, claim=held)
    await drop.granted(ask("ann", wave=3))
