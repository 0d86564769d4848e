"""An ask on its way through a desk, and the sending of a batch of them."""

from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol

from engine.domain.outcome import Ask, Outcome
from engine.errors import HotStoreUnavailable, WritesRefused
from engine.telemetry.tracing import traced_here

UNAVAILABLE_TRIES = 2
"""A connection that had died unnoticed is replaced once; a second failure means that Redis is away."""


class Place(Enum):
    """Where an ask is. A client may leave wherever it is, which is noticed a moment later."""

    QUEUE = auto()
    DESERTED = auto()
    """In the queue, and its client has gone."""
    SCRIPT = auto()
    OUT = auto()
    """Never written."""


class Asker(Protocol):
    """Who asks a desk. One of these is called, once, and must not raise."""

    def decided(self, outcome: Outcome, epoch: int) -> None:
        """The outcome, and the epoch in which it was decided."""

    def left(self) -> None:
        """The client has gone before there was one."""


class Waiting:
    """An ask in the queue, with the code that it will be given, and who is to be told."""

    __slots__ = ("_asker", "_forget", "arrived_s", "ask", "code", "epoch", "is_over", "place", "trace")

    def __init__(
        self, ask: Ask, code: str, asker: Asker, arrived_s: float, forget: "Callable[[Waiting], None]"
    ) -> None:
        self.ask = ask
        self.code = code
        self.arrived_s = arrived_s
        self.place = Place.QUEUE
        self.epoch = 0
        """In which it was decided."""
        self.is_over = False
        """Whether nobody waits for it any more: told, or gone."""
        self.trace = traced_here()
        self._asker = asker
        self._forget = forget

    def end(self, outcome: Outcome) -> None:
        """Give the answer, where somebody still waits for it."""
        if not self.is_over:
            self.is_over = True
            self._asker.decided(outcome, self.epoch)

    def cancel(self) -> None:
        """The client has gone."""
        if not self.is_over:
            self.is_over = True
            self._forget(self)
            self._asker.left()


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
