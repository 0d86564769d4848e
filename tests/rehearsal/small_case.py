"""A drop in small, written by hand: everything that the judge looks at, and nothing wrong with it.

Offer `a` has two units, `b` has one; the wave opens at 10,000 and closes at 99,000 ms.
"""

from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from engine.domain.campaign import (
    Cap,
    Catalogue,
    CatalogueOffer,
    CatalogueWave,
    Eligibility,
    Limit,
    Offer,
    Promise,
    Terms,
    Use,
    Validity,
)
from engine.domain.codes import claim_id
from engine.domain.outcome import Claim
from engine.rehearsal.case import Case, Moments
from engine.rehearsal.kept import Kept
from engine.rehearsal.plan import Plan
from engine.rehearsal.record import Answer, Record, Told, ToldClaim, ToldVoucher
from engine.rehearsal.users import Kind, User

OPENS, CLOSES = 10_000, 99_000
STATUS = {
    "not_open": 409,
    "sold_out": 409,
    "already_claimed": 409,
    "closed": 410,
    "paused": 503,
    "busy": 503,
    "not_eligible": 403,
    "unauthenticated": 401,
    "cap_reached": 409,
    "internal": 500,
}

EARLY, PARALLEL, LOSER, GREEDY, GONE, FORGER = range(6)
"""Numbers of users. EARLY, GREEDY and GONE have a claim."""


def catalogue() -> Catalogue:
    offers = []
    for no, name in ((1, "a"), (2, "b")):
        offer = Offer(name, name, "instant", ("s1",), face=100)
        promise = Promise(offer, Use(), Validity(natural_days=7), "Asia/Shanghai", "CNY", {})
        offers.append(CatalogueOffer(no, name, (Terms(1, "hash", promise),)))
    wave = CatalogueWave(1, "w", "", "1970-01-01", OPENS, CLOSES, {1: 2, 2: 1})
    return Catalogue(
        0, "c", 1, "ABC", "c", "Asia/Shanghai", "CNY", "account", (Limit(1, "campaign"),), Cap(), Eligibility(),
        tuple(offers), (wave,),
    )  # fmt: skip


def kept_claim(user: int, offer_no: int, sequence: int, unit: int, at_ms: int) -> Claim:
    return Claim(1, offer_no, 1, 2, sequence, unit, 1, 1, at_ms, f"CODE{user}", f"u{user}", f"u{user}")


def told(claim: Claim) -> ToldClaim:
    at = datetime.fromtimestamp(claim.claimed_at_ms / 1000, UTC).isoformat()
    offer = {1: "a", 2: "b"}[claim.offer_no]
    return ToldClaim(claim_id(claim.code), "w", offer, claim.sequence, at, (ToldVoucher(claim.code),))


CLAIMS = {
    EARLY: kept_claim(EARLY, 1, 3, 1, OPENS + 5),
    GREEDY: kept_claim(GREEDY, 2, 4, 1, OPENS + 50),
    GONE: kept_claim(GONE, 1, 5, 2, OPENS + 60),
}


def answer(
    user: int, at_ms: float, status: int, code: str = "", *, offer: str = "a", claim: int | None = None
) -> Answer:
    """Sent at that time and answered ten milliseconds later."""
    told_claim = told(CLAIMS[claim]) if claim is not None else None
    return Answer(
        user, "claim", (offer,), 1, at_ms, at_ms + 10, status, status == 200, Told(code=code, claim=told_claim)
    )


def answers() -> list[Answer]:
    return [
        answer(EARLY, OPENS - 500, 409, "not_open"),
        answer(EARLY, OPENS, 201, claim=EARLY),
        answer(EARLY, OPENS + 20, 200, claim=EARLY),
        answer(FORGER, OPENS + 1, 401, "unauthenticated"),
        answer(GREEDY, OPENS + 45, 201, offer="b", claim=GREEDY),
        answer(GREEDY, OPENS + 70, 409, "already_claimed", offer="a", claim=GREEDY),
        answer(PARALLEL, OPENS + 100, 0),
        answer(PARALLEL, OPENS + 101, 503, "busy"),
        answer(PARALLEL, OPENS + 102, 409, "sold_out"),
        answer(LOSER, OPENS + 200, 409, "sold_out"),
        answer(EARLY, OPENS + 1_010, 200, claim=EARLY),
        answer(LOSER, OPENS + 1_020, 503, "paused"),
        answer(EARLY, OPENS + 2_010, 200, claim=EARLY),
        answer(LOSER, OPENS + 2_020, 410, "closed"),
        Answer(GONE, "look", (), 1, OPENS + 3_000, OPENS + 3_010, 200, False, Told(claims=(told(CLAIMS[GONE]),))),
    ]


def case(said: list[Answer] | None = None, **kept: Any) -> Case:
    """The case with other answers or with other claims kept; `claims`, `held`, `log` are dicts by code."""
    users = (
        User(EARLY, Kind.EARLY, ("a",), -500),
        User(PARALLEL, Kind.PARALLEL, ("a",), 0, times=3),
        User(LOSER, Kind.PLAIN, ("a",), 0),
        User(GREEDY, Kind.GREEDY, ("b",), 0, other_offer="a"),
        User(GONE, Kind.VANISHING, ("a",), 0),
        User(FORGER, Kind.FORGED, ("a",), 0),
    )
    record = Record()
    for each in answers() if said is None else said:
        record.answers.append(each)
        record.of_user[each.user].append(each)
        record.outcomes[each.outcome] += 1
    by_code = {claim.code: claim for claim in CLAIMS.values()}
    stores = Kept(dict(by_code), dict(by_code), dict(by_code), (2, 1))
    moments = Moments(OPENS, CLOSES)
    moments.pause_begun_ms, moments.resume_done_ms = OPENS + 1_000, OPENS + 1_100
    moments.close_begun_ms, moments.close_done_ms = OPENS + 2_000, OPENS + 2_005
    moments.tolerance_ms = 1.0
    shown = catalogue()
    plan = Plan("w", 1, {"a": 2, "b": 1}, 1, users)
    return Case(shown, shown.waves[0], plan, record, replace(stores, **kept), moments, STATUS)
