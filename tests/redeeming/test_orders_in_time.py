"""Locks and refunds around the end of a lock and the expiry of a voucher, on real Postgres, with a clock to set."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from engine.domain.redemption import Unfit, UnfitCode
from engine.domain.reversal import By
from engine.redeeming.steps import Asked, Done, Nothing, Outcome
from engine.settings import Settings
from tests.redeeming.counter import AMOUNT, Counter, counter_at

HOLD_MS = 3_600_000


@pytest.fixture
async def counter(database_url: str, settings: Settings) -> AsyncIterator[Counter]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(counter_at(database_url, settings))


async def ask_all(counter: Counter, asked: Sequence[Asked]) -> list[Outcome]:
    """Each at one of the two desks."""
    return await asyncio.gather(*(counter.desks[no % 2].ask(each) for no, each in enumerate(asked)))


def done(outcome: Outcome) -> Done:
    assert isinstance(outcome, Done), outcome
    return outcome


async def test_who_cancels_an_order_whose_lock_is_over_does_not_free_the_next_orders(counter: Counter) -> None:
    """Nor where it is the same order that has locked again."""
    [(code, _)] = await counter.vouchers(1)
    first, second = counter.desks
    for order_no in ("mine", "another's"):
        over = done(await first.ask(counter.lock(code, "mine", HOLD_MS))).step
        await counter.set_clock(over.until_ms)
        stands = done(await second.ask(counter.lock(code, order_no, HOLD_MS))).step
        for desk in counter.desks:
            assert await desk.ask(counter.release(over)) == Nothing()
        refused = await first.ask(counter.redeem(code))
        assert isinstance(refused, Unfit)
        assert (refused.code, refused.at_ms) == (UnfitCode.LOCKED, stands.until_ms)
        assert not done(await first.ask(counter.release(stands))).replayed


async def test_a_request_stays_what_it_was_when_its_store_changes_hands(counter: Counter) -> None:
    """The store's merchant is another when a till asks again: the same answer, and nothing is done twice."""
    desk = counter.desks[0]
    codes = [code for code, _ in await counter.vouchers(3)]
    redeemed, held, given_back = (
        counter.redeem(codes[0]),
        counter.lock(codes[1], "o", HOLD_MS),
        counter.redeem(codes[2]),
    )
    first = [done(await desk.ask(each)) for each in (redeemed, held, given_back)]
    await desk.ask(counter.reverse(first[2].step, "merchant", is_completed=False))
    for asked, before in zip((redeemed, held, given_back), first, strict=True):
        again = done(await desk.ask(replace(asked, merchant="m-new")))
        assert again.replayed
        assert replace(again.step, kept="pending", day="", before_ms=0) == replace(
            before.step, kept="pending", day="", before_ms=0, payment_place=0
        )
        other = await desk.ask(replace(asked, merchant="m-new", clerk="wang"))
        assert isinstance(other, Done if asked is given_back else Unfit), (
            "what is not the same is the new merchant's own"
        )


async def test_stores_that_came_to_different_merchants_have_their_own_requests(counter: Counter) -> None:
    """Two tills of one batch, whose requests had one name while both stores were the same merchant's."""
    desk = counter.desks[0]
    (code, _), (other, _) = await counter.vouchers(2)
    asked = counter.redeem(code)
    before = done(await desk.ask(asked))
    await desk.ask(counter.reverse(before.step, "merchant", is_completed=False))
    again, new = await asyncio.gather(
        desk.ask(replace(asked, merchant="m-new")), desk.ask(replace(asked, code=other, merchant="m-other"))
    )
    assert done(again).replayed
    assert not done(new).replayed


class Life(NamedTuple):
    """A redemption and its refunds: of a part first, where there is one, and of all that is left."""

    is_paid_late: bool
    """Past the expiry, by an order that had the voucher locked in time."""
    is_refunded_late: bool
    part: tuple[By, bool] | None
    rest: tuple[By, bool]
    """Who wanted it, whether the order was completed."""

    @property
    def comes_back(self) -> bool:
        """Where the merchant has refunded all of the order before it was completed."""
        return all(each == ("merchant", False) for each in (self.part, self.rest) if each is not None)


def lives() -> list[Life]:
    whose = list(itertools.product(("merchant", "user"), (False, True)))
    times = ((False, False), (False, True), (True, True))
    return [Life(*late, part, rest) for late in times for part in (None, *whose) for rest in whose]


async def test_what_comes_back_of_every_refund_before_and_after_the_expiry(counter: Counter) -> None:
    every = lives()
    vouchers = await counter.vouchers(len(every))
    codes = [code for code, _ in vouchers]
    good = vouchers[0][1]
    late = {code for code, life in zip(codes, every, strict=True) if life.is_paid_late}
    refunded_late = {code for code, life in zip(codes, every, strict=True) if life.is_refunded_late}
    await counter.set_clock(good.expires_at_ms - 1)
    await ask_all(counter, [counter.lock(code, f"late {code}", HOLD_MS) for code in late])
    paid = await ask_all(counter, [counter.redeem(code) for code in codes if code not in late])
    made = {step.code: step for step in (done(each).step for each in paid)}

    async def refund(in_time: bool) -> dict[str, tuple[Outcome, Outcome]]:
        told: dict[str, tuple[Outcome, Outcome]] = {}
        now = [(code, life) for code, life in zip(codes, every, strict=True) if life.is_refunded_late != in_time]
        parts = [counter.reverse(made[code], *life.part, 7_001) for code, life in now if life.part]
        for each in await ask_all(counter, parts):
            assert done(each).step.kind == "refund", "a part keeps it used"
        rest = await ask_all(counter, [counter.reverse(made[code], *life.rest) for code, life in now])
        again = await ask_all(counter, [counter.redeem(code) for code, _ in now])
        for (code, _), back, more in zip(now, rest, again, strict=True):
            told[code] = back, more
        return told

    told = await refund(in_time=True)
    await counter.set_clock(good.expires_at_ms)
    assert refunded_late >= late
    paid = await ask_all(counter, [counter.redeem(code, order_no=f"late {code}") for code in late])
    made |= {step.code: step for step in (done(each).step for each in paid)}
    told |= await refund(in_time=False)
    for code, life in zip(codes, every, strict=True):
        back, more = told[code]
        step = done(back).step
        assert step.kind == ("give_back" if life.comes_back else "refund"), life
        assert (step.amount, step.discount) == ((12_999, 3_250) if life.part else (AMOUNT, 5_000)), life
        if not life.comes_back:
            assert isinstance(more, Unfit), life
            assert (more.code, more.at_ms) == (UnfitCode.ALREADY_REDEEMED, made[code].at_ms), life
        elif life.is_refunded_late:
            assert isinstance(more, Unfit), life
            assert (more.code, more.at_ms) == (UnfitCode.EXPIRED, good.expires_at_ms), "nothing revives it"
        else:
            assert isinstance(more, Done), life
    rows = await counter.admin.fetch("select code, count(payment_place) as places from voucher_steps group by 1")
    stand = {row["code"]: row["places"] for row in rows}
    assert stand == {
        code: int(not life.comes_back or not life.is_refunded_late) for code, life in zip(codes, every, strict=True)
    }
