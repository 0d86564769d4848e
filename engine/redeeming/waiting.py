"""What a till asks for, on its way through the desk, and the deadline by which all of it ends."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque

from engine.domain.redemption import Unfit, UnfitCode
from engine.redeeming.steps import Asked, Outcome, question_of

BUSY = Unfit(UnfitCode.BUSY)
OUTCOME_UNKNOWN = Unfit(UnfitCode.OUTCOME_UNKNOWN)


class Waiting(ABC):
    """One request of a till, until it has its outcome. Who asks is a subclass, of which `decided` is called, once."""

    __slots__ = ("arrived_s", "asked", "is_over", "is_sent", "lost_step", "question")

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.question = question_of(asked)
        self.arrived_s = time.monotonic()
        self.is_over = False
        """Whether nobody waits for it any more: told, or gone."""
        self.is_sent = False
        """Whether a statement is under way that takes its step."""
        self.lost_step = 0
        """The step that a statement whose reply was lost may have taken, or may still take; 0 where there is none."""

    @abstractmethod
    def decided(self, outcome: Outcome) -> None:
        """This became of it."""

    def end(self, outcome: Outcome) -> None:
        """Tell, unless the client has gone, or has been told because of the deadline."""
        if self.is_over:
            return
        self.is_over = True
        try:
            self.decided(outcome)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others of the batch must hear theirs
            context = {"message": "a till could not be told", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)

    def end_late(self) -> None:
        """The deadline has come. What was not sent till now never will be: nothing is, for whom nobody waits."""
        self.end(OUTCOME_UNKNOWN if self.is_sent or self.lost_step else BUSY)


class Awaited(Waiting):
    """What a task asks."""

    __slots__ = ("_future",)

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self._future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def decided(self, outcome: Outcome) -> None:
        """The task goes on."""
        if not self._future.done():
            self._future.set_result(outcome)

    async def outcome(self) -> Outcome:
        """Once there is one. CancelledError where the task is cancelled: nobody waits then."""
        try:
            return await self._future
        finally:
            self.is_over = True


class Deadlines:
    """Ends what was not ended in time, with one timer for all: one each costs as much as a look at the books."""

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._open: deque[Waiting] = deque()
        """In the order of their arrival, so the first is the first whose deadline comes."""
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, waiting: Waiting) -> None:
        """It ends by its deadline."""
        while self._open and self._open[0].is_over:
            self._open.popleft()
        self._open.append(waiting)
        if self._timer is None:
            self._wait_for(waiting)

    def _wait_for(self, first: Waiting) -> None:
        wait_s = first.arrived_s + self._deadline_s - time.monotonic()
        self._timer = asyncio.get_running_loop().call_later(max(0.0, wait_s), self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        late_s = time.monotonic() - self._deadline_s
        while self._open and (self._open[0].is_over or self._open[0].arrived_s <= late_s):
            self._open.popleft().end_late()
        if self._open:
            self._wait_for(self._open[0])
