"""What a till is told of a user's vouchers: which can be used for a payment, best first, and why the others cannot.

A quote is decided by the very function that a redemption is decided by, on one look at the books, so the two cannot
disagree at one instant. It changes nothing and holds nothing back: what happens to a voucher afterwards, its redemption
tells. Of vouchers that no store of the merchant takes nothing is said, not even how many there are.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from msgspec import Struct

from engine.domain.discount import Quote, best_first
from engine.domain.redemption import Fit, Line, Redeem, Standing, Unfit, UnfitCode, decide
from engine.errors import HotStoreError
from engine.hotstore.store import HotStore
from engine.hotstore.view import last_decision
from engine.ledger.code_pages import open_pages
from engine.ledger.database import Ledger
from engine.ledger.held_vouchers import HeldVoucher, HeldVouchers, held_vouchers
from engine.ledger.promise_book import Kept, PromiseBook
from engine.redeeming.arrivals import Arrivals

log = structlog.get_logger(__name__)

LiveCampaigns = Callable[[str, str], Awaitable[list[tuple[int, str]]]]
"""(number, id) of the campaigns in the hot store that concern a merchant and its store. Raises HotStoreError."""

Places = dict[tuple[int, str], tuple[int, int] | None]
"""Campaigns by (number, id), each with (epoch, number) of its last decision; None where it left the hot store."""

_ITS_OWN: Final = "-"
"""Stands for the number of a payment that is still to come: a new one, with no voucher on it."""


class AskQuotes(Struct, frozen=True):
    """What a till wants to know: which vouchers of that account are good for this order. Texts may be empty, save
    `account`, `merchant` and `store`; `amount` and `lines` are those of `Redeem`."""

    account: str
    merchant: str
    store: str
    order_no: str
    payment_no: str
    amount: int
    lines: tuple[Line, ...]


class Quoted(Struct, frozen=True):
    """A voucher and what a redemption of it would be answered with at this instant."""

    standing: Standing
    kept: Kept
    decision: Fit | Unfit


class Quotes(Struct, frozen=True):
    """The user's vouchers of this merchant, at `now_ms` of the ledger's clock."""

    now_ms: int
    usable: tuple[Quoted, ...]
    """Best first."""
    unusable: tuple[Quoted, ...]
    left_out: int
    """So many more there are; one look has a bound."""
    is_complete: bool
    """Whether every voucher that the user had claimed by the time of asking is among these."""


class Quoting:
    """Of one process."""

    def __init__(
        self, ledger: Ledger, store: HotStore, book: PromiseBook, arrivals: Arrivals, live_campaigns: LiveCampaigns
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._book = book
        self._arrivals = arrivals
        self._live_campaigns = live_campaigns

    async def quotes(self, asked: AskQuotes) -> Quotes:
        """What the vouchers of that account are worth here. Raises LedgerError.

        Where the hot store cannot say what was claimed last, or the ledger does not get it in time, the answer is not
        complete; what it says is true all the same.
        """
        decided = await self._decided(asked)
        held = await self._look(asked, decided or {})
        is_complete = decided is not None
        behind = [campaign for campaign, place in (decided or {}).items() if _is_behind(held, campaign, place)]
        if behind:
            arrived = await asyncio.gather(*(self._has_arrived(no, campaign) for no, campaign in behind))
            is_complete = all(arrived)
            held = await self._look(asked, {})
        found = await self._weighed(asked, held)
        usable = {each.standing.code: each for each in found if isinstance(each.decision, Fit)}
        order = best_first(_as_quote(each, each.decision) for each in found if isinstance(each.decision, Fit))
        return Quotes(
            now_ms=held.now_ms,
            usable=tuple(usable[quote.code] for quote in order),
            unusable=tuple(each for each in found if isinstance(each.decision, Unfit)),
            left_out=held.of_all - len(held.vouchers),
            is_complete=is_complete and not held.has_quarantined,
        )

    async def _look(self, asked: AskQuotes, campaigns: Places) -> HeldVouchers:
        numbers = [no for no, _ in campaigns]
        return await held_vouchers(self._ledger, asked.account, asked.merchant, asked.store, asked.payment_no, numbers)

    async def _decided(self, asked: AskQuotes) -> Places | None:
        """The last decision of each live campaign of that merchant; None where the hot store cannot be asked."""
        try:
            live = await self._live_campaigns(asked.merchant, asked.store)
            places = await asyncio.gather(*(last_decision(self._store, campaign) for _, campaign in live))
        except HotStoreError as error:
            log.warning("quotes may lack what is not settled yet", error=str(error))
            return None
        return dict(zip(live, places, strict=True))

    async def _has_arrived(self, campaign_no: int, campaign: str) -> bool:
        try:
            return await self._arrivals.wait(campaign_no, campaign)
        except HotStoreError as error:
            log.warning("quotes may lack what is not settled yet", campaign=campaign, error=str(error))
            return False

    async def _weighed(self, asked: AskQuotes, held: HeldVouchers) -> list[Quoted]:
        """Each voucher with its decision, in the order of the look."""
        standings = [each.standing for each in held.vouchers]
        terms = await self._book.promises((each.campaign_no, each.offer_no, each.terms_version) for each in standings)
        kepts = [terms[each.campaign_no, each.offer_no, each.terms_version] for each in standings]
        keys = [(each.campaign_no, each.code) for each in standings]
        shown = [key for key, kept in zip(keys, kepts, strict=True) if kept.promise.offer.needs_code_page]
        pages = await open_pages(self._ledger, shown)
        quoted = []
        for each, kept, key in zip(held.vouchers, kepts, keys, strict=True):
            standing = each.standing
            decision = decision_on(asked, each, kept, held.now_ms, pages.get(key, 0))
            if not (isinstance(decision, Unfit) and decision.code is UnfitCode.OTHER_MERCHANT):
                quoted.append(Quoted(standing, kept, decision))
        return quoted


def decision_on(asked: AskQuotes, held: HeldVoucher, kept: Kept, now_ms: int, page_until_ms: int = 0) -> Fit | Unfit:
    """What a redemption of this voucher for that order would be answered with at that instant.

    Without a number, the payment is one of its own. `page_until_ms` is that of `decide`.
    """
    redeem = Redeem(
        code=held.standing.code,
        merchant=asked.merchant,
        store=asked.store,
        clerk="",
        order_no=asked.order_no,
        payment_no=asked.payment_no or _ITS_OWN,
        amount=asked.amount,
        lines=asked.lines,
        request_no="",
    )
    return decide(redeem, held.standing, kept.promise, now_ms, held.places_taken, page_until_ms)


def _as_quote(quoted: Quoted, fit: Fit) -> Quote:
    standing = quoted.standing
    return Quote(standing.code, quoted.kept.promise.offer, standing.period.expires_at_ms, fit.discount)


def _is_behind(held: HeldVouchers, campaign: tuple[int, str], place: tuple[int, int] | None) -> bool:
    """Whether the ledger lacked decisions at the look. A campaign that left the hot store meanwhile is asked again."""
    return place is None or held.places.get(campaign[0], (0, 0)) < place
