"""How long a claim spends in each step, measured on one claim in 64: an observation costs microseconds,
and a sixty-fourth of a drop is plenty for a histogram. A claim that is traced shows its steps there too.
"""

import time
from functools import cache
from typing import Final

from prometheus_client import Histogram

from engine.gateway.answer import Heading
from engine.telemetry import CLAIM_STEP_SECONDS
from engine.telemetry.tracing import Trace

_ONE_IN: Final = 64


@cache
def _of(step: str) -> Histogram:
    """Looked up once: that takes as long as what is measured."""
    return CLAIM_STEP_SECONDS.labels(step)


class Laps:
    """The stopwatch of a claim that is measured or traced."""

    __slots__ = ("_began_s", "_last_s", "_measured", "_trace")

    def __init__(self, *, measured: bool, began_s: float = 0.0, trace: Trace | None = None) -> None:
        """`began_s`: when the request's headers were there; 0 where whoever parsed it does not say."""
        self._measured = measured
        self._trace = trace
        self._began_s = began_s
        self._last_s = began_s or time.perf_counter()
        self.done("receive")

    def done(self, step: str) -> None:
        """The step that ran since the last one has ended."""
        now_s = time.perf_counter()
        if self._measured:
            _of(step).observe(now_s - self._last_s)
        if self._trace is not None:
            self._trace.step(step, self._last_s, now_s)
        self._last_s = now_s

    def ended(self, step: str) -> None:
        """There is an answer: after this last step, if any, and all of it together, from the headers on."""
        if step:
            self.done(step)
        if self._measured and self._began_s:
            _of("whole").observe(time.perf_counter() - self._began_s)


class LapSampler:
    """Hands out stopwatches: the first claim gets one that runs, and then every sixty-fourth."""

    def __init__(self) -> None:
        self._until_next = 1

    def next(self, heading: Heading) -> Laps | None:
        """The stopwatch for one more claim; None where nobody looks at it."""
        self._until_next -= 1
        measured = not self._until_next
        if not measured and heading.trace is None:
            return None
        if measured:
            self._until_next = _ONE_IN
        return Laps(measured=measured, began_s=heading.began_s, trace=heading.trace)
