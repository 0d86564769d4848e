"""The judge: satisfied with a drop that went well, and not with any lie about it."""

from typing import Any

import pytest
from msgspec.structs import replace

from engine.domain.codes import claim_id
from engine.domain.outcome import Claim
from engine.domain.verdict import Promise, Verdict
from engine.rehearsal.judge import judge
from engine.rehearsal.record import Answer, Told, ToldVoucher
from tests.rehearsal.small_case import (
    CLAIMS,
    CLOSES,
    EARLY,
    FORGER,
    GONE,
    GREEDY,
    LOSER,
    OPENS,
    PARALLEL,
    answer,
    answers,
    case,
    kept_claim,
    told,
)


def broken(verdict: Verdict) -> set[Promise]:
    return {finding.promise for finding in verdict.findings if finding.held is False}


def test_a_drop_that_went_well() -> None:
    verdict = judge(case())
    assert broken(verdict) == set(), verdict
    assert [finding.promise for finding in verdict.findings] == ["P1", "P2", "P3", "P4", "P5", "P6", "P7", "P9"]


def but(place: int, **changes: object) -> list[Answer]:
    """The answers with something else in one of them."""
    said = answers()
    said[place] = replace(said[place], **changes)
    return said


def but_claim(place: int, **changes: object) -> list[Answer]:
    """The answers with something else in the claim that one of them tells of."""
    claim = answers()[place].told.claim
    assert claim is not None
    return but(place, told=Told(code=answers()[place].told.code, claim=replace(claim, **changes)))


def also(user: int, after_ms: int, status: int, code: str = "", **rest: Any) -> list[Answer]:
    """The answers and one more, sent that long after the opening."""
    return [*answers(), answer(user, OPENS + after_ms, status, code, **rest)]


def without(user: int) -> dict[str, Claim]:
    return {claim.code: claim for number, claim in CLAIMS.items() if number != user}


def altered(user: int, **changes: object) -> dict[str, Claim]:
    return {claim.code: replace(claim, **changes) if number == user else claim for number, claim in CLAIMS.items()}


NOT_OPEN, TOLD_EARLY, REPLAYED, TOLD_GREEDY, HELD, SOLD_OUT = 0, 1, 2, 4, 5, 9
"""Places of answers."""
NEW_CODE: dict[str, object] = {"id": claim_id("CODE9"), "vouchers": (ToldVoucher("CODE9"),)}
TOO_EARLY, TOO_LATE, NOT_THEN = "1970-01-01T00:00:09+00:00", "1970-01-01T00:02:00+00:00", "1970-01-01T00:00:20+00:00"

LIES: list[tuple[str, Promise, list[Answer]]] = [
    ("two claims told to one user", "P2", but_claim(REPLAYED, **NEW_CODE)),
    ("another code told than kept", "P3", but_claim(TOLD_EARLY, vouchers=(ToldVoucher("CODE9"),))),
    ("no code told", "P3", but_claim(TOLD_EARLY, vouchers=())),
    ("another id told", "P3", but_claim(TOLD_EARLY, id="c-9")),
    ("another number told", "P3", but_claim(TOLD_EARLY, sequence=9)),
    ("another offer told", "P3", but_claim(TOLD_EARLY, offer="b")),
    ("another instant told", "P3", but_claim(TOLD_EARLY, claimed_at=NOT_THEN)),
    ("somebody else's claim told", "P3", also(LOSER, 210, 200, claim=EARLY)),
    ("another code told beside a refusal", "P3", but_claim(HELD, **NEW_CODE)),
    ("kept and told to nobody", "P3", answers()[:-1]),
    ("another claim when repeated", "P5", but_claim(REPLAYED, **NEW_CODE)),
    ("granted as new twice", "P5", but(REPLAYED, status=201, replayed=False)),
    ("a repetition that does not say so", "P5", but(REPLAYED, replayed=False)),
    ("refused after it was granted", "P5", also(EARLY, 210, 409, "sold_out")),
    ("refused to a winner during the pause", "P5", also(EARLY, 1_030, 503, "paused")),
    ("refused to a winner after the close", "P5", also(EARLY, 2_030, 410, "closed")),
    ("granted before the opening", "P6", but(TOLD_EARLY, sent_ms=OPENS - 50, received_ms=OPENS - 40)),
    ("granted after the close", "P6", but(TOLD_EARLY, sent_ms=OPENS + 2_500, received_ms=OPENS + 2_510)),
    ("an instant before the opening", "P6", but_claim(TOLD_EARLY, claimed_at=TOO_EARLY)),
    ("an instant after the close", "P6", but_claim(TOLD_EARLY, claimed_at=TOO_LATE)),
    ("numbers against the order of time", "P7", but(TOLD_EARLY, sent_ms=OPENS + 60, received_ms=OPENS + 70)),
    ("sold out before it was", "P9", but(SOLD_OUT, sent_ms=OPENS + 10, received_ms=OPENS + 20)),
    ("already claimed by somebody who has not", "P9", also(LOSER, 200, 409, "already_claimed", claim=EARLY)),
    ("already claimed, and not shown", "P9", but(HELD, told=Told(code="already_claimed"))),
    ("already claimed before it was", "P9", but(HELD, sent_ms=OPENS + 20, received_ms=OPENS + 30)),
    ("not open after the opening", "P9", but(NOT_OPEN, sent_ms=OPENS + 5, received_ms=OPENS + 9)),
    ("closed before the close", "P9", also(LOSER, 300, 410, "closed")),
    ("paused before the pause", "P9", also(LOSER, 300, 503, "paused")),
    ("paused after the pause", "P9", also(LOSER, 1_500, 503, "paused")),
    ("a cap where there is none", "P9", also(LOSER, 300, 409, "cap_reached")),
    ("not eligible, but is", "P9", also(LOSER, 300, 403, "not_eligible")),
    ("a failure inside", "P9", also(LOSER, 300, 500, "internal")),
    ("a status of its own", "P9", also(LOSER, 300, 400, "sold_out")),
    ("an unknown code", "P9", also(LOSER, 300, 409, "bad_luck")),
    ("a body that is no answer", "P9", but(SOLD_OUT, readable=False)),
    ("a forger gets a claim", "P9", also(FORGER, 300, 201, claim=EARLY)),
    ("a look is refused", "P9", but(SOLD_OUT, purpose="look")),
]

LOSSES: list[tuple[str, Promise, dict[str, Any]]] = [
    ("told and not in the ledger", "P3", {"claims": without(EARLY)}),
    ("told and not held", "P3", {"held": without(EARLY)}),
    ("told and held otherwise", "P3", {"held": altered(EARLY, unit=9)}),
    ("told and not in the log", "P3", {"log": without(EARLY)}),
    ("told and in the log otherwise", "P3", {"log": altered(EARLY, unit=9)}),
    ("wanted and not given out", "P4", {"claims": without(GONE)}),
    ("numbered otherwise", "P7", {"claims": altered(EARLY, sequence=9)}),
    ("sold out with units left", "P9", {"claims": without(GONE)}),
    ("counted and shown to nobody", "P3", {"counted": {"a": 3, "b": 1}}),
    ("shown and not counted", "P3", {"counted": {"a": 2, "b": 0}}),
    ("a forger's claim", "P9", {"claims": {**altered(-1), "CODE5": kept_claim(FORGER, 1, 6, 3, OPENS + 90)}}),
]


@pytest.mark.parametrize(("promise", "said"), [lie[1:] for lie in LIES], ids=[lie[0] for lie in LIES])
def test_a_lie_is_found_out(promise: Promise, said: list[Answer]) -> None:
    verdict = judge(case(said))
    assert promise in broken(verdict), verdict


@pytest.mark.parametrize(("promise", "kept"), [loss[1:] for loss in LOSSES], ids=[loss[0] for loss in LOSSES])
def test_a_loss_is_found_out(promise: Promise, kept: dict[str, Any]) -> None:
    verdict = judge(case(**kept))
    assert promise in broken(verdict), verdict


def test_more_claims_told_than_units_are_found_out() -> None:
    second_of_one_unit = but_claim(TOLD_GREEDY, **NEW_CODE)[TOLD_GREEDY]
    assert "P1" in broken(judge(case([*answers(), second_of_one_unit])))


def test_an_offer_that_few_asked_for_is_not_judged() -> None:
    said = [each for each in answers() if each.user not in (PARALLEL, LOSER, GREEDY)]
    given_out = next(finding for finding in judge(case(said)).findings if finding.promise == "P4")
    assert given_out.held is None
    assert "too few users got a decision on a, b" in given_out.figures


def test_a_campaign_that_left_the_hot_store() -> None:
    assert broken(judge(case(held=None))) == set()


def test_a_log_that_was_trimmed() -> None:
    assert broken(judge(case(log={}, log_from=None))) == set()
    assert broken(judge(case(log={}, log_from=(3, 1)))) == set()


def test_a_drop_that_was_seen_from_outside() -> None:
    verdict = judge(case(held=None, log={}, log_from=None, counted={"a": 2, "b": 1}, places="the user's own list"))
    assert broken(verdict) == set(), verdict
    kept = next(finding for finding in verdict.findings if finding.promise == "P3")
    assert "each in the user's own list with the same code" in kept.figures


def test_numbers_that_began_again_are_not_judged() -> None:
    said = but(TOLD_EARLY, sent_ms=OPENS + 60, received_ms=OPENS + 70)
    numbers = next(finding for finding in judge(case(said, is_recovered=True)).findings if finding.promise == "P7")
    assert numbers.held is None


def test_examples_name_no_codes() -> None:
    verdict = judge(case(claims={}, held={}))
    lines = [line for finding in verdict.findings for line in (finding.figures, *finding.examples)]
    assert any("claim c-" in line for line in lines)
    assert not any("CODE" in line for line in lines)


def test_the_window_is_the_one_of_the_small_case() -> None:
    assert all(OPENS <= claim.claimed_at_ms < CLOSES for claim in CLAIMS.values())
    assert told(CLAIMS[GONE]).code == "CODE4"
