"""The operators' API: puts the run's own wave, looks at it, asks for the audit. Its requests are in no statistics."""

import functools
import json
import ssl
import time
from typing import Any, Final

import gevent
from locust.contrib.fasthttp import FastHttpSession
from locust.event import EventHook

from engine.errors import CannotRun
from loadtests.swarm.answers import NO_ANSWER, read_answer

ANSWER_S: Final = 30.0
AUDIT_S: Final = 600.0
"""It reads every claim of the campaign from both stores: some minutes for a million."""
_TRIES_S: Final = 60.0
"""For `busy` and `recovering`, which say when to come back."""
_SILENCE_S: Final = 5.0
"""For no answer at all: an address that is wrong stays so."""
_PAUSE_S: Final = 1.0


class OperatorRefused(CannotRun):
    """The operators' API does not do it; `code` says why."""

    def __init__(self, what: str, code: str, answer: dict[str, Any]) -> None:
        self.code = code
        super().__init__(
            f"{what}: {code}" + "".join(f"; {answer[name]}" for name in ("detail", "mistakes") if answer.get(name))
        )


class Operator:
    """Asks at `host` with a token of the scope `ops`."""

    def __init__(self, host: str, token: str) -> None:
        self._host = host
        self._token = token

    def get(self, path: str, within_s: float = ANSWER_S) -> dict[str, Any]:
        """What that address answers. Raises OperatorRefused."""
        return self._ask("GET", path, None, within_s)

    def put(self, path: str, members: dict[str, Any]) -> dict[str, Any]:
        """The same, to put something there."""
        return self._ask("PUT", path, members, ANSWER_S)

    def act(self, wave: str, act: str, reason: str) -> dict[str, Any]:
        """Do something to a wave."""
        return self._ask("POST", f"/v1/ops/waves/{wave}/{act}", {"reason": reason}, ANSWER_S)

    def audit(self, wave: str) -> dict[str, Any]:
        """The audit's verdict."""
        return self._ask("GET", f"/v1/ops/waves/{wave}/audit", None, AUDIT_S)

    def _ask(self, method: str, path: str, members: dict[str, Any] | None, within_s: float) -> dict[str, Any]:
        session = session_of(self._host, within_s)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        data = None if members is None else json.dumps(members)
        began_s = time.monotonic()
        while True:
            response = session.request(method, path, data=data, headers=headers)
            told, answer = read_answer(response.status_code, response.content)
            if told.code == "ok":
                return answer
            tried_s = time.monotonic() - began_s
            if told.is_final or tried_s > (_SILENCE_S if told.code == NO_ANSWER else _TRIES_S):
                if told.code == NO_ANSWER:
                    answer["detail"] = str(getattr(response, "error", ""))
                raise OperatorRefused(f"{method} {self._host}{path}", told.code, answer)
            gevent.sleep(max(told.retry_after_ms / 1000, _PAUSE_S))


@functools.cache
def trust() -> ssl.SSLContext:
    """Checks certificates: tokens are sent. One for all connections: reading the list of authorities takes 20 ms."""
    return ssl.create_default_context()


def session_of(
    host: str, within_s: float, counts: EventHook | None = None, connections: int = 1
) -> FastHttpSession:  # fmt: skip
    """A client of its own, whose requests nobody counts where nobody is named."""
    limits: dict[str, Any] = {"network_timeout": within_s, "connection_timeout": ANSWER_S, "concurrency": connections}
    return FastHttpSession(host, counts or EventHook(), None, insecure=False, ssl_context_factory=trust, **limits)
