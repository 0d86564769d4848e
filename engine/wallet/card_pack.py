"""A user's vouchers, settled or not.

A voucher is in the card pack the moment the hot store has decided, and in the ledger a moment later. So what the hot
store knows is read first, and what of it is settled by then is shown as the ledger has it: whatever is settled between
the two looks is in one of them. Of what is settled a page is read at a time, however much somebody has won.
"""

from collections.abc import Awaitable, Callable, Iterator, Set
from heapq import merge
from typing import Final

from msgspec import Struct

from engine.domain.campaign import Catalogue
from engine.domain.eligibility import Identity
from engine.domain.outcome import Claim
from engine.domain.redemption import Standing, Unfit, UnfitCode, why_not
from engine.domain.voucher import State, period
from engine.ledger.cards import CardPlace, CardRow, card_of_code, cards_of_account, settled_among
from engine.ledger.code_pages import close_page, open_page
from engine.ledger.database import Ledger
from engine.ledger.promise_book import Kept, PromiseBook
from engine.ledger.voucher_acts import delete

Newest = Callable[[Identity], Awaitable[list[tuple[Catalogue, Claim]]]]
"""All claims of a user that the ledger may lack, in no order. Raises HotStoreError or LedgerError."""
Arrived = Callable[[int, str], Awaitable[bool]]
"""Whether the ledger has, or got in a moment, all that was claimed in that campaign (number, id) by now.

Raises LedgerError."""

READ_AT_ONCE: Final = 101
"""Settled vouchers that are read in one look: a page of the largest size, and one that tells whether there is more."""
LOOKED_AT_MAX: Final = 500
"""Settled vouchers that one page looks at: where few are in the states that are asked for, it is a short page, and the
next one goes on. Some three milliseconds of Postgres."""

UNKNOWN: Final = Unfit(UnfitCode.UNKNOWN_CODE)
NOT_SETTLED_YET: Final = Unfit(UnfitCode.NOT_SETTLED_YET)


class Card(Struct, frozen=True):
    """One voucher in a card pack, at `now_ms` of the ledger's clock."""

    campaign: str
    wave: str
    kept: Kept
    """The terms of the claim."""
    standing: Standing
    is_settled: bool
    now_ms: int

    @property
    def state(self) -> State:
        """Its state."""
        return self.standing.state_at(self.now_ms)


class Page(Struct, frozen=True):
    """Some cards, newest first; `behind` is the place at which the next page goes on, None where there is no more."""

    cards: list[Card]
    behind: CardPlace | None


class CardPack:
    """Reads what belongs to a user, and hides what its holder deletes."""

    def __init__(self, newest: Newest, arrived: Arrived, ledger: Ledger, book: PromiseBook) -> None:
        self._newest = newest
        self._arrived = arrived
        self._ledger = ledger
        self._book = book

    async def page(self, identity: Identity, states: Set[State], after: CardPlace | None, cards_max: int) -> Page:
        """The first `cards_max` vouchers in one of these states, or those behind a place. Hidden ones are left out.

        Raises HotStoreError or LedgerError.
        """
        waiting = [row for row in await self._unsettled(identity) if after is None or row.place < after]
        waiting.sort(key=lambda row: row.place, reverse=True)
        found: list[tuple[CardRow, bool]] = []
        looked_at, behind = 0, after
        while looked_at < LOOKED_AT_MAX:
            rows = await cards_of_account(self._ledger, identity.account, behind, READ_AT_ONCE)
            is_last = len(rows) < READ_AT_ONCE
            codes = {row.standing.code for row in rows}  # of the waiting ones those that were settled since
            waiting = [row for row in waiting if row.standing.code not in codes]
            due = [row for row in waiting if is_last or row.place > rows[-1].place]
            waiting = waiting[len(due) :]
            for row, is_settled in _merged(rows, due):
                if not row.standing.is_hidden and row.standing.state_at(row.now_ms) in states:
                    found.append((row, is_settled))
                    if len(found) > cards_max:
                        return Page(await self._shown(found[:cards_max]), found[cards_max - 1][0].place)
            if is_last:
                return Page(await self._shown(found), None)
            looked_at += len(rows)
            behind = rows[-1].place
        return Page(await self._shown(found), behind)

    async def card(self, identity: Identity, code: str) -> Card | None:
        """That voucher of the user, hidden or not; None where it is not the user's. Raises as `page` does."""
        row, is_settled = await card_of_code(self._ledger, code), True
        if row is None:
            mine = (row for row in await self._unsettled(identity) if row.standing.code == code)
            row, is_settled = next(mine, None), False
        if row is None:  # it may have been settled between these two looks
            row, is_settled = await card_of_code(self._ledger, code), True
        if row is None or row.standing.account != identity.account:
            return None
        [card] = await self._shown([(row, is_settled)])
        return card

    async def open_page(self, card: Card, open_ms: int) -> int:
        """The holder has the card's code page open from now on, for so long; until when, exclusive. 0 where its terms
        do not ask for that, and nothing is remembered. Raises LedgerError."""
        if not card.kept.promise.offer.needs_code_page:
            return 0
        return await open_page(self._ledger, (card.standing.campaign_no, card.standing.code), open_ms)

    async def close_page(self, card: Card) -> None:
        """It is open no more. Raises LedgerError."""
        if card.kept.promise.offer.needs_code_page:
            await close_page(self._ledger, (card.standing.campaign_no, card.standing.code))

    async def delete(self, identity: Identity, code: str) -> Card | Unfit:
        """Hide that voucher, a usable one for good. Again, it changes nothing. Raises as `page` does, and ActOutrun."""
        card = await self.card(identity, code)
        if card is not None and not card.is_settled and await self._arrived(card.standing.campaign_no, card.campaign):
            card = await self.card(identity, code)
        if card is None:
            return UNKNOWN
        row = await card_of_code(self._ledger, code) if card.is_settled else None
        if row is None:  # in quarantine, say: it is hers, and there is nothing yet that could be deleted
            return NOT_SETTLED_YET
        row = (await delete(self._ledger, row)).after
        if not row.standing.is_hidden:
            return why_not(row.standing, row.standing.state_at(row.now_ms), card.kept.promise, row.now_ms)
        return Card(row.campaign, row.wave, card.kept, row.standing, is_settled=True, now_ms=row.now_ms)

    async def _unsettled(self, identity: Identity) -> list[CardRow]:
        """The user's vouchers that are not in the ledger yet: nothing can have been done with them."""
        claims = await self._newest(identity)
        keys = [(catalogue.campaign_no, claim.code) for catalogue, claim in claims]
        settled, now_ms = await settled_among(self._ledger, keys)
        found = []
        for catalogue, claim in claims:
            if claim.code not in settled:
                key = (catalogue.campaign_no, claim.offer_no, claim.terms_version)
                kept = (await self._book.promises([key]))[key]
                found.append(_unsettled_row(catalogue, claim, kept, now_ms))
        return found

    async def _shown(self, rows: list[tuple[CardRow, bool]]) -> list[Card]:
        keys = [(row.standing.campaign_no, row.standing.offer_no, row.standing.terms_version) for row, _ in rows]
        terms = await self._book.promises(keys)
        return [
            Card(row.campaign, row.wave, terms[key], row.standing, is_settled, row.now_ms)
            for key, (row, is_settled) in zip(keys, rows, strict=True)
        ]


def _merged(rows: list[CardRow], waiting: list[CardRow]) -> Iterator[tuple[CardRow, bool]]:
    """Both, newest first, each with whether it is settled."""
    pairs = ([(row, True) for row in rows], [(row, False) for row in waiting])
    return merge(*pairs, key=lambda pair: pair[0].place, reverse=True)


def _unsettled_row(catalogue: Catalogue, claim: Claim, kept: Kept, now_ms: int) -> CardRow:
    waves = {wave.no: wave for wave in catalogue.waves}
    wave = waves[claim.wave_no]
    standing = Standing(
        campaign_no=catalogue.campaign_no,
        code=claim.code,
        wave_no=claim.wave_no,
        offer_no=claim.offer_no,
        terms_version=claim.terms_version,
        account=claim.account,
        claimed_at_ms=claim.claimed_at_ms,
        period=period(kept.promise, wave.day, claim.claimed_at_ms),
        kept="pending",
        step=0,
    )
    place = CardPlace(claim.claimed_at_ms, catalogue.campaign_no, claim.epoch, claim.sequence)
    return CardRow(catalogue.id, wave.id, place, standing, now_ms)
