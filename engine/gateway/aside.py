"""Requests that have to wait for something, of a protocol that has no task for each."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

import structlog

from engine.gateway.access_log import method_of
from engine.gateway.answer import Answer, Heading
from engine.gateway.refusals import Problem, refuse

log = structlog.get_logger(__name__)


class Listener(Protocol):
    """Who is told of an answer. One of these is called, once."""

    def answered(self, answer: Answer) -> None:
        """Here it is."""

    def left(self) -> None:
        """The client has gone, and what it wanted with it, as far as that was not done yet."""


class Aside:
    """Their tasks; as many at the most as requests in flight (`Load`)."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def wait_for(self, answer: Coroutine[Any, Any, Answer], heading: Heading, listener: Listener) -> None:
        """Tell the listener when there is an answer. CancelledError means that the client has left."""
        task = asyncio.ensure_future(_tell(answer, heading, listener))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _tell(answer: Coroutine[Any, Any, Answer], heading: Heading, listener: Listener) -> None:
    try:
        given = await answer
    except asyncio.CancelledError:
        listener.left()
        return
    except Exception as error:  # noqa: BLE001 - it is logged, and told, as any failure of ours
        given = failure_of_ours(error, heading)
    listener.answered(given)


def failure_of_ours(error: BaseException | None, heading: Heading) -> Answer:
    """The answer where something failed that should not: an id to find it by, and the stack in the log alone."""
    where = {"method": method_of(heading), "route": heading.route}  # the path itself may hold anything
    log.error("request failed", request_id=heading.request_id, **where, exc_info=error)
    problem = Problem("internal", extras={"id": heading.request_id}, close=True)
    return refuse(problem, heading.accept_language)
