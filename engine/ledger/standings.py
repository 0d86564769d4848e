"""How a campaign stands before an apply: what the ledger knows besides the file that was applied last.

Operators move and restock waves without a file. What a file does not change stays as it stands, so that an
apply undoes none of that.
"""

from collections.abc import Mapping
from datetime import date, datetime

from msgspec import Struct
from msgspec.structs import replace

from engine.domain.campaign import Wave

OVER = ("closed", "cancelled")


class WaveStanding(Struct, frozen=True):
    """A wave as the ledger has it. `opened` and `past`: its opening or closing is past by the ledger's clock."""

    no: int
    opened: bool
    past: bool
    state: str
    withdrawn: bool
    opens_at: datetime
    closes_at: datetime
    day: date
    stock: Mapping[str, int]
    """Units by offer id, without what was rolled over."""

    @property
    def over(self) -> bool:
        """Nobody can claim in it any more."""
        return self.past or self.state in OVER


class Claimed(Struct, frozen=True):
    """What is claimed in a campaign, as far as settled: claims, and their worth in minor units."""

    claims: int = 0
    value: int = 0


class Standing(Struct, frozen=True):
    """A campaign as the ledger has it; the plain one is that of a campaign it does not have."""

    revision: int = 0
    waves: Mapping[str, WaveStanding] = {}
    terms: Mapping[str, tuple[int, str]] = {}
    """The newest version of each offer's terms, and its hash; by offer id."""
    claimed: Claimed = Claimed()
    """Read only where something depends on it: a cap or `sandbox` that changes."""
    now: datetime | None = None
    """By the ledger's clock."""


def as_it_stands(wave: Wave, standing: WaveStanding) -> Wave:
    """The wave of the file that was applied last, with what operators have done to it since."""
    return replace(
        wave,
        opens_at=standing.opens_at,
        closes_at=standing.closes_at,
        day=standing.day,
        stock=dict(standing.stock),
    )


def as_it_will_stand(before: Wave, after: Wave, standing: WaveStanding) -> Wave:
    """The wave after an apply: what differs between the two files is taken from the new one, the rest stands."""
    moved = before.opens_at != after.opens_at
    return replace(
        after,
        opens_at=after.opens_at if moved else standing.opens_at,
        day=after.day if moved or before.day != after.day else standing.day,
        closes_at=after.closes_at if before.closes_at != after.closes_at else standing.closes_at,
        stock={
            offer: standing.stock.get(offer, units) if before.stock.get(offer) == units else units
            for offer, units in after.stock.items()
        },
    )
