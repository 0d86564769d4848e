"""What the writer tells the hot store: how far each log is settled, and how much of it may be trimmed.

Nothing is promised on the strength of it. A Redis that takes no writes is told later, and whoever waits for the ledger
does not wait for that.
"""

import time
from collections.abc import Collection, Mapping

import structlog

from engine.errors import WritesRefused
from engine.hotstore.log import tell_settled, trim_log
from engine.hotstore.store import HotStore
from engine.ledger.cursors import Cursor
from engine.settling.trimming import Place, PlaceHistory

log = structlog.get_logger(__name__)

TELL_S = 0.1
"""Between two tellings while batches are settled one after the other: each makes Redis write, and sync what it wrote,
while claims wait. At 50,000 claims a second the lag looks 5,000 longer by it, where `log_lag_max` allows millions."""


class Telling:
    """Tells one hot store, for one writer."""

    def __init__(self, store: HotStore, trim_behind_ms: int) -> None:
        self._store = store
        self._trim_behind_s = trim_behind_ms / 1000
        self._told: dict[str, Place] = {}
        self._told_s = 0.0
        self._histories: dict[str, PlaceHistory] = {}
        self._owes = False

    def forget_others(self, campaigns: Collection[str]) -> None:
        """Remember these alone: the others are not loaded any more."""
        for memory in (self._told, self._histories):
            for campaign in memory.keys() - set(campaigns):
                memory.pop(campaign)

    async def tell_soon(self, cursors: Mapping[str, Cursor]) -> None:
        """As `tell`, where the last time is not too recent. The caller calls `tell` before long."""
        if time.monotonic() - self._told_s >= TELL_S:
            await self.tell(cursors)

    async def tell(self, cursors: Mapping[str, Cursor]) -> None:
        """Tell each shard how far it is settled. The claim script bounds the log's length by it."""
        self._told_s = time.monotonic()
        try:
            for campaign, cursor in cursors.items():
                if self._told.get(campaign) != cursor.place:
                    await tell_settled(self._store, campaign, cursor.place)
                    self._told[campaign] = cursor.place
                    self._owes = False
        except WritesRefused as error:
            self._owe(error)

    async def trim(self, cursors: Mapping[str, Cursor]) -> None:
        """Trim each log well behind its cursor."""
        now_s = time.monotonic()
        for campaign, cursor in cursors.items():
            history = self._histories.setdefault(campaign, PlaceHistory(self._trim_behind_s))
            history.note(now_s, cursor.place)
            place = history.due(now_s)
            if place is not None:
                try:
                    await trim_log(self._store, campaign, place)
                except WritesRefused as error:  # the next place is behind this one
                    self._owe(error)

    def _owe(self, error: WritesRefused) -> None:
        """It is tried again before long: one call, that Redis refuses at once."""
        if not self._owes:
            log.warning("the hot store takes no writes: it is told later what is settled", error=str(error))
        self._owes = True
