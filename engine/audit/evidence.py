"""What an audit has gathered, before it is judged."""

from dataclasses import dataclass

from msgspec import Struct

from engine.audit.holders import HeldClaims
from engine.audit.logbook import Logbook
from engine.audit.names import Names
from engine.audit.replay import Replay
from engine.domain.campaign import Catalogue, Limit
from engine.domain.verdict import Faults
from engine.hotstore.view import ShardView
from engine.ledger.audit_queries import Stray
from engine.ledger.checks import ClaimantFigures, LimitFigures, VoucherFigures
from engine.ledger.cursors import Cursor

Place = tuple[int, int]
"""(wave_no, offer_no)."""


class Sight(Struct, frozen=True):
    """The shard, seen twice at the beginning. What was left when `first` was seen lies between the two."""

    first: ShardView
    second: ShardView

    @property
    def marks(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """(epoch, last) of both looks."""
        return (self.first.epoch, self.first.last), (self.second.epoch, self.second.last)


class LedgerFigures(Struct, frozen=True):
    """What the ledger counted by itself. Each figure is true for an instant; they differ by what settled meanwhile."""

    limits: tuple[tuple[Limit, LimitFigures], ...]
    claimants: ClaimantFigures
    vouchers: VoucherFigures
    repeated_requests: int


class BookFigures(Struct, frozen=True):
    """What the ledger held at the one instant that is judged."""

    cursor: Cursor
    last_number: int
    """The highest number in the cursor's epoch: where the cursor has to stand."""
    stocks: dict[Place, int]
    repeated_codes: int
    foreign_codes: int
    held: int
    """Claims in quarantine that count like settled ones."""
    voided: frozenset[tuple[int, int]]
    """(epoch, sequence) of claims that were taken back."""
    strays: list[Stray]
    """Some claims without a voucher and vouchers without a claim, for examples."""


class HotStoreEvidence(Struct, frozen=True):
    """The log and the holders, as they were read after the ledger."""

    logbook: Logbook
    held: HeldClaims


@dataclass
class Evidence:
    """Everything. `wave_no` is the wave that is judged, None for all; `sight` is None where there is no shard."""

    catalogue: Catalogue
    wave_no: int | None
    names: Names
    faults: Faults
    replay: Replay
    ledger: LedgerFigures
    books: BookFigures
    sight: Sight | None
    over: bool
    """Whether every wave is past its close."""
    hot_store: HotStoreEvidence | None = None
    """None where there is no shard, or its epoch is not the ledger's."""

    def judged(self, wave_no: int) -> bool:
        """Whether claims of that wave are judged."""
        return self.wave_no is None or wave_no == self.wave_no
