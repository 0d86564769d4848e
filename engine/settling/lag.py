"""How far the ledger is behind, as a figure: read beside the writer's work, and from the hot store alone.

So it is right while the writer is busy with a long transaction, while Postgres is away, and while nobody leads: the
moments in which somebody looks at it. It is what the claim script holds against `log_lag_max`.
"""

from typing import Final

from engine.hotstore.log import read_lags
from engine.hotstore.store import HotStore
from engine.hotstore.view import loaded_campaigns
from engine.service import Loop
from engine.telemetry import LOG_LAG, LOG_LAG_SECONDS, campaign_label

LOOK_S: Final = 1.0


class LagWatch:
    """A service: every writer keeps the figure, whoever leads."""

    def __init__(self, store: HotStore) -> None:
        self._store = store
        self._seen: set[str] = set()
        self._loop = Loop("log lag", self.look_once, LOOK_S)

    async def start(self) -> None:
        """Begin to look."""
        await self._loop.start()

    async def stop(self) -> None:
        """End."""
        await self._loop.stop()

    async def look_once(self) -> None:
        """Read the lag of every shard; one that left the hot store has none."""
        campaigns = await loaded_campaigns(self._store)
        lags = await read_lags(self._store, campaigns) if campaigns else {}
        for campaign, lag in lags.items():
            LOG_LAG.labels(campaign_label(campaign)).set(lag.decisions)
            LOG_LAG_SECONDS.labels(campaign_label(campaign)).set(lag.oldest_ms / 1000)
        for campaign in self._seen - lags.keys():
            LOG_LAG.labels(campaign_label(campaign)).set(0)
            LOG_LAG_SECONDS.labels(campaign_label(campaign)).set(0)
        self._seen = set(lags)
