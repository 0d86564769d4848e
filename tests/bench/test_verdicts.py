"""What a round is not believed for: answers, counts and stores that contradict each other."""

import pytest
from msgspec.structs import replace

from loadtests.bench.arrivals import Arrivals
from loadtests.bench.arrivals import contradictions as of_arrivals
from loadtests.bench.pulling import Wish
from loadtests.bench.pulling import contradictions as of_pulling
from loadtests.bench.report import section
from loadtests.bench.samples import Result, Sample
from loadtests.bench.scenarios.sharding import Together
from loadtests.bench.wrk import Pulled
from loadtests.open_loop.answers import Latency, Summary

CONNECTIONS = 16
PULLED = Pulled(
    requests=1_000, duration_us=1_000_000, bytes=1, claims_sent=1_010, other_status=0, broken=0,
    p50_us=1, p99_us=2, p999_us=3, longest_us=4,
)  # fmt: skip


def latency(count: int) -> Latency:
    return Latency(count, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)


def summary(late_ms: float = 1.0, **by_status: int) -> Summary:
    shown = {status.removeprefix("s"): latency(count) for status, count in by_status.items()}
    return Summary(1_000, 1_000, late_ms, 0, 0, 1.0, latency(sum(by_status.values())), shown)


@pytest.mark.parametrize(
    ("pulled", "given", "users", "wish", "words"),
    [
        (PULLED, 1_005, 2_000, Wish(), ""),
        (PULLED, 983, 2_000, Wish(), "983 claims were given"),
        (PULLED, 1_017, 2_000, Wish(), "1017 claims were given"),
        (PULLED, 1_005, 900, Wish(), "too few"),
        (replace(PULLED, other_status=3), 1_000, 2_000, Wish(), "not 2xx"),
        (replace(PULLED, broken=1), 1_000, 2_000, Wish(), "failed"),
        (replace(PULLED, other_status=1_000), 0, 2_000, Wish(expects="refused"), ""),
        (replace(PULLED, other_status=999), 0, 2_000, Wish(expects="refused"), "were not refused"),
        (replace(PULLED, other_status=1_000), 1, 2_000, Wish(expects="refused"), "none should be"),
        (PULLED, 335, 2_000, Wish(repeats=3), ""),
        (PULLED, 1_000, 2_000, Wish(repeats=3), "1000 claims were given"),
        (replace(PULLED, claims_sent=200), 199, 2_000, Wish(polls=4), ""),
        (replace(PULLED, claims_sent=200), 150, 2_000, Wish(polls=4), "150 claims were given"),
    ],
)
def test_wrk_is_held_against_the_store(pulled: Pulled, given: int, users: int, wish: Wish, words: str) -> None:
    found = of_pulling(pulled, given, users, CONNECTIONS, wish)
    assert (words in found[0]) if words else not found


@pytest.mark.parametrize(
    ("told", "given", "words"),
    [
        (summary(s201=100, s409=200), 100, ""),
        (summary(s201=100, s409=200), 99, "99 claims were given"),
        (summary(s201=100, s409=200), 101, "101 claims"),
        (summary(s201=90, s409=200, s503=10), 90, "90 of 100"),
        (summary(s201=100, s409=200, late_ms=80.0), 100, "late"),
    ],
)
def test_the_open_loop_is_exact(told: Summary, given: int, words: str) -> None:
    found = of_arrivals(told, given, Arrivals(users=300, rate=1_000, stock=100))
    assert (words in found[0]) if words else not found


def sample(side: str, number: int, per_second: float, *wrong: str) -> Sample:
    return Sample(side, number, {"claims_per_second": per_second}, wrong)


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    samples = [sample("engine", number, value) for number, value in enumerate((20.0, 60.0, 10.0))]
    samples += [sample("nginx + Lua", number, value) for number, value in enumerate((10.0, 20.0, 10.0))]
    result = Result("sustained", "Sustained", "As it goes.", ("claims_per_second",), tuple(samples))
    ratio = result.ratio("engine", "nginx + Lua", "claims_per_second")
    assert ratio is not None
    assert (ratio.median, ratio.least, ratio.most) == (2.0, 1.0, 3.0)
    assert "| engine | 20.0 (10.0–60.0) | 2.00 (1.00–3.00) |" in section(result)


def test_what_went_wrong_stands_in_the_report() -> None:
    result = Result("s", "S", "How.", ("claims_per_second",), (sample("engine", 1, 5.0, "3 answers were not 2xx"),))
    assert "- WRONG: engine, round 1: 3 answers were not 2xx" in section(result)


def test_what_is_not_compared_has_no_ratio_and_what_the_host_took_is_told() -> None:
    taken = Sample("small", 1, {"claims_per_second": 5.0, "cpu_steal_cores": 0.25, "cpu_gateway_cores": 0.5})
    result = Result("growth", "Growth", "As it goes.", ("claims_per_second",), (taken,), reference=None)
    told = section(result)
    assert "| | claims/s | taken by other guests, cores |" in told
    assert "| small | 5.0 | 0.25 |" in told
    assert "- cores used by small: steal 0.25, gateway 0.50" in told


def test_loads_that_ran_at_once_add_up() -> None:
    class Deployment:
        does, name = "", "one"

    one, other = Deployment(), Deployment()
    loads = [{"claims_per_second": 10.0, "p99_ms": 5.0, "cpu_redis_cores": 0.2, "cpu_wrk_cores": 0.3},
             {"claims_per_second": 20.0, "p99_ms": 4.0, "cpu_redis_cores": 0.3, "cpu_wrk_cores": 0.3}]  # fmt: skip
    samples = [Sample("x", 1, figures) for figures in loads]
    apart = Together("two", [one, other]).together(samples)  # type: ignore[list-item]  # nothing else is asked of it
    assert apart == {"claims_per_second": 30.0, "p99_ms": 5.0, "cpu_redis_cores": 0.5, "cpu_wrk_cores": 0.3}
    shared = Together("one", [one, one]).together(samples)  # type: ignore[list-item]  # the same
    assert shared["cpu_redis_cores"] == 0.3
