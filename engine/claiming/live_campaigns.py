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
        self._places: dict[str, tuple[Catalogue, frozenset[str], frozenset[str]]] = {}

    async def of_merchant(self, merchant: str, store: str) -> list[tuple[int, str]]:
        """(number, id) of each campaign in the hot store whose vouchers that store takes, or another of that merchant,
        by any terms.

        Raises HotStoreError where that cannot be known.
        """
        listed = await loaded_campaigns(self._store)
        if any(self._board.campaign(campaign) is None for campaign in listed):
            await self._board.refresh()
        if not self._board.sees_all:
            raise HotStoreUnavailable("a campaign is being loaded: the ledger may lack the newest claims")
        live = self._board.campaigns()
        if len(self._places) > 2 * len(live):  # what was unloaded is not kept for ever
            self._places.clear()
        return [(each.campaign_no, each.id) for each in live if self._concerns(each, merchant, store)]

    def _concerns(self, catalogue: Catalogue, merchant: str, store: str) -> bool:
        merchants, stores = self._taken_by(catalogue)
        return merchant in merchants or store in stores

    def _taken_by(self, catalogue: Catalogue) -> tuple[frozenset[str], frozenset[str]]:
        """Whose stores take its vouchers, and which; worked out once for a catalogue, which may name thousands."""
        known = self._places.get(catalogue.id)
        if known is None or known[0] is not catalogue:
            promises = [terms.promise for offer in catalogue.offers for terms in offer.terms]
            merchants = frozenset(store.merchant for promise in promises for store in promise.stores.values())
            known = catalogue, merchants, frozenset(store for promise in promises for store in promise.stores)
            self._places[catalogue.id] = known
        return known[1:]
