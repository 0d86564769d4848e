"""The one place in the tests that waits: for a condition, with a deadline."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_LOOK_S = 0.01


async def wait_until(condition: Callable[[], T | Awaitable[T]], deadline_s: float = 10.0, what: str = "") -> T:
    """Look at `condition` again and again until it is true, and give what it said.

    AssertionError at the deadline. An exception of the condition is not caught: a look must not fail.
    """
    deadline = time.monotonic() + deadline_s
    while True:
        seen = condition()
        value = await seen if inspect.isawaitable(seen) else seen
        if value:
            return value  # type: ignore[return-value]  # isawaitable does not narrow a type variable
        assert time.monotonic() < deadline, _too_late(condition, deadline_s, what)
        await asyncio.sleep(_LOOK_S)


def wait_until_sync(condition: Callable[[], T], deadline_s: float = 10.0, what: str = "") -> T:
    """The same for tests without an event loop."""
    deadline = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, _too_late(condition, deadline_s, what)
        time.sleep(_LOOK_S)


def _too_late(condition: Callable[[], object], deadline_s: float, what: str) -> str:
    return f"not within {deadline_s} s: {what or inspect.getsource(condition).strip()}"
