"""The desk: gathers the claims of one shard and lets the script decide them in batches.

A few calls are under way at a time (`claim_calls_max`). What arrives meanwhile is the next batch, so an idle desk
sends at once and a busy one sends hundreds; no timer is involved. With a single call a crowd would move as a convoy:
all of it waits for an fsync, then all of it for this process, and each of the two idles while the other works.

Batches are sent in the order in which their claims came, on a connection each. Which of two Redis takes up first is
its affair, as it is with the batches of two gateways; what it decides is numbered in the order in which it does.

What an ask can go through, and how it ends:

    queue full, or it would take too long              busy        at once; never written
    too old when its turn came                         busy        never written
    who asked has gone before its turn came            (nobody)    never written
    surely not decided: refused, fenced, not connected busy / recovering
    Redis takes no writes                              the outcome, where that is no new claim; else busy
    reply lost                                         sent again with the same code: the script knows it
      … answered                                       the outcome
      … past `not_after`, nothing held, same epoch     busy        the lost call cannot decide it any more
      … refused for what may pass (see PASSING)        outcome_unknown
      … still no answer at the deadline                outcome_unknown
    told of a claim that too few replicas have         outcome_unknown   (`ack: replicated`)

The lost call may still lie in a socket's buffer when the repetition is answered. Where that was granted it does
no harm: before `not_after` the lost call finds the claim, after it the script decides nothing new. But where the
repetition was told, say, that the wave is not open yet, the lost call may come when it is, and be granted.

With `ack: replicated` whoever is told of a claim, granted or held before, waits until the replicas have it: a refusal
that shows a claim would else be an acknowledgement. Other refusals go out at once. An offer may be sold out by a claim
that is lost with its master later; whoever was told so has lost nothing, and whoever asks again may get the unit.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

import structlog

from engine.claiming.clock import StoreClock
from engine.claiming.draws import Codes
from engine.claiming.pace import Pace
from engine.claiming.presence import Presence
from engine.claiming.waiting import Awaited, Trial, Waiting
from engine.domain.outcome import Ask, Claimed, Outcome, RefusalCode, Refused
from engine.errors import HotStoreError, HotStoreUnavailable
from engine.hotstore.decide import Batch, Late, decide
from engine.hotstore.scripts import Fenced, OtherEpoch
from engine.hotstore.store import HotStore, Line
from engine.settings import Settings
from engine.telemetry import (
    CLAIM_BATCH_SIZE,
    CLAIM_QUEUE_LENGTH,
    CLAIM_REPLIES_LOST,
    CLAIM_STEP_SECONDS,
    CLAIMS_ABANDONED,
    CLAIMS_SHED,
    CLAIMS_UNREPLICATED,
)
from engine.telemetry.tracing import shared_span

log = structlog.get_logger(__name__)

BUSY = Refused(RefusalCode.BUSY)
RECOVERING = Refused(RefusalCode.RECOVERING)
OUTCOME_UNKNOWN = Refused(RefusalCode.OUTCOME_UNKNOWN)

PASSING = frozenset(
    {
        RefusalCode.UNKNOWN_WAVE,
        RefusalCode.UNKNOWN_OFFER,
        RefusalCode.CLOSED,
        RefusalCode.NOT_OPEN,
        RefusalCode.STOPPED,
        RefusalCode.PAUSED,
        RefusalCode.CAP_REACHED,
        RefusalCode.SOLD_OUT,
        RefusalCode.BUSY,
    }
)
"""Refusals whose reason may be gone a moment later. The others stay, so a lost call meets them too. That is not so of
`already_claimed` and `limit_reached` where a claim is voided, or a limit raised, within the `claim_decide_ms` in which
a lost call decides; they are told all the same, for they show what is held.

A wave that has closed by the clock is open again where the clock steps back, or a revision lets it close later; the
script's word for that is also its word for a wave that an act has closed for good.
"""

TELLING_OF_CLAIMS = frozenset({RefusalCode.ALREADY_CLAIMED, RefusalCode.LIMIT_REACHED})
"""Refusals for what is held: they are as good as the claims that they tell of."""

_QUEUE_SECONDS = CLAIM_STEP_SECONDS.labels("queue")
_SCRIPT_SECONDS = CLAIM_STEP_SECONDS.labels("script")
"""Looked up once: each batch has them."""

RETRY_PAUSE_MS = 20
RETRY_PAUSE_MAX_MS = 250
"""Pause before a lost call is repeated, doubled each time: a restarting Redis is not hammered."""
BUSY_WAIT_MAX_S = 10.0
"""Nobody is sent away for longer: what the queue looks like by then is anybody's guess."""


class Desk:
    """The desk of one campaign's shard in this process. A service: `stop` answers all that was accepted."""

    def __init__(
        self,
        store: HotStore,
        campaign: str,
        code_prefix: str,
        epoch: int,
        clock: StoreClock,
        settings: Settings,
        keeps_promise: Callable[[], bool] = lambda: True,
    ) -> None:
        """`keeps_promise`: as for `Desks`."""
        self._store = store
        self._keeps_promise = keeps_promise
        self._campaign = campaign
        self._clock = clock
        self._codes = Codes(code_prefix)
        self._settings = settings
        self._queue_max = settings.claim_queue_max
        self._batch_max = settings.claim_batch_max
        self._patience_s = min(settings.claim_wait_max_ms, settings.claim_deadline_ms) / 1000
        """Who would have to wait for longer is told `busy`."""
        self._queue: deque[Waiting] = deque()
        self._deserted = 0
        """Asks in the queue whose clients have gone."""
        self._pace = Pace(settings.claim_calls_max)
        self._something = asyncio.Event()
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        self.epoch = epoch

    @property
    def waiting(self) -> int:
        """Claims in the queue whose clients are still there."""
        return len(self._queue) - self._deserted

    async def start(self) -> None:
        """Begin to send; a second start does nothing."""
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._run(), name=f"desk {self._campaign} {nth}")
                for nth in range(self._settings.claim_calls_max)
            ]

    async def stop(self) -> None:
        """Answer everything that was accepted, then end. Bounded: each batch ends by its deadline."""
        self._stopping = True
        self._something.set()
        tasks, self._tasks = self._tasks, []
        await asyncio.gather(*tasks)

    def saw_epoch(self, epoch: int) -> None:
        """Whoever has seen a later epoch does not sell in an earlier one."""
        self.epoch = max(self.epoch, epoch)

    async def claim(self, ask: Ask, presence: Presence | None = None) -> Outcome:
        """The outcome of this ask, as `decided` gives it."""
        return (await self.decided(ask, presence))[0]

    async def decided(self, ask: Ask, presence: Presence | None = None) -> tuple[Outcome, int]:
        """The outcome of this ask, and the epoch it was decided in. Never raises for what happens to the store.

        CancelledError where the client leaves: in the queue it is forgotten, once it is sent it is decided for nobody.
        """
        waiting = Awaited(ask)
        self.take(waiting, presence)
        try:
            return await waiting.outcome, waiting.epoch
        except asyncio.CancelledError:
            waiting.cancel()
            raise

    def take(self, waiting: Waiting, presence: Presence | None = None) -> None:
        """As `decided`, without a task: `waiting` hears what comes of it, perhaps before this returns."""
        now_s = time.monotonic()
        before = len(self._queue) - self._deserted
        wait_s = self._pace.wait_s(before // self._batch_max, now_s)
        if self._stopping or before >= self._queue_max or wait_s > self._patience_s:
            waiting.epoch = self.epoch
            waiting.end(BUSY if self._stopping else self._shed(before, wait_s))
            return
        waiting.enter(now_s, self._forget)
        self._queue.append(waiting)
        if not self._something.is_set():
            self._something.set()
        if presence is not None:
            presence.waits_for(waiting)

    def _shed(self, before: int, wait_s: float) -> Refused:
        """`busy` at once, where there is no place for one more or its turn would come too late."""
        CLAIMS_SHED.labels("queue_full" if before >= self._queue_max else "queue_slow").inc()
        return Refused(RefusalCode.BUSY, wait_ms=round(1000 * min(wait_s, BUSY_WAIT_MAX_S)))

    def _forget(self, waiting: Waiting) -> None:
        """Its client has gone. The queue is cleared of such when they are the most of it: each is moved once."""
        CLAIMS_ABANDONED.labels("script" if waiting.place == "script" else "queue").inc()
        if waiting.place != "queue":
            return
        waiting.place = "deserted"
        self._deserted += 1
        if 2 * self._deserted > len(self._queue):
            queue, self._queue, self._deserted = self._queue, deque(), 0
            for each in queue:
                if each.is_over:
                    each.place = "out"
                else:
                    self._queue.append(each)

    async def _run(self) -> None:
        while True:
            if not self._queue:
                if self._stopping:
                    return
                self._something.clear()
                await self._something.wait()
                continue
            batch = self._next_batch()
            if batch:
                await self._answer(batch)

    def _next_batch(self) -> list[Waiting]:
        """What has gathered, up to the bound, without what nobody waits for; what is too old is told so."""
        CLAIM_QUEUE_LENGTH.observe(self.waiting)
        oldest_s = time.monotonic() - self._settings.claim_deadline_ms / 1000
        queue = self._queue
        batch: list[Waiting] = []
        codes = self._codes.take(min(len(queue), self._batch_max))
        if not self._deserted and queue[0].arrived_s >= oldest_s:  # nearly always: as below, without its questions
            for code in codes:
                waiting = queue.popleft()
                waiting.place, waiting.code = "script", code
                batch.append(waiting)
            return batch
        while queue and codes:
            waiting = queue.popleft()
            if waiting.place == "deserted":
                self._deserted -= 1
            if waiting.is_over:
                waiting.place = "out"
            elif waiting.arrived_s < oldest_s:
                waiting.place = "out"
                waiting.end(BUSY)
            else:
                waiting.place, waiting.code = "script", codes.pop()
                batch.append(waiting)
        return batch

    async def _answer(self, batch: list[Waiting]) -> None:
        """Every ask of the batch gets its outcome, whatever happens here."""
        started_s = time.monotonic()
        self._pace.began(started_s)
        _QUEUE_SECONDS.observe(started_s - batch[0].arrived_s)
        CLAIM_BATCH_SIZE.observe(len(batch))
        try:
            await self._decide(batch)
        except Exception:  # the desk outlives a bad batch: its asks hear that the outcome is not known
            log.exception("batch failed", campaign=self._campaign, claims=len(batch))
        finally:
            ended_s = time.monotonic()
            self._pace.ended(started_s, ended_s)
            _SCRIPT_SECONDS.observe(ended_s - started_s)
            for waiting in batch:
                if not waiting.is_over:
                    waiting.end(OUTCOME_UNKNOWN)

    async def _decide(self, batch: list[Waiting]) -> None:
        """Send until there is an answer or the deadline has come. See the table at the top."""
        deadline_s = batch[0].arrived_s + self._settings.claim_deadline_ms / 1000
        trial = Trial(self._clock.now_ms() + self._settings.claim_decide_ms, self.epoch)
        pause_ms = RETRY_PAUSE_MS
        while (refusal := await self._try(batch, trial)) is not None:
            if not trial.lost:
                self._end_all(batch, refusal)
                return
            if time.monotonic() + pause_ms / 1000 >= deadline_s:
                self._end_all(batch, OUTCOME_UNKNOWN)
                return
            await asyncio.sleep(pause_ms / 1000)
            pause_ms = min(2 * pause_ms, RETRY_PAUSE_MAX_MS)
            # Only the wait for the replicas may have been lost: who has an answer must not be decided once more.
            batch = [waiting for waiting in batch if not waiting.is_over]
            if not batch:
                return

    async def _try(self, batch: list[Waiting], trial: "Trial") -> Refused | None:
        """Send once, or again at once where that is sure to be no repetition. None: every ask has its answer."""
        while True:
            try:
                await self._send(batch, trial)
            except OtherEpoch as error:
                if error.epoch < self.epoch:
                    return RECOVERING  # this server is behind what we have seen: it must not sell
                self.epoch = error.epoch  # and again: epochs rise with recoveries, and each of those takes a while
            except Fenced:
                return RECOVERING
            except HotStoreUnavailable as error:
                log.warning("hot store unavailable", campaign=self._campaign, error=str(error))
                if not trial.has_another_try(error):
                    return BUSY
            except HotStoreError as error:
                trial.lost = True
                CLAIM_REPLIES_LOST.inc()
                log.warning("reply lost", campaign=self._campaign, claims=len(batch), error=str(error))
                return OUTCOME_UNKNOWN
            else:
                return None

    async def _send(self, batch: list[Waiting], trial: Trial) -> None:
        """One call, after which every ask of the batch has its answer. Raises what `decide` raises, or ReplyLost."""
        asks = [(waiting.ask, waiting.code) for waiting in batch]
        traces = [waiting.trace for waiting in batch if waiting.trace is not None]
        epoch = self.epoch  # a later one may be seen while the call is under way
        async with self._store.line() as line:
            with shared_span("claim.batch", traces, campaign=self._campaign, claims=len(batch)):
                lag_max = self._settings.log_lag_max if trial.grants else 0
                decided = await decide(line, self._campaign, epoch, asks, trial.not_after_ms, lag_max)
            self._clock.heard(decided.now_ms)
            promised = self._hand_out(batch, decided, trial, epoch)
            if promised:
                await self._tell_what_is_replicated(line, promised)

    def _hand_out(
        self, batch: list[Waiting], decided: Batch, trial: Trial, epoch: int
    ) -> list[tuple[Waiting, Outcome]]:
        """Give every ask its answer, but those that have to wait for the replicas: these come back."""
        same_epoch = self.epoch == trial.first_epoch
        is_kept, is_replicated = self._keeps_promise(), self._settings.ack == "replicated"
        if is_kept and not (is_replicated or trial.lost):  # nearly always: as below, without its questions
            for waiting, answer in zip(batch, decided.answers, strict=True):
                waiting.epoch = epoch
                waiting.end(answer if isinstance(answer, Claimed) or not isinstance(answer, Late) else BUSY)
            return []
        promised = []
        for waiting, answer in zip(batch, decided.answers, strict=True):
            waiting.epoch = epoch
            if isinstance(answer, Late):
                waiting.end(BUSY if same_epoch or not trial.lost else OUTCOME_UNKNOWN)
            elif trial.lost and isinstance(answer, Refused) and answer.code in PASSING:
                waiting.end(OUTCOME_UNKNOWN)
            elif is_replicated and _tells_of_new_claim(answer, epoch):
                promised.append((waiting, answer))
            elif answer.claim is not None and not is_kept:
                waiting.end(OUTCOME_UNKNOWN)
            else:
                waiting.end(answer)
        return promised

    async def _tell_what_is_replicated(self, line: Line, promised: list[tuple[Waiting, Outcome]]) -> None:
        """On the connection of the call: for that one, Redis knows how far its replicas have to be."""
        began_s = time.monotonic()
        reached = await line.replicas(self._settings.replicas, self._settings.replica_wait_ms)
        CLAIM_STEP_SECONDS.labels("replicas").observe(time.monotonic() - began_s)
        are_enough = reached >= self._settings.replicas
        if not are_enough:
            CLAIMS_UNREPLICATED.inc(len(promised))
            log.warning("too few replicas", campaign=self._campaign, claims=len(promised), replicas=reached)
        is_kept = are_enough and self._keeps_promise()
        for waiting, outcome in promised:
            waiting.end(outcome if is_kept else OUTCOME_UNKNOWN)

    def _end_all(self, batch: list[Waiting], refusal: Refused) -> None:
        for waiting in batch:
            waiting.end(refusal)


def _tells_of_new_claim(outcome: Outcome, epoch: int) -> bool:
    """Whether it tells of a claim of this epoch. Those of earlier ones were in the ledger before it began.

    The claim of another account is not shown; it may be a new one.
    """
    if isinstance(outcome, Claimed):
        return outcome.claim.epoch >= epoch
    return outcome.code in TELLING_OF_CLAIMS and (outcome.claim is None or outcome.claim.epoch >= epoch)
