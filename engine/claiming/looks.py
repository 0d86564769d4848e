"""What claimants hold, looked up for all who ask at the same time: one call of a shard is under way, what is asked
meanwhile is the next. A crowd that fetches its tickets costs the store a call for hundreds of them.
"""

import asyncio

from engine.domain.outcome import Claim
from engine.hotstore.store import HotStore
from engine.hotstore.view import claims_of_claimants

LOOKED_UP_AT_ONCE_MAX = 512
"""Claimants in one call: as many as claims. Who waits is a request in flight, and these are bounded."""

_Asked = tuple[str, "asyncio.Future[list[Claim]]"]
_Shard = tuple[str, int]


class Looks:
    """Of one process."""

    def __init__(self, store: HotStore) -> None:
        self._store = store
        self._waiting: dict[_Shard, list[_Asked]] = {}
        """Of every shard with a call under way, who came after it began."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def held(self, campaign: str, epoch: int, claimant: str) -> list[Claim]:
        """What this claimant holds now. Raises as `claims_of_claimants` does."""
        future: asyncio.Future[list[Claim]] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.get((campaign, epoch))
        if waiting is None:
            self._waiting[campaign, epoch] = [(claimant, future)]
            task = asyncio.create_task(self._look(campaign, epoch), name=f"look at {campaign}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            waiting.append((claimant, future))
        return await future

    async def _look(self, campaign: str, epoch: int) -> None:
        while waiting := self._waiting[campaign, epoch]:
            asked, self._waiting[campaign, epoch] = (
                waiting[:LOOKED_UP_AT_ONCE_MAX],
                waiting[LOOKED_UP_AT_ONCE_MAX:],
            )
            try:
                held = await claims_of_claimants(self._store, campaign, epoch, [claimant for claimant, _ in asked])
            except Exception as error:  # noqa: BLE001 - each of them is told
                for _, future in asked:
                    if not future.done():
                        future.set_exception(error)
            else:
                for (_, future), claims in zip(asked, held, strict=True):
                    if not future.done():
                        future.set_result(claims)
        del self._waiting[campaign, epoch]
