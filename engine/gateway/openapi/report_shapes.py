"""The report on a wave."""

from typing import Any, Final, get_args

from engine.domain.decisions import ActKind, WaveStatus
from engine.gateway.openapi.shapes import (
    Shape,
    identifier,
    instant,
    listed,
    members,
    one_of,
    or_null,
    schema,
    text,
    truth,
    whole,
)
from engine.reporting.sight import HotStoreState

_UNITS: Final = whole("Units")
_FEWER: Final = whole("Below 0 where units were taken away", -(2**31))
_SECONDS: Final = listed(whole(), "Claims in each of the first seconds from the opening on")
_MAYBE_TRUE: Final[Shape] = {"type": ["boolean", "null"]}
_COURSE: Final[dict[str, Shape]] = {
    "claimed": whole("Claims that are settled"),
    "quarantined": whole("Claims that the ledger keeps apart until somebody has looked; their units are used"),
    "voided": whole("Claims that were taken back; their units stay used"),
    "value_given": whole("What they cost their funder at most, in minor units"),
    "first_claim_at": or_null(instant()),
    "last_claim_at": or_null(instant()),
    "sold_out_at": or_null(instant("Since when nothing is left")),
    "sold_out_after_ms": or_null(whole("After the opening", -(2**53 - 1))),
}

REPORT_SHAPES: Final[dict[str, dict[str, Any]]] = {
    "StockCourse": members(
        {
            "put": whole("By the campaign's file"),
            "restocked": _FEWER,
            "rolled_in": whole("Unsold units of other waves"),
            "rolled_out": whole("Given to another wave"),
            "total": _FEWER,
        },
        says="Units by where they came from",
    ),
    "TermsGiven": members(
        {
            "version": whole("", 1),
            "hash": text(pattern="^[0-9a-f]{64}$"),
            "value": whole("Of one claim, in minor units"),
            "claims": whole(),
        }
    ),
    "OfferReport": members(
        {
            "id": identifier(),
            "title": text(),
            "face": or_null(whole()),
            "stock": schema("StockCourse"),
            "left": _FEWER,
            **_COURSE,
            "terms": listed(schema("TermsGiven")),
            "by_second": _SECONDS,
            "hot_store": or_null(members({"stock": _UNITS, "claimed": _UNITS, "left": _UNITS})),
        }
    ),
    "ActDone": members(
        {
            "number": whole("In the order of the campaign's acts", 0),
            "act": one_of(get_args(ActKind)),
            "at": instant(),
            "actor": text(),
            "reason": text(),
        }
    ),
    "Report": members(
        {
            "wave": identifier(),
            "campaign": identifier(),
            "title": text(),
            "sandbox": truth(),
            "currency": text("ISO 4217", pattern="^[A-Z]{3}$"),
            "round": text(),
            "day": text(format="date"),
            "state": one_of(get_args(WaveStatus)),
            "reason": text("Empty where there is none"),
            "stopped": text("Why the whole campaign is stopped; empty where it is not"),
            "as_of": instant("When the ledger was read"),
            "complete": truth("No claim that was made by then is missing"),
            "settled": members(
                {
                    "epoch": whole(),
                    "number": whole("Of the last decision in the ledger"),
                    "behind": or_null(whole("Decisions that it lacks; null: not known")),
                }
            ),
            "hot_store": members(
                {
                    "state": one_of(get_args(HotStoreState)),
                    "why": text("Empty where it could be asked"),
                    "claimed": or_null(whole()),
                    "agrees": _MAYBE_TRUE | {"description": "With the ledger; null: it cannot be told"},
                }
            ),
            "schedule": members(
                {
                    "planned": members({"opens_at": instant(), "closes_at": instant()}),
                    "opens_at": instant(),
                    "closes_at": instant(),
                    "closed_at": or_null(instant()),
                }
            ),
            "total": members({"stock": schema("StockCourse"), "left": _FEWER, **_COURSE}),
            "claimants": members({"accounts": whole(), "persons": or_null(whole("Null where limits count accounts"))}),
            "pace": members(
                {
                    "by_second": _SECONDS,
                    "peak": or_null(
                        members({"at": instant(), "second": whole("From the opening on"), "claims": whole("", 1)})
                    ),
                }
            ),
            "offers": listed(schema("OfferReport")),
            "acts": listed(schema("ActDone"), "On the wave, and stops of its campaign, oldest first"),
            "acts_left_out": whole("Older ones that are not shown"),
        }
    ),
}
