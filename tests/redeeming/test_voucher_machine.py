"""Vouchers' lives on a real Postgres against the table of states, step by step, with time as one of the steps.

The model is in `life.py`. Two desks work on the same ledger: of each step either may be asked, and often both at once.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, ClassVar, TypeVar

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from msgspec.structs import replace

from engine.domain.redemption import Unfit, UnfitCode
from engine.domain.voucher import STEPS, Period, State
from engine.ledger.instants import unix_ms
from engine.redeeming.steps import Asked, Done, Outcome
from engine.settings import Settings
from tests.redeeming.counter import Counter, counter_at
from tests.redeeming.life import Life

T = TypeVar("T")

CROWD = 6
HOLD_MS = 900_000
ORDERS = st.sampled_from(("first", "second"))
DESKS = st.sampled_from((0, 1))
ACTS = st.tuples(st.sampled_from(("redeem", "redeem", "lock", "release", "reverse", "part")), ORDERS)


class VoucherMachine(RuleBasedStateMachine):
    """One voucher's life. Its counter is given by the test."""

    counter: ClassVar[Counter]
    runner: ClassVar[asyncio.Runner]
    redemptions = Bundle("redemptions")
    locks = Bundle("locks")
    done = Bundle("done")

    @initialize(is_early=st.booleans())
    def claim(self, is_early: bool) -> None:
        [(self.code, good)] = self.run(self.counter.vouchers(1))
        if is_early:  # it is good from an hour after the claim on
            good = Period(good.valid_from_ms + 3_600_000, good.expires_at_ms)
            later = "update vouchers set valid_from = valid_from + interval '1 hour' where code = $1"
            self.run(self.sql(later, self.code))
        self.life = Life(good)

    # How it is asked

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    async def sql(self, query: str, *arguments: Any) -> list[Any]:
        return list(await self.counter.admin.fetch(query, *arguments))

    def ask(self, desk: int, asked: Asked) -> Outcome:
        return self.run(self.counter.desks[desk].ask(asked))

    def at_once(self, *asked: Asked) -> list[Outcome]:
        """The answers to requests that come to both desks at the same time."""

        async def ask_all() -> list[Outcome]:
            return await asyncio.gather(*(self.counter.desks[no % 2].ask(each) for no, each in enumerate(asked)))

        return self.run(ask_all())

    @property
    def now_ms(self) -> int:
        return self.counter.now_ms

    @property
    def state(self) -> State:
        return self.life.state(self.now_ms)

    # What can happen

    @rule(where=st.sampled_from(("valid_from", "expires_at", "until", "later")), early_ms=st.sampled_from((0, 1)))
    def time_goes_on(self, where: str, early_ms: int) -> None:
        goals = {
            "valid_from": self.life.good.valid_from_ms,
            "expires_at": self.life.good.expires_at_ms,
            "until": self.life.until_ms,
        }
        goal = goals.get(where, self.now_ms + HOLD_MS // 3) - early_ms
        if goal > self.now_ms:
            self.run(self.counter.set_clock(goal))

    @rule(target=done, desk=DESKS, order=ORDERS, payment=ORDERS)
    def redeem(self, desk: int, order: str, payment: str) -> Any:
        """Payments are the same two all the time: the place that a redemption takes is free when it is given back."""
        asked = self.counter.redeem(self.code, order_no=order, payment_no=f"{self.code} {payment}")
        made = self.life.accept(asked, self.ask(desk, asked), self.now_ms)
        return (asked, made) if made else ()

    @rule(target=redemptions, pair=done)
    def remember(self, pair: Any) -> Any:
        return pair

    @rule(target=locks, desk=DESKS, order=ORDERS, hold_ms=st.sampled_from((HOLD_MS, 30 * 24 * 3_600_000)))
    def lock(self, desk: int, order: str, hold_ms: int) -> Any:
        asked = self.counter.lock(self.code, order, hold_ms)
        made = self.life.accept(asked, self.ask(desk, asked), self.now_ms)
        return (asked, made) if made else ()

    @rule(desk=DESKS, lock=locks)
    def release(self, desk: int, lock: Any) -> None:
        if lock:
            asked = self.counter.release(lock[1])
            self.life.accept(asked, self.ask(desk, asked), self.now_ms)

    @rule(
        desk=DESKS,
        pair=redemptions,
        by=st.sampled_from(("merchant", "user")),
        completed=st.booleans(),
        part=st.booleans(),
    )
    def reverse(self, desk: int, pair: Any, by: Any, completed: bool, part: bool) -> None:
        if pair:
            asked = self.counter.reverse(pair[1], by, completed, 7_001 if part else None)
            self.life.accept(asked, self.ask(desk, asked), self.now_ms)

    @rule(acts=st.tuples(ACTS, ACTS))
    def two_at_once(self, acts: Any) -> None:
        """Each at a desk of its own: there is an order in which one after the other would have got these answers."""
        asked = [each for kind, order in acts if (each := self.act(kind, order)) is not None]
        outcomes = self.at_once(*asked)
        told = list(zip(asked, outcomes, strict=True))
        for in_order in (told, told[::-1]):
            life = self.life.another()
            try:
                for each, outcome in in_order:
                    life.accept(each, outcome, self.now_ms)
            except AssertionError as error:
                wrong = error
            else:
                self.life = life
                return
        raise AssertionError(f"in no order: {told}") from wrong

    def act(self, kind: str, order: str) -> Asked | None:
        """What is asked for; None where there is nothing yet that it could be about."""
        lock, made = self.life.lock, self.life.redeemed_by
        match kind:
            case "redeem":
                return self.counter.redeem(self.code, order_no=order, payment_no=f"{self.code} {order}")
            case "lock":
                return self.counter.lock(self.code, order, HOLD_MS)
            case "release":
                return self.counter.release(lock) if lock else None
            case _:
                part = 7_001 if kind == "part" else None
                return self.counter.reverse(made, "merchant", False, part) if made else None

    @rule()
    def invalidate(self) -> None:
        """By operators, past the desks, as they do it: an update of the row as it was seen."""
        kept = STEPS.get((self.state, "invalidate"))
        if kept is None or self.life.steps % 3:  # it ends a life: not too often
            return
        self.run(
            self.sql(
                "with moved as (update vouchers set state = 'invalidated', step = step + 1, made_by = step + 1"
                " where code = $1 returning *) insert into voucher_steps"
                " (campaign_no, code, step, kind, at, offer_no, terms_version, reason)"
                " select campaign_no, code, step, 'invalidate', clock.statement_timestamp(), 1, 1, 'closed' from moved",
                self.code,
            )
        )
        self.life.kept, self.life.steps = kept, self.life.steps + 1

    @rule(desk=DESKS, pair=st.one_of(done, locks))
    def ask_again(self, desk: int, pair: Any) -> None:
        """Whatever has become of it since: the same answer; and no other under that number."""
        if not pair:
            return
        asked, made = pair
        again = self.ask(desk, asked)
        assert isinstance(again, Done)
        assert again.replayed
        assert (
            replace(
                again.step, kept=made.kept, day=made.day, payment_place=made.payment_place, before_ms=made.before_ms
            )
            == made
        )
        other = self.ask(desk, replace(asked, clerk="wang"))
        assert other == Unfit(UnfitCode.REQUEST_NO_USED)

    @rule()
    def crowd(self) -> None:
        """Many tills at once at both desks: one of them is the step, the others are told what it has made of it."""
        asked = [self.counter.redeem(self.code) for _ in range(CROWD)]
        outcomes = self.at_once(*asked)
        winners = [no for no, each in enumerate(outcomes) if isinstance(each, Done)]
        assert len(winners) == (self.state == "pending")
        for no in winners:
            self.life.accept(asked[no], outcomes[no], self.now_ms)
        for outcome in (each for no, each in enumerate(outcomes) if no not in winners):
            self.life.refused(outcome, self.state)

    @invariant()
    def the_books_are_the_model(self) -> None:
        if not hasattr(self, "life"):
            return
        life = self.life
        [row] = self.run(self.sql("select state, step from vouchers where code = $1", self.code))
        assert (row["state"], row["step"]) == (life.kept, life.steps)
        steps = self.run(self.sql("select * from voucher_steps where code = $1 order by step", self.code))
        assert [step["step"] for step in steps] == list(range(1, life.steps + 1))
        net = sum({"redeem": 1, "give_back": -1}.get(step["kind"], 0) for step in steps)
        assert net == (life.kept == "redeemed"), "redeemed once more than it was given back"
        taken = [step for step in steps if step["payment_place"] is not None]
        assert [step["step"] for step in taken] == (
            [life.redeemed_by.step] if life.kept == "redeemed" and life.redeemed_by else []
        ), "of a payment only what stands has a place"
        for redemption in (step for step in steps if step["kind"] == "redeem"):
            back = [step for step in steps if step["of_step"] == redemption["step"] and step["amount"]]
            assert sum(step["amount"] for step in back) <= redemption["amount"]
            discount = sum(step["discount"] for step in back)
            is_whole = sum(step["amount"] for step in back) == redemption["amount"]
            assert discount == redemption["discount"] if is_whole else discount <= redemption["discount"]
        assert all(unix_ms(step["at"]) <= self.now_ms for step in steps)


def live(database_url: str, settings: Settings, seed: int, lives: int) -> None:
    with asyncio.Runner() as runner:
        context = counter_at(database_url, settings)
        counter = runner.run(context.__aenter__())
        try:
            machine = type("Machine", (VoucherMachine,), {"counter": counter, "runner": runner})
            few = hypothesis.settings(max_examples=lives, stateful_step_count=20, deadline=None, database=None)
            run_state_machine_as_test(hypothesis.seed(seed)(machine), settings=few)
        finally:
            runner.run(context.__aexit__(None, None, None))


def test_lives_are_as_the_table_has_them(database_url: str, settings: Settings, seed: int) -> None:
    live(database_url, settings, seed, 8)


@pytest.mark.long
def test_many_lives_are_as_the_table_has_them(database_url: str, settings: Settings, seed: int) -> None:
    live(database_url, settings, seed, 200)
