"""The requests that have come on all connections while the event loop went round once, answered together.

An event loop reads a socket, hands on what came, reads the next one. The kernel's work and ours push each other out of
the processor's caches then, for every request; read first, and then answered one behind the other, the same requests
take a twentieth less of the processor (docs/performance.md). Nothing is waited for: they are answered before the loop
looks at its sockets again, so at most one of each connection lies here.
"""

import asyncio
from typing import Protocol

from engine.gateway.lane.plain import Plain


class Taker(Protocol):
    """The connection of a request."""

    def go_on(self, data: bytes, plain: Plain) -> None:
        """With this request, which came on it. It may have ended since."""

    def failed(self, error: Exception) -> None:
        """`go_on` has raised this."""


class Round:
    """Of one event loop."""

    def __init__(self) -> None:
        self._came: list[tuple[Taker, bytes, Plain]] = []

    def add(self, taker: Taker, data: bytes, plain: Plain) -> None:
        """These bytes came on that connection, and are this request."""
        if not self._came:
            asyncio.get_running_loop().call_soon(self._go_on)
        self._came.append((taker, data, plain))

    def _go_on(self) -> None:
        came, self._came = self._came, []
        for taker, data, plain in came:
            try:
                taker.go_on(data, plain)
            except Exception as error:  # noqa: BLE001 - whatever it is, the others are to go on
                taker.failed(error)
