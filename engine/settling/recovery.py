"""Recovery: the one procedure by which a shard comes (back) into the hot store.

It serves the first load of a campaign, a Redis that restarted, one that came back empty, and one that came
back old. Every step can be repeated, and every step carries the term of the steward's lease, so a steward
that slept too long is refused by the store.

    0  unbind           nobody decides from here on; again at each try of 1 and 2
    1  catch up         what the surviving log holds beyond the cursor goes to the ledger; where the ledger went back
                        further than the log reaches, what the holders have (`refill`)
    2  raise the epoch  in the cursor's row: a writer that still holds older entries changes nothing any more
    3  nothing lost?    last number, last act and claims of each offer equal the ledger's: go on as it is, under the
                        new epoch
       else load        the ledger's claims into the keys of the new epoch, in chunks
    4  check and bind   what was loaded equals the ledger, and is not less than the shard itself had; one write flips it
"""

import asyncio
import time
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from itertools import groupby
from operator import attrgetter

import structlog
from msgspec import Struct
from msgspec.structs import replace

from engine.domain.campaign import Catalogue
from engine.domain.decisions import WaveState
from engine.domain.numbering import contradictions, is_overtaken
from engine.domain.outcome import Claim
from engine.errors import CursorMoved, LeaseLost, ShardBroken
from engine.hotstore import load
from engine.hotstore.forget import forgotten_claims, keep_voided
from engine.hotstore.store import HotStore
from engine.hotstore.view import ShardView, read_shard
from engine.ledger.claims import OfferCount, counts, read_holdings
from engine.ledger.cursors import Cursor, next_epoch, read_cursor
from engine.ledger.database import Ledger
from engine.ledger.epochs import last_of_epoch, latest_wave_states, read_stopped
from engine.ledger.quarantine import voided_claims
from engine.ledger.revisions import outdo_revision
from engine.settings import Settings
from engine.settling.refill import Refill, lacks, used
from engine.settling.settler import Settler
from engine.telemetry import RECOVERIES, RECOVERY_SECONDS
from engine.telemetry.tracing import span

log = structlog.get_logger(__name__)

TRIES_MAX = 5
"""A writer that settles at the same moment moves the cursor; it has nothing left to settle after a try or two."""
CHUNK_CLAIMS = 1_000
"""Claims read from the ledger and put into the hot store in one step: a millisecond of Redis, so nobody waits."""
PUT_AT_ONCE_MAX = 2
"""Chunks on their way into the hot store: one is worked on there while the next one is written here."""

Place = tuple[int, int]
"""(wave_no, offer_no)"""
_WHAT = attrgetter("wave_no", "offer_no", "terms_version")
_CLAIMANT = attrgetter("claimant")


class Loaded:
    """What has been loaded so far, counted on the way; compared with the ledger before the shard is bound."""

    def __init__(self) -> None:
        self.claimants = 0
        self.newest_ms: dict[Place, int] = {}
        self._claims: Counter[tuple[int, int, int]] = Counter()
        """By wave_no, offer_no, terms_version."""

    def add(self, claims: Sequence[Claim], claimants: int) -> None:
        """Count these claims of so many claimants."""
        self.claimants += claimants
        self._claims.update(map(_WHAT, claims))
        newest_ms = self.newest_ms
        for claim in claims:
            place = claim.wave_no, claim.offer_no
            if claim.claimed_at_ms > newest_ms.get(place, 0):
                newest_ms[place] = claim.claimed_at_ms

    @property
    def claims(self) -> dict[Place, int]:
        """By place."""
        claims: defaultdict[Place, int] = defaultdict(int)
        for (wave_no, offer_no, _), count in self._claims.items():
            claims[wave_no, offer_no] += count
        return claims

    def value(self, catalogue: Catalogue) -> int:
        """Of all of them, as the campaign's cap counts it."""
        offers = {offer.no: offer for offer in catalogue.offers}
        return sum(
            count * offers[offer_no].version(terms_version).promise.offer.value
            for (_, offer_no, terms_version), count in self._claims.items()
        )


class Recovered(Struct, frozen=True):
    """How a recovery ended: the epoch that is live now, whether it was loaded (or went on as it was), claims."""

    epoch: int
    loaded: bool
    claims: int


class Recovery:
    """Brings shards into the hot store and takes them out of it."""

    def __init__(self, store: HotStore, ledger: Ledger, settler: Settler, settings: Settings) -> None:
        self._store = store
        self._ledger = ledger
        self._refill = Refill(store, ledger, settler, settings)

    async def recover(self, catalogue: Catalogue, term: int) -> Recovered:
        """Steps 0 to 4. Raises LeaseLost, ShardBroken, or a store's error; then it may be begun again."""
        began_s = time.monotonic()
        try:
            with span("recover", campaign=catalogue.id):
                recovered = await self._recover(catalogue, term)
        except BaseException:
            RECOVERIES.labels("failed").inc()
            raise
        RECOVERIES.labels("loaded" if recovered.loaded else "as_it_was").inc()
        RECOVERY_SECONDS.observe(time.monotonic() - began_s)
        return recovered

    async def _recover(self, catalogue: Catalogue, term: int) -> Recovered:
        campaign = catalogue.id
        seen, cursor = await self._close_epoch(catalogue, term)
        await load.drop_other_epochs(self._store, campaign, seen.epoch, term)
        ledger_counts, shard = await self._look(cursor, seen)
        claims = sum(count.claims for count in ledger_counts.values())
        if shard is not None and await self._lost_nothing(cursor, shard, ledger_counts):
            place = (shard.epoch, shard.last)
            await load.rebind(self._store, campaign, *place, cursor.epoch, term, seen.incarnation, ends=seen.ends)
            loaded = False
        else:
            await self._load(catalogue, cursor, term, seen, ledger_counts)
            loaded = True
        return Recovered(cursor.epoch, loaded=loaded, claims=claims)

    async def retire(self, catalogue: Catalogue, term: int) -> None:
        """Take a campaign that is over out of the hot store, once the ledger has everything."""
        seen, cursor = await self._close_epoch(catalogue, term)
        await self._look(cursor, seen)
        await load.drop_campaign(self._store, catalogue.id, seen.epoch, term)

    async def _close_epoch(self, catalogue: Catalogue, term: int) -> tuple[load.Unbound, Cursor]:
        """Steps 0 to 2. Once the shard is unbound its log cannot grow; only the cursor can move under us.

        The cursor is read before the shard is unbound, at each try. Whoever raises the epoch has then seen, later
        than the cursor it starts from, that no other steward had taken over; and one that took over since has moved
        the cursor. Without that a steward that slept could raise the epoch of a shard that lives by now: its
        claims would never be settled.
        """
        for _ in range(TRIES_MAX):
            cursor = await read_cursor(self._ledger, catalogue.campaign_no)
            seen = await load.unbind(self._store, catalogue.id, term)
            await self._know_again(catalogue, cursor)
            try:
                if seen.epoch >= cursor.epoch:  # below it, the server is an old copy: the ledger knows better
                    cursor = await self._refill.catch_up(cursor, seen)
                # Of an old copy it is not known which epochs came after it, and had decisions.
                ends = {**seen.ends, cursor.epoch: cursor.last} if seen.epoch == cursor.epoch else load.NO_ENDS
                return replace(seen, ends=ends), await next_epoch(self._ledger, cursor)
            except CursorMoved:
                continue
        raise CursorMoved(f"{catalogue.id}: the cursor moved {TRIES_MAX} times during a recovery")

    async def _know_again(self, catalogue: Catalogue, cursor: Cursor) -> None:
        """Raises ShardBroken where numbers of the shard mean something else in the ledger: its claims would be others.

        Files that are applied to a ledger that went back are numbered anew. Where only the revision's number was given
        once more, the later file gets a higher one, and is put.
        """
        shard = await read_shard(self._store, catalogue.id)
        if shard is None:
            return
        waves = {wave_no: state.id for wave_no, state in shard.waves.items()}
        found = contradictions(shard.catalogue, waves, catalogue)
        if found:
            raise ShardBroken(
                f"{catalogue.id}: {found[0]}. The ledger went back, and other files were applied than before, or in "
                "another order"
            )
        if is_overtaken(shard.catalogue, catalogue):
            await outdo_revision(self._ledger, cursor, shard.catalogue.revision)

    async def _look(self, cursor: Cursor, seen: load.Unbound) -> tuple[Mapping[Place, OfferCount], ShardView | None]:
        """Ledger and shard, side by side. Raises ShardBroken where the ledger has less: it would sell units twice.

        Not everything that looks so is one: the shard may be another steward's by now, or the ledger may have gone
        back since it caught up. Those raise LeaseLost and CursorMoved, and it is begun again.
        """
        ledger_counts = await counts(self._ledger, cursor.campaign_no)
        shard = await read_shard(self._store, cursor.campaign)
        if shard is None or not (missing := lacks(shard, ledger_counts)):
            return ledger_counts, shard
        if shard.epoch != seen.epoch:
            raise LeaseLost(f"{cursor.campaign}: another steward has bound epoch {shard.epoch}")
        if (now := await read_cursor(self._ledger, cursor.campaign_no)).place != cursor.place:
            raise CursorMoved(f"{cursor.campaign}: the cursor was {cursor.place} and is {now.place}")
        raise ShardBroken(f"{cursor.campaign}: {missing[0]}")

    async def _lost_nothing(self, cursor: Cursor, shard: ShardView, ledger_counts: Mapping[Place, OfferCount]) -> bool:
        """Step 3. `left` counts units down, so what is used of an offer is its highest unit.

        An old copy can be whole as far as its own epoch goes: that no later epoch had claims is told by the units,
        that none had acts by the number of the last one. A claim that was voided and that the shard still has, because
        whoever voided it died, the forgetting was lost or the copy is older, is told by the number of claims, and by
        what the shard remembers of such.
        """
        if shard.claims != sum(count.claims for count in ledger_counts.values()):
            return False
        if shard.last != await last_of_epoch(self._ledger, cursor.campaign_no, shard.epoch) or shard.act != cursor.act:
            return False
        voided = await voided_claims(self._ledger, cursor.campaign_no)
        if voided.keys() != (await forgotten_claims(self._store, cursor.campaign)).keys():
            return False
        given = {place: units for place, units in used(shard).items() if units}
        return given == {place: count.unit_max for place, count in ledger_counts.items()}

    async def _load(
        self,
        catalogue: Catalogue,
        cursor: Cursor,
        term: int,
        seen: load.Unbound,
        ledger_counts: Mapping[Place, OfferCount],
    ) -> None:
        campaign, epoch = catalogue.id, cursor.epoch
        await load.begin_epoch(self._store, campaign, epoch, term)
        loaded = await self._load_holders(catalogue, epoch, term)
        claims = loaded.claims
        if claims != {place: count.claims for place, count in ledger_counts.items() if count.claims}:
            if await counts(self._ledger, catalogue.campaign_no) != ledger_counts:
                raise CursorMoved(f"{campaign}: a quarantined claim was voided while it was loaded")
            raise ShardBroken(f"{campaign}: {sum(claims.values())} claims were loaded, the ledger counts others")
        waves = await latest_wave_states(self._ledger, catalogue.campaign_no)
        contents = load.Contents(
            # The revision of the last settled put: the steward puts a newer one as an act of its own.
            catalogue=replace(catalogue, revision=cursor.revision),
            waves=waves,
            left=_left(waves, ledger_counts),
            act=cursor.act,
            claims=sum(claims.values()),
            value=loaded.value(catalogue),
            stopped=await read_stopped(self._ledger, catalogue.campaign_no),
            newest_ms=loaded.newest_ms,
        )
        await load.load_contents(self._store, campaign, epoch, term, contents)
        voided = await voided_claims(self._ledger, catalogue.campaign_no)
        await keep_voided(self._store, campaign, term, list(voided.values()))
        claimants = loaded.claimants
        await load.bind(self._store, campaign, epoch, term, seen.incarnation, claimants, seen.epoch, ends=seen.ends)

    async def _load_holders(self, catalogue: Catalogue, epoch: int, term: int) -> Loaded:
        """All claims, counted; each chunk holds all claims of its claimants.

        While some are put into the hot store, the ledger is asked for the next.
        """
        loaded = Loaded()
        putting: deque[asyncio.Task[None]] = deque()
        try:
            async with aclosing(read_holdings(self._ledger, catalogue.campaign_no, CHUNK_CLAIMS)) as chunks:
                async for chunk in chunks:
                    holdings = [list(claims) for _, claims in groupby(chunk, key=_CLAIMANT)]
                    loaded.add(chunk, len(holdings))
                    if len(putting) == PUT_AT_ONCE_MAX:
                        await putting.popleft()
                    put = load.load_holders(self._store, catalogue.id, epoch, term, holdings)
                    putting.append(asyncio.create_task(put))
            while putting:
                await putting.popleft()
        finally:
            for task in putting:
                task.cancel()
            await asyncio.gather(*putting, return_exceptions=True)
        return loaded


def _left(waves: Mapping[int, WaveState], ledger_counts: Mapping[Place, OfferCount]) -> dict[Place, int]:
    """Units left: the next unit is the highest one in the ledger plus one, whatever lies below it."""
    left = {}
    for wave_no, state in waves.items():
        for offer_no, offer in state.offers.items():
            count = ledger_counts.get((wave_no, int(offer_no)))
            left[wave_no, int(offer_no)] = offer.total - (count.unit_max if count else 0)
    return left
