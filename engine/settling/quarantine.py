"""Ending a quarantine, and watching that none is forgotten.

    retry  the claim is settled now, where what was in its way is mended: one transaction of the ledger
    void   1  the ledger takes the claim back: from now on every load leaves it out
           2  the live shard forgets it: from then on its claimant may claim again

Between the two, and where the second cannot be done, the claimant is still held to have claimed: nobody gets too much.
The second is done to a bound shard only. So a load that had read the ledger before the first is over by then, and
one that begins later reads what the first has written. Its unit stays used up in any case, so that no
interleaving gives it twice; a restock gives another one out.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from engine.domain.campaign import Catalogue
from engine.domain.outcome import Claim
from engine.domain.voucher import period
from engine.errors import CannotRun, HotStoreError, UsageError
from engine.hotstore.forget import forget
from engine.hotstore.store import HotStore
from engine.hotstore.view import bound_epoch
from engine.ledger.catalogues import read_catalogue, read_promises
from engine.ledger.database import Ledger
from engine.ledger.quarantine import Place, Quarantined, held_everywhere, read_quarantined
from engine.ledger.quarantine_ends import Ended, settle_quarantined, void_quarantined
from engine.ledger.rows import VoucherRow
from engine.service import Loop
from engine.telemetry import QUARANTINE_HELD, campaign_label

FORGET_WAIT_S: Final = 10.0
"""For the shard to be bound: a recovery of a large campaign takes longer, and the command says to repeat it."""
FORGET_LOOK_S: Final = 0.1
LOOK_S: Final = 5.0


class Voided(Struct, frozen=True):
    """A claim that was taken back; `forgotten` is false where the hot store did not have it (any more)."""

    ended: Ended
    forgotten: bool


async def retry(ledger: Ledger, place: Place, actor: str, reason: str) -> Ended:
    """Settle a held claim after all. Raises as ledger.quarantine_ends.settle_quarantined does."""
    found = await _read(ledger, place)
    promises, claim = await read_promises(ledger, found.campaign_no), found.claim
    terms = promises.terms[claim.offer_no, claim.terms_version]  # a claim of unknown terms stops its shard
    good = period(terms, promises.days[claim.wave_no], claim.claimed_at_ms)
    voucher = VoucherRow(claim.code, claim.epoch, claim.sequence, good.valid_from_ms, good.expires_at_ms)
    return await settle_quarantined(ledger, place, voucher, actor, reason)


async def void(
    ledger: Ledger,
    store: HotStore,
    place: Place,
    actor: str,
    reason: str,
    *,
    unload_after_ms: int,
    wait_s: float = FORGET_WAIT_S,
) -> Voided:
    """Take a held claim back. Again, it finishes what was broken off, and changes nothing else.

    Raises as ledger.quarantine_ends.void_quarantined does, and CannotRun where the ledger has taken the claim back
    and the hot store could not be told.
    """
    ended = await void_quarantined(ledger, place, actor, reason)
    catalogue = await read_catalogue(ledger, place.campaign)
    if catalogue is None:
        raise UsageError(f"the ledger has no campaign {place.campaign}")
    deadline_s, why = time.monotonic() + wait_s, "it is being loaded"
    while time.monotonic() < deadline_s:
        try:
            epoch = await bound_epoch(store, place.campaign)
            if epoch is not None:
                value = _value(catalogue, ended.claim.claim)
                return Voided(ended, await forget(store, place.campaign, epoch, ended.claim.claim, value))
            if not catalogue.belongs_in_hot_store(await store.time_ms(), unload_after_ms):
                return Voided(ended, forgotten=False)
        except HotStoreError as error:
            why = str(error)
        await asyncio.sleep(FORGET_LOOK_S)
    raise CannotRun(
        f"{place} is voided in the ledger, but the hot store still shows it ({why}): "
        "do it again, or it goes with the next recovery"
    )


async def _read(ledger: Ledger, place: Place) -> Quarantined:
    found = await read_quarantined(ledger, place)
    if found is None:
        raise UsageError(f"{place} is not in quarantine, and never was")
    return found


def _value(catalogue: Catalogue, claim: Claim) -> int:
    """What the claim counts for the campaign's cap."""
    offer = next(offer for offer in catalogue.offers if offer.no == claim.offer_no)
    return offer.version(claim.terms_version).promise.offer.value


class QuarantineWatch:
    """A service: every writer tells how many claims are held, whoever leads."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._loop = Loop("quarantine", self.look_once, LOOK_S)

    async def start(self) -> None:
        """Begin to look."""
        await self._loop.start()

    async def stop(self) -> None:
        """End."""
        await self._loop.stop()

    async def look_once(self) -> None:
        """Read the figure of every campaign."""
        held: Mapping[str, int] = await held_everywhere(self._ledger)
        for campaign, claims in held.items():
            QUARANTINE_HELD.labels(campaign_label(campaign)).set(claims)
