"""The job that writes down which vouchers have expired.

It belongs to the writer that leads, and is in nobody's way: a statement looks at a bounded piece of the table, locks
nothing that somebody else has locked, and comes after a pause. A pass over a million vouchers takes a minute; then the
job rests. Where it does not run, every answer to users and tills is the same.
"""

from collections.abc import Callable
from typing import Final

import structlog

from engine.ledger.database import Ledger
from engine.ledger.expiry import pages_of_vouchers, write_down_expired
from engine.service import Loop
from engine.settings import Settings
from engine.telemetry import VOUCHERS_EXPIRED

log = structlog.get_logger(__name__)

PAGES_AT_ONCE: Final = 16
"""Some 1,100 vouchers. Where all have expired, some 10 ms of Postgres; where none has, a millisecond (decision 24)."""
PAUSE_S: Final = 0.05
"""Between two pieces: at the worst a fifth of one core, in the minute after a million vouchers have expired."""


class ExpiryJob:
    """A service. `leads` tells whether this process is the one that works."""

    def __init__(self, ledger: Ledger, settings: Settings, leads: Callable[[], bool]) -> None:
        self._ledger = ledger
        self._rest_s = settings.expiry_pass_ms / 1000
        self._leads = leads
        self._page = 0
        self._end = 0
        self._found = 0
        self._loop = Loop("expiry", self._step, PAUSE_S)

    async def start(self) -> None:
        """Begin with the first page."""
        await self._loop.start()

    async def stop(self) -> None:
        """End; the next one begins with the first page."""
        await self._loop.stop()
        self._page = self._found = 0

    async def _step(self) -> None:
        """One piece. Behind the last one the job rests, and begins again."""
        if not self._leads():
            self._page = self._found = 0
            return
        if not self._page:
            # Pages that come later are new rows of what expired, which this pass itself has written, or of claims.
            self._end = await pages_of_vouchers(self._ledger)
        if self._page < self._end:
            expired = await write_down_expired(self._ledger, self._page, self._page + PAGES_AT_ONCE)
            VOUCHERS_EXPIRED.inc(expired)
            self._found += expired
            self._page += PAGES_AT_ONCE
        if self._page < self._end:
            self._loop.pause_s = PAUSE_S
            return
        if self._found:
            log.info("expired vouchers written down", vouchers=self._found)
        self._page = self._found = 0
        self._loop.pause_s = self._rest_s
