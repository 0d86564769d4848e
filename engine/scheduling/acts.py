"""Acts: what operators and the steward do to a wave or a campaign.

Each function says what shall be; `performing` puts it. All give False where it is so already, and raise
ActRefused with the reason where it cannot be.
"""

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from engine.domain.campaign import Catalogue
from engine.domain.decisions import Rules, WaveState
from engine.errors import ActRefused
from engine.hotstore.store import HotStore
from engine.hotstore.view import ShardView
from engine.scheduling.performing import Actor, Bounds, change_rules, change_wave

OVER = ("closed", "cancelled")


async def put_wave(
    store: HotStore,
    campaign: str,
    wave_no: int,
    state: WaveState,
    actor: Actor,
    *,
    now_ms: int = 0,
    after_act: int | None = None,
    applied_ms: int = 0,
) -> bool:
    """Put a wave's schedule, stock and terms, as a revision has them that was applied at `applied_ms`.

    What was done to it since stays (a pause, units rolled over, void tickets); a wave that is over stays as it is.
    One that has opened by `now_ms` of the store's clock keeps its opening and all of its stock; one that opens in
    the moment of the put is refused, and is put as an opened one at the next look.
    """

    def has_opened(before: WaveState) -> bool:
        return now_ms >= before.opens_ms

    def change(before: WaveState | None) -> WaveState:
        if before is None:
            return state
        if before.state in OVER:
            return before
        put = _opened(before, state) if has_opened(before) else state
        kept = replace(
            put,
            state=before.state,
            reason=before.reason,
            closed_ms=before.closed_ms,
            void_before_ms=before.void_before_ms,
            rolled_in=before.rolled_in,
        )
        totals = {no: offer.total + kept.moved_units(no) for no, offer in put.offers.items()}
        after = replace(kept, offers={no: replace(offer, total=totals[no]) for no, offer in put.offers.items()})
        return before if replace(after, revision=before.revision) == before else after

    def bounds(before: WaveState | None, _after: WaveState) -> Bounds:
        opens_ms = 0 if before is None or has_opened(before) else before.opens_ms
        return Bounds(not_after_ms=opens_ms, after_act=after_act)

    return await change_wave(store, campaign, wave_no, "put_wave", actor, change, bounds, applied_ms=applied_ms)


def _opened(before: WaveState, state: WaveState) -> WaveState:
    """What of `state` an opened wave can still become. The ledger took the change before the opening, or it would
    have refused it; by now units were given by what the wave was when it opened."""
    offers = {no: replace(offer, total=offer.total - before.moved_units(no)) for no, offer in before.offers.items()}
    for no, offer in state.offers.items():
        least = offers[no].total if no in offers else 0
        offers[no] = replace(offer, total=max(offer.total, least))
    closes_ms = state.closes_ms if state.opens_ms == before.opens_ms else before.closes_ms
    return replace(
        state, round=before.round, day=before.day, opens_ms=before.opens_ms, closes_ms=closes_ms, offers=offers
    )


async def put_campaign(store: HotStore, catalogue: Catalogue, actor: Actor, *, after_act: int | None = None) -> bool:
    """Put rules and catalogue of a new revision. ActRefused where a later one is there."""

    def change(shard: ShardView) -> Rules:
        if shard.catalogue.revision > catalogue.revision:
            raise ActRefused(f"revision {shard.catalogue.revision} of {catalogue.id} is there already")
        return Rules(catalogue.limits, catalogue.cap, shard.rules.stopped)

    return await change_rules(
        store, catalogue.id, "put_campaign", actor, change, catalogue=catalogue, after_act=after_act
    )


async def pause(store: HotStore, campaign: str, wave_no: int, actor: Actor) -> bool:
    """No claims from the next batch on; users are told the reason."""

    def change(wave: WaveState) -> WaveState:
        return wave if wave.state == "paused" else replace(wave, state="paused", reason=actor.reason)

    return await change_wave(store, campaign, wave_no, "pause", actor, _unless_over(change))


async def resume(store: HotStore, campaign: str, wave_no: int, actor: Actor) -> bool:
    """Undo a pause."""

    def change(wave: WaveState) -> WaveState:
        return replace(wave, state="live", reason="") if wave.state == "paused" else wave

    return await change_wave(store, campaign, wave_no, "resume", actor, _unless_over(change))


async def close(
    store: HotStore, campaign: str, wave_no: int, actor: Actor, *, now_ms: int, on_schedule: bool = False
) -> bool:
    """End a wave for good; what was claimed stands.

    On schedule it is refused until the store's clock has passed the wave's closing, and that is its time;
    else it closes at once, at `now_ms` of the store's clock.
    """

    def change(before: WaveState | None) -> WaveState:
        if before is not None and before.state == "closed":
            return before
        wave = _not_over(before)
        closed_ms = wave.closes_ms if on_schedule else min(now_ms, wave.closes_ms)
        return replace(wave, state="closed", closed_ms=closed_ms)

    def bounds(_before: WaveState | None, after: WaveState) -> Bounds:
        return Bounds(not_before_ms=after.closes_ms if on_schedule else 0)

    return await change_wave(store, campaign, wave_no, "close", actor, change, bounds)


async def cancel(store: HotStore, campaign: str, wave_no: int, actor: Actor) -> bool:
    """Call a wave off for good, with the reason that users see. Claims made before stand."""

    def change(before: WaveState | None) -> WaveState:
        if before is not None and before.state == "cancelled":
            return before
        return replace(_not_over(before), state="cancelled", reason=actor.reason)

    return await change_wave(store, campaign, wave_no, "cancel", actor, change)


async def restock(store: HotStore, campaign: str, wave_no: int, totals: Mapping[int, int], actor: Actor) -> bool:
    """Set the stock of offers (by number) to these totals; units that were rolled over come on top.

    Refused below what is claimed: the script compares in the same step in which nobody can claim.
    """

    def change(wave: WaveState) -> WaveState:
        offers = dict(wave.offers)
        for offer_no, total in totals.items():
            offer = offers.get(str(offer_no))
            if offer is None:
                raise ActRefused(f"wave {wave.id} does not have offer number {offer_no}; an apply can add it")
            offers[str(offer_no)] = replace(offer, total=total + wave.moved_units(str(offer_no)))
        return replace(wave, offers=offers)

    return await change_wave(store, campaign, wave_no, "restock", actor, _unless_over(change))


async def move(
    store: HotStore, campaign: str, wave_no: int, opens_ms: int, closes_ms: int, day: str, actor: Actor
) -> bool:
    """Give a wave that is not open another time; tickets stay good. `day` is the ISO date of the new opening.

    Refused from the old opening on, by the store's clock.
    """
    if opens_ms >= closes_ms:
        raise ActRefused("the wave would close before it opens")

    def change(wave: WaveState) -> WaveState:
        return replace(wave, opens_ms=opens_ms, closes_ms=closes_ms, day=day)

    def bounds(before: WaveState | None, _after: WaveState) -> Bounds:
        return Bounds(not_after_ms=before.opens_ms if before else 0)

    return await change_wave(store, campaign, wave_no, "move", actor, _unless_over(change), bounds)


async def void_tickets(store: HotStore, campaign: str, wave_no: int, before_ms: int, actor: Actor) -> bool:
    """Void every ticket of a wave that was issued before that instant; gateways know with their board's next look."""

    def change(before: WaveState | None) -> WaveState:
        wave = _put(before)
        return replace(wave, void_before_ms=max(wave.void_before_ms, before_ms))

    return await change_wave(store, campaign, wave_no, "void_tickets", actor, change)


async def stop(store: HotStore, campaign: str, actor: Actor) -> bool:
    """Nobody claims in any wave of the campaign from the next batch on; users are told the reason."""

    def change(shard: ShardView) -> Rules:
        return shard.rules if shard.rules.stopped else replace(shard.rules, stopped=actor.reason)

    return await change_rules(store, campaign, "stop", actor, change)


async def start(store: HotStore, campaign: str, actor: Actor) -> bool:
    """Undo a stop. What was paused before stays paused."""
    return await change_rules(store, campaign, "start", actor, lambda shard: replace(shard.rules, stopped=""))


async def roll_out(
    store: HotStore,
    campaign: str,
    wave_no: int,
    left: Mapping[str, int],
    actor: Actor,
    *,
    after_act: int | None = None,
) -> bool:
    """First half of a rollover: a closed wave gives away what it has left, by offer number. Done once.

    Until the other half is done, the units stand in this wave's `rolled_out`, so none is lost in between.
    """

    def change(before: WaveState | None) -> WaveState:
        wave = _put(before)
        if wave.rolled_out is not None:
            return wave
        _refuse_unless_closed(wave)
        given = {no: units for no, units in left.items() if units}
        offers = {no: replace(offer, total=offer.total - given.get(no, 0)) for no, offer in wave.offers.items()}
        return replace(wave, offers=offers, rolled_out=given)

    return await change_wave(store, campaign, wave_no, "roll_out", actor, change, _next_after(after_act))


async def roll_in(
    store: HotStore,
    campaign: str,
    wave_no: int,
    from_wave_no: int,
    units: Mapping[str, int],
    actor: Actor,
    *,
    after_act: int | None = None,
) -> bool:
    """Second half of a rollover: a wave gets the units that another one gave away. Done once for each source."""

    def change(wave: WaveState) -> WaveState:
        if str(from_wave_no) in wave.rolled_in:
            return wave
        offers = dict(wave.offers)
        for no, gained in units.items():
            if no not in offers:
                raise ActRefused(f"wave {wave.id} does not have offer number {no}")
            offers[no] = replace(offers[no], total=offers[no].total + gained)
        return replace(wave, offers=offers, rolled_in={**wave.rolled_in, str(from_wave_no): dict(units)})

    return await change_wave(store, campaign, wave_no, "roll_in", actor, _unless_over(change), _next_after(after_act))


async def lapse(store: HotStore, campaign: str, wave_no: int, actor: Actor, *, after_act: int) -> bool:
    """No wave can get what a closed one has left: it keeps the units, for nobody. Undoes a first half.

    Right only as the next act behind the one after which the caller saw that the other wave does not have them.
    """

    def change(before: WaveState | None) -> WaveState:
        wave = _put(before)
        _refuse_unless_closed(wave)
        back = wave.rolled_out or {}
        offers = {no: replace(offer, total=offer.total + back.get(no, 0)) for no, offer in wave.offers.items()}
        return replace(wave, offers=offers, rolled_out={})

    return await change_wave(store, campaign, wave_no, "lapse", actor, change, _next_after(after_act))


def _next_after(act: int | None) -> Callable[[WaveState | None, WaveState], Bounds]:
    return lambda _before, _after: Bounds(after_act=act)


def _refuse_unless_closed(wave: WaveState) -> None:
    if wave.state != "closed":
        raise ActRefused(f"wave {wave.id} is not closed: what it has left can still be claimed")


def _unless_over(change: Callable[[WaveState], WaveState]) -> Callable[[WaveState | None], WaveState]:
    return lambda before: change(_not_over(before))


def _put(wave: WaveState | None) -> WaveState:
    if wave is None:
        raise ActRefused("this wave is not in the hot store")
    return wave


def _not_over(before: WaveState | None) -> WaveState:
    wave = _put(before)
    if wave.state in OVER:
        raise ActRefused(f"wave {wave.id} is {wave.state}")
    return wave
