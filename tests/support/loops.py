"""The event loops that tests run under."""

import asyncio
from collections.abc import Callable

import uvloop


class DebugLoop(asyncio.SelectorEventLoop):
    """Plain asyncio in debug mode, whatever the test runner sets."""

    def set_debug(self, enabled: bool) -> None:
        super().set_debug(True)


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.SelectorEventLoop,
    "debug": DebugLoop,
}
