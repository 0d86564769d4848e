"""What claimants hold, looked up for all who ask at the same time: one call of a shard is under way, what is asked
meanwhile is the next. A crowd that fetches its tickets costs the store a call for hundreds of them, and this process
one task for all of them.
"""

import asyncio
from abc import ABC, abstractmethod

from engine.domain.outcome import Claim
from engine.hotstore.scripts import OtherEpoch
from engine.hotstore.store import HotStore
from engine.hotstore.view import claims_of_claimants

LOOKED_UP_AT_ONCE_MAX = 512
"""Claimants in one call: as many as claims. Who waits is a request in flight, and these are bounded."""

_Shard = tuple[str, int]


class Looking(ABC):
    """Somebody who asks for one claimant's claims. One of these is called, once."""

    __slots__ = ("claimant",)

    claimant: str

    @abstractmethod
    def seen(self, claims: list[Claim]) -> None:
        """What the claimant holds."""

    @abstractmethod
    def unseen(self, error: Exception) -> None:
        """It could not be known: what `claims_of_claimants` has raised."""


class _Awaited(Looking):
    """What a task asks."""

    __slots__ = ("claims",)

    def __init__(self, claimant: str) -> None:
        self.claimant = claimant
        self.claims: asyncio.Future[list[Claim]] = asyncio.get_running_loop().create_future()

    def seen(self, claims: list[Claim]) -> None:
        if not self.claims.done():
            self.claims.set_result(claims)

    def unseen(self, error: Exception) -> None:
        if not self.claims.done():
            self.claims.set_exception(error)


class Looks:
    """Of one process."""

    def __init__(self, store: HotStore) -> None:
        self._store = store
        self._waiting: dict[_Shard, list[Looking]] = {}
        """Of every shard with a call under way, who came after it began."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def held(self, campaign: str, epoch: int, claimant: str) -> list[Claim]:
        """What this claimant holds now, in that epoch or in a later one. Raises as `claims_of_claimants` does."""
        asked = _Awaited(claimant)
        self.ask(campaign, epoch, asked)
        return await asked.claims

    def ask(self, campaign: str, epoch: int, looking: Looking) -> None:
        """As `held`, told to whoever looks, and never before this returns."""
        waiting = self._waiting.get((campaign, epoch))
        if waiting is not None:
            waiting.append(looking)
            return
        self._waiting[campaign, epoch] = [looking]
        task = asyncio.create_task(self._look(campaign, epoch), name=f"look at {campaign}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look(self, campaign: str, epoch: int) -> None:
        while waiting := self._waiting[campaign, epoch]:
            asked, self._waiting[campaign, epoch] = (
                waiting[:LOOKED_UP_AT_ONCE_MAX],
                waiting[LOOKED_UP_AT_ONCE_MAX:],
            )
            try:
                held = await claims_of_claimants(self._store, campaign, epoch, [looking.claimant for looking in asked])
            except OtherEpoch as error:
                for looking in asked:
                    if error.epoch > epoch:
                        self.ask(campaign, error.epoch, looking)  # epochs rise with recoveries, and each takes a while
                    else:
                        _tell(looking, error)  # this server is behind what was seen
            except Exception as error:  # noqa: BLE001 - each of them is told
                for looking in asked:
                    _tell(looking, error)
            else:
                for looking, claims in zip(asked, held, strict=True):
                    _tell(looking, claims)
        del self._waiting[campaign, epoch]


def _tell(looking: Looking, found: list[Claim] | Exception) -> None:
    try:
        if isinstance(found, Exception):
            looking.unseen(found)
        else:
            looking.seen(found)
    except Exception as error:  # noqa: BLE001 - whatever it is, the others of the call must hear theirs
        context = {"message": "who looked could not be told", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)
