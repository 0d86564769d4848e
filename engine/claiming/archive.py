"""Campaigns that are not in the hot store: the ledger answers.

A campaign leaves the hot store some time after its last wave has closed. Whoever won then still gets the
claim when asking again (P5), everybody else hears why not. A campaign that only for the moment is not in
the hot store (it was lost and is being loaded) answers `recovering`: the ledger may lack the newest claims.
"""

from msgspec.structs import replace

from engine.claiming.board import LiveCampaign, LiveWave
from engine.claiming.desk import RECOVERING
from engine.domain.campaign import Catalogue, CatalogueWave
from engine.domain.decisions import WaveState
from engine.domain.outcome import Ask, Claimed, Outcome, RefusalCode, Refused
from engine.ledger.catalogues import WaveRow, find_campaign, find_wave
from engine.ledger.claims import claims_of_claimant
from engine.ledger.database import Ledger
from engine.settings import Settings


class Archive:
    """What the ledger knows of waves that are not in the hot store."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        self._ledger = ledger
        self._settings = settings

    async def find_wave(self, wave: str) -> LiveWave | None:
        """The wave as the ledger has it. Raises LedgerUnavailable."""
        found = await find_wave(self._ledger, wave)
        return None if found is None else _live(*found)

    async def find_campaign(self, campaign: str) -> LiveCampaign | None:
        """The campaign and all of its waves, as the ledger has them. Raises LedgerUnavailable."""
        found = await find_campaign(self._ledger, campaign)
        if found is None:
            return None
        catalogue, rows = found
        return LiveCampaign(catalogue, tuple(_live(catalogue, wave, rows[wave.no]) for wave in catalogue.waves))

    async def claim(self, live: LiveWave, ask: Ask, now_ms: int) -> Outcome:
        """The answer to a claim in a wave that is not in the hot store. Raises LedgerUnavailable."""
        if live.catalogue.belongs_in_hot_store(now_ms, self._settings.unload_after_ms):
            return RECOVERING
        for claim in await claims_of_claimant(self._ledger, live.catalogue.campaign_no, ask.claimant):
            same_request = (claim.account, claim.wave_no, claim.request_no) == (
                ask.account,
                ask.wave_no,
                ask.request_no,
            )
            if same_request and claim.offer_no in ask.offers:
                return Claimed(claim, replayed=True)
        if ask.broken_rule:
            return Refused(RefusalCode.NOT_ELIGIBLE, rule=ask.broken_rule)
        if live.state.state == "cancelled":
            return Refused(RefusalCode.CANCELLED, reason=live.state.reason)
        return Refused(RefusalCode.CLOSED, at_ms=live.state.closed_ms or live.state.closes_ms)


def _live(catalogue: Catalogue, wave: CatalogueWave, row: WaveRow) -> LiveWave:
    state = WaveState.of(catalogue, wave)
    if row.state in ("closed", "cancelled"):
        state = replace(
            state,
            state="closed" if row.state == "closed" else "cancelled",
            reason=row.reason,
            closed_ms=row.closed_at_ms or state.closes_ms,
        )
    return LiveWave(catalogue, wave, state, left={}, sold_out_ms={}, read_ms=0, loaded=False)
