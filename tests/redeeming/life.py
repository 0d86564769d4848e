"""One voucher's life as the table of states has it, and what each answer of a desk makes of it.

The model is `STEPS` and `state_at`, and beside them only what a table of states cannot say: whose lock it is, whose
payment, and what was refunded.
"""

from copy import copy

from engine.domain.locking import Lock, Release
from engine.domain.redemption import Redeem, Unfit, UnfitCode
from engine.domain.reversal import Reverse
from engine.domain.voucher import STEPS, Kept, Period, State, StepKind, state_at
from engine.ledger.voucher_steps import Step
from engine.redeeming.steps import Asked, Done, Nothing, Outcome
from tests.redeeming.counter import AMOUNT

REFUSED: dict[State, UnfitCode] = {
    "not_yet_effective": UnfitCode.NOT_YET_EFFECTIVE,
    "locked": UnfitCode.LOCKED,
    "redeemed": UnfitCode.ALREADY_REDEEMED,
    "expired": UnfitCode.EXPIRED,
    "invalidated": UnfitCode.INVALIDATED,
}


class Life:
    """What has become of the voucher so far. `accept` raises AssertionError where an answer does not fit in."""

    def __init__(self, good: Period) -> None:
        self.good = good
        self.kept: Kept = "pending"
        self.steps = 0
        self.lock: Step | None = None
        """The last one."""
        self.redeemed_by: Step | None = None
        self.refunds: dict[str, tuple[tuple[int, bool], ...]] = {}
        """By redemption: what was refunded, and whether it was the merchant's before completion."""

    def another(self) -> "Life":
        """A copy, to go on with in another way."""
        other = copy(self)
        other.refunds = dict(self.refunds)
        return other

    @property
    def until_ms(self) -> int:
        """The end of the last lock."""
        return self.lock.until_ms if self.lock else 0

    def state(self, now_ms: int) -> State:
        return state_at(self.kept, self.good, now_ms, self.until_ms)

    def accept(self, asked: Asked, outcome: Outcome, now_ms: int) -> Step | None:
        """That was the answer at that instant; the step, where one was taken."""
        match asked:
            case Redeem():
                return self._redeemed(asked, outcome, now_ms)
            case Lock():
                return self._locked(asked, outcome, now_ms)
            case Release():
                return self._released(asked, outcome, now_ms)
            case Reverse():
                return self._reversed(asked, outcome, now_ms)

    def took(self, outcome: Outcome, kind: StepKind, now_ms: int) -> Step:
        """The step that was taken as the table has it, by the next number, now."""
        assert isinstance(outcome, Done), (self.state(now_ms), outcome)
        assert not outcome.replayed
        self.kept = STEPS[self.state(now_ms), kind]
        self.steps += 1
        made = outcome.step
        assert (made.kind, made.step, made.at_ms) == (kind, self.steps, now_ms)
        return made

    def refused(self, outcome: Outcome, state: State) -> None:
        """The answer is the refusal of that state, with the instant and the place that belong to it."""
        assert isinstance(outcome, Unfit), outcome
        assert outcome.code is REFUSED[state]
        if state == "redeemed":
            assert self.redeemed_by is not None
            assert (outcome.at_ms, outcome.store) == (self.redeemed_by.at_ms, self.redeemed_by.store)
        elif state == "locked":
            assert outcome.at_ms == self.until_ms
        elif state != "invalidated":
            assert outcome.at_ms == (self.good.expires_at_ms if state == "expired" else self.good.valid_from_ms)

    def _is_lock_of(self, order_no: str) -> bool:
        return self.lock is not None and self.lock.order_no == order_no

    def _redeemed(self, asked: Redeem, outcome: Outcome, now_ms: int) -> Step | None:
        state = self.state(now_ms)
        if (state, "redeem") not in STEPS or (state == "locked" and not self._is_lock_of(asked.order_no)):
            self.refused(outcome, state)
            return None
        made = self.took(outcome, "redeem", now_ms)
        assert (made.amount, made.discount) == (AMOUNT, 5_000)
        self.redeemed_by = made
        self.refunds[made.request] = ()
        return made

    def _locked(self, asked: Lock, outcome: Outcome, now_ms: int) -> Step | None:
        state = self.state(now_ms)
        if (state, "lock") not in STEPS:
            self.refused(outcome, state)
            assert isinstance(outcome, Unfit)
            assert outcome.is_own == (state == "locked" and self._is_lock_of(asked.order_no))
            return None
        self.lock = self.took(outcome, "lock", now_ms)
        assert self.until_ms == now_ms + asked.hold_ms
        return self.lock

    def _released(self, asked: Release, outcome: Outcome, now_ms: int) -> Step | None:
        state = self.state(now_ms)
        if state == "locked" and self.lock is not None and self.lock.request == asked.lock:
            return self.took(outcome, "release", now_ms)
        if isinstance(outcome, Done):
            assert outcome.replayed, "a lock is released once"
        elif state == "redeemed" and self.redeemed_by and self.redeemed_by.order_no == asked.order_no:
            self.refused(outcome, "redeemed")
        else:
            assert outcome == Nothing()
        return None

    def _reversed(self, asked: Reverse, outcome: Outcome, now_ms: int) -> Step | None:
        of, amount = asked.of, asked.amount
        so_far = self.refunds[of.id]
        left = of.amount - sum(part for part, _ in so_far)
        if not left:
            assert isinstance(outcome, Unfit)
            assert outcome.code is UnfitCode.ALREADY_REVERSED
            return None
        if amount is not None and amount > left:
            assert isinstance(outcome, Unfit)
            assert (outcome.code, outcome.left) == (UnfitCode.ABOVE_REDEEMED, left)
            return None
        parts = (*so_far, (left if amount is None else amount, asked.by == "merchant" and not asked.is_completed))
        is_whole = sum(part for part, _ in parts) == of.amount
        kind: StepKind = "give_back" if is_whole and all(early for _, early in parts) else "refund"
        back = self.took(outcome, kind, now_ms)
        self.refunds[of.id] = parts
        assert (back.amount, back.of_step) == (parts[-1][0], of.step)
        return back
