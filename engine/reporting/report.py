"""A report on one wave: figures of the ledger, each with what is needed to know how far it can be trusted.

Money is in minor units of the campaign's currency, instants are Unix milliseconds. There is no account, person or
code in it; who acted is, because operators act under their names.
"""

from msgspec import Struct

from engine.domain.campaign import Catalogue
from engine.domain.decisions import ActLine, LogEntry, WaveState, WaveStatus
from engine.reporting.sight import HotOffer, Place, Sight
from engine.reporting.stock import Stock


class TermsGiven(Struct, frozen=True):
    """Claims that were given one version of an offer's terms. `value` is what one of them costs its funder at most."""

    version: int
    hash: str
    value: int
    claims: int


class OfferReport(Struct, frozen=True):
    """One offer of the wave, as the ledger has it; `hot` is the hot store's count, None where it has none."""

    id: str
    title: str
    face: int | None
    stock: Stock
    terms: tuple[TermsGiven, ...]
    first_claim_ms: int | None
    last_claim_ms: int | None
    quarantined: int
    """Claims that the ledger keeps apart until somebody has looked: they count in the hot store."""
    voided: int
    """Claims that were taken back out of the quarantine. Nobody holds their units, and nobody can get them."""
    sold_out_ms: int | None
    """Since when nothing is left; None where something is, or was until it was rolled over."""
    by_second: tuple[int, ...]
    """Claims in each of the first seconds from the opening on."""
    hot: HotOffer | None

    @property
    def claimed(self) -> int:
        """Claims that are settled."""
        return sum(given.claims for given in self.terms)

    @property
    def left(self) -> int:
        """Units that can be claimed, as far as settled."""
        return self.stock.total - self.claimed - self.quarantined - self.voided

    @property
    def value_given(self) -> int:
        """What the claims cost their funder at most: the face value of each, by the terms that it was given."""
        return sum(given.claims * given.value for given in self.terms)


class Peak(Struct, frozen=True):
    """The second with the most claims, counted in whole seconds from the opening."""

    second: int
    claims: int


class Settled(Struct, frozen=True):
    """How far the ledger had got when it was read, and how many decisions of the campaign it lacked (None: unknown)."""

    place: Place
    behind: int | None


class WaveReport(Struct, frozen=True):
    """Everything about one wave."""

    catalogue: Catalogue
    wave: str
    state: WaveState
    """As the hot store has the wave, or else the last act in the ledger."""
    status: WaveStatus
    stopped: str
    """Why the whole campaign is stopped; empty where it is not."""
    planned_ms: tuple[int, int]
    """Opening and closing by the campaign's file."""
    offers: tuple[OfferReport, ...]
    by_second: tuple[int, ...]
    peak: Peak | None
    accounts: int
    persons: int | None
    """Distinct persons; None where limits count accounts."""
    acts: tuple[tuple[LogEntry, ActLine], ...]
    """On the wave, and stops of its campaign that concerned it, oldest first."""
    acts_left_out: int
    """Older ones that are not shown."""
    as_of_ms: int
    """When the ledger was read, by its clock."""
    complete: bool
    """No claim that was made by then is missing."""
    settled: Settled
    sight: Sight
    agrees: bool | None
    """Whether the hot store has given what the ledger holds and what is on its way there; None where it cannot tell."""

    @property
    def stock(self) -> Stock:
        """Of all offers."""
        return sum((offer.stock for offer in self.offers), Stock())

    @property
    def claimed(self) -> int:
        """Claims that are settled."""
        return sum(offer.claimed for offer in self.offers)

    @property
    def quarantined(self) -> int:
        """Of all offers."""
        return sum(offer.quarantined for offer in self.offers)

    @property
    def voided(self) -> int:
        """Of all offers."""
        return sum(offer.voided for offer in self.offers)

    @property
    def left(self) -> int:
        """Of all offers."""
        return sum(offer.left for offer in self.offers)

    @property
    def value_given(self) -> int:
        """Of all offers."""
        return sum(offer.value_given for offer in self.offers)

    @property
    def first_claim_ms(self) -> int | None:
        """None where nothing is claimed."""
        return min((offer.first_claim_ms for offer in self.offers if offer.first_claim_ms is not None), default=None)

    @property
    def last_claim_ms(self) -> int | None:
        """None where nothing is claimed."""
        return max((offer.last_claim_ms for offer in self.offers if offer.last_claim_ms is not None), default=None)

    @property
    def sold_out_ms(self) -> int | None:
        """Since when nothing is left of any offer; offers that were never in stock do not count."""
        times = [offer.sold_out_ms for offer in self.offers if offer.sold_out_ms is not None or offer.stock.total]
        gone = [time for time in times if time is not None]
        return max(gone) if gone and len(gone) == len(times) else None

    def since_opening_ms(self, at_ms: int | None) -> int | None:
        """How long after the opening that was."""
        return None if at_ms is None else at_ms - self.state.opens_ms
