"""How long a claim spends in each step, measured on one claim in 16: an observation costs microseconds,
and a sixteenth of a drop is plenty for a histogram. A claim that is traced shows its steps there too.
"""

import time
from typing import Final

from engine.gateway.answer import Heading
from engine.telemetry import CLAIM_STEP_SECONDS
from engine.telemetry.tracing import Trace

_ONE_IN: Final = 16


class Laps:
    """The stopwatch of one claim; does nothing for those that are neither measured nor traced."""

    __slots__ = ("_began_s", "_last_s", "_measured", "_runs", "_trace")

    def __init__(self, *, measured: bool, began_s: float = 0.0, trace: Trace | None = None) -> None:
        """`began_s`: when the request's headers were there; 0 where whoever parsed it does not say."""
        self._measured = measured
        self._trace = trace
        self._runs = measured or trace is not None
        self._began_s = began_s
        self._last_s = 0.0
        if self._runs:
            self._last_s = began_s or time.perf_counter()
            self.done("receive")

    def done(self, step: str) -> None:
        """The step that ran since the last one has ended."""
        if self._runs:
            now_s = time.perf_counter()
            if self._measured:
                CLAIM_STEP_SECONDS.labels(step).observe(now_s - self._last_s)
            if self._trace is not None:
                self._trace.step(step, self._last_s, now_s)
            self._last_s = now_s

    def ended(self) -> None:
        """There is an answer: all of it together, from the headers on."""
        if self._measured and self._began_s:
            CLAIM_STEP_SECONDS.labels("whole").observe(time.perf_counter() - self._began_s)


class LapSampler:
    """Hands out stopwatches: the first claim gets one that runs, and then every sixteenth."""

    def __init__(self) -> None:
        self._seen = -1
        self._idle = Laps(measured=False)

    def next(self, heading: Heading) -> Laps:
        """The stopwatch for one more claim."""
        self._seen += 1
        measured = not self._seen % _ONE_IN
        if not measured and heading.trace is None:
            return self._idle
        return Laps(measured=measured, began_s=heading.began_s, trace=heading.trace)
