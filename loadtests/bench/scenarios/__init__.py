"""What is done to each side in a round, a scenario each, in the order in which `all` runs them."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from loadtests.bench.bench import Bench
from loadtests.bench.samples import Result
from loadtests.bench.scenarios.arriving import drop, latency
from loadtests.bench.scenarios.growing import growth
from loadtests.bench.scenarios.remembering import memory
from loadtests.bench.scenarios.settling import settling
from loadtests.bench.scenarios.sharding import shards
from loadtests.bench.scenarios.shopping import beside_claims, redemptions
from loadtests.bench.scenarios.throughput import acks, alone, early, mixed, retry, sold_out, sustained, tickets, workers

Scenario = Callable[[Bench], Awaitable[Result]]

SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        "sustained": sustained,
        "claims-alone": alone,
        "latency": latency,
        "drop": drop,
        "sold-out": sold_out,
        "early": early,
        "retry": retry,
        "mixed": mixed,
        "tickets": tickets,
        "workers": workers,
        "shards": shards,
        "acks": acks,
        "settling": settling,
        "growth": growth,
        "memory": memory,
        "redemptions": redemptions,
        "redemptions-beside-claims": beside_claims,
    }
)
