"""How any act is performed: look, work out the absolute state that shall be, put it under the next number.

Somebody else's act in between makes the store refuse it; then it is worked out anew. A lost reply is asked
for again under the same id, so nothing is done twice. An act reaches the hot store first and the ledger by
the log: it works while Postgres does not.
"""

import uuid
from collections.abc import Callable

from msgspec import Struct

from engine.domain.campaign import Catalogue
from engine.domain.decisions import ActKind, ActLine, Rules, WaveState
from engine.errors import ActOutrun, HotStoreUnavailable, ReplyLost, UsageError
from engine.hotstore.decide import act
from engine.hotstore.scripts import Fenced
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
            if not text.strip() or len(text) > WORDS_LENGTH_MAX or not text.isprintable():
                raise UsageError(f"{what} must be one line of 1 to {WORDS_LENGTH_MAX} characters, without tabs")


class Bounds(Struct, frozen=True):
    """When an act is right: from `not_before_ms` on, until `not_after_ms` (0: no bound), by the store's clock.

    `after_act`: only as the very next act behind that number (None: whatever came before).
    """

    not_before_ms: int = 0
    not_after_ms: int = 0
    after_act: int | None = None


async def change_wave(
    store: HotStore,
    campaign: str,
    wave_no: int,
    kind: ActKind,
    actor: Actor,
    change: Callable[[WaveState | None], WaveState],
    bounds: Callable[[WaveState | None, WaveState], Bounds] = lambda _before, _after: Bounds(),
    *,
    applied_ms: int = 0,
) -> bool:
    """Perform an act on a wave; False where the wave is so already. `applied_ms`: of the revision that it puts.

    `change` gives the state that shall be, or raises ActRefused. Raises ActRefused (ActOutrun where `after_act`
    does not hold), LeaseLost, or a HotStoreError.
    """

    def line_of(shard: ShardView) -> tuple[ActLine, Bounds] | None:
        before = shard.waves.get(wave_no)
        after = change(before)
        if after == before:
            return None
        # Waves are put before their campaign: a put, and what is done behind it, builds on the wave's newer revision.
        # The ledger takes it for newer than the apply then, and says what the hot store says.
        revision = max(shard.catalogue.revision, after.revision)
        line = _line(shard, kind, actor, wave_no=wave_no, revision=revision, state=after, applied_ms=applied_ms)
        return line, bounds(before, after)

    return await _perform(store, campaign, actor, line_of)


async def change_rules(
    store: HotStore,
    campaign: str,
    kind: ActKind,
    actor: Actor,
    change: Callable[[ShardView], Rules],
    *,
    catalogue: Catalogue | None = None,
    after_act: int | None = None,
) -> bool:
    """Perform an act on the campaign; with `catalogue` it puts that revision. Otherwise as `change_wave`."""

    def line_of(shard: ShardView) -> tuple[ActLine, Bounds] | None:
        after = change(shard)
        if after == shard.rules and catalogue is None:
            return None
        revision = shard.catalogue.revision if catalogue is None else catalogue.revision
        applied_ms = 0 if catalogue is None else catalogue.applied_ms
        line = _line(shard, kind, actor, revision=revision, rules=after, applied_ms=applied_ms)
        return line, Bounds(after_act=after_act)

    return await _perform(store, campaign, actor, line_of, catalogue)


async def _perform(
    store: HotStore,
    campaign: str,
    actor: Actor,
    line_of: Callable[[ShardView], tuple[ActLine, Bounds] | None],
    catalogue: Catalogue | None = None,
) -> bool:
    for _ in range(TRIES_MAX):
        shard = await read_shard(store, campaign)
        if shard is None:
            raise HotStoreUnavailable(f"{campaign} is not in the hot store")
        if not shard.bound:  # an old copy, maybe: what it says of the wave is no ground to refuse or to do nothing
            raise Fenced(f"{campaign} is being recovered")
        found = line_of(shard)
        if found is None:
            return False
        line, bounds = found
        if bounds.after_act is not None and shard.act != bounds.after_act:
            raise ActOutrun(f"act {shard.act} came first")
        try:
            await _send(store, shard, line, actor, bounds, catalogue)
        except ActOutrun:
            continue
        return True
    raise ActOutrun(f"other acts on {campaign} came first, {TRIES_MAX} times; look again and repeat")


async def _send(
    store: HotStore, shard: ShardView, line: ActLine, actor: Actor, bounds: Bounds, catalogue: Catalogue | None
) -> None:
    """Send an act; where the reply is lost, the same act again: under its id it is done once.

    Once a reply was lost, "surely nothing was done" can only be said of the repetition: that is ReplyLost still.
    """
    lost = False
    for attempt in range(1, TRIES_MAX + 1):
        try:
            await act(
                store,
                shard.campaign,
                shard.epoch,
                line,
                term=actor.term,
                not_before_ms=bounds.not_before_ms,
                not_after_ms=bounds.not_after_ms,
                catalogue=catalogue,
            )
        except ReplyLost:
            lost = True
            if attempt == TRIES_MAX:
                raise
        except HotStoreUnavailable as error:
            if not lost:
                raise
            raise ReplyLost(f"it is not known whether the act was done: {error}") from error
        else:
            return


def _line(
    shard: ShardView,
    kind: ActKind,
    actor: Actor,
    *,
    revision: int,
    wave_no: int = 0,
    state: WaveState | None = None,
    rules: Rules | None = None,
    applied_ms: int = 0,
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
        rules=rules,
        applied_ms=applied_ms,
    )
