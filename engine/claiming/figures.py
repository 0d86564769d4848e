"""What the board shows, as figures: waves by state, what is left, the next opening, shards and their epochs."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Final, get_args

from engine.claiming.board import Board, LiveWave
from engine.domain.decisions import WaveStatus
from engine.hotstore.view import ShardView
from engine.telemetry import (
    NEXT_OPENING,
    OPEN_OFFERS,
    SHARD_BOUND,
    SHARD_EPOCH,
    UNITS_LEFT,
    WAVES,
    campaign_label,
)

EVERY_S: Final = 1.0
"""The board is read several times a second; nobody looks at figures that often."""
_CLAIMABLE: Final = frozenset({"open", "paused", "sold_out"})


class BoardFigures:
    """Keeps the figures in step with the board: one of its watchers."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._next_s = 0.0
        self._shards: set[str] = set()

    async def see(self, shards: Sequence[ShardView]) -> None:
        """The board was read; these shards could be."""
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + EVERY_S
            self._keep_shards({shard.campaign: shard for shard in shards})
            self._keep_waves(self._board.waves(), self._board.store_time_ms())

    def _keep_shards(self, shards: dict[str, ShardView]) -> None:
        expected = {catalogue.id for catalogue in self._board.campaigns()}
        for campaign in expected | self._shards:
            shard = shards.get(campaign)
            # One that has left the hot store lacks nothing.
            bound = shard.bound if shard else campaign not in expected
            SHARD_BOUND.labels(campaign_label(campaign)).set(int(bound))
            if shard:
                SHARD_EPOCH.labels(campaign_label(campaign)).set(shard.epoch)
        self._shards |= expected

    def _keep_waves(self, waves: Sequence[LiveWave], now_ms: int) -> None:
        states, stock, left = Counter[str](), Counter[str](), dict.fromkeys(self._shards, 0)
        for live in waves:
            status = live.status(now_ms)
            states[status] += 1
            if status in _CLAIMABLE:
                stock.update("in_stock" if units else "sold_out" for units in live.left.values())
                left[live.catalogue.id] += sum(live.left.values())
        for state in get_args(WaveStatus):
            WAVES.labels(state).set(states[state])
        for word in ("in_stock", "sold_out"):
            OPEN_OFFERS.labels(word).set(stock[word])
        for campaign, units in left.items():
            UNITS_LEFT.labels(campaign_label(campaign)).set(units)
        openings = [live.state.opens_ms for live in waves if live.status(now_ms) == "scheduled"]
        NEXT_OPENING.set(min(openings, default=0) / 1000)
