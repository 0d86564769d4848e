"""Calling the two scripts that decide: a batch of claims, and an act."""

from collections.abc import Sequence

from msgspec import Struct

from engine.domain.campaign import Catalogue
from engine.domain.decisions import ActLine
from engine.domain.outcome import Ask, Claim, Claimed, Outcome, RefusalCode, Refused
from engine.errors import ActOutrun, ActRefused, HotStoreError
from engine.hotstore import keys
from engine.hotstore.records import claim_of_line, to_json
from engine.hotstore.scripts import ACT, CLAIM
from engine.hotstore.store import Argument, HotStore, Line


class Late(Struct, frozen=True):
    """The batch was past its `not_after`: nothing new was decided on this ask, and nothing is held."""


class Batch(Struct, frozen=True):
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
    arguments: list[Argument] = [epoch, not_after_ms, lag_max]
    for ask, code in asks:
        account = "" if ask.account == ask.claimant else ask.account
        arguments += (_ask_text(ask), ask.claimant, account, code)
    status, (now, last, answers) = await CLAIM.run(store, keys.shard(campaign, epoch), arguments)
    if status != "ok" or len(answers) != len(asks):
        raise HotStoreError(f"claim.lua answered {status} with {len(answers)} answers to {len(asks)} claims")
    return Batch(
        int(now),
        int(last),
        [_outcome(answer.decode(), ask, code, epoch) for answer, (ask, code) in zip(answers, asks, strict=True)],
    )


def _ask_text(ask: Ask) -> str:
    offers = " ".join(map(str, ask.offers))
    return f"{ask.wave_no} {ask.request_no} {ask.broken_rule or '-'} {offers}"


def _outcome(answer: str, ask: Ask, code: str, epoch: int) -> Outcome | Late:
    word, *rest = answer.split("\t")
    match word:
        case "new":
            offer, sequence, unit, nth, terms, claimed_at = map(int, rest)
            claim = Claim(
                wave_no=ask.wave_no,
                offer_no=offer,
                request_no=ask.request_no,
                epoch=epoch,
                sequence=sequence,
                unit=unit,
                nth=nth,
                terms_version=terms,
                claimed_at_ms=claimed_at,
                code=code,
                claimant=ask.claimant,
                account=ask.account,
            )
            return Claimed(claim)
        case "held":
            claim = claim_of_line(rest[1], ask.claimant, int(rest[0]))
            # Our own code: this batch was sent before and its reply was lost. For the user it is the first answer.
            return Claimed(claim, replayed=claim.code != code)
        case "late":
            return Late()
        case "already_claimed" | "limit_reached":
            held = claim_of_line(rest[1], ask.claimant, int(rest[0])) if rest else None
            return Refused(RefusalCode(word), claim=held)
        case "not_eligible":
            return Refused(RefusalCode.NOT_ELIGIBLE, rule=rest[0])
        case "cancelled" | "stopped" | "paused":
            return Refused(RefusalCode(word), reason=rest[0])
        case "closed" | "not_open" | "sold_out":
            return Refused(RefusalCode(word), at_ms=int(rest[0]))
        case _:
            return Refused(RefusalCode(word))


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
