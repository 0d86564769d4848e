"""A user's vouchers, settled or not."""

from collections.abc import Awaitable, Callable

from msgspec import Struct

from engine.domain.campaign import Catalogue
from engine.domain.eligibility import Identity
from engine.domain.outcome import Claim
from engine.domain.redemption import Made
from engine.domain.voucher import Period, State, period, state_at
from engine.ledger.database import Ledger
from engine.ledger.promise_book import Kept, PromiseBook
from engine.ledger.voucher_steps import CardStanding, card_standings

Holdings = Callable[[Identity], Awaitable[list[tuple[Catalogue, Claim]]]]
"""All claims of a user, newest first. Raises HotStoreError or LedgerError."""


class Card(Struct, frozen=True):
    """One voucher in a card pack."""

    campaign: str
    wave: str
    claim: Claim
    kept: Kept
    """The terms of the claim."""
    period: Period
    state: State
    is_settled: bool
    made: Made | None
    """What made it so: where and when it was redeemed, why it was taken back, until when it is locked."""


class CardPack:
    """Reads what belongs to a user."""

    def __init__(self, holdings: Holdings, ledger: Ledger, book: PromiseBook) -> None:
        self._holdings = holdings
        self._ledger = ledger
        self._book = book

    async def cards(self, identity: Identity) -> list[Card]:
        """All that the user has not hidden, newest first. Raises HotStoreError or LedgerError."""
        held = await self._holdings(identity)
        keys = [(catalogue.campaign_no, claim.code) for catalogue, claim in held]
        standings = await card_standings(self._ledger, keys)
        terms = await self._book.promises(
            (catalogue.campaign_no, claim.offer_no, claim.terms_version) for catalogue, claim in held
        )
        cards = []
        for catalogue, claim in held:
            kept = terms.get((catalogue.campaign_no, claim.offer_no, claim.terms_version))
            standing = standings.get(claim.code)
            if kept is not None and not (standing is not None and standing.is_hidden):
                cards.append(_card(catalogue, claim, kept, standing))
        return cards

    async def card(self, identity: Identity, code: str) -> Card | None:
        """That voucher of the user; None where it is not the user's. Raises as `cards` does."""
        return next((card for card in await self.cards(identity) if card.claim.code == code), None)


def _card(catalogue: Catalogue, claim: Claim, kept: Kept, standing: CardStanding | None) -> Card:
    wave = next((wave for wave in catalogue.waves if wave.no == claim.wave_no), None)
    wave_id = wave.id if wave is not None else ""
    if standing is None:  # a moment old: nothing can have been done with it
        day = wave.day if wave is not None else ""
        good = period(kept.promise, day, claim.claimed_at_ms)
        state = state_at("pending", good, claim.claimed_at_ms)
        return Card(catalogue.id, wave_id, claim, kept, good, state, is_settled=False, made=None)
    made, now_ms = standing.made, max(standing.now_ms, claim.claimed_at_ms)
    state = state_at(standing.kept, standing.period, now_ms, made.until_ms if made else 0)
    return Card(catalogue.id, wave_id, claim, kept, standing.period, state, is_settled=True, made=made)
