"""What the hot store decides upon and what it has decided: waves as the script sees them, acts, log entries.

The hot store writes these, the ledger remembers them, the writer carries them over.
"""

from typing import Literal

from msgspec import Struct

from engine.domain.campaign import Cap, Catalogue, CatalogueWave, Limit
from engine.domain.outcome import Claim

WaveFlag = Literal["live", "paused", "closed", "cancelled"]
"""What acts have made of a wave."""
WaveStatus = Literal["scheduled", "open", "paused", "sold_out", "closed", "cancelled"]
"""What a wave is doing at an instant, as people are told."""


class Rules(Struct, frozen=True):
    """What the claim script has to know of a campaign."""

    limits: tuple[Limit, ...]
    cap: Cap = Cap()
    stopped: str = ""
    """The reason why nobody may claim in any wave of this campaign; empty where it goes on."""


class OfferState(Struct, frozen=True):
    """One offer in one wave: units in all, the terms version a claim is given, its worth for the cap."""

    total: int
    terms: int
    value: int


class WaveState(Struct, frozen=True):
    """A wave as the claim script sees it. `offers` is keyed by offer number (a string, for cjson)."""

    id: str
    round: str
    day: str
    opens_ms: int
    closes_ms: int
    offers: dict[str, OfferState]
    state: WaveFlag = "live"
    reason: str = ""
    closed_ms: int = 0
    void_before_ms: int = 0
    """Tickets issued before this instant are void."""
    rolled_in: dict[str, dict[str, int]] = {}
    """Units that other waves left unsold and this one got: wave number -> offer number -> units."""
    rolled_out: dict[str, int] | None = None
    """Units that this wave left unsold and gave away, by offer number; None where it has not given any away."""

    revision: int = 0
    """Of the catalogue that the wave was last put from."""

    def moved_units(self, offer_no: str) -> int:
        """How many units of that offer the wave has more (or less) than its campaign gives it, by rollovers."""
        gained = sum(units.get(offer_no, 0) for units in self.rolled_in.values())
        return gained - (self.rolled_out or {}).get(offer_no, 0)

    def status(self, now_ms: int, *, is_stopped: bool, is_anything_left: bool) -> WaveStatus:
        """What the wave is doing at that instant of the store's clock. `is_stopped`: its whole campaign is."""
        if self.state == "cancelled":
            return "cancelled"
        if self.state == "closed" or now_ms >= self.closes_ms:
            return "closed"
        if now_ms < self.opens_ms:
            return "scheduled"
        if self.state == "paused" or is_stopped:
            return "paused"
        return "open" if is_anything_left else "sold_out"

    @classmethod
    def of(cls, catalogue: Catalogue, wave: CatalogueWave) -> "WaveState":
        """The state in which a wave is put for the first time."""
        offers = {offer.no: offer for offer in catalogue.offers}
        return cls(
            id=wave.id,
            round=wave.round,
            day=wave.day,
            opens_ms=wave.opens_at_ms,
            closes_ms=wave.closes_at_ms,
            offers={
                str(no): OfferState(total, offers[no].current.version, offers[no].current.promise.offer.value)
                for no, total in wave.stock.items()
            },
            revision=catalogue.revision,
        )


ActKind = Literal[
    "put_campaign",
    "put_wave",
    "pause",
    "resume",
    "close",
    "cancel",
    "restock",
    "move",
    "void_tickets",
    "roll_out",
    "roll_in",
    "lapse",
    "stop",
    "start",
    "refill",  # stands for acts that a ledger lost by going back in time
]


class ActLine(Struct, frozen=True):
    """An act as the log tells it: who did what, why, and the absolute state that came of it."""

    number: int
    id: str
    kind: ActKind
    actor: str
    reason: str
    wave_no: int = 0
    revision: int = 0
    """Of the catalogue that was put, or that the act was worked out from."""
    state: WaveState | None = None
    """The wave after the act; None for an act on the campaign."""
    rules: Rules | None = None
    """The campaign's rules after the act; None for an act on a wave."""
    applied_ms: int = 0
    """When the revision that this act put was applied; 0 for an act that puts none."""


class LogEntry(Struct, frozen=True):
    """One entry of the log. Exactly one of `claims` and `act` holds something."""

    epoch: int
    first: int
    last: int
    at_ms: int
    claims: tuple[Claim, ...] = ()
    act: ActLine | None = None
