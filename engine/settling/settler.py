"""One batch of log entries becomes one transaction of the ledger: for the writer, and for recovery's tail of a log."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import structlog
from msgspec import Struct

from engine.domain.decisions import LogEntry
from engine.domain.outcome import Claim
from engine.domain.voucher import Period, period
from engine.errors import LedgerRefused, ShardBroken
from engine.ledger.catalogues import Promises, read_promises
from engine.ledger.cursors import Cursor
from engine.ledger.database import Ledger
from engine.ledger.quarantine import Place
from engine.ledger.rows import VoucherRow
from engine.ledger.settlement import settle
from engine.ledger.sieve import Sieve
from engine.telemetry import QUARANTINED_CLAIMS, SETTLE_BATCH, SETTLE_SECONDS, SETTLED_CLAIMS, campaign_label
from engine.telemetry.tracing import span

log = structlog.get_logger(__name__)

_Grounds = tuple[int, int, int, int]
"""What a voucher's period depends on: wave_no, offer_no, terms_version, claimed_at_ms."""


class _Known(Struct, frozen=True):
    """The promises of a campaign, as they are right behind that cursor and nowhere else."""

    cursor: Cursor
    promises: Promises


class Settler:
    """Settles entries behind a cursor. Keeps each campaign's promises while it alone moves the cursor."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: dict[int, _Known] = {}
        """By campaign_no: as many as campaigns are loaded."""

    async def settle(self, cursor: Cursor, entries: Sequence[LogEntry]) -> Cursor:
        """Settle the entries right behind the cursor, in one transaction; the cursor after them.

        Entries behind a gap are left: the next call, which begins with them, says what is wrong. The caller
        bounds how many come at once (settings.log_entries_max). Raises ShardBroken where the first entry does
        not follow the cursor, a claim names terms or a wave that the ledger does not know, or more claims are
        refused as data than may be; CursorMoved, LedgerRefused, LedgerUnavailable as ledger.settlement.settle does.
        Some few claims that are refused as data go to the quarantine.
        """
        due = _in_order(cursor, entries)
        if not due:
            return cursor
        claims = list(chain.from_iterable(entry.claims for entry in due))
        acts = [entry for entry in due if entry.act is not None]
        promises = await self._promises(cursor, acts)
        vouchers = _vouchers(cursor, promises, claims)
        with SETTLE_SECONDS.time(), span("settle", campaign=cursor.campaign, claims=len(claims), acts=len(acts)):
            try:
                after, kept_apart = await settle(self._ledger, cursor, due[-1].last, claims, vouchers, acts), 0
            except LedgerRefused as error:
                if not error.is_data or not claims:
                    raise
                after, kept_apart = await self._sift(cursor, due[-1].last, claims, vouchers, acts)
        SETTLE_BATCH.observe(after.last - cursor.last)
        self._known[cursor.campaign_no] = _Known(after, promises)
        SETTLED_CLAIMS.labels(campaign_label(cursor.campaign)).inc(len(claims) - kept_apart)
        return after

    async def _sift(
        self,
        cursor: Cursor,
        last: int,
        claims: Sequence[Claim],
        vouchers: Sequence[VoucherRow],
        acts: Sequence[LogEntry],
    ) -> tuple[Cursor, int]:
        """Settle a batch of which Postgres refuses something, again in one transaction; how many claims it kept apart.

        An act that is refused is refused here again: acts cannot be kept apart, later ones build on them.
        """
        sieve = Sieve()
        after = await settle(self._ledger, cursor, last, claims, vouchers, acts, sieve.keep)
        QUARANTINED_CLAIMS.labels(campaign_label(cursor.campaign)).inc(len(sieve.refused))
        for refusal in sieve.refused:
            place = Place(cursor.campaign, refusal.claim.epoch, refusal.claim.sequence)
            log.error("claim quarantined: a person has to look", claim=str(place), error=refusal.error)
        return after, len(sieve.refused)

    async def vouchers(self, cursor: Cursor, claims: Sequence[Claim], days: Mapping[int, str]) -> list[VoucherRow]:
        """The vouchers of claims that come back to the ledger. `days`: of the waves, as the shard has them."""
        promises = await read_promises(self._ledger, cursor.campaign_no)
        return _vouchers(cursor, Promises(promises.terms, promises.days | dict(days)), claims)

    async def _promises(self, cursor: Cursor, acts: Iterable[LogEntry]) -> Promises:
        """Terms never change, but the day of a wave does until it opens; the acts in the log tell, in order.

        Where the cursor is not where this settler left it, somebody else has settled acts: read anew. Acts that
        apply to a catalogue with new terms end what is known too.
        """
        known = self._known.pop(cursor.campaign_no, None)
        states = {entry.act.wave_no: entry.act.state for entry in acts if entry.act and entry.act.state}
        if known is None or known.cursor != cursor:
            promises = await read_promises(self._ledger, cursor.campaign_no)
        elif all(
            (int(offer_no), offer.terms) in known.promises.terms
            for state in states.values()
            for offer_no, offer in state.offers.items()
        ):
            promises = known.promises
        else:
            promises = await read_promises(self._ledger, cursor.campaign_no)
        return Promises(promises.terms, promises.days | {wave_no: state.day for wave_no, state in states.items()})


def _in_order(cursor: Cursor, entries: Sequence[LogEntry]) -> Sequence[LogEntry]:
    """The entries that follow the cursor without a gap. ShardBroken where already the first does not (P7)."""
    last = cursor.last
    for place, entry in enumerate(entries):
        if entry.epoch == cursor.epoch and entry.first == last + 1:
            last = entry.last
        elif place == 0:
            raise ShardBroken(
                f"{cursor.campaign}: the ledger is at {cursor.epoch}-{cursor.last}, and the log goes on with "
                f"{entry.epoch}-{entry.first}"
            )
        else:
            return entries[:place]
    return entries


def _vouchers(cursor: Cursor, promises: Promises, claims: Sequence[Claim]) -> list[VoucherRow]:
    """The voucher of each claim. The claims of one entry share what their period depends on: it is worked out once."""
    periods: dict[_Grounds, Period] = {}
    rows = []
    for claim in claims:
        grounds = (claim.wave_no, claim.offer_no, claim.terms_version, claim.claimed_at_ms)
        good = periods.get(grounds)
        if good is None:
            good = periods[grounds] = _period(cursor, promises, grounds)
        rows.append(VoucherRow(claim.code, claim.epoch, claim.sequence, good.valid_from_ms, good.expires_at_ms))
    return rows


def _period(cursor: Cursor, promises: Promises, grounds: _Grounds) -> Period:
    wave_no, offer_no, version, claimed_at_ms = grounds
    try:
        return period(promises.terms[offer_no, version], promises.days[wave_no], claimed_at_ms)
    except KeyError as error:
        raise ShardBroken(
            f"{cursor.campaign}: the log has a claim of wave {wave_no}, offer {offer_no}, terms {version}, "
            "which the ledger does not know"
        ) from error
