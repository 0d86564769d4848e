"""What every answer has in common, whoever parsed its request: it is counted, and names its request."""

from prometheus_client import Counter

from engine.gateway.answer import Answer, Heading
from engine.telemetry import ANSWERS


class Sender:
    """The one place that every answer passes on its way out."""

    def __init__(self) -> None:
        self._counters: dict[tuple[str, str], Counter] = {}

    def complete(self, endpoint: str, heading: Heading, answer: Answer) -> Answer:
        """The answer as it goes out. `endpoint` is what the metrics call the route; there are few."""
        self._count(endpoint, answer.outcome)
        headers = (*answer.headers, ("X-Request-Id", heading.request_id))
        return Answer(answer.status, answer.outcome, headers, answer.body, answer.close)

    def _count(self, endpoint: str, outcome: str) -> None:
        counter = self._counters.get((endpoint, outcome))
        if counter is None:
            counter = self._counters[endpoint, outcome] = ANSWERS.labels(endpoint, outcome)
        counter.inc()
