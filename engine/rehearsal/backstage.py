"""What lies behind a drop, as far as a rehearsal gets to see it: two stores of its own, or what an operator sees."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from msgspec import Struct

from engine.rehearsal.kept import Kept
from engine.rehearsal.picture import Shelf
from engine.rehearsal.record import ToldClaim


class HeldClaim(Struct, frozen=True):
    """A claim that its user was shown when asked at the end, and the request that it answered."""

    account: str
    claim: ToldClaim
    request_no: int


class Sight(Struct, frozen=True):
    """One look at the wave: units by offer, and how many decisions are not settled yet (None: not to be seen)."""

    shelves: tuple[Shelf, ...]
    lag: int | None


class Backstage(Protocol):
    """Looked at by the rehearsal; nothing is done through it."""

    clock_off_by_ms: float
    """How far the clock that is read here can be off the one that decides, the way of the answer left out."""

    async def time_ms(self) -> int:
        """The hot store's clock."""

    async def sight(self) -> Sight | None:
        """The wave now; None where that cannot be seen for the moment."""

    async def settled(self) -> None:
        """Wait, for a bounded time, until what was decided is in the ledger."""

    async def kept(self, ask: Callable[[], Awaitable[Sequence[HeldClaim]]]) -> Kept:
        """What was kept of the wave. `ask` lets every user who may hold something say what it is."""
