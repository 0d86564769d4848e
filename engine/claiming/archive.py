"""Campaigns that are not in the hot store: the ledger answers.

A campaign leaves the hot store some time after its last wave has closed. Whoever won then still gets the
claim when asking again (P5), everybody else hears why not. A campaign that only for the moment is not in
the hot store (it was lost and is being loaded) answers `recovering`: the ledger may lack the newest claims.
"""

from engine.claiming.board import LiveWave
from engine.claiming.desk import RECOVERING
from engine.domain.decisions import WaveState
from engine.domain.outcome import Ask, Claimed, Outcome, RefusalCode, Refused
from engine.ledger.campaigns import find_wave
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
        if found is None:
            return None
        catalogue, listed, row = found
        state = WaveState.of(catalogue, listed)
        if row.state in ("closed", "cancelled"):
            state = WaveState(
                id=state.id,
                round=state.round,
                day=state.day,
                opens_ms=state.opens_ms,
                closes_ms=state.closes_ms,
                offers=state.offers,
                state="closed" if row.state == "closed" else "cancelled",
                reason=row.reason,
                closed_ms=row.closed_at_ms or state.closes_ms,
            )
        return LiveWave(catalogue, listed, state, left={}, sold_out_ms={}, read_ms=0, loaded=False)

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
