"""An ask on its way through a desk, and the sending of a batch of them."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal

from engine.domain.outcome import Ask, Outcome
from engine.errors import HotStoreUnavailable, WritesRefused
from engine.telemetry.tracing import traced_here

UNAVAILABLE_TRIES = 2
"""A connection that had died unnoticed is replaced once; a second failure means that Redis is away."""


Place = Literal["queue", "deserted", "script", "out"]
"""Where an ask is. A client may leave wherever it is, which is noticed a moment later.

deserted: in the queue, and its client has gone; out: never written.
"""


class Waiting(ABC):
    """An ask on its way. Who asks is a subclass, of which `decided` or `left` is called, once."""

    __slots__ = ("_forget", "arrived_s", "ask", "code", "epoch", "is_over", "place", "trace")

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.code = ""
        self.is_over = False
        """Whether nobody waits for it any more: told, or gone."""

    @abstractmethod
    def decided(self, outcome: Outcome) -> None:
        """The outcome; `epoch` is that in which it was decided."""

    @abstractmethod
    def left(self) -> None:
        """The client has gone before there was one; its connection must not be held on to."""

    def enter(self, arrived_s: float, forget: "Callable[[Waiting], None]") -> None:
        """A desk takes it in, and wants to be told where the client leaves. Its `code` it gets before the script."""
        self.epoch = 0
        self.arrived_s = arrived_s
        self.place: Place = "queue"
        self.trace = traced_here()
        self._forget = forget

    def end(self, outcome: Outcome) -> None:
        """Give the answer, where somebody still waits for it."""
        if not self.is_over:
            self.is_over = True
            try:
                self.decided(outcome)
            except Exception as error:  # noqa: BLE001 - whatever it is, the others of the batch must hear theirs
                context = {"message": "who asked could not be told", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)

    def cancel(self) -> None:
        """The client has gone."""
        if not self.is_over:
            self.is_over = True
            self._forget(self)
            self.left()


class Awaited(Waiting):
    """What a task asks."""

    __slots__ = ("outcome",)

    def __init__(self, ask: Ask) -> None:
        super().__init__(ask)
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def decided(self, outcome: Outcome) -> None:
        """The task goes on."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def left(self) -> None:
        """The task ends."""
        self.outcome.cancel()


class Trial:
    """How the sending of one batch has gone so far.

    `lost`: a call was written and had no answer. `grants`: whether new claims can be written.
    """

    __slots__ = ("first_epoch", "grants", "lost", "not_after_ms", "unavailable")

    def __init__(self, not_after_ms: int, epoch: int) -> None:
        self.not_after_ms = not_after_ms
        self.first_epoch = epoch
        self.lost = False
        self.grants = True
        self.unavailable = 0

    def has_another_try(self, error: HotStoreUnavailable) -> bool:
        """Whether it is worth being sent again at once, after this.

        Where Redis takes no writes, replays and refusals need none: once more with no new claim granted.
        """
        if isinstance(error, WritesRefused):
            granted, self.grants = self.grants, False
            return granted
        self.unavailable += 1
        return self.unavailable < UNAVAILABLE_TRIES
