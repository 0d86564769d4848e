"""What every answer has in common, whoever parsed its request: it is counted, named, and told to logs and traces."""

from prometheus_client import Counter

from engine.gateway.access_log import AccessLog, method_of
from engine.gateway.answer import Answer, Heading
from engine.gateway.cors import Cors
from engine.telemetry import ANSWERS


class Sender:
    """The one place that every answer passes on its way out."""

    def __init__(self, access_log: AccessLog | None = None, cors: Cors | None = None) -> None:
        self._access_log = access_log
        self._cors = cors if cors is not None and cors.is_on else None
        self._counters: dict[tuple[str, str], Counter] = {}

    def complete(self, endpoint: str, heading: Heading, answer: Answer) -> Answer:
        """The answer as it goes out. `endpoint` is what the metrics call the route; there are few."""
        self._count(endpoint, answer.outcome)
        if self._access_log is not None:
            self._access_log.note(endpoint, heading, answer)
        if heading.trace is not None:
            _end_trace(endpoint, heading, answer)
        headers = (*answer.headers, ("X-Request-Id", heading.request_id))
        if self._cors is not None:
            headers = self._cors.opened(endpoint, heading.origin, headers)
        return Answer(answer.status, answer.outcome, headers, answer.body, answer.close)

    def preflight(self, path: str, heading: Heading, method: str, allow: str) -> Answer | None:
        """The answer to a browser that asks before `method` (`cors`); None where that is not to be answered."""
        answer = None if self._cors is None else self._cors.preflight(path, heading.origin, method, allow)
        return None if answer is None else self.complete("preflight", heading, answer)

    def _count(self, endpoint: str, outcome: str) -> None:
        counter = self._counters.get((endpoint, outcome))
        if counter is None:
            counter = self._counters[endpoint, outcome] = ANSWERS.labels(endpoint, outcome)
        counter.inc()


def _end_trace(endpoint: str, heading: Heading, answer: Answer) -> None:
    """Names as OpenTelemetry's conventions for HTTP servers have them, where they have one."""
    assert heading.trace is not None
    method = method_of(heading)
    attributes: dict[str, str | int] = {
        "http.request.method": method,
        "http.route": heading.route,
        "http.response.status_code": answer.status,
        "dropwave.endpoint": endpoint,
        "dropwave.outcome": answer.outcome,
        "dropwave.request_id": heading.request_id,
    }
    heading.trace.end(f"{method} {heading.route}".rstrip(), attributes, failed=answer.status >= 500)
