"""The audit of one campaign, in an order of reading that does not accuse a live system.

    1  the shard, twice             what had been given by then: its last number, and what was left in between
    2  wait                         until the ledger has got that far, for a bounded time
    3  the ledger, at one instant   replayed in order
    4  the log                      what the ledger has is the same there; what it lacks is replayed on
    5  the holders                  everything so far was decided before this reading, so it has to turn up
    6  the shard again              another epoch by now: begin again

What is decided while this goes on is newer than all that is compared and judges nothing.
"""

import asyncio
import time
from contextlib import aclosing

from engine.audit.evidence import BookFigures, Evidence, HotStoreEvidence, LedgerFigures, Sight
from engine.audit.findings import findings
from engine.audit.holders import HeldClaims
from engine.audit.logbook import Logbook
from engine.audit.names import Names
from engine.audit.prints import Prints
from engine.audit.replay import Replay
from engine.domain.campaign import Catalogue
from engine.domain.decisions import LogEntry
from engine.domain.verdict import EXAMPLES_MAX, Faults, Verdict
from engine.errors import CannotRun, UsageError
from engine.hotstore.store import HotStore
from engine.hotstore.view import read_holders, read_shard
from engine.ledger import checks
from engine.ledger.acts import ACTS_MAX, read_acts
from engine.ledger.audit_queries import Books, open_books
from engine.ledger.campaigns import read_catalogue
from engine.ledger.cursors import read_cursor
from engine.ledger.database import Ledger

SETTLE_WAIT_MS = 10_000
"""For the ledger to reach what the shard had given; what is still missing then counts as unsettled."""
SETTLE_LOOK_MS = 50
EPOCH_TRIES_MAX = 3
"""An epoch changes with a recovery; three in the time of an audit means that something else is wrong."""
EPOCH_PAUSE_MS = 500
"""Before another try: a recovery of a small campaign takes about this long."""
CLAIMS_PER_READ = 5_000
"""Rows of the ledger at a time: some milliseconds of work, and little memory."""


async def audit(
    ledger: Ledger, store: HotStore, campaign: str, wave: str | None = None, *, settle_wait_ms: int = SETTLE_WAIT_MS
) -> Verdict:
    """Whether P1 to P7 were kept in that campaign, as far as its stores tell.

    With a wave, claims of other waves are not judged; limits (P2) and numbers (P7) always are those of the
    whole campaign. Raises UsageError where there is no such campaign or wave, CannotRun where recoveries
    keep changing the shard, or a store's error.
    """
    catalogue = await read_catalogue(ledger, campaign)
    if catalogue is None:
        raise UsageError(f"the ledger has no campaign {campaign}")
    wave_no = _wave_no(catalogue, wave)
    for attempt in range(1, EPOCH_TRIES_MAX + 1):
        evidence = await _gather(ledger, store, catalogue, wave_no, settle_wait_ms)
        shard = await read_shard(store, campaign)
        seen = evidence.sight.first.epoch if evidence.sight else 0
        if (shard.epoch if shard else 0) == seen and (
            seen in (0, evidence.books.cursor.epoch) or attempt == EPOCH_TRIES_MAX
        ):
            return Verdict(wave or campaign, findings(evidence))
        await asyncio.sleep(EPOCH_PAUSE_MS / 1000)
    raise CannotRun(f"{campaign} is being recovered again and again: audit it when it has come to rest")


def _wave_no(catalogue: Catalogue, wave: str | None) -> int | None:
    if wave is None:
        return None
    for each in catalogue.waves:
        if each.id == wave:
            return each.no
    raise UsageError(f"campaign {catalogue.id} has no wave {wave}")


async def _gather(
    ledger: Ledger, store: HotStore, catalogue: Catalogue, wave_no: int | None, settle_wait_ms: int
) -> Evidence:
    faults, names, prints = Faults(), Names(catalogue), Prints()
    sight = await _see_shard(store, catalogue.id)
    if sight is not None:
        await _wait_settled(ledger, catalogue.campaign_no, sight.first.epoch, sight.first.last, settle_wait_ms)
    figures, now_ms = await _ledger_figures(ledger, catalogue), await store.time_ms()
    async with open_books(ledger, catalogue.campaign_no) as books:
        acts = await _acts_until(ledger, books)
        evidence = Evidence(
            catalogue=catalogue,
            wave_no=wave_no,
            names=names,
            faults=faults,
            replay=Replay(names, faults, lambda no: wave_no in (None, no), sight.marks if sight else ()),
            ledger=figures,
            books=await _book_figures(books, catalogue.code_prefix),
            sight=sight,
            over=all(wave.closes_at_ms <= now_ms for wave in catalogue.waves),
        )
        await _replay_books(books, acts, evidence, prints)
    _check_cursor(evidence)
    if sight is not None and sight.first.epoch > evidence.books.cursor.epoch:
        example = f"the hot store is at epoch {sight.first.epoch}, the ledger at {evidence.books.cursor.epoch}"
        faults.add("P3", "ledger that is behind the hot store's epoch", example)
    elif sight is not None and sight.first.epoch == evidence.books.cursor.epoch:
        evidence.hot_store = await _compare(store, evidence, sight, prints, acts)
    return evidence


async def _see_shard(store: HotStore, campaign: str) -> Sight | None:
    """None where the hot store does not hold the shard."""
    first, second = await read_shard(store, campaign), await read_shard(store, campaign)
    return Sight(first, second) if first is not None and second is not None else None


async def _wait_settled(ledger: Ledger, campaign_no: int, epoch: int, last: int, wait_ms: int) -> None:
    """Until the ledger has that decision, or the time is over: then the audit compares as far as it goes."""
    deadline_s = time.monotonic() + wait_ms / 1000
    while time.monotonic() < deadline_s:
        if (await read_cursor(ledger, campaign_no)).place >= (epoch, last):
            return
        await asyncio.sleep(SETTLE_LOOK_MS / 1000)


async def _ledger_figures(ledger: Ledger, catalogue: Catalogue) -> LedgerFigures:
    no = catalogue.campaign_no
    return LedgerFigures(
        limits=tuple([(limit, await checks.limit_figures(ledger, no, limit)) for limit in catalogue.limits]),
        claimants=await checks.claimant_figures(ledger, no),
        vouchers=await checks.voucher_figures(ledger, no),
        repeated_requests=await checks.repeated_requests(ledger, no),
    )


async def _book_figures(books: Books, code_prefix: str) -> BookFigures:
    repeated, foreign = await books.repeated_codes(code_prefix)
    quarantined = await books.quarantined()
    return BookFigures(
        cursor=books.cursor,
        last_number=await books.last_number(),
        stocks=await books.stocks(),
        repeated_codes=repeated,
        foreign_codes=foreign,
        held=sum(state == "held" for _, state in quarantined),
        voided=frozenset((claim.epoch, claim.sequence) for claim, state in quarantined if state == "voided"),
        strays=await books.strays(2 * EXAMPLES_MAX),
    )


async def _acts_until(ledger: Ledger, books: Books) -> list[LogEntry]:
    """The acts that the books have, oldest first; acts that were settled since are left out."""
    acts = await read_acts(ledger, books.cursor.campaign_no)
    if len(acts) >= ACTS_MAX:
        raise CannotRun(f"{books.cursor.campaign} has {ACTS_MAX:,} acts or more: an audit cannot replay them")
    return sorted(
        (act for act in acts if (act.epoch, act.last) <= books.cursor.place), key=lambda act: (act.epoch, act.last)
    )


async def _replay_books(books: Books, acts: list[LogEntry], evidence: Evidence, prints: Prints) -> None:
    """Claims and acts of the ledger, merged into the order in which they were decided."""
    replay, voided = evidence.replay, evidence.books.voided
    rest = iter(acts)
    act = next(rest, None)
    async with aclosing(books.claims(CLAIMS_PER_READ)) as chunks:
        async for chunk in chunks:
            for claim in chunk:
                while act is not None and (act.epoch, act.last) < (claim.epoch, claim.sequence):
                    replay.act(act)
                    act = next(rest, None)
                replay.claim(claim, voided=(claim.epoch, claim.sequence) in voided)
                prints.add(claim)
    while act is not None:
        replay.act(act)
        act = next(rest, None)


def _check_cursor(evidence: Evidence) -> None:
    """The cursor stands where the last decision of its epoch stands."""
    cursor, last = evidence.books.cursor, evidence.books.last_number
    if last != cursor.last:
        example = f"the cursor is at {cursor.epoch}-{cursor.last}, the last decision at {cursor.epoch}-{last}"
        evidence.faults.add("P7", "numbers between cursor and last decision", example, abs(cursor.last - last))


async def _compare(
    store: HotStore, evidence: Evidence, sight: Sight, prints: Prints, acts: list[LogEntry]
) -> HotStoreEvidence:
    """The log, then the holders: what is held was written to both at once."""
    campaign = evidence.catalogue.id
    logbook = Logbook(
        prints,
        {(act.epoch, act.last) for act in acts},
        evidence.books.cursor.place,
        evidence.replay,
        evidence.names,
        evidence.faults,
        evidence.judged,
    )
    await logbook.read(store, campaign)
    logbook.check_end(sight.marks[0])
    held = HeldClaims(
        prints,
        logbook.tail,
        max(logbook.newest, evidence.books.cursor.place),
        evidence.names,
        evidence.faults,
        evidence.judged,
        evidence.books.voided,
    )
    await held.read(read_holders(store, campaign), evidence.catalogue.limits, sight.first.waves)
    return HotStoreEvidence(logbook, held)
