"""What a rehearsal looks like from outside at one moment, and who draws it."""

from collections.abc import Mapping
from typing import Literal, Protocol

from msgspec import Struct

Phase = Literal["countdown", "drop", "settling", "pause", "after the close", "in shops", "judging"]


class Shelf(Struct, frozen=True):
    """One offer: units left, units in all."""

    offer: str
    left: int
    total: int


class Picture(Struct, frozen=True):
    """One moment. Rates are of the time since the picture before; `lag` counts decisions not settled yet.

    It is None where that cannot be seen.
    """

    phase: Phase
    to_opening_ms: int
    users: int
    arrived: int
    finished: int
    requests: int
    requests_per_s: float
    claims: int
    claims_per_s: float
    shelves: tuple[Shelf, ...]
    refusals: Mapping[str, int]
    lag: int | None


class Screen(Protocol):
    """Draws pictures."""

    def show(self, picture: Picture) -> None:
        """The latest moment; called about once a second."""
