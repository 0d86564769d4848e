"""Gives a ledger that went back in time what it lacks, from the shard itself, which is unbound meanwhile.

A ledger goes back when a standby is promoted that was behind, or when a backup is restored. Then

    the log reaches back to the cursor      it is settled again, as far as its numbers have no gap
    it does not, or an epoch has passed     the holders have every claim. Of the acts there is what is left of the
                                            log, and the waves' states tell what came of those that are gone

Numbers tell of a gap within one epoch only: nobody knows any more how far an old epoch went. A log that was trimmed to
where the next one begins would look whole, and later claims would hide that units of earlier ones are not known.

Nothing here decides: whatever the ledger gets was decided before, and has its number. Each step is a transaction behind
the same compare-and-set of the cursor as any other settling, so it can break off anywhere and be begun again.
"""

from collections.abc import AsyncIterator, Mapping, Sequence

import structlog
from msgspec import Struct

from engine.domain.decisions import LogEntry
from engine.domain.outcome import Claim
from engine.errors import LedgerRefused, ShardBroken
from engine.hotstore.forget import forgotten_claims
from engine.hotstore.load import Ends, Unbound
from engine.hotstore.log import read_log
from engine.hotstore.store import HotStore
from engine.hotstore.view import ShardView, read_holders, read_shard
from engine.ledger import refill as ledger_refill
from engine.ledger.claims import OfferCount, counts
from engine.ledger.cursors import Cursor, raise_epoch
from engine.ledger.database import Ledger
from engine.ledger.quarantine import lookup_text, voided_claims
from engine.settings import Settings
from engine.settling.settler import Settler
from engine.telemetry import REFILLED_CLAIMS, campaign_label

log = structlog.get_logger(__name__)

Place = tuple[int, int]
"""(wave_no, offer_no)"""

CHUNK_CLAIMS = 1_000
"""Claims of the holders that are held against the ledger at once: a few milliseconds of either store."""


class Followed(Struct, frozen=True):
    """Where the cursor got by following the log, and whether the log reached that far without a gap."""

    cursor: Cursor
    whole: bool


class Refill:
    """Brings the ledger up to what an unbound shard holds."""

    def __init__(self, store: HotStore, ledger: Ledger, settler: Settler, settings: Settings) -> None:
        self._store = store
        self._ledger = ledger
        self._settler = settler
        self._settings = settings

    async def catch_up(self, cursor: Cursor, seen: Unbound) -> Cursor:
        """The cursor in the shard's epoch, with all that the shard has behind it.

        `seen.epoch` is the epoch of the shard's keys, not below the cursor's. Raises CursorMoved where somebody else
        moved the cursor, ShardBroken where shard and ledger contradict each other, or what the stores raise.
        """
        shard = await read_shard(self._store, cursor.campaign)
        if shard is not None and cursor.epoch < shard.epoch == seen.epoch:
            return await self._from_holders(cursor, shard)
        try:
            followed = await self._follow_log(cursor, seen)
        except LedgerRefused as error:
            raise ShardBroken(f"{cursor.campaign}: the log contradicts the ledger: {error}") from error
        await self._void_again(followed.cursor)
        if shard is None or shard.epoch != seen.epoch:  # keys are missing: nothing to refill from, the ledger is loaded
            if not followed.whole:
                raise ShardBroken(
                    f"{cursor.campaign}: the log does not reach back to {_place(followed.cursor)}, "
                    "and keys of the shard are missing"
                )
            return followed.cursor
        complete = followed.whole and shard.act <= followed.cursor.act
        if complete and not lacks(shard, await counts(self._ledger, cursor.campaign_no)):
            return followed.cursor
        return await self._from_holders(followed.cursor, shard)

    async def _follow_log(self, cursor: Cursor, seen: Unbound) -> Followed:
        """Settle what the log has behind the cursor, over the ends of epochs as far as these are known.

        A log that was trimmed to where an epoch begins looks whole, whatever the one before it has had.
        """
        while True:
            entries = await read_log(self._store, cursor.campaign, cursor.place, self._settings.log_entries_max)
            if entries and (entries[0].epoch, entries[0].first) == (cursor.epoch, cursor.last + 1):
                cursor = await self._settler.settle(cursor, entries)
                continue
            begins = (entries[0].epoch, entries[0].first) if entries else (seen.epoch, 1)
            if begins[0] == cursor.epoch:
                return Followed(cursor, whole=not entries)
            if begins[1] != 1 or not _ends_at(cursor.place, begins[0], seen.ends):
                return Followed(cursor, whole=False)
            cursor = await raise_epoch(self._ledger, cursor, begins[0])

    async def _from_holders(self, cursor: Cursor, shard: ShardView) -> Cursor:
        log.warning("ledger is refilled from the holders", campaign=cursor.campaign, behind=_place(cursor))
        try:
            refilled = await self._add_claims(cursor, shard)
            await self._void_again(cursor)
            acts = [entry async for entry in self._acts_left(cursor)]
            after = await ledger_refill.end(
                self._ledger, cursor, shard.epoch, shard.last, acts, _put(shard), shard.now_ms
            )
        except LedgerRefused as error:
            raise ShardBroken(f"{cursor.campaign}: the holders contradict the ledger: {error}") from error
        REFILLED_CLAIMS.labels(campaign_label(cursor.campaign)).inc(refilled)
        log.warning("ledger was refilled", campaign=cursor.campaign, claims=refilled, at=_place(after))
        return after

    async def _void_again(self, cursor: Cursor) -> None:
        """What the shard was told to forget had been voided in the ledger; it stays so in one that went back.

        After the claims, which may have brought it back. One that the ledger has settled by now stands: Postgres took
        it this time, and its voucher is out.
        """
        forgotten = await forgotten_claims(self._store, cursor.campaign)
        if not forgotten:
            return
        voided = await voided_claims(self._ledger, cursor.campaign_no)
        for epoch, sequence in sorted(forgotten.keys() - voided.keys()):
            name = f"{cursor.campaign}/{epoch}-{sequence}"
            try:
                is_voided = await ledger_refill.void_again(self._ledger, cursor, forgotten[epoch, sequence])
            except LedgerRefused as error:
                raise ShardBroken(f"{cursor.campaign}: the shard contradicts the ledger: {error}") from error
            if is_voided:
                log.warning("voided again: the ledger had gone back", claim=name)
            else:
                log.error("a voided claim is settled by now, and stands: a person has to look", claim=name)

    async def _add_claims(self, cursor: Cursor, shard: ShardView) -> int:
        days = {wave_no: state.day for wave_no, state in shard.waves.items()}
        refilled, chunk = 0, list[Claim]()
        async for _, claims in read_holders(self._store, cursor.campaign):
            chunk += claims
            if len(chunk) >= CHUNK_CLAIMS:
                refilled += await self._add(cursor, chunk, days)
                chunk = []
        return refilled + await self._add(cursor, chunk, days)

    async def _add(self, cursor: Cursor, claims: Sequence[Claim], days: Mapping[int, str]) -> int:
        known = await ledger_refill.known_codes(self._ledger, cursor.campaign_no, claims)
        for claim in claims:
            code = lookup_text(claim.code)
            if known.get((claim.epoch, claim.sequence), code) != code:
                raise LedgerRefused(f"decision {claim.epoch}-{claim.sequence} is another claim there")
        # A hash that grows or shrinks while it is scanned may show a field twice.
        missing = list({claim.code: claim for claim in claims if (claim.epoch, claim.sequence) not in known}.values())
        if missing:
            vouchers = await self._settler.vouchers(cursor, missing, days)
            await ledger_refill.add_claims(self._ledger, cursor, missing, vouchers)
        return len(missing)

    async def _acts_left(self, cursor: Cursor) -> AsyncIterator[LogEntry]:
        """The acts behind the cursor that the log still has."""
        place = cursor.place
        while entries := await read_log(self._store, cursor.campaign, place, self._settings.log_entries_max):
            for entry in entries:
                if entry.act is not None and entry.act.number > cursor.act:
                    yield entry
            place = (entries[-1].epoch, entries[-1].last)


def lacks(shard: ShardView, ledger_counts: Mapping[Place, OfferCount]) -> list[str]:
    """What the shard has given that the ledger does not know of; a ledger that has less would sell units twice.

    The highest unit says nothing of those below it, the number of claims does. One that was voided may be held still.
    """
    missing = [
        f"wave {wave_no} offer {offer_no} has {units} units given in the hot store, {known} in the ledger"
        for (wave_no, offer_no), units in used(shard).items()
        if units > (known := _unit_max(ledger_counts.get((wave_no, offer_no))))
    ]
    claims = sum(count.claims + count.voided for count in ledger_counts.values())
    if shard.claims > claims:
        missing.append(f"{shard.claims} claims are in the hot store, {claims} in the ledger")
    return missing


def used(shard: ShardView) -> dict[Place, int]:
    """Units given of each offer in each wave, by the shard: the highest unit that a claim was given."""
    return {
        (wave_no, int(offer_no)): offer.total - shard.left[wave_no, int(offer_no)]
        for wave_no, state in shard.waves.items()
        for offer_no, offer in state.offers.items()
    }


def _unit_max(count: OfferCount | None) -> int:
    return count.unit_max if count else 0


def _ends_at(place: tuple[int, int], next_epoch: int, ends: Ends) -> bool:
    """Whether that is the end of its epoch, and no decision lies between it and the next one that the log has."""
    between = [ends[epoch] for epoch in ends if place[0] < epoch < next_epoch]
    return ends.get(place[0]) == place[1] and not any(between)


def _put(shard: ShardView) -> ledger_refill.Put:
    return ledger_refill.Put(shard.act, shard.catalogue.revision, shard.waves, shard.rules)


def _place(cursor: Cursor) -> str:
    return f"{cursor.epoch}-{cursor.last}"
