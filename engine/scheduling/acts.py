"""Acts: what operators and the steward do to a wave, as one mechanism.

An act reads the wave as it stands, works out what shall be, and puts that absolute state under the next
number. Somebody else's act in between makes the store refuse it; then it is worked out anew. A lost reply is
asked for again under the same id, so nothing is done twice. The act reaches the hot store first and the
ledger by the log: it works while Postgres does not.
"""

import uuid
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from engine.domain.campaign import Catalogue
from engine.domain.decisions import ActKind, ActLine, WaveState
from engine.errors import ActOutrun, ActRefused, HotStoreUnavailable, ReplyLost, UsageError
from engine.hotstore.decide import act
from engine.hotstore.store import HotStore
from engine.hotstore.view import ShardView, read_shard

TRIES_MAX = 5
"""Acts that may come in between, or replies that may be lost, before the caller is told. Acts are rare."""


WORDS_LENGTH_MAX = 500
"""Characters of a reason: a few sentences, shown to users as they are."""


class Actor(Struct, frozen=True):
    """Who acts and why: both stand in the log and the ledger. `term` is set where it is the steward."""

    name: str
    reason: str
    term: int | None = None

    def __post_init__(self) -> None:
        """Users read the reason, and records put it between tabs. Raises UsageError."""
        for what, text in (("the actor's name", self.name), ("the reason", self.reason)):
            if not 0 < len(text) <= WORDS_LENGTH_MAX or not text.isprintable():
                raise UsageError(f"{what} must be one line of 1 to {WORDS_LENGTH_MAX} characters, without tabs")


async def put_wave(store: HotStore, campaign: str, wave_no: int, state: WaveState, actor: Actor) -> bool:
    """Put a wave's schedule, stock and terms; whether it is paused or closed stays as it is."""

    def change(before: WaveState | None) -> WaveState:
        if before is None:
            return state
        return replace(state, state=before.state, reason=before.reason, closed_ms=before.closed_ms)

    return await _change(store, campaign, wave_no, "put_wave", change, actor)


async def pause(store: HotStore, campaign: str, wave_no: int, actor: Actor) -> bool:
    """No claims from the next batch on; users are told the reason. False where it was paused already."""

    def change(before: WaveState | None) -> WaveState:
        wave = _open_ended(before)
        return wave if wave.state == "paused" else replace(wave, state="paused", reason=actor.reason)

    return await _change(store, campaign, wave_no, "pause", change, actor)


async def resume(store: HotStore, campaign: str, wave_no: int, actor: Actor) -> bool:
    """Undo a pause. False where the wave was not paused."""

    def change(before: WaveState | None) -> WaveState:
        wave = _open_ended(before)
        return replace(wave, state="live", reason="") if wave.state == "paused" else wave

    return await _change(store, campaign, wave_no, "resume", change, actor)


async def close(
    store: HotStore, campaign: str, wave_no: int, actor: Actor, *, now_ms: int, on_schedule: bool = False
) -> bool:
    """End a wave for good; what was claimed stands. False where it was closed already.

    On schedule it is refused until the store's clock has passed the wave's closing, and that is its time;
    else it closes at once, at `now_ms` of the store's clock.
    """

    def change(before: WaveState | None) -> WaveState:
        if before is not None and before.state == "closed":
            return before
        wave = _open_ended(before)
        closed_ms = wave.closes_ms if on_schedule else min(now_ms, wave.closes_ms)
        return replace(wave, state="closed", closed_ms=closed_ms)

    return await _change(store, campaign, wave_no, "close", change, actor, at_closing=on_schedule)


async def put_campaign(store: HotStore, catalogue: Catalogue, actor: Actor) -> bool:
    """Put rules and catalogue of a new revision. False where that revision (or a later one) is there."""
    for _ in range(TRIES_MAX):
        shard = await _shard(store, catalogue.id)
        if shard.catalogue.revision >= catalogue.revision:
            return False
        line = _line(shard, "put_campaign", actor, revision=catalogue.revision)
        try:
            return await _send(store, shard, line, actor, catalogue=catalogue)
        except ActOutrun:
            continue
    raise ActRefused(f"other acts on {catalogue.id} came first, {TRIES_MAX} times; try again")


async def _change(
    store: HotStore,
    campaign: str,
    wave_no: int,
    kind: ActKind,
    change: Callable[[WaveState | None], WaveState],
    actor: Actor,
    *,
    at_closing: bool = False,
) -> bool:
    for _ in range(TRIES_MAX):
        shard = await _shard(store, campaign)
        before = shard.waves.get(wave_no)
        after = change(before)
        if after == before:
            return False
        line = _line(shard, kind, actor, wave_no=wave_no, state=after)
        try:
            return await _send(store, shard, line, actor, not_before_ms=after.closes_ms if at_closing else 0)
        except ActOutrun:
            continue
    raise ActRefused(f"other acts on {campaign} came first, {TRIES_MAX} times; look again and repeat")


async def _send(
    store: HotStore,
    shard: ShardView,
    line: ActLine,
    actor: Actor,
    *,
    not_before_ms: int = 0,
    catalogue: Catalogue | None = None,
) -> bool:
    """Send an act; where the reply is lost, the same act again: under its id it is done once."""
    for attempt in range(1, TRIES_MAX + 1):
        try:
            await act(
                store,
                shard.campaign,
                shard.epoch,
                line,
                term=actor.term,
                not_before_ms=not_before_ms,
                catalogue=catalogue,
            )
        except ReplyLost:
            if attempt == TRIES_MAX:
                raise
            continue
        else:
            return True
    raise AssertionError("unreachable: the last attempt returns or raises")


def _line(
    shard: ShardView,
    kind: ActKind,
    actor: Actor,
    *,
    wave_no: int = 0,
    revision: int = 0,
    state: WaveState | None = None,
) -> ActLine:
    return ActLine(
        number=shard.act + 1,
        id=uuid.uuid4().hex,
        kind=kind,
        actor=actor.name,
        reason=actor.reason,
        wave_no=wave_no,
        revision=revision,
        state=state,
    )


async def _shard(store: HotStore, campaign: str) -> ShardView:
    shard = await read_shard(store, campaign)
    if shard is None:
        raise HotStoreUnavailable(f"{campaign} is not in the hot store")
    return shard


def _open_ended(wave: WaveState | None) -> WaveState:
    if wave is None:
        raise ActRefused("this wave is not in the hot store")
    if wave.state in ("closed", "cancelled"):
        raise ActRefused(f"wave {wave.id} is {wave.state}")
    return wave
