"""All desks of a process: one for each campaign in the hot store, and the archive for the others."""

from collections.abc import Callable, Sequence

import structlog

from engine.claiming.archive import Archive
from engine.claiming.board import Board, LiveWave
from engine.claiming.clock import StoreClock
from engine.claiming.desk import BUSY, OUTCOME_UNKNOWN, RECOVERING, Desk
from engine.claiming.presence import Presence
from engine.claiming.settled import SettledWatch
from engine.claiming.waiting import Waiting
from engine.domain.outcome import Ask, Claimed, Outcome
from engine.errors import LedgerError
from engine.hotstore.store import HotStore
from engine.hotstore.view import ShardView
from engine.settings import Settings

log = structlog.get_logger(__name__)


class Desks:
    """Where a claim is asked for. A service: `stop` answers all that was accepted."""

    def __init__(
        self,
        store: HotStore,
        board: Board,
        clock: StoreClock,
        archive: Archive,
        settled_watch: SettledWatch | None,
        settings: Settings,
        keeps_promise: Callable[[], bool] = lambda: True,
    ) -> None:
        """`keeps_promise`: whether the stores, as they are set now, can keep what `ack` promises."""
        self._store = store
        self._board = board
        self._clock = clock
        self._archive = archive
        self._settled_watch = settled_watch
        self._settings = settings
        self._keeps_promise = keeps_promise
        self._desks: dict[str, Desk] = {}
        self._stopping = False
        board.watchers.append(self._see)

    async def start(self) -> None:
        """Desks open as the board sees their campaigns."""
        if self._settled_watch:
            await self._settled_watch.start()

    async def stop(self) -> None:
        """Answer everything that was accepted, then close."""
        self._stopping = True
        for desk in list(self._desks.values()):
            await desk.stop()
        if self._settled_watch:
            await self._settled_watch.stop()

    @property
    def waiting(self) -> int:
        """Claims in the queues of all desks."""
        return sum(desk.waiting for desk in self._desks.values())

    async def claim(self, live: LiveWave, ask: Ask, presence: Presence | None = None) -> Outcome:
        """The outcome of this ask, once the promise of `ack` holds. Never raises for what happens to a store.

        It holds for a claim that a refusal shows, too.

        CancelledError where the client leaves while it waits for its decision.
        """
        if self._stopping or not self._keeps_promise():
            return BUSY
        desk = self._desks.get(live.catalogue.id)
        if not live.loaded:
            return await self._ask_archive(live, ask)
        if desk is None:
            return RECOVERING
        outcome, epoch = await desk.decided(ask, presence)
        if outcome.claim is None:
            return outcome
        if not self._keeps_promise():
            return OUTCOME_UNKNOWN
        if self._settled_watch is None or outcome.claim.epoch < epoch:
            return outcome  # what an earlier epoch held was in the ledger before the deciding one began
        is_new = isinstance(outcome, Claimed) and not outcome.replayed
        settled = await self._settled_watch.wait(live.catalogue.id, outcome.claim, is_new=is_new)
        return outcome if settled else OUTCOME_UNKNOWN

    def ask(self, live: LiveWave, waiting: Waiting, presence: Presence) -> bool:
        """As `claim`, without a task: `waiting` hears what comes of it, perhaps before this returns.

        False where there is more to wait for than a desk: `claim` has to be called instead.
        """
        desk = self._desks.get(live.catalogue.id)
        if desk is None or not live.loaded or self._settled_watch is not None:
            return False
        if self._stopping or not self._keeps_promise():
            return False
        desk.take(waiting, presence)
        return True

    async def _ask_archive(self, live: LiveWave, ask: Ask) -> Outcome:
        try:
            return await self._archive.claim(live, ask, self._board.store_time_ms())
        except LedgerError as error:
            log.warning("archive cannot answer", error=str(error))
            return BUSY

    async def _see(self, shards: Sequence[ShardView]) -> None:
        """The board was read: open desks for new campaigns, tell the others their epoch, close what left."""
        if self._stopping:
            return
        seen = {shard.campaign: shard for shard in shards}
        for campaign, shard in seen.items():
            desk = self._desks.get(campaign)
            if desk is None:
                desk = Desk(
                    self._store,
                    campaign,
                    shard.catalogue.code_prefix,
                    shard.epoch,
                    self._clock,
                    self._settings,
                    self._keeps_promise,
                )
                self._desks[campaign] = desk
                await desk.start()
            elif shard.bound:
                desk.saw_epoch(shard.epoch)
        for campaign in self._desks.keys() - {catalogue.id for catalogue in self._board.campaigns()}:
            await self._desks.pop(campaign).stop()
