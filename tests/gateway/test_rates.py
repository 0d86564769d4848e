"""How often one may ask: the buckets against a plain model, and the gateway over HTTP."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.errors import HotStoreUnavailable
from engine.gateway.rates import _SWEPT_AT_ONCE, GIVEN_BACK, Buckets, Rates
from engine.gateway.refusals import Problem
from engine.settings import Settings
from engine.telemetry import RATE_FORGIVEN, RATE_REFUSED
from tests.gateway.drop import Drop, running_gateway
from tests.gateway.raw import claim_request, connected_to
from tests.support.waiting import wait_until

A = {"offer": "a"}


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


class Model:
    """A token bucket as in a textbook: tokens that drip in, and never overflow."""

    def __init__(self, per_second: float, burst: int, now_s: float) -> None:
        self.per_second = per_second
        self.burst = burst
        self.tokens = float(burst)
        self.now_s = now_s

    def at(self, now_s: float) -> float:
        self.tokens = min(self.burst, self.tokens + (now_s - self.now_s) * self.per_second)
        self.now_s = now_s
        return self.tokens


ACTIONS = st.one_of(
    st.tuples(st.just("wait"), st.floats(0, 5)),
    st.tuples(st.just("take"), st.integers(1, 8)),
    st.tuples(st.just("give back"), st.sampled_from([0.0, 0.5, 0.9, 1.0])),
)


@given(
    per_second=st.sampled_from([0.1, 0.5, 1, 3, 7, 10, 1_000]),
    burst=st.integers(1, 8),
    actions=st.lists(ACTIONS, max_size=30),
)
def test_a_bucket_admits_what_the_model_admits_and_tells_the_true_wait(
    per_second: float, burst: int, actions: list[tuple[str, float]]
) -> None:
    clock = Clock()
    buckets, model = Buckets("user", per_second, burst, 1_000, clock), Model(per_second, burst, clock.now_s)
    begun_s, admitted = clock.now_s, 0.0
    for action, amount in actions:
        if action == "wait":
            clock.now_s += amount / per_second
        elif action == "give back":
            buckets.give_back("u", amount)
            admitted -= min(amount, burst - model.at(clock.now_s))
            model.tokens = min(burst, model.tokens + amount)
        else:
            for _ in range(int(amount)):
                tokens, wait_s = model.at(clock.now_s), buckets.take("u")
                if wait_s:
                    assert tokens < 1 + 1e-3, "refused below the rate"
                    clock.now_s += wait_s  # what was told is true: by then there is one
                    model.at(clock.now_s)
                    assert buckets.take("u") == 0.0
                else:
                    assert tokens > 1 - 1e-3, "more than the rate"
                model.tokens -= 1
                admitted += 1
        assert admitted <= burst + (clock.now_s - begun_s) * per_second + 1e-2


def test_who_is_refused_pays_nothing_and_waits_no_longer_than_told() -> None:
    clock = Clock()
    buckets = Buckets("user", 2, 3, 1_000, clock)
    assert [buckets.take("u") for _ in range(3)] == [0.0] * 3
    assert [round(buckets.take("u"), 3) for _ in range(50)] == [0.5] * 50
    clock.now_s += 0.5
    assert buckets.take("u") == 0.0
    assert buckets.take("other") == 0.0


def test_memory_is_bounded_and_forgetting_only_forgives() -> None:
    clock = Clock()
    buckets, forgiven = Buckets("user", 1, 2, 10, clock), RATE_FORGIVEN.labels("user")._value.get()
    for name in range(100):
        assert buckets.take(str(name)) == 0.0
        assert len(buckets) <= 10
    assert RATE_FORGIVEN.labels("user")._value.get() - forgiven == 90
    buckets.take("99")
    assert buckets.take("99") > 0  # among the ten that are kept
    assert buckets.take("0") == 0.0
    clock.now_s += 2.0
    for name in range(10):  # those that are full again make room by themselves
        buckets.take(f"new {name}")
        assert len(buckets) <= 10
    assert RATE_FORGIVEN.labels("user")._value.get() - forgiven == 91
    buckets.give_back("nobody", 1.0)
    assert buckets.take("new 9") == 0.0


def test_what_is_kept_shrinks_with_the_crowd() -> None:
    clock = Clock()
    buckets = Buckets("user", 10, 5, 10_000, clock)
    for name in range(5_000):
        buckets.take(str(name))
    clock.now_s += 1.0
    assert len(buckets) == 5_000
    for name in range(5_000):
        buckets.take(f"later {name}")
        clock.now_s += 1.0
    assert len(buckets) <= _SWEPT_AT_ONCE


@pytest.mark.parametrize("outcome", ["replayed", "busy", "recovering", "outcome_unknown", "stopped", "paused"])
def test_who_does_as_told_is_never_refused(outcome: str) -> None:
    clock = Clock()
    rates = Rates(Settings(user_requests_per_second=1, user_requests_burst=2), clock)
    for _ in range(500):
        assert rates.user("u") is None
        rates.user_answered("u", outcome)
        clock.now_s += 0.2  # the shortest pause that `busy` asks for
    hammering = [rates.user("u") or rates.user_answered("u", "replayed") for _ in range(100)]
    assert 10 <= hammering.count(None) <= 2 / (1 - GIVEN_BACK) + 1


def test_sold_out_counts_whole_and_zero_is_no_limit() -> None:
    clock = Clock()
    rates = Rates(Settings(user_requests_per_second=1, user_requests_burst=2), clock)
    asked = [rates.user("u") or rates.user_answered("u", "sold_out") for _ in range(5)]
    assert [problem is None for problem in asked] == [True, True, False, False, False]
    refused = asked[-1]
    assert isinstance(refused, Problem)
    assert 1_000 <= refused.wait_ms <= 1_001
    free = Rates(Settings(user_requests_per_second=0), clock)
    assert all(free.user("u") is None and free.address("192.0.2.1") is None for _ in range(1_000))
    assert not free.counts_addresses


@pytest.fixture
def drop_settings(drop_settings: Settings) -> Settings:
    """Little enough to be met; the default is met by nobody who has two thumbs."""
    return replace(drop_settings, user_requests_per_second=0.5, user_requests_burst=4)


async def test_too_often_is_said_between_who_asks_and_what_is_asked(drop: Drop) -> None:
    refused = RATE_REFUSED.labels("user")._value.get()
    for _ in range(4):
        assert (await drop.claim("one-open", {"offer": "nothing"}))["code"] == "unknown_offer"
    for method, path, body in (
        ("POST", "/v1/waves/one-open/claims", {"offer": "a"}),
        ("POST", "/v1/waves/one-open/claims", ["not a claim"]),
        ("POST", "/v1/waves/nowhere/claims", {"offer": "a"}),
        ("POST", "/v1/waves/one-open/tickets", None),
        ("GET", "/v1/waves/one-open/claims", None),
        ("GET", "/v1/me/claims", None),
        ("GET", "/v1/me/vouchers", None),
    ):
        reply = await drop.call(method, path, drop.token(), json=body)
        assert (reply.status, reply["code"], reply["final"]) == (429, "too_many_requests", False), path
        # By then a token is there: one comes every two seconds.
        assert 1_000 < reply["retry_after_ms"] <= 5_001
        assert int(reply.headers["Retry-After"]) == -(-reply["retry_after_ms"] // 1000)
        assert reply.headers["Cache-Control"] == "no-store"
    assert RATE_REFUSED.labels("user")._value.get() - refused == 7
    path = "/v1/waves/one-open/claims"
    assert (await drop.call("POST", path, drop.token(), data=b"offer=a")).status == 415
    assert (await drop.call("POST", path, drop.token(ttl_s=-60), json=A))["code"] == "token_expired"
    assert (await drop.call("POST", path, drop.token(scope="merchant"), json=A))["code"] == "forbidden"
    assert (await drop.claim("one-open", A, drop.token("u2"))).status == 201


async def test_a_ticket_and_a_token_are_one_user(drop: Drop) -> None:
    ticket = (await drop.call("POST", "/v1/waves/one-open/tickets", drop.token()))["ticket"]
    for _ in range(3):
        await drop.call("GET", "/v1/waves/one-open/claims", f"Ticket {ticket}")
    for auth in (f"Ticket {ticket}", drop.token()):
        assert (await drop.claim("one-open", A, auth))["code"] == "too_many_requests"
    # A ticket of another wave is refused for that, as often as one likes.
    assert (await drop.claim("many-open", {"offer": "x"}, f"Ticket {ticket}"))["code"] == "ticket_mismatch"


async def test_a_storm_of_replays_is_slowed_and_loses_nothing(drop: Drop) -> None:
    first = await drop.claim("one-open", A)
    assert first.status == 201
    request = claim_request(drop.token(), "one-open", A)
    async with connected_to(drop.port) as connection:
        connection.send(request * 100)
        replies = [await connection.response() for _ in range(100)]
    statuses = Counter(reply.status for reply in replies)
    assert set(statuses) == {200, 429}
    assert 20 <= statuses[200] <= 40  # ten times as many as the three tokens that were left, and what came meanwhile
    assert all(reply.json["claim"] == first["claim"] for reply in replies if reply.status == 200)


async def test_operators_and_watchers_are_not_slowed(drop: Drop) -> None:
    operator = drop.token("boss", scope="ops", role="operator")
    for _ in range(10):
        assert (await drop.call("GET", "/v1/ops/waves/one-open", operator)).status == 200
        assert (await drop.call("GET", "/v1/waves/one-open", drop.token())).status == 200
        assert (await drop.call("GET", "/v1/time")).status == 200


async def test_each_gateway_counts_by_itself(drop: Drop) -> None:
    async with running_gateway(drop.settings, drop.stores) as other:
        for gateway in (drop, other):
            for _ in range(4):
                assert (await gateway.call("GET", "/v1/me/claims", drop.token())).status == 200
            assert (await gateway.call("GET", "/v1/me/claims", drop.token())).status == 429


async def test_refusals_of_stores_that_are_away_hardly_count(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise HotStoreUnavailable("away")

    monkeypatch.setattr("engine.claiming.holdings.Holdings.of", away)
    codes = [(await drop.call("GET", "/v1/me/claims", drop.token()))["code"] for _ in range(20)]
    assert set(codes) == {"recovering"}


async def test_metrics_tell_of_it(drop: Drop) -> None:
    for _ in range(6):
        await drop.call("GET", "/v1/me/claims", drop.token())

    async def is_told() -> bool:
        return 'dropwave_rate_buckets{per="user"} 1.0' in (await drop.call("GET", "/metrics")).body.decode()

    await wait_until(is_told)
    text = (await drop.call("GET", "/metrics")).body.decode()
    assert 'dropwave_rate_refused_total{per="user"}' in text
    assert 'dropwave_rate_forgiven_total{per="user"}' in text
    assert 'dropwave_answers_total{endpoint="own",outcome="too_many_requests"}' in text
