"""What operators may do to waves, by the ids that they know: one set of checks for the command line and for HTTP.

Reads and writes the hot store alone, so that it works while gateways, steward and Postgres are dead. Doing
the same twice is safe: the second time nothing is done, and the answer says so.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

from msgspec import Struct

from engine.domain.campaign import Catalogue, CatalogueWave
from engine.domain.decisions import WaveState
from engine.domain.quoting import presentable
from engine.errors import (
    ActRefused,
    DropwaveError,
    HotStoreUnavailable,
    ReplyLost,
    UnknownOffer,
    UnknownWave,
    UsageError,
)
from engine.hotstore.store import HotStore
from engine.hotstore.view import ShardView, loaded_campaigns, read_shard
from engine.scheduling import acts
from engine.scheduling.performing import Actor
from engine.scheduling.times import NotATime, exact, instant_of, read_end, read_start
from engine.scheduling.waves import STOCK_MAX

Result = TypeVar("Result")

CAMPAIGNS_AT_ONCE = 8
"""Shards that are read or stopped at the same time: one that hangs does not hold up the others, and the pool of
connections is not used up."""


class Seen(Struct, frozen=True):
    """A wave as it was seen in its shard."""

    shard: ShardView
    wave: CatalogueWave

    @property
    def catalogue(self) -> Catalogue:
        """The campaign's, as it is in the hot store."""
        return self.shard.catalogue

    @property
    def state(self) -> WaveState:
        """How the claim script sees the wave."""
        return self.shard.waves[self.wave.no]

    def claimed(self, offer_no: int) -> int:
        """Units of that offer that are claimed."""
        return self.state.offers[str(offer_no)].total - self.shard.left[self.wave.no, offer_no]


class Done(Struct, frozen=True):
    """What came of an act on a wave. `done` is False where the wave was so already."""

    act: str
    done: bool
    before: Seen
    after: Seen


class CampaignResult(Struct, frozen=True):
    """What came of stopping or starting a campaign; `done` is None where it failed, and `error` says why."""

    campaign: str
    done: bool | None
    error: str = ""


class Operations:
    """The acts, over one hot store.

    Each raises UnknownWave or another UsageError for what cannot be asked, ActRefused with the reason where it
    cannot be done now, or a HotStoreError.
    """

    def __init__(self, store: HotStore) -> None:
        self._store = store

    async def shards(self) -> list[ShardView]:
        """Every campaign that can be read."""
        return [shard for shard in await self._read_all() if isinstance(shard, ShardView)]

    async def look(self, wave: str) -> Seen:
        """That wave as it is now."""
        shards = await self._read_all()
        for shard in shards:
            if isinstance(shard, ShardView) and (seen := _in_shard(shard, wave)):
                return seen
        for shard in shards:
            if isinstance(shard, DropwaveError):  # the wave may be there
                raise shard
        raise UnknownWave(f"no wave {presentable(wave)} is in the hot store")

    async def pause(self, wave: str, actor: Actor) -> Done:
        """No claims from the next batch on, until `resume`."""
        return await self._act("pause", wave, lambda seen: acts.pause(self._store, *_place(seen), actor))

    async def resume(self, wave: str, actor: Actor) -> Done:
        """End a pause."""
        return await self._act("resume", wave, lambda seen: acts.resume(self._store, *_place(seen), actor))

    async def close(self, wave: str, actor: Actor) -> Done:
        """End a wave for good, now."""

        async def close(seen: Seen) -> bool:
            return await acts.close(self._store, *_place(seen), actor, now_ms=seen.shard.now_ms)

        return await self._act("close", wave, close)

    async def cancel(self, wave: str, actor: Actor) -> Done:
        """Call a wave off for good; users see the reason. What was claimed stands."""
        return await self._act("cancel", wave, lambda seen: acts.cancel(self._store, *_place(seen), actor))

    async def restock(self, wave: str, totals: Mapping[str, int], actor: Actor) -> Done:
        """Set the stock of offers, by id, to these totals: what is claimed included, what was rolled over on top."""
        if not totals:
            raise UsageError("no stock was named: name offers with their totals")
        for offer, total in totals.items():
            if not 0 <= total <= STOCK_MAX:
                raise UsageError(
                    f"the stock of {presentable(offer)} must be a whole number from 0 to {STOCK_MAX:,}, "
                    f"not {presentable(str(total))}"
                )

        async def restock(seen: Seen) -> bool:
            numbers = _offer_numbers(seen, totals)
            try:
                return await acts.restock(self._store, *_place(seen), numbers, actor)
            except ActRefused:
                _refuse_below_claimed(await self.look(wave), numbers)  # says it with the offer's id
                raise

        return await self._act("restock", wave, restock)

    async def move(self, wave: str, opens_at: str, closes_at: str | None, actor: Actor) -> Done:
        """Give a wave that has not opened another time; tickets stay good.

        Times are local in the campaign's zone ("2021-09-17 20:00") or RFC 3339. Without `closes_at` it lasts as
        long as before. Its day (for limits per day, and validity) is that of the new opening.
        """
        _must_be_times(opens_at, closes_at)

        async def move(seen: Seen) -> bool:
            state, zone = seen.state, seen.catalogue.timezone
            opens_ms = instant_ms(opens_at, zone)
            lasts_ms = state.closes_ms - state.opens_ms
            closes_ms = opens_ms + lasts_ms if closes_at is None else instant_ms(closes_at, zone, end=True)
            if (opens_ms, closes_ms) != (state.opens_ms, state.closes_ms):
                _refuse_move(seen, opens_ms, closes_ms)
            day = datetime.fromtimestamp(opens_ms / 1000, ZoneInfo(zone)).date().isoformat()
            return await acts.move(self._store, *_place(seen), opens_ms, closes_ms, day, actor)

        return await self._act("move", wave, move)

    async def void_tickets(self, wave: str, before: str | None, actor: Actor) -> Done:
        """Void the tickets issued before that instant, by default those issued until now.

        A later instant voids more, an earlier one changes nothing.
        """
        _must_be_times(before)

        async def void(seen: Seen) -> bool:
            now_ms = seen.shard.now_ms
            before_ms = now_ms if before is None else instant_ms(before, seen.catalogue.timezone)
            if before_ms > now_ms:
                raise ActRefused("this instant is still to come: tickets that are not issued yet cannot be voided")
            return await acts.void_tickets(self._store, *_place(seen), before_ms, actor)

        return await self._act("void-tickets", wave, void)

    async def stop_all(self, actor: Actor) -> list[CampaignResult]:
        """Nobody claims anywhere from the next batch on. One campaign that fails does not hinder the others."""
        return await self._everywhere(lambda campaign: acts.stop(self._store, campaign, actor))

    async def start_all(self, actor: Actor) -> list[CampaignResult]:
        """Undo `stop_all`; waves that were paused by themselves stay paused."""
        return await self._everywhere(lambda campaign: acts.start(self._store, campaign, actor))

    async def _act(self, act: str, wave: str, perform: Callable[[Seen], Awaitable[bool]]) -> Done:
        before = await self.look(wave)
        if not await perform(before):
            return Done(act, False, before, before)
        try:
            return Done(act, True, before, await self.look(wave))
        except HotStoreUnavailable as error:  # that would say that nothing was done
            raise ReplyLost(f"{act} is done, but the wave cannot be looked at now: {error}") from error

    async def _everywhere(self, perform: Callable[[str], Awaitable[bool]]) -> list[CampaignResult]:
        async def result(campaign: str) -> CampaignResult:
            try:
                return CampaignResult(campaign, await perform(campaign))
            except DropwaveError as error:
                return CampaignResult(campaign, None, str(error))

        return await self._for_each(result)

    async def _read_all(self) -> list[ShardView | DropwaveError]:
        async def read(campaign: str) -> ShardView | DropwaveError:
            try:
                shard = await read_shard(self._store, campaign)
            except DropwaveError as error:
                return error
            return shard or HotStoreUnavailable(f"campaign {campaign} is being recovered")

        return await self._for_each(read)

    async def _for_each(self, work: Callable[[str], Awaitable[Result]]) -> list[Result]:
        """Do that for every campaign in the hot store, a few at a time; results by campaign."""
        turns = asyncio.Semaphore(CAMPAIGNS_AT_ONCE)

        async def in_turn(campaign: str) -> Result:
            async with turns:
                return await work(campaign)

        return await asyncio.gather(*map(in_turn, await loaded_campaigns(self._store)))


def instant_ms(text: str, timezone: str, *, end: bool = False) -> int:
    """Unix milliseconds of a time as an operator writes it. `end`: 24:00 may stand in it. Raises UsageError."""
    zone = ZoneInfo(timezone)
    try:
        time = read_end(text) if end else read_start(text)
        instant = exact(time, zone) if time.tzinfo else instant_of(time, zone)
    except NotATime as error:
        raise UsageError(str(error)) from None
    return round(instant.timestamp() * 1000)


def _must_be_times(start: str | None, end: str | None = None) -> None:
    """What is no time is said to be none before it is known which wave is meant, and so its zone."""
    for text, is_end in ((start, False), (end, True)):
        if text is not None:
            instant_ms(text, "UTC", end=is_end)


def instant_text(at_ms: int, timezone: str) -> str:
    """The same for people: local time with its offset, to the second."""
    return datetime.fromtimestamp(at_ms // 1000, ZoneInfo(timezone)).isoformat(" ")


def _in_shard(shard: ShardView, wave: str) -> Seen | None:
    for each in shard.catalogue.waves:
        if each.id == wave and each.no in shard.waves:
            return Seen(shard, each)
    return None


def _place(seen: Seen) -> tuple[str, int]:
    return seen.catalogue.id, seen.wave.no


def _offer_numbers(seen: Seen, totals: Mapping[str, int]) -> dict[int, int]:
    """The totals by offer number. UnknownOffer where the wave lacks one, naming those that it has."""
    known = {offer.id: offer.no for offer in seen.catalogue.offers if str(offer.no) in seen.state.offers}
    for offer in totals:
        if offer not in known:
            raise UnknownOffer(f"wave {seen.wave.id} has no offer {presentable(offer)}; it has {', '.join(known)}")
    return {known[offer]: total for offer, total in totals.items()}


def _refuse_below_claimed(seen: Seen, totals: Mapping[int, int]) -> None:
    for offer in seen.catalogue.offers:
        if offer.no in totals and str(offer.no) in seen.state.offers:
            lowest = max(0, seen.claimed(offer.no) - seen.state.moved_units(str(offer.no)))
            if totals[offer.no] < lowest:
                raise ActRefused(
                    f"{seen.claimed(offer.no):,} units of {offer.id} are claimed already: its stock cannot be "
                    f"{totals[offer.no]:,}; {lowest:,} is the least"
                )


def _refuse_move(seen: Seen, opens_ms: int, closes_ms: int) -> None:
    wave, zone, now_ms = seen.wave.id, seen.catalogue.timezone, seen.shard.now_ms
    if seen.state.state in acts.OVER:
        raise ActRefused(f"wave {wave} is {seen.state.state}")
    if now_ms >= seen.state.opens_ms:
        raise ActRefused(
            f"wave {wave} has opened at {instant_text(seen.state.opens_ms, zone)}: it cannot move any more"
        )
    if opens_ms <= now_ms:
        raise ActRefused(
            f"{instant_text(opens_ms, zone)} is past: a wave can only move to a time that is still to come"
        )
    if opens_ms >= closes_ms:
        raise ActRefused(
            f"the wave would close at {instant_text(closes_ms, zone)}, "
            f"not after its opening at {instant_text(opens_ms, zone)}"
        )
    _refuse_broken_rollover(seen, opens_ms, closes_ms)


def _refuse_broken_rollover(seen: Seen, opens_ms: int, closes_ms: int) -> None:
    """Unsold stock can only go to a wave that opens once the other is closed, as in a campaign file."""
    moved, zone = seen.wave, seen.catalogue.timezone
    for other in seen.catalogue.waves:
        state = seen.shard.waves.get(other.no)
        if state is None or state.state in acts.OVER:
            continue
        if moved.rollover == other.id and state.opens_ms < closes_ms:
            raise ActRefused(
                f"what is unsold in wave {moved.id} goes to wave {other.id}, which opens at "
                f"{instant_text(state.opens_ms, zone)}, before the close at {instant_text(closes_ms, zone)}"
            )
        if other.rollover == moved.id and opens_ms < state.closes_ms:
            raise ActRefused(
                f"what is unsold in wave {other.id} goes to wave {moved.id}, and wave {other.id} only closes at "
                f"{instant_text(state.closes_ms, zone)}"
            )
