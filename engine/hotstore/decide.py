"""Calling the two scripts that decide: a batch of claims, and an act."""

from collections.abc import Sequence

import msgspec

from engine.domain.campaign import Catalogue
from engine.domain.decisions import ActLine
from engine.domain.outcome import Ask, Claim, Claimed, Outcome, RefusalCode, Refused
from engine.errors import ActOutrun, ActRefused, HotStoreError
from engine.frozen import Frozen
from engine.hotstore import keys
from engine.hotstore.records import claim_of_line, to_json
from engine.hotstore.scripts import ACT, CLAIM, PACKED
from engine.hotstore.store import HotStore, Line
from engine.hotstore.wire import Argument


class Late(Frozen):
    """The batch was past its `not_after`: nothing new was decided on this ask, and nothing is held."""


class Batch(Frozen):
    """What a script call gave: an answer for each ask in order, the store's clock, and the shard's last number."""

    now_ms: int
    last: int
    answers: list[Outcome | Late]


async def decide(
    store: HotStore | Line,
    campaign: str,
    epoch: int,
    asks: Sequence[tuple[Ask, str]],
    not_after_ms: int,
    lag_max: int,
) -> Batch:
    """Let the script decide these asks, each with the voucher code to issue.

    Raises Fenced, OtherEpoch, HotStoreUnavailable (surely nothing was decided) or another HotStoreError (not known).
    """
    arguments: list[Argument] = [epoch, _packed(asks, not_after_ms, lag_max)]
    status, reply = await CLAIM.run(store, keys.shard(campaign, epoch), arguments)
    if status != PACKED:
        raise HotStoreError(f"claim.lua answered {status}")
    return _batch(reply[0], asks, epoch)


_ENCODER = msgspec.msgpack.Encoder()
_REPLY = msgspec.msgpack.Decoder(tuple[int, int, int, list[str], list[int], list[int]])


def _packed(asks: Sequence[tuple[Ask, str]], not_after_ms: int, lag_max: int) -> bytes:
    """The batch as claim.lua takes it: what several claims have in common is told once."""
    places: dict[tuple[int, int, str, tuple[int, ...]], int] = {}
    runs: list[int] = []
    claimants, codes = [], []
    what_before = None
    for ask, code in asks:
        what = (ask.wave_no, ask.request_no, ask.broken_rule, ask.offers)
        if what == what_before:
            runs[-1] += 1
        else:
            runs += (places.setdefault(what, len(places) + 1), 1)
            what_before = what
        claimants.append(ask.claimant)
        codes.append(code if ask.account == ask.claimant else f"{code},{ask.account}")
    told = [(str(wave), str(request), rule, [str(each) for each in offers]) for wave, request, rule, offers in places]
    return _ENCODER.encode((not_after_ms, lag_max, told, runs, claimants, codes))


class _Grant(Frozen):
    """What claims that were granted in one batch have in common."""

    offer_no: int
    nth: int
    terms_version: int
    claimed_at_ms: int


def _batch(packed: bytes, asks: Sequence[tuple[Ask, str]], epoch: int) -> Batch:
    """What a reply tells. An answer that several were given is read once."""
    now_ms, first, last, texts, runs, units = _REPLY.decode(packed)
    if sum(runs[1::2]) != len(asks):
        raise HotStoreError(f"claim.lua gave {sum(runs[1::2])} answers to {len(asks)} claims")
    outcomes: list[Outcome | Late] = []
    sequence, first_units = first, iter(units)
    for place, count in zip(runs[::2], runs[1::2], strict=True):
        some = asks[len(outcomes) : len(outcomes) + count]
        kind = _kind(texts[place - 1], some[0][0].claimant)
        if isinstance(kind, _Grant):
            outcomes += _granted(some, kind, epoch, sequence, next(first_units))
            sequence += count
        elif isinstance(kind, Claim):
            # Our own code: this batch was sent before and its reply was lost. For the user it is the first answer.
            outcomes += [Claimed(kind, kind.code != code) for _, code in some]
        else:
            outcomes += [kind] * count
    return Batch(now_ms, last, outcomes)


def _granted(some: Sequence[tuple[Ask, str]], grant: _Grant, epoch: int, sequence: int, unit: int) -> list[Claimed]:
    """The claims of these, numbered from `sequence` and `unit` on."""
    ahead, offer_no, nth = unit - sequence, grant.offer_no, grant.nth
    terms_version, at_ms = grant.terms_version, grant.claimed_at_ms
    return [
        Claimed(
            Claim(  # by place: names cost three times as much, and this is done for every claim
                ask.wave_no,
                offer_no,
                ask.request_no,
                epoch,
                no,
                no + ahead,
                nth,
                terms_version,
                at_ms,
                code,
                ask.claimant,
                ask.account,
            )
        )
        for no, (ask, code) in enumerate(some, start=sequence)
    ]


def _kind(text: str, claimant: str) -> _Grant | Claim | Refused | Late:
    """An answer as it stands in the reply. A line of a holder record is of one claimant, so no other is given it."""
    word, *rest = text.split("\t")
    match word:
        case "new":
            return _Grant(*map(int, rest))
        case "held":
            return _held(rest, claimant)
        case "late":
            return Late()
        case "already_claimed" | "limit_reached":
            return Refused(RefusalCode(word), claim=_held(rest, claimant) if rest else None)
        case "not_eligible":
            return Refused(RefusalCode.NOT_ELIGIBLE, rule=rest[0])
        case "cancelled" | "stopped" | "paused":
            return Refused(RefusalCode(word), reason=rest[0])
        case "closed" | "not_open" | "sold_out":
            return Refused(RefusalCode(word), at_ms=int(rest[0]))
        case _:
            return Refused(RefusalCode(word))


def _held(told: Sequence[str], claimant: str) -> Claim:
    """The claim that an answer shows: nth, base, line."""
    nth, base, line = told
    return claim_of_line(line, claimant, int(nth), int(base))


async def act(
    store: HotStore,
    campaign: str,
    epoch: int,
    line: ActLine,
    *,
    term: int | None = None,
    not_before_ms: int = 0,
    not_after_ms: int = 0,
    catalogue: Catalogue | None = None,
) -> bool:
    """Put an act in place: `line.state` for a wave, or `line.rules` for the campaign. False where it was done before.

    `catalogue` goes with the act that puts a revision. Raises ActRefused with the reason, LeaseLost, Fenced,
    OtherEpoch, or another HotStoreError. After ReplyLost the same act may be sent again.
    """
    wave = "" if line.state is None else line.wave_no
    shard = keys.shard(campaign, epoch)
    arguments: list[Argument] = [
        epoch,
        "" if term is None else term,
        line.number,
        line.id,
        not_before_ms,
        not_after_ms,
        to_json(line),
        wave,
        to_json(line.rules if line.state is None else line.state),
        "" if catalogue is None else to_json(catalogue),
    ]
    status, rest = await ACT.run(store, [shard.head, shard.log, shard.meta, shard.left], arguments)
    match status:
        case "ok":
            return True
        case "done":
            return False
        case "older":
            raise ActOutrun(f"act {int(rest[1])} came first")
        case "early":
            raise ActRefused("it is too early for this by the hot store's clock")
        case "late":
            raise ActRefused("it is too late for this: the wave has opened by the hot store's clock")
        case "below":
            raise ActRefused(f"{int(rest[2])} units of offer number {int(rest[1])} are claimed already")
        case _:
            raise HotStoreError(f"act.lua answered {status}")
