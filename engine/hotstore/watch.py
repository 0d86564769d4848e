"""Whether the hot store still keeps what `ack` promises, once a process has connected and goes on for weeks.

Each new connection looks at the server's settings; a CONFIG SET meanwhile would be noticed by none. The second between
two looks is how long a reply can name an `ack` that nobody keeps any more.
"""

import structlog

from engine.errors import HotStoreError
from engine.hotstore.store import HotStore
from engine.service import Loop
from engine.telemetry import PROMISE_BROKEN

log = structlog.get_logger(__name__)

LOOK_S = 1.0
"""Between two looks: a few CONFIG GET, some 0.1 ms of Redis."""


class PromiseWatch:
    """Looks again and again. A service."""

    def __init__(self, store: HotStore) -> None:
        self._store = store
        self._loop = Loop("promise watch", self.look, LOOK_S)
        self._broken = ""

    @property
    def kept(self) -> bool:
        """Whether the last look found settings that keep `ack`."""
        return not self._broken

    async def start(self) -> None:
        """Begin to look."""
        await self._loop.start()

    async def stop(self) -> None:
        """End."""
        await self._loop.stop(grace_s=0.0)  # a look changes nothing

    async def look(self) -> None:
        """Look now. A server that is away tells nothing: what it was found to be counts until it is back."""
        try:
            broken = await self._store.broken_promise()
        except HotStoreError:
            return
        before, self._broken = self._broken, broken
        PROMISE_BROKEN.labels("redis").set(int(bool(broken)))
        if broken and broken != before:
            log.error("claims are refused: the hot store's settings cannot keep ack", why=broken)
        elif before and not broken:
            log.info("the hot store's settings keep ack")
