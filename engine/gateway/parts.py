"""What a gateway is made of. `wiring` fills it; everything in this folder takes what it needs from it."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from msgspec import Struct

from engine.claiming.board import LiveCampaign, LiveWave
from engine.claiming.looks import Looking
from engine.claiming.presence import Presence
from engine.claiming.waiting import Waiting
from engine.domain.campaign import Campaign, Catalogue
from engine.domain.eligibility import Identity
from engine.domain.outcome import Ask, Claim, Outcome
from engine.domain.tickets import TicketBook
from engine.domain.verdict import Verdict
from engine.gateway.identity.tokens import TokenReader
from engine.ledger.campaigns import Applied
from engine.ledger.plans import Plan
from engine.redeeming.quoting import Quoting
from engine.redeeming.shops import Shops
from engine.redeeming.taking_back import TakingBack
from engine.reporting.report import WaveReport
from engine.reporting.statement import Statement, TooManyRows, Wanted
from engine.scheduling.operations import Operations
from engine.scheduling.performing import Actor
from engine.settings import Settings
from engine.wallet.card_pack import CardPack


class DesksPart(Protocol):
    """Where claims are decided (`claiming.desks.Desks`)."""

    async def claim(self, live: LiveWave, ask: Ask, presence: Presence | None = None) -> Outcome:
        """The outcome, once the promise of `ack` holds. A store's failure is an outcome too.

        CancelledError where the client leaves while it waits.
        """

    def ask(self, live: LiveWave, waiting: Waiting, presence: Presence) -> bool:
        """As `claim`, with the outcome told to `waiting`; False where `claim` has to be called instead."""


class BoardPart(Protocol):
    """What is on offer (`claiming.board.Board`)."""

    @property
    def ready(self) -> bool:
        """Whether a claim would be decided."""

    def campaigns(self) -> list[Catalogue]:
        """Every campaign in the hot store."""

    def campaign(self, campaign: str, /) -> Catalogue | None:
        """That campaign, where it is in the hot store."""

    def expects(self, catalogue: Catalogue, /) -> bool:
        """Whether that campaign should be in the hot store now."""

    def waves(self) -> list[LiveWave]:
        """Every wave in the hot store."""

    def wave(self, wave: str, /) -> LiveWave | None:
        """That wave, where it is on the board."""

    async def find_wave(self, wave: str, /) -> LiveWave | None:
        """That wave; looks again before it says None."""

    async def find_campaign(self, campaign: str, /) -> LiveCampaign | None:
        """That campaign; looks again before it says None."""

    async def refresh(self) -> None:
        """Read the hot store again now. Raises HotStoreError."""

    def store_time_ms(self) -> int:
        """The hot store's clock as estimated here; 0 before it was first heard."""

    def age_ms(self) -> int:
        """How old the picture is."""


class HoldingsPart(Protocol):
    """What callers hold (`claiming.holdings.Holdings`)."""

    async def in_campaign(self, live: LiveWave, claimant: str, /) -> list[Claim]:
        """All that counts against this claimant's limits there. Raises HotStoreError or LedgerError."""

    def ask(self, live: LiveWave, looking: Looking, /) -> bool:
        """As `in_campaign`, told to whoever looks; False where that has to be called instead."""

    async def in_wave(self, live: LiveWave, identity: Identity, /) -> list[Claim]:
        """The caller's claims in that wave. Raises HotStoreError or LedgerError where it cannot know."""

    async def of(self, identity: Identity, /) -> list[tuple[Catalogue, Claim]]:
        """The caller's claims in all campaigns, newest first. Raises like `in_wave`."""


class OpsPart(Struct, frozen=True):
    """What operators reach through a gateway. The callables raise what the ledger's functions of that name raise."""

    operations: Operations
    catalogues: Callable[[], Awaitable[list[Catalogue]]]
    plan: Callable[[Campaign], Awaitable[Plan]]
    apply: Callable[[Campaign, Actor, int | None], Awaitable[Applied]]
    """With the revision that the campaign has to be at, or None."""
    audit: Callable[[str, str], Awaitable[Verdict]]
    """Of a campaign and a wave."""
    statement: Callable[[Wanted], Awaitable[Statement | TooManyRows]]
    """What vouchers came to in shops. Raises LedgerError."""
    report: Callable[[str], Awaitable[WaveReport]]
    """On a wave. Raises UnknownWave or LedgerError; a hot store that is away is said in the report."""
    taking_back: TakingBack


class GatewayParts(Struct, frozen=True):
    """The rooms a gateway speaks to."""

    settings: Settings
    desks: DesksPart
    board: BoardPart
    holdings: HoldingsPart
    card_pack: CardPack
    shops: Shops
    quoting: Quoting
    tickets: TicketBook
    tokens: TokenReader
    ops: OpsPart
    can_acknowledge: Callable[[], bool] = lambda: True
    """Whether what `ack` waits for beyond the decision is there."""
