"""The one place that waits for what other processes do: by looking, with a deadline."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable


async def happens(condition: Callable[[], bool | Awaitable[bool]], within_s: float, look_s: float = 0.02) -> bool:
    """Look again and again until it is so, for at most that long; whether it is."""
    ends_s = time.monotonic() + within_s
    while True:
        seen = condition()
        if await seen if inspect.isawaitable(seen) else seen:
            return True
        if time.monotonic() > ends_s:
            return False
        await asyncio.sleep(look_s)
