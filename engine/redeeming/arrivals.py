"""Whether the ledger has whatever was claimed by now.

A voucher is in the user's hand the moment the hot store has decided, and in the ledger a moment later. A till that is
faster is not told that the code is unknown: the hot store says how far its decisions have got, and once the ledger's
cursor is there, what is not in the ledger was never claimed.
"""

import asyncio
import time

import structlog

from engine.errors import HotStoreError, UsageError
from engine.hotstore.store import HotStore
from engine.hotstore.view import last_decision
from engine.ledger.catalogues import read_catalogue
from engine.ledger.cursors import read_cursor
from engine.ledger.database import Ledger
from engine.settings import Settings

log = structlog.get_logger(__name__)

POLL_S = 0.02
WAITING_MAX = 64
"""Tills that wait at once in one process; past it the answer is `not_settled_yet` at once. Each looks at the cursor by
itself; honest ones are few, since hardly anybody pays in the second in which the claim was made."""


class Arrivals:
    """Looks for claims that the ledger has not got yet."""

    def __init__(self, store: HotStore, ledger: Ledger, settings: Settings) -> None:
        self._store = store
        self._ledger = ledger
        self._settings = settings
        self._waiting = 0

    async def wait(self, campaign_no: int, campaign: str) -> bool:
        """True once the ledger has all that was decided in this campaign when this was called; False where that is not
        known by the deadline (`arrival_wait_ms`). Raises LedgerError."""
        if self._waiting >= WAITING_MAX:
            return False
        self._waiting += 1
        try:
            return await self._wait(campaign_no, campaign)
        finally:
            self._waiting -= 1

    async def _wait(self, campaign_no: int, campaign: str) -> bool:
        deadline_s = time.monotonic() + self._settings.arrival_wait_ms / 1000
        try:
            decided = await last_decision(self._store, campaign)
        except HotStoreError as error:
            log.warning("cannot tell what is not settled yet", campaign=campaign, error=str(error))
            return False
        if decided is None:
            return not await self._belongs_in_hot_store(campaign)
        while True:
            try:
                place = (await read_cursor(self._ledger, campaign_no)).place
            except UsageError:  # a campaign without a cursor has never decided anything
                return True
            if place >= decided:
                return True
            if time.monotonic() + POLL_S >= deadline_s:
                return False
            await asyncio.sleep(POLL_S)

    async def _belongs_in_hot_store(self, campaign: str) -> bool:
        """Whether the hot store lacks it for the moment only: then nobody knows what was claimed last."""
        catalogue = await read_catalogue(self._ledger, campaign)
        now_ms = await self._store.time_ms()
        return catalogue is not None and catalogue.belongs_in_hot_store(now_ms, self._settings.unload_after_ms)
