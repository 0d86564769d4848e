"""Debts of those who guess: honest tills are not locked out, and nobody gets around the rate by asking at once."""

import pytest

from engine.domain.eligibility import Identity
from engine.gateway.answer import Answer
from engine.gateway.guesses import DEBT_S_MAX, NOTHING, Guessed, Guesses
from engine.gateway.identity.caller import Caller
from engine.settings import Settings
from engine.telemetry import GUESSES
from tests.gateway.test_rates import Clock

TILL = Caller(Identity("till"), frozenset({"merchant"}))
OTHER = Caller(Identity("other"), frozenset({"merchant"}))


def answer(outcome: str) -> Answer:
    return Answer(200, outcome, ())


def fail(guesses: Guesses, times: int, guessed: Guessed = "code") -> None:
    for _ in range(times):
        guesses.answered(guessed, TILL, answer(NOTHING if guessed == "user" else "unknown_code"))


def test_a_till_that_mistypes_goes_on() -> None:
    clock = Clock()
    guesses = Guesses(Settings(), clock)
    fail(guesses, 19)
    assert guesses.refusal("code", TILL) is None
    fail(guesses, 1)
    refused = guesses.refusal("code", TILL)
    assert refused is not None
    assert 3_990 < refused.wait_ms < 4_010, "one more every four seconds"
    assert guesses.refusal("code", OTHER) is None
    assert guesses.refusal("user", TILL) is None
    for _ in range(5):
        clock.now_s += 4
        assert guesses.refusal("code", TILL) is None
        fail(guesses, 1)
        assert guesses.refusal("code", TILL) is not None


@pytest.mark.parametrize("outcome", ["redeemed", "replayed", "other_merchant", "expired", "already_redeemed", "busy"])
def test_what_is_found_takes_nothing(outcome: str) -> None:
    guesses = Guesses(Settings(code_guesses_burst=1), Clock())
    for _ in range(100):
        guesses.answered("code", TILL, answer(outcome))
    assert guesses.refusal("code", TILL) is None


def test_who_guesses_at_once_waits_for_all_of_it_within_a_bound() -> None:
    clock = Clock()
    guesses = Guesses(Settings(), clock)
    fail(guesses, 70)
    refused = guesses.refusal("code", TILL)
    assert refused is not None
    assert 203_900 < refused.wait_ms < 204_100, "51 tokens are owed"
    fail(guesses, 5_000)
    refused = guesses.refusal("code", TILL)
    assert refused is not None
    assert refused.wait_ms <= DEBT_S_MAX * 1000 + 1
    clock.now_s += DEBT_S_MAX + 0.001
    assert guesses.refusal("code", TILL) is None


def test_users_have_a_bucket_of_their_own_and_all_is_counted() -> None:
    counters = GUESSES.labels(NOTHING)._value, GUESSES.labels("unknown_code")._value
    before = [counter.get() for counter in counters]
    guesses = Guesses(Settings(code_guesses_per_second=0), Clock())
    fail(guesses, 500)
    assert guesses.refusal("code", TILL) is None, "switched off"
    fail(guesses, 200, "user")
    assert guesses.refusal("user", TILL) is not None
    assert [counter.get() for counter in counters] == [before[0] + 200, before[1] + 500]
