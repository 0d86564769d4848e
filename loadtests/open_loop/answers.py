"""What was answered when: kept flat while load runs, summed up afterwards."""

from array import array
from collections.abc import Sequence

from msgspec import Struct


class Latency(Struct, frozen=True):
    """Of a class of answers, in milliseconds from when their requests were due."""

    count: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    longest_ms: float
    last_at_ms: float
    """When the last of them came, from the beginning on."""


class Summary(Struct, frozen=True):
    """A run. What never was answered has status 0."""

    offered_per_second: float
    answered_per_second: float
    sent_late_p99_ms: float
    """How much later than due requests went out although a connection was free: this is the generator's own fault."""
    waited_for_connection: int
    """Requests that found every connection busy; what they waited is part of their latency."""
    broken: int
    """Connections that ended in the middle of a request."""
    cpu_s: float
    """Of the generator."""
    all: Latency | None
    by_status: dict[str, Latency]


class Answers:
    """A slot for each request, by its number. Times are nanoseconds of the monotonic clock."""

    def __init__(self, count: int) -> None:
        self.status = array("H", bytes(2 * count))
        self.due_ns = array("q", bytes(8 * count))
        self.answered_ns = array("q", bytes(8 * count))
        self.late_ns = array("q")
        self.waited_for_connection = 0
        self.broken = 0
        self._busy_at_ns = 0

    def all_busy(self, now_ns: int) -> None:
        """Every connection is busy: what is due by now has to wait for one."""
        self._busy_at_ns = now_ns

    def sent(self, number: int, now_ns: int) -> None:
        """That request has gone out: late by the generator's own fault, or because it had to wait."""
        if self.due_ns[number] <= self._busy_at_ns:
            self.waited_for_connection += 1
        else:
            self.late_ns.append(now_ns - self.due_ns[number])

    def summary(self, began_ns: int, cpu_s: float) -> Summary:
        """Everything, and by status."""
        numbers: dict[int, list[int]] = {}
        for number, status in enumerate(self.status):
            numbers.setdefault(status, []).append(number)
        answered = [number for status, each in numbers.items() if status for number in each]
        offered_s = max(1, self.due_ns[-1] - began_ns) / 1e9
        took_s = max((self.answered_ns[number] for number in answered), default=began_ns) - began_ns
        return Summary(
            offered_per_second=len(self.status) / offered_s,
            answered_per_second=len(answered) / max(1e-9, took_s / 1e9),
            sent_late_p99_ms=quantile(sorted(self.late_ns), 0.99) / 1e6,
            waited_for_connection=self.waited_for_connection,
            broken=self.broken,
            cpu_s=cpu_s,
            all=self._latency(answered, began_ns),
            by_status={
                str(status): latency
                for status, each in sorted(numbers.items())
                if (latency := self._latency(each, began_ns))
            },
        )

    def _latency(self, numbers: Sequence[int], began_ns: int) -> Latency | None:
        if not numbers:
            return None
        if not self.answered_ns[numbers[0]]:  # none of them was answered: there is a number and no time
            return Latency(len(numbers), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        took = sorted((self.answered_ns[number] - self.due_ns[number]) / 1e6 for number in numbers)
        last = max(self.answered_ns[number] for number in numbers)
        return Latency(
            count=len(took),
            p50_ms=quantile(took, 0.5),
            p90_ms=quantile(took, 0.9),
            p99_ms=quantile(took, 0.99),
            p999_ms=quantile(took, 0.999),
            longest_ms=took[-1],
            last_at_ms=(last - began_ns) / 1e6,
        )


def quantile(ordered: Sequence[float], share: float) -> float:
    """The least value that at least this share of them does not exceed; 0 of none."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]
