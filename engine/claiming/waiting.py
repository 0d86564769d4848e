"""An ask on its way through a desk, and the sending of a batch of them."""

import asyncio
from enum import Enum, auto

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


class Waiting:
    """An ask in the queue, with the code that it will be given and the future of who waits."""

    __slots__ = ("arrived_s", "ask", "code", "epoch", "outcome", "place", "trace")

    def __init__(self, ask: Ask, code: str, outcome: "asyncio.Future[Outcome]", arrived_s: float) -> None:
        self.ask = ask
        self.code = code
        self.outcome = outcome
        self.arrived_s = arrived_s
        self.place = Place.QUEUE
        self.epoch = 0
        """In which it was decided."""
        self.trace = traced_here()

    def end(self, outcome: Outcome) -> None:
        """Give the answer; a client that is gone has cancelled its future."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)


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
