"""The job that writes down which vouchers have expired.

It belongs to the writer that leads, and is in nobody's way: a statement looks at a bounded piece of the table, locks
nothing that somebody else has locked, and comes after a pause. A pass over a million vouchers takes half a minute where
all have expired, a second or two where none has; then the job rests. Where it does not run, every answer to users and
tills is the same.
"""

import time
from collections.abc import Callable
from typing import Final

import structlog

from engine.ledger.database import Ledger
from engine.ledger.expiry import TURNS, pages_of_vouchers, write_down_expired
from engine.service import Loop
from engine.settings import Settings
from engine.telemetry import VOUCHERS_EXPIRED

log = structlog.get_logger(__name__)

PAGES_AT_ONCE: Final = 64
"""Some 4,300 vouchers. Where all have expired, a turn is 360 of them and some milliseconds of Postgres; where none has,
there is one look, of a millisecond (decision 24)."""
PAUSE_S: Final = 0.002
"""Between two turns at least; else as long as the turn took, so that it is at work for half of the time at most."""
PAUSE_MAX_S: Final = 1.0
"""A turn that took longer has met something out of the ordinary, and that has passed."""
IDLE_S: Final = 0.5
"""Before the next look where another one leads, or the ledger did not answer: nothing is to be had by haste."""


class ExpiryJob:
    """A service. `leads` tells whether this process is the one that works."""

    def __init__(self, ledger: Ledger, settings: Settings, leads: Callable[[], bool]) -> None:
        self._ledger = ledger
        self._rest_s = settings.expiry_pass_ms / 1000
        self._leads = leads
        self._page = 0
        self._turn = 0
        self._end = 0
        self._found = 0
        self._loop = Loop("expiry", self._step, PAUSE_S)

    async def start(self) -> None:
        """Begin with the first page."""
        await self._loop.start()

    async def stop(self) -> None:
        """End; the next one begins with the first page."""
        await self._loop.stop()
        self._begin_again()

    async def _step(self) -> None:
        """One turn of a piece. Behind the last piece the job rests, and begins again."""
        self._loop.pause_s = IDLE_S
        if not self._leads():
            self._begin_again()
            return
        if not self._page and not self._turn:
            # Pages that come later are new rows of what expired, which this pass itself has written, or of claims.
            self._end = await pages_of_vouchers(self._ledger)
        if self._page < self._end:
            self._loop.pause_s = await self._write()
        if self._page < self._end:
            return
        if self._found:
            log.info("expired vouchers written down", vouchers=self._found)
        self._begin_again()
        self._loop.pause_s = self._rest_s

    async def _write(self) -> float:
        """One turn; how long to pause after it, in seconds. Where nothing is left for others, the next piece comes."""
        began_s = time.monotonic()
        written = await write_down_expired(self._ledger, self._page, self._page + PAGES_AT_ONCE, self._turn)
        VOUCHERS_EXPIRED.inc(written.expired)
        self._found += written.expired
        self._turn += 1
        if self._turn == TURNS or written.due == written.expired:
            self._page += PAGES_AT_ONCE
            self._turn = 0
        return min(max(PAUSE_S, time.monotonic() - began_s), PAUSE_MAX_S)

    def _begin_again(self) -> None:
        self._page = self._turn = self._found = 0
