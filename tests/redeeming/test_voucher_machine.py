"""Vouchers' lives on a real Postgres against the table of states, step by step, with time as one of the steps.

The model is `STEPS` and `state_at`, and beside them only what a table of states cannot say: whose lock it is, whose
payment, and what was refunded. Two desks work on the same ledger, and of each step either may be asked.
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
from engine.domain.voucher import STEPS, Kept, Period, State, StepKind, state_at
from engine.ledger.instants import unix_ms
from engine.ledger.voucher_steps import Step
from engine.redeeming.steps import Asked, Done, Nothing, Outcome
from engine.settings import Settings
from tests.redeeming.counter import AMOUNT, Counter, counter_at

T = TypeVar("T")

CROWD = 6
HOLD_MS = 900_000
ORDERS = st.sampled_from(("first", "second"))
DESKS = st.sampled_from((0, 1))
REFUSED: dict[State, UnfitCode] = {
    "not_yet_effective": UnfitCode.NOT_YET_EFFECTIVE,
    "locked": UnfitCode.LOCKED,
    "redeemed": UnfitCode.ALREADY_REDEEMED,
    "expired": UnfitCode.EXPIRED,
    "invalidated": UnfitCode.INVALIDATED,
}


class VoucherMachine(RuleBasedStateMachine):
    """One voucher's life. Its counter is given by the test."""

    counter: ClassVar[Counter]
    runner: ClassVar[asyncio.Runner]
    redemptions = Bundle("redemptions")
    locks = Bundle("locks")
    done = Bundle("done")

    @initialize()
    def claim(self) -> None:
        [(self.code, good)] = self.run(self.counter.vouchers(1))
        # it is good from an hour after the claim on
        self.good = Period(good.valid_from_ms + 3_600_000, good.expires_at_ms)
        self.run(self.sql("update vouchers set valid_from = valid_from + interval '1 hour' where code = $1", self.code))
        self.kept: Kept = "pending"
        self.lock_order, self.until_ms, self.last_lock = "", 0, ""
        self.steps = 0
        self.redeemed_by: Step | None = None
        self.refunds: dict[str, list[tuple[int, bool]]] = {}
        """By redemption: what was refunded, and whether it was the merchant's before completion."""

    # How it is asked

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    async def sql(self, query: str, *arguments: Any) -> list[Any]:
        return list(await self.counter.admin.fetch(query, *arguments))

    def ask(self, desk: int, asked: Asked) -> Outcome:
        return self.run(self.counter.desks[desk].ask(asked))

    @property
    def now_ms(self) -> int:
        return self.counter.now_ms

    @property
    def state(self) -> State:
        return state_at(self.kept, self.good, self.now_ms, self.until_ms)

    def took(self, outcome: Outcome, kind: StepKind) -> Step:
        """The step that was taken as the table has it, by the next number, now."""
        assert isinstance(outcome, Done), (self.state, outcome)
        assert not outcome.replayed
        self.kept = STEPS[self.state, kind]
        self.steps += 1
        made = outcome.step
        assert (made.kind, made.step, made.at_ms) == (kind, self.steps, self.now_ms)
        return made

    # What can happen

    @rule(where=st.sampled_from(("valid_from", "expires_at", "until", "later")), early_ms=st.sampled_from((0, 1)))
    def time_goes_on(self, where: str, early_ms: int) -> None:
        goals = {"valid_from": self.good.valid_from_ms, "expires_at": self.good.expires_at_ms, "until": self.until_ms}
        goal = goals.get(where, self.now_ms + HOLD_MS // 3) - early_ms
        if goal > self.now_ms:
            self.run(self.counter.set_clock(goal))

    @rule(target=done, desk=DESKS, order=ORDERS, payment=ORDERS)
    def redeem(self, desk: int, order: str, payment: str) -> Any:
        """Payments are the same two all the time: the place that a redemption takes is free when it is given back."""
        asked = self.counter.redeem(self.code, order_no=order, payment_no=f"{self.code} {payment}")
        outcome, state = self.ask(desk, asked), self.state
        if (state, "redeem") not in STEPS or (state == "locked" and order != self.lock_order):
            assert self.is_true_refusal(outcome, state)
            return ()
        made = self.took(outcome, "redeem")
        assert (made.amount, made.discount) == (AMOUNT, 5_000)
        self.redeemed_by = made
        self.refunds[made.request] = []
        return (asked, made)

    @rule(target=redemptions, pair=done)
    def remember(self, pair: Any) -> Any:
        return pair

    @rule(target=locks, desk=DESKS, order=ORDERS, hold_ms=st.sampled_from((HOLD_MS, 30 * 24 * 3_600_000)))
    def lock(self, desk: int, order: str, hold_ms: int) -> Any:
        asked = self.counter.lock(self.code, order, hold_ms)
        outcome, state = self.ask(desk, asked), self.state
        if (state, "lock") not in STEPS:
            assert self.is_true_refusal(outcome, state)
            assert isinstance(outcome, Unfit)
            assert outcome.is_own == (state == "locked" and order == self.lock_order)
            return ()
        made = self.took(outcome, "lock")
        self.lock_order, self.until_ms, self.last_lock = order, self.now_ms + hold_ms, made.request
        assert made.until_ms == self.until_ms
        return (asked, made)

    @rule(desk=DESKS, lock=locks)
    def release(self, desk: int, lock: Any) -> None:
        if not lock:
            return
        _, made = lock
        outcome = self.ask(desk, self.counter.release(made))
        if self.state == "locked" and self.last_lock == made.request:
            self.took(outcome, "release")
        elif isinstance(outcome, Done):
            assert outcome.replayed, "a lock is released once"
        elif self.state == "redeemed" and self.redeemed_by and self.redeemed_by.order_no == made.order_no:
            assert self.is_true_refusal(outcome, "redeemed")
        else:
            assert outcome == Nothing()

    @rule(
        desk=DESKS,
        pair=redemptions,
        by=st.sampled_from(("merchant", "user")),
        completed=st.booleans(),
        part=st.booleans(),
    )
    def reverse(self, desk: int, pair: Any, by: Any, completed: bool, part: bool) -> None:
        if not pair:
            return
        _, made = pair
        so_far = self.refunds[made.request]
        left = made.amount - sum(amount for amount, _ in so_far)
        amount = 7_001 if part else None
        outcome = self.ask(desk, self.counter.reverse(made, by, completed, amount))
        if not left:
            assert isinstance(outcome, Unfit)
            assert outcome.code is UnfitCode.ALREADY_REVERSED
            return
        if amount is not None and amount > left:
            assert isinstance(outcome, Unfit)
            assert (outcome.code, outcome.left) == (UnfitCode.ABOVE_REDEEMED, left)
            return
        so_far.append((left if amount is None else amount, by == "merchant" and not completed))
        is_whole = sum(amount for amount, _ in so_far) == made.amount
        kind: StepKind = "give_back" if is_whole and all(early for _, early in so_far) else "refund"
        back = self.took(outcome, kind)
        assert (back.amount, back.of_step) == (so_far[-1][0], made.step)

    @rule()
    def invalidate(self) -> None:
        """By operators, past the desks, as they do it: an update of the row as it was seen."""
        kept = STEPS.get((self.state, "invalidate"))
        if kept is None or self.steps % 3:  # it ends a life: not too often
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
        self.kept, self.steps = kept, self.steps + 1

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
        before = self.state

        async def ask_all() -> list[Outcome]:
            return await asyncio.gather(*(self.counter.desks[no % 2].ask(each) for no, each in enumerate(asked)))

        outcomes = self.run(ask_all())
        winners = [each for each in outcomes if isinstance(each, Done)]
        assert len(winners) == (before == "pending")
        if winners:
            self.redeemed_by = self.took(winners[0], "redeem")
            self.refunds[self.redeemed_by.request] = []
        assert all(self.is_true_refusal(each, self.state) for each in outcomes if not isinstance(each, Done))

    def is_true_refusal(self, outcome: Outcome, state: State) -> bool:
        """Of that state, with the instant and the place that belong to it."""
        assert isinstance(outcome, Unfit), outcome
        assert outcome.code is REFUSED[state]
        if state == "redeemed":
            assert self.redeemed_by is not None
            assert (outcome.at_ms, outcome.store) == (self.redeemed_by.at_ms, self.redeemed_by.store)
        elif state == "locked":
            assert outcome.at_ms == self.until_ms
        elif state != "invalidated":
            assert outcome.at_ms == (self.good.expires_at_ms if state == "expired" else self.good.valid_from_ms)
        return True

    @invariant()
    def the_books_are_the_model(self) -> None:
        if not hasattr(self, "code"):
            return
        [row] = self.run(self.sql("select state, step from vouchers where code = $1", self.code))
        assert (row["state"], row["step"]) == (self.kept, self.steps)
        steps = self.run(self.sql("select * from voucher_steps where code = $1 order by step", self.code))
        assert [step["step"] for step in steps] == list(range(1, self.steps + 1))
        net = sum({"redeem": 1, "give_back": -1}.get(step["kind"], 0) for step in steps)
        assert net == (self.kept == "redeemed"), "redeemed once more than it was given back"
        taken = [step for step in steps if step["payment_place"] is not None]
        assert [step["step"] for step in taken] == (
            [self.redeemed_by.step] if self.kept == "redeemed" and self.redeemed_by else []
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
