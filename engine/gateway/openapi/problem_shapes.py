"""What each refusal looks like: the members that all have, and those that a code adds."""

from collections.abc import Iterable
from typing import Any, Final, get_args

from engine.domain.campaign import CLAIMS_PER_CLAIMANT_MAX
from engine.domain.eligibility import Rule
from engine.gateway.openapi.claim_shapes import CLAIM_EXAMPLE
from engine.gateway.openapi.shapes import (
    REQUEST_ID,
    Shape,
    Shapes,
    always,
    identifier,
    instant,
    listed,
    members,
    one_of,
    or_null,
    schema,
    text,
    whole,
)
from engine.gateway.ops_refusals import MISTAKES_MAX
from engine.gateway.problem_kind import ProblemKind
from engine.gateway.problems import KINDS

_REASON: Final = {"reason": text("As operators gave it")}
_OWN_CLAIM: Final = {"claim": schema("Claim") | {"description": "Where this account made it"}}
_FAILURE: Final = text("Under which the failure was logged: that of the request", pattern=REQUEST_ID)

REQUIRED: Final[dict[str, Shapes]] = {
    "invalid_request": {"at": text("Where: a JSON path into the body, or the name of what is wrong")},
    "not_eligible": {"rule": one_of(get_args(Rule), "What is not met")},
    "closed": {"closed_at": instant()},
    "not_open": {"opens_at": instant()},
    "sold_out": {
        "alternatives": listed(schema("Alternative"), "Other offers of the wave that had some left"),
        "alternatives_age_ms": whole("How long before this answer they were read"),
    },
    "not_yet_effective": {"valid_from": instant()},
    "expired": {"expires_at": instant("Exclusive")},
    "already_redeemed": {"redeemed_at": instant(), "store": text("Id of the store")},
    "invalidated": {"invalidated_at": instant(), "reason": text("As its holder is told")},
    "locked": {"locked_until": instant("Exclusive")},
    "below_min_spend": {"short_by": whole("What is missing, in minor units", 1)},
    "one_per_payment": {"per_payment": whole("Vouchers of the campaign that one payment takes", 1)},
    "already_reversed": {"reversed_at": instant("The last of it")},
    "above_redeemed": {"left": whole("What was not refunded yet, in minor units")},
    "precondition_failed": {"revision": whole("At which the campaign is; 0: not applied yet")},
    "act_refused": {"reasons": listed(text(), minItems=1)},
    "internal": {"id": _FAILURE},
}
"""Members that answers of a code always have, beside the usual ones."""

OPTIONAL: Final[dict[str, Shapes]] = {
    "invalid_request": {
        "mistakes": listed(schema("Mistake"), "Of a campaign file", maxItems=MISTAKES_MAX),
        "mistakes_in_all": whole("Where there are more than are listed", 1),
    },
    "cancelled": _REASON,
    "closed": _REASON,
    "stopped": _REASON,
    "paused": _REASON,
    "already_claimed": _OWN_CLAIM,
    "limit_reached": _OWN_CLAIM,
    "sold_out": {"sold_out_at": instant()},
    "outcome_unknown": {"id": _FAILURE},
    "act_incomplete": {"act": text(), "campaigns": listed(schema("CampaignResult"))},
}
"""Members that answers of a code may have."""

PARTS: Final[dict[str, Shape]] = {
    "Alternative": members({"offer": identifier(), "title": text(), "left": whole("", 1)}),
    "Mistake": members(
        {
            "line": or_null(whole("Of the file, from 1; null where it has none for it", 1)),
            "path": text(),
            "what": text(),
        }
    ),
}

_EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "invalid_request": {
        "detail": f"request_no has to be an integer from 1 to {CLAIMS_PER_CLAIMANT_MAX}",
        "at": "$.request_no",
    },
    "not_eligible": {"detail": "not open to users of this city", "rule": "city"},
    "closed": {"closed_at": "2036-01-01T00:00:00.000+08:00"},
    "not_open": {"opens_at": "2026-01-01T00:00:00.000+08:00"},
    "paused": {"reason": "payment is down"},
    "already_claimed": {"claim": CLAIM_EXAMPLE},
    "sold_out": {
        "sold_out_at": "2026-01-01T00:00:03.250+08:00",
        "alternatives": [{"offer": "shop-5", "title": "便利店消费券 5 元", "left": 12}],
        "alternatives_age_ms": 120,
    },
    "not_yet_effective": {"valid_from": "2026-01-02T00:00:00.000+08:00"},
    "expired": {"expires_at": "2026-01-08T00:00:00.000+08:00"},
    "already_redeemed": {"redeemed_at": "2026-01-02T12:03:04.125+08:00", "store": "shop-001"},
    "invalidated": {"invalidated_at": "2026-01-02T12:03:04.125+08:00", "reason": "the store has closed for good"},
    "locked": {"locked_until": "2026-01-02T12:15:00.000+08:00"},
    "below_min_spend": {"short_by": 1250},
    "one_per_payment": {"per_payment": 1},
    "already_reversed": {"reversed_at": "2026-01-03T09:30:00.000+08:00"},
    "above_redeemed": {"left": 1250},
    "precondition_failed": {"revision": 3},
    "act_refused": {"reasons": ["wave try-it is cancelled"]},
    "act_incomplete": {"detail": "1 of 3 campaigns could not be reached: do it again"},
    "internal": {"id": "9f86d081884c-1a2b"},
}


def problem_name(code: str) -> str:
    """What the problem's shape is called: `sold_out` is a `SoldOutProblem`."""
    return camel(code) + "Problem"


def camel(code: str) -> str:
    """`sold_out` as `SoldOut`."""
    return "".join(word.capitalize() for word in code.replace("-", "_").split("_"))


def problem_shapes() -> dict[str, Shape]:
    """A shape for each code, by name, and what those are made of."""
    return PARTS | {problem_name(code): _problem(kind) for code, kind in KINDS.items()}


def body_shape(codes: Iterable[str]) -> Shape:
    """The body of an answer that has one of these codes."""
    shapes = {code: schema(problem_name(code)) for code in codes}
    if len(shapes) == 1:
        return next(iter(shapes.values()))
    mapping = {code: shape["$ref"] for code, shape in shapes.items()}
    return {"oneOf": list(shapes.values()), "discriminator": {"propertyName": "code", "mapping": mapping}}


def problem_example(code: str) -> dict[str, Any]:
    """An answer of that code, in English."""
    kind = KINDS[code]
    pause = {} if kind.retry is None else {"retry_after_ms": kind.retry.at_least_ms + kind.retry.jitter_ms // 2}
    return {
        "type": f"/problems/{kind.slug}",
        "title": kind.title.en,
        "status": kind.status,
        "code": code,
        "final": kind.final,
        **pause,
        **_EXAMPLES.get(code, {}),
    }


def _problem(kind: ProblemKind) -> Shape:
    required: dict[str, Shape] = {
        "type": always(f"/problems/{kind.slug}") | {"description": "Leads to an explanation"},
        "title": text(f"For people: {kind.title.en}, or {kind.title.zh}"),
        "status": always(kind.status),
        "code": always(kind.code),
        "final": always(kind.final) | {"description": "Whether asking again, the same way, does not help"},
    }
    if kind.retry is not None:
        required["retry_after_ms"] = whole("When to come back, with a random part of its own", kind.retry.at_least_ms)
    optional: dict[str, Shape] = {"detail": text("For people: what exactly")}
    return members(
        required | dict(REQUIRED.get(kind.code, {})), optional | dict(OPTIONAL.get(kind.code, {})), kind.more.en
    )
