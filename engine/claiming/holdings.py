"""What a caller holds: claims of the hot store and of the ledger, each once.

The hot store knows a claim from its first moment, the ledger remembers it when the campaign is unloaded.
Where the hot store cannot be trusted, "nothing" is not said (HotStoreUnavailable is raised instead).
"""

from engine.claiming.board import Board, LiveWave
from engine.claiming.looks import Looking, Looks
from engine.domain.campaign import Catalogue
from engine.domain.eligibility import Identity, claimant_of
from engine.domain.outcome import Claim
from engine.errors import HotStoreUnavailable
from engine.hotstore.store import HotStore
from engine.hotstore.view import loaded_campaigns
from engine.ledger.campaigns import read_catalogue
from engine.ledger.cards import opened_campaigns
from engine.ledger.claims import claims_of_account, claims_of_claimant
from engine.ledger.database import Ledger
from engine.ledger.quarantine import held_by_account

_BEING_LOADED = "a campaign is being loaded: the ledger may lack the newest claims"


class Holdings:
    """Reads what belongs to a caller."""

    def __init__(self, store: HotStore, ledger: Ledger, board: Board) -> None:
        self._store = store
        self._looks = Looks(store)
        self._ledger = ledger
        self._board = board

    async def in_campaign(self, live: LiveWave, claimant: str) -> list[Claim]:
        """All that counts against this claimant's limits in the campaign of that wave. Raises as `in_wave` does."""
        if live.loaded:
            return await self._in_hot_store(live.catalogue, claimant)
        if self._board.expects(live.catalogue):  # the ledger may lack the newest claims
            raise HotStoreUnavailable(f"{live.catalogue.id} is being loaded")
        return await claims_of_claimant(self._ledger, live.catalogue.campaign_no, claimant)

    def ask(self, live: LiveWave, looking: Looking) -> bool:
        """As `in_campaign`, told to whoever looks: no task waits for it. False where that has to be called instead."""
        epoch = self._board.epoch(live.catalogue.id) if live.loaded else None
        if epoch is None:
            return False
        self._looks.ask(live.catalogue.id, epoch, looking)
        return True

    async def in_wave(self, live: LiveWave, identity: Identity) -> list[Claim]:
        """The caller's claims in that wave, settled or not. Raises HotStoreError or LedgerUnavailable."""
        claimant = claimant_of(identity, live.catalogue.by)
        claims = await self.in_campaign(live, claimant) if claimant else []
        return [claim for claim in claims if claim.wave_no == live.wave.no and claim.account == identity.account]

    async def of(self, identity: Identity) -> list[tuple[Catalogue, Claim]]:
        """All of the caller's claims, newest first. Raises HotStoreError or LedgerUnavailable."""
        found = {claim.code: (catalogue, claim) for catalogue, claim in await self._loaded(identity)}
        catalogues: dict[str, Catalogue | None] = {catalogue.id: catalogue for catalogue in self._board.campaigns()}
        on_board = frozenset(catalogues)
        for campaign, claim in await claims_of_account(self._ledger, identity.account):
            if claim.code in found:
                continue
            if campaign not in catalogues:
                catalogues[campaign] = await read_catalogue(self._ledger, campaign)
            known = catalogues[campaign]
            if known is not None and known.id not in on_board and self._board.expects(known):
                raise HotStoreUnavailable(f"{known.id} is being loaded")
            if known is not None:
                found[claim.code] = (known, claim)
        return sorted(found.values(), key=lambda pair: pair[1].claimed_at_ms, reverse=True)

    async def newest(self, identity: Identity) -> list[tuple[Catalogue, Claim]]:
        """All of the caller's claims that the ledger may lack: those in the hot store, and held ones of the quarantine.

        In no order, settled ones among them. Raises HotStoreError or LedgerUnavailable.
        """
        claims = await self._loaded(identity)
        opened = await opened_campaigns(self._ledger, self._board.unload_after_ms)
        if any(self._board.campaign(campaign) is None for campaign in opened):
            raise HotStoreUnavailable(_BEING_LOADED)
        codes = {claim.code for _, claim in claims}
        for campaign, claim in await held_by_account(self._ledger, identity.account):
            catalogue = self._board.campaign(campaign) or await read_catalogue(self._ledger, campaign)
            if claim.code not in codes and catalogue is not None:
                claims.append((catalogue, claim))
        return claims

    async def _loaded(self, identity: Identity) -> list[tuple[Catalogue, Claim]]:
        """The caller's claims in every campaign that is in the hot store."""
        await self._see_all()
        found = []
        for catalogue in self._board.campaigns():
            claimant = claimant_of(identity, catalogue.by)
            for claim in await self._in_hot_store(catalogue, claimant) if claimant else []:
                if claim.account == identity.account:
                    found.append((catalogue, claim))
        return found

    async def _see_all(self) -> None:
        """The board is a moment old: another gateway may have given a claim in a campaign that is not on it yet. Such a
        one is on the list of what is loaded since before it was bound."""
        listed = await loaded_campaigns(self._store)
        if any(self._board.campaign(campaign) is None for campaign in listed):
            await self._board.refresh()
        if not self._board.sees_all:
            raise HotStoreUnavailable(_BEING_LOADED)

    async def _in_hot_store(self, catalogue: Catalogue, claimant: str) -> list[Claim]:
        epoch = self._board.epoch(catalogue.id)
        if epoch is None:
            raise HotStoreUnavailable(f"{catalogue.id} is not in the hot store")
        return await self._looks.held(catalogue.id, epoch, claimant)
