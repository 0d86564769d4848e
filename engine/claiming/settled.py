"""Waiting until a claim is in the ledger, for `ack: settled`.

While somebody waits, the ledger's cursors are read every few milliseconds: one row a campaign, by its key.
The cursor is the truth itself, so no message can be lost, come late, or tell of another epoch.

    the cursor                        the claim
    in its epoch, at its number       is settled
    in its epoch, before it           waits
    in a later epoch                  is looked for in the ledger. Whoever began that epoch had settled before what was
                                      left of the log, and nothing of the old epoch is settled behind it: it is there,
                                      or it went with its epoch
    cannot be read                    waits
    not there by the deadline         is not known
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set

import structlog
from msgspec import Struct

from engine.domain.outcome import Claim
from engine.errors import LedgerError
from engine.settings import Settings
from engine.telemetry import CLAIM_STEP_SECONDS
from engine.telemetry.tracing import traced_here

log = structlog.get_logger(__name__)

Place = tuple[int, int]

ReadPlaces = Callable[[], Awaitable[Mapping[str, Place]]]
"""The cursor of each campaign. Raises LedgerError."""
FindClaims = Callable[[str, Sequence[Claim]], Awaitable[Set[str]]]
"""Codes of those of a campaign's claims that the ledger has. Raises LedgerError."""

ONE_IN = 16


class SettledWatch:
    """Tells when claims are settled. A service; reads nothing while nobody waits."""

    def __init__(self, read_places: ReadPlaces, find_claims: FindClaims, settings: Settings) -> None:
        self._read_places = read_places
        self._find_claims = find_claims
        self._settings = settings
        self._waiting: dict[str, list[_Wait]] = {}
        """By campaign, in order of arrival, so the first of each is the first whose deadline comes."""
        self._seen: Mapping[str, Place] = {}
        """The last look's cursors: what was settled then is known without another look, and without the ledger."""
        self._somebody = asyncio.Event()
        self._waits = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin; a second start does nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="settled watch")

    async def stop(self) -> None:
        """End; whoever still waits is told that it is not known."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        for waiting in self._waiting.values():
            for each in waiting:
                each.end(settled=False)
        self._waiting.clear()

    async def wait(self, campaign: str, claim: Claim, *, is_new: bool) -> bool:
        """True once the claim is in the ledger; False where that is not known by the deadline, or where it was lost.

        A claim that is asked for again and was seen settled needs no look: it is answered while the ledger is away,
        too. Not so a new one: were both stores restored to an earlier moment, the last look could tell of another claim
        of its number.
        """
        epoch, last = self._seen.get(campaign, (0, 0))
        if not is_new and claim.epoch == epoch and claim.sequence <= last:
            return True
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        # One deadline a look, not a timer for each claim, which would cost as much as all the rest of it.
        deadline_s = time.monotonic() + self._settings.settle_deadline_ms / 1000
        self._waiting.setdefault(campaign, []).append(_Wait(claim, future, deadline_s))
        self._somebody.set()
        began_s = time.perf_counter()
        try:
            return await future
        finally:
            self._watch_wait(began_s)

    def _watch_wait(self, began_s: float) -> None:
        """One wait in sixteen is measured, as with the other steps of a claim."""
        ended_s = time.perf_counter()
        if not self._waits % ONE_IN:
            CLAIM_STEP_SECONDS.labels("ack").observe(ended_s - began_s)
        self._waits += 1
        trace = traced_here()
        if trace is not None:
            trace.step("ack", began_s, ended_s)

    async def _run(self) -> None:
        look: asyncio.Task[_Look] | None = None
        try:
            while True:
                if not self._waiting:
                    self._somebody.clear()
                    await self._somebody.wait()
                started_s = time.monotonic()
                look = look or asyncio.ensure_future(self._look())
                if await self._heard(look):
                    look = None
                    await asyncio.sleep(max(0.0, self._settings.settle_poll_ms / 1000 - (time.monotonic() - started_s)))
        finally:
            if look is not None:
                look.cancel()

    async def _look(self) -> "_Look":
        places, ends = await self._read_places(), {}
        for campaign, (epoch, _) in places.items():
            outlived = [each.claim for each in self._waiting.get(campaign, ()) if each.claim.epoch < epoch]
            if outlived:
                found = await self._find_claims(campaign, outlived)
                ends.update({claim.code: claim.code in found for claim in outlived})
        return _Look(places, ends)

    async def _heard(self, look: "asyncio.Task[_Look]") -> bool:
        """Tell what the look has brought. False where the first deadline came before: that look goes on."""
        deadline_s = min(waiting[0].deadline_s for waiting in self._waiting.values())
        done, _ = await asyncio.wait({look}, timeout=max(0.0, deadline_s - time.monotonic()))
        if done:
            try:
                heard = look.result()
            except LedgerError as error:
                log.warning("cannot read the cursors", error=str(error))
            except Exception:  # a mistake of ours: whoever waits has a deadline, and only this task keeps it
                log.exception("cannot read the cursors")
            else:
                self._seen = heard.places
                self._tell(heard)
                return True
        self._tell(_Look({}, {}))  # nothing is known; whose deadline has come is told so
        return bool(done)

    def _tell(self, look: "_Look") -> None:
        now_s = time.monotonic()
        for campaign, waiting in list(self._waiting.items()):
            epoch, last = look.places.get(campaign, (0, 0))
            still = []
            for each in waiting:
                claim = each.claim
                if claim.epoch == epoch and claim.sequence <= last:
                    each.end(settled=True)
                elif claim.code in look.ends:
                    each.end(settled=look.ends[claim.code])
                elif each.deadline_s <= now_s:
                    each.end(settled=False)
                elif not each.future.done():
                    still.append(each)
            if still:
                self._waiting[campaign] = still
            else:
                del self._waiting[campaign]


class _Look(Struct, frozen=True):
    """What one look has seen: the cursors, and whether the ledger has the claims whose epochs are over, by code."""

    places: Mapping[str, Place]
    ends: Mapping[str, bool]


class _Wait:
    """One who waits, and for how long."""

    __slots__ = ("claim", "deadline_s", "future")

    def __init__(self, claim: Claim, future: "asyncio.Future[bool]", deadline_s: float) -> None:
        self.claim = claim
        self.future = future
        self.deadline_s = deadline_s

    def end(self, *, settled: bool) -> None:
        """Tell; a client that is gone has cancelled its future."""
        if not self.future.done():
            self.future.set_result(settled)
