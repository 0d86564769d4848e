"""What every answer has in common, whoever parsed its request: it is counted, named, and told to logs and traces."""

import asyncio
from typing import Final

from engine.gateway.access_log import AccessLog, method_of
from engine.gateway.answer import Answer, Headers, Heading
from engine.gateway.cors import Cors
from engine.gateway.wire import as_bytes
from engine.telemetry import ANSWERS

_TELL_S: Final = 0.05
"""After an answer, the metric has it."""


class Sender:
    """The one place that every answer passes on its way out: as an `Answer` for aiohttp, or as bytes."""

    def __init__(self, access_log: AccessLog | None = None, cors: Cors | None = None) -> None:
        self._access_log = access_log
        self._cors = cors if cors is not None and cors.is_on else None
        self._counts: dict[tuple[str, str], int] = {}
        """Answers that the metric does not have yet, by endpoint and outcome."""

    def complete(self, endpoint: str, heading: Heading, answer: Answer) -> Answer:
        """The answer as it goes out. `endpoint` is what the metrics call the route; there are few."""
        headers = (*self.pass_on(endpoint, heading, answer), ("X-Request-Id", heading.request_id))
        return Answer(answer.status, answer.outcome, headers, answer.body, answer.close)

    def complete_bytes(self, endpoint: str, heading: Heading, answer: Answer, *, is_last: bool) -> bytes:
        """The same as HTTP/1.1; `is_last` says that its connection ends."""
        headers = self.pass_on(endpoint, heading, answer)
        return as_bytes(answer.status, headers, heading.request_id, answer.body, is_last=is_last)

    def preflight(self, path: str, heading: Heading, method: str, allow: str) -> Answer | None:
        """The answer to a browser that asks before `method` (`cors`); None where that is not to be answered."""
        answer = None if self._cors is None else self._cors.preflight(path, heading.origin, method, allow)
        return None if answer is None else self.complete("preflight", heading, answer)

    def tell(self) -> None:
        """Bring the metric up to date: to count each answer there, in a file where workers share one, costs as much as
        to check a ticket."""
        counts, self._counts = self._counts, {}
        for (endpoint, outcome), count in counts.items():
            ANSWERS.labels(endpoint, outcome).inc(count)

    def pass_on(self, endpoint: str, heading: Heading, answer: Answer) -> Headers:
        """An answer goes out: note it; gives its headers, but for its name. The two above are the way here."""
        if not self._counts:
            asyncio.get_running_loop().call_later(_TELL_S, self.tell)
        key = (endpoint, answer.outcome)
        self._counts[key] = self._counts.get(key, 0) + 1
        if self._access_log is not None:
            self._access_log.note(endpoint, heading, answer)
        if heading.trace is not None:
            _end_trace(endpoint, heading, answer)
        if self._cors is not None:
            return self._cors.opened(endpoint, heading.origin, answer.headers)
        return answer.headers


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
