"""A client's line to the installation. Each answer is counted in locust's statistics under its code."""

from collections.abc import Callable, Set
from typing import Any

from locust.contrib.fasthttp import FastHttpSession, ResponseContextManager
from locust.exception import StopUser

from loadtests.swarm.answers import NO_ANSWER, Told, read_answer
from loadtests.swarm.crowd import Crowd

Hear = Callable[[ResponseContextManager], tuple[str, str]]
"""Reads an answer; under which name it is counted, and what is wrong with it (empty: nothing)."""


class Line:
    """Connections of a client, and the crowd that it belongs to."""

    def __init__(self, client: FastHttpSession, crowd: Crowd) -> None:
        self._client = client
        self._crowd = crowd

    def ask(
        self,
        kind: str,
        method: str,
        path: str,
        hear: Hear,
        headers: dict[str, str] | None = None,
        body: str | None = None,
    ) -> None:
        """One request; `hear` is called with its answer. StopUser where no more may begin."""
        crowd = self._crowd
        if crowd.is_closing:
            raise StopUser
        crowd.under_way += 1
        try:
            with self._client.request(method, path, data=body, headers=headers, catch_response=True) as response:
                name, flaw = hear(response)
                response.request_meta.update(request_type=kind, name=name)
                if flaw:
                    response.failure(flaw)
                else:
                    response.success()
        finally:
            crowd.under_way -= 1


def read(response: ResponseContextManager) -> tuple[Told, dict[str, Any]]:
    """What it tells, and its members."""
    return read_answer(response.status_code, response.content)


def flaw(told: Told, response: ResponseContextManager, fine: Set[str]) -> str:
    """What is wrong with an answer that the book has nothing against; empty where its code is `fine`."""
    if told.code in fine:
        return ""
    if told.code == NO_ANSWER:
        return f"no answer: {getattr(response, 'error', '') or 'the connection ended'}"
    return f"{told.code}: {told.detail}" if told.detail else told.code
