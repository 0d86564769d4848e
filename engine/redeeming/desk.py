"""The desk of the shops: gathers what tills ask for and takes it to the ledger in batches.

One batch is under way at a time; what arrives meanwhile is the next (`line`), so an idle desk asks at once and a busy
one shares two round trips and one fsync among dozens. A batch holds each voucher and each request once; what repeats
one of them waits for the next.

What a request can go through, and how it ends:

    queue full                                         busy             never looked up
    no turn by the deadline                            busy             likewise, or looked up and not sent
    the ledger could not be asked                      busy             nothing was sent that changes anything
    looked up: done before, or refused                 that answer
    taken                                              the step
    the voucher had changed in between                 looked up again, within the deadline
    the statement's reply was lost                     looked up again: the books tell whether it was done
      … and refused, the voucher being as it was       outcome_unknown  the lost statement may still be on its way
      … and no answer by the deadline                  outcome_unknown
    undone for the sake of another batch (a deadlock)  looked up again: surely nothing of it was done
    a request or a payment's place was used meanwhile  each of the batch by itself
"""

import asyncio
import time
from collections.abc import Mapping, Sequence

import structlog
from msgspec.structs import replace

from engine.domain.redemption import Unfit, digest_of
from engine.domain.reversal import Reverse
from engine.errors import LedgerError, LedgerRefused, LedgerUndone
from engine.ledger.code_pages import open_pages
from engine.ledger.database import Ledger
from engine.ledger.promise_book import Kept, PromiseBook, TermsKey
from engine.ledger.voucher_steps import Entry, StepKey, VoucherKey, look_up, reversals_of, steps_of_requests, take
from engine.redeeming.line import Line
from engine.redeeming.steps import Around, Asked, Done, Nothing, Outcome, Wanted, under_former_merchants, work_out
from engine.redeeming.waiting import BUSY, OUTCOME_UNKNOWN, Awaited, Deadlines, Waiting
from engine.settings import Settings
from engine.telemetry import REDEEM_BATCH_SIZE, REDEEM_STEP_SECONDS, REDEMPTIONS_REPEATED

log = structlog.get_logger(__name__)

_QUEUE_SECONDS, _LOOK_SECONDS, _TAKE_SECONDS = map(REDEEM_STEP_SECONDS.labels, ("queue", "look", "take"))
RETRY_PAUSE_S = 0.05
"""Before a batch is repeated whose reply was lost: a Postgres that restarts is not hammered."""


class RedemptionDesk:
    """Of one process. A service: `stop` answers all that was accepted."""

    def __init__(self, ledger: Ledger, book: PromiseBook, settings: Settings) -> None:
        self._ledger = ledger
        self._book = book
        self._line = Line(settings)
        self._deadlines = Deadlines(settings.redeem_deadline_ms / 1000)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin; a second start does nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="redemption desk")

    async def stop(self) -> None:
        """Answer everything that was accepted, then end; each ends by its deadline."""
        self._line.close()
        task, self._task = self._task, None
        if task is not None:
            await asyncio.wait({task})

    async def ask(self, asked: Asked) -> Outcome:
        """What becomes of it. Never raises for what happens to the ledger."""
        waiting = Awaited(asked)
        self.put(waiting)
        return await waiting.outcome()

    def put(self, waiting: Waiting) -> None:
        """As `ask`: it is told what becomes of it, perhaps before this returns."""
        if self._line.join(waiting):
            self._deadlines.watch(waiting)
        else:
            waiting.end(BUSY)

    async def _run(self) -> None:
        while batch := await self._line.next_batch():
            try:
                await self._answer(batch)
            except Exception:  # the desk outlives a bad batch
                log.exception("batch of redemptions failed", requests=len(batch))
                for waiting in batch:
                    waiting.end(OUTCOME_UNKNOWN)

    async def _answer(self, batch: list[Waiting]) -> None:
        """Every request of the batch gets its outcome, or goes back into the queue because its voucher had changed."""
        REDEEM_BATCH_SIZE.observe(len(batch))
        began_s = time.monotonic()
        _QUEUE_SECONDS.observe(began_s - batch[0].arrived_s)
        try:
            wanted = await self._look_up(batch)
        except LedgerError as error:
            log.warning("redemptions cannot be looked up", requests=len(batch), error=str(error))
            await self._again(batch)
            return
        looked_s = time.monotonic()
        _LOOK_SECONDS.observe(looked_s - began_s)
        if wanted:
            await self._take(wanted)
            _TAKE_SECONDS.observe(time.monotonic() - looked_s)

    async def _look_up(self, batch: Sequence[Waiting]) -> list[tuple[Waiting, Wanted]]:
        """Tell those whose answer is known; the steps that the others want. Raises LedgerError."""
        entries = await look_up(self._ledger, [waiting.question for waiting in batch])
        terms = await self._book.promises(key for entry in entries if (key := _terms_key(entry)) is not None)
        reversed_before = await reversals_of(self._ledger, _redemptions(batch, entries))
        pages = await open_pages(self._ledger, _shown(entries, terms))
        former = await self._done_before(batch, entries, terms)
        places: dict[tuple[int | None, str, str], set[int]] = {}
        wanted = []
        for waiting, entry in zip(batch, entries, strict=True):
            asked = waiting.asked
            taken = places.setdefault((entry.campaign_no, asked.merchant, asked.payment_no), set(entry.places_taken))
            key = _terms_key(entry)
            of = _redemption_of(asked, entry)
            around = Around(
                terms.get(key) if key else None,
                taken,
                reversed_before[of] if of else (),
                pages.get((entry.campaign_no, asked.code), 0) if entry.campaign_no is not None else 0,
            )
            try:
                found = work_out(*former.get(waiting.question.request, (asked, entry)), around)
            except LookupError as error:  # the others must not suffer for it
                log.error("the ledger lacks what a voucher needs", error=str(error))
                waiting.end(OUTCOME_UNKNOWN)
                continue
            if isinstance(found, Wanted):
                taken.add(found.step.payment_place)
                wanted.append((waiting, found))
            elif _may_turn_false(waiting, entry, found):
                waiting.end(OUTCOME_UNKNOWN)
            else:
                waiting.lost_step = 0
                waiting.end(found)
        return wanted

    async def _done_before(
        self, batch: Sequence[Waiting], entries: Sequence[Entry], terms: Mapping[TermsKey, Kept]
    ) -> dict[str, tuple[Asked, Entry]]:
        """Requests that were made, letter for letter, while their store was another merchant's, by the names that they
        have now: as they were asked then, with what they did. Raises LedgerError."""
        renamed: dict[str, list[tuple[str, Asked, Entry]]] = {}
        for waiting, entry in zip(batch, entries, strict=True):
            key = _terms_key(entry)
            for asked in under_former_merchants(waiting.asked, entry, terms.get(key) if key else None):
                renamed.setdefault(asked.request, []).append((waiting.question.request, asked, entry))
        steps = await steps_of_requests(self._ledger, list(renamed))
        return {
            now: (asked, replace(entry, known=step))
            for request, step in steps.items()
            for now, asked, entry in renamed[request]
            if step.digest == digest_of(asked)
        }

    async def _take(self, wanted: Sequence[tuple[Waiting, Wanted]]) -> None:
        wanted = [(waiting, each) for waiting, each in wanted if not waiting.is_over]
        for waiting, _ in wanted:
            waiting.is_sent = True
        try:
            taken = await take(self._ledger, [each.step for _, each in wanted])
        except LedgerError as error:
            await self._failed(wanted, error)
            return
        for waiting, each in wanted:
            waiting.is_sent = False
            if each.step.key in taken:
                waiting.end(Done(each.step, each.kept, each.period))
            else:
                waiting.lost_step = 0  # nor will one that was lost before do it any more
                self._put_back(waiting)

    async def _failed(self, wanted: Sequence[tuple[Waiting, Wanted]], error: LedgerError) -> None:
        """Refused or undone: nothing of it was done. Else that is not known, and the books are asked."""
        for waiting, each in wanted:
            waiting.is_sent = False
            if not isinstance(error, LedgerRefused | LedgerUndone):
                waiting.lost_step = each.step.step
        if isinstance(error, LedgerRefused):
            await self._one_by_one(wanted, error)
            return
        log.warning("redemptions are asked for again", requests=len(wanted), error=str(error))
        await self._again([waiting for waiting, _ in wanted])

    async def _one_by_one(self, wanted: Sequence[tuple[Waiting, Wanted]], error: LedgerRefused) -> None:
        """Elsewhere somebody was faster with a request or payment of the batch: the others must not suffer for it."""
        if len(wanted) > 1:
            for each in wanted:
                await self._take([each])
            return
        [(waiting, _)] = wanted
        if error.constraint in ("voucher_steps_one_request", "voucher_steps_one_payment_place"):
            self._put_back(waiting)  # the next look sees what the other did
            return
        log.error("the ledger refused a redemption", error=str(error))
        waiting.end(OUTCOME_UNKNOWN)

    async def _again(self, batch: Sequence[Waiting]) -> None:
        await asyncio.sleep(RETRY_PAUSE_S)
        for waiting in reversed(batch):
            self._put_back(waiting)

    def _put_back(self, waiting: Waiting) -> None:
        REDEMPTIONS_REPEATED.inc()
        self._line.put_back(waiting)


def _terms_key(entry: Entry) -> TermsKey | None:
    """The terms that an entry's answer is made of."""
    if entry.known is not None:
        return entry.known.campaign_no, entry.known.offer_no, entry.known.terms_version
    if entry.standing is not None:
        return entry.standing.campaign_no, entry.standing.offer_no, entry.standing.terms_version
    return None


def _shown(entries: Sequence[Entry], terms: Mapping[TermsKey, Kept]) -> list[VoucherKey]:
    """The vouchers that are taken only while their code page is open: of most batches, none."""
    seen = [entry.standing for entry in entries if entry.standing is not None]
    keys = [(each, terms.get((each.campaign_no, each.offer_no, each.terms_version))) for each in seen]
    return [(each.campaign_no, each.code) for each, kept in keys if kept and kept.promise.offer.needs_code_page]


def _redemption_of(asked: Asked, entry: Entry) -> StepKey | None:
    """The redemption that this is to reverse, whose earlier reversals count."""
    if not isinstance(asked, Reverse) or entry.standing is None:
        return None
    return entry.standing.campaign_no, asked.code, asked.of.step


def _redemptions(batch: Sequence[Waiting], entries: Sequence[Entry]) -> list[StepKey]:
    keys = (_redemption_of(waiting.asked, entry) for waiting, entry in zip(batch, entries, strict=True))
    return [key for key in keys if key is not None]


def _may_turn_false(waiting: Waiting, entry: Entry, found: Done | Nothing | Unfit) -> bool:
    """Whether a lost statement could still make this refusal false: its step is not taken yet, by nobody."""
    if not waiting.lost_step or not isinstance(found, Unfit):
        return False
    return entry.standing is None or entry.standing.step < waiting.lost_step
