"""Which campaigns of a merchant can have given a claim that the ledger does not have yet."""

from engine.claiming.board import Board
from engine.domain.campaign import Catalogue
from engine.errors import HotStoreUnavailable
from engine.hotstore.store import HotStore
from engine.hotstore.view import loaded_campaigns


class LiveCampaigns:
    """Reads the board, and looks again where a campaign is loaded that is not on it."""

    def __init__(self, store: HotStore, board: Board) -> None:
        self._store = store
        self._board = board
        self._merchants: dict[str, tuple[Catalogue, frozenset[str]]] = {}

    async def of_merchant(self, merchant: str) -> list[tuple[int, str]]:
        """(number, id) of each campaign in the hot store whose vouchers a store of that merchant takes, by any terms.

        Raises HotStoreError where that cannot be known.
        """
        listed = await loaded_campaigns(self._store)
        if any(self._board.campaign(campaign) is None for campaign in listed):
            await self._board.refresh()
        if not self._board.sees_all:
            raise HotStoreUnavailable("a campaign is being loaded: the ledger may lack the newest claims")
        live = self._board.campaigns()
        if len(self._merchants) > 2 * len(live):  # what was unloaded is not kept for ever
            self._merchants.clear()
        return [(each.campaign_no, each.id) for each in live if merchant in self._merchants_of(each)]

    def _merchants_of(self, catalogue: Catalogue) -> frozenset[str]:
        """Whose stores take its vouchers; worked out once for each catalogue, which may name thousands of stores."""
        known, merchants = self._merchants.get(catalogue.id, (None, frozenset[str]()))
        if known is not catalogue:
            promises = [terms.promise for offer in catalogue.offers for terms in offer.terms]
            merchants = frozenset(store.merchant for promise in promises for store in promise.stores.values())
            self._merchants[catalogue.id] = (catalogue, merchants)
        return merchants
