"""What is done to each side in a round, a scenario each, in the order in which `all` runs them."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from loadtests.bench.bench import Bench
from loadtests.bench.samples import Result
from loadtests.bench.scenarios.throughput import sustained

Scenario = Callable[[Bench], Awaitable[Result]]

SCENARIOS: Mapping[str, Scenario] = MappingProxyType({"sustained": sustained})
