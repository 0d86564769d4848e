"""What status pages, problem pages and the endpoints of a process look like."""

from typing import Any, Final, get_args

from engine.domain.campaign import CLAIMS_PER_CLAIMANT_MAX, ClaimantKind, OfferKind, Scope
from engine.domain.decisions import WaveStatus
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
from engine.gateway.problems import KINDS
from engine.scheduling.waves import STOCK_MAX

_MONEY: Final = whole("In minor units of the campaign's currency")
_LEFT: Final = or_null(whole("When it was read; null where the hot store does not hold the wave", 0))
_BEGIN: Final = {
    "from": instant("Not usable before this time"),
    "from_day": whole("Nor before this day of the calendar; the day of the wave is the first", 1),
}
LEFT_AGE: Final = {
    "left_age_ms": or_null(whole("How long before this answer `left` was read; null where it is null")),
    "left_read_at_ms": or_null(whole("When it was read, by the clock of `GET /v1/time`: true in a cache too")),
}

STOCKED_OFFER: Final[dict[str, Shape]] = {
    "id": identifier(),
    "title": text(),
    "face": or_null(_MONEY),
    "stock": whole("A total, with what is claimed"),
    "left": _LEFT,
}
SOLD_OUT_AT: Final = {"sold_out_at": instant("Where nothing is left")}
WAVE: Final[dict[str, Shape]] = {
    "id": identifier(),
    "campaign": identifier(),
    "round": text("A label; may be empty"),
    "state": one_of(get_args(WaveStatus)),
    "opens_at": instant(),
    "closes_at": instant("Exclusive"),
    "offers": listed(schema("OfferLeft")),
}
WAVE_SOMETIMES: Final[dict[str, Shape]] = {
    "reason": text("Of a pause, a stop, a close or a cancellation, as operators gave it"),
    "closed_at": instant("When it ended"),
    "eligibility": schema("Eligibility"),
}

PAGE_SHAPES: Final[dict[str, Shape]] = {
    "OfferLeft": members(STOCKED_OFFER, SOLD_OUT_AT),
    "Eligibility": members(
        {
            "cities": listed(text(), "Any of them; empty: any city"),
            "tags": members({"any": listed(text()), "all": listed(text()), "none": listed(text())}),
            "listed_only": truth("Whether only accounts of a list may claim; the list is never shown"),
        }
    ),
    "Wave": members(WAVE, WAVE_SOMETIMES),
    "WavePage": members(WAVE | LEFT_AGE, WAVE_SOMETIMES),
    "WavesPage": members({"waves": listed(schema("Wave"), "By opening"), **LEFT_AGE}),
    "Limit": members({"max": whole("Claims", 1, CLAIMS_PER_CLAIMANT_MAX), "per": one_of(get_args(Scope))}),
    "Validity": {
        "oneOf": [
            members({"natural_days": whole("Days of the calendar; the day of the wave is the first", 1)}, _BEGIN),
            members({"days_after_claim": whole("That many times 24 hours", 1)}, _BEGIN),
            members({"until": instant("Exclusive")}, _BEGIN),
        ]
    },
    "Store": members({"id": text(), "title": text(), "city": text()}),
    "Offer": members(
        {
            "id": identifier(),
            "title": text(),
            "kind": one_of(get_args(OfferKind)),
            "category": text(),
            "needs_code_page": truth("Whether a till takes it only while its holder has its code page open"),
            "terms": schema("Terms"),
            "validity": schema("Validity"),
            "use": members({"cities": listed(text(), "Empty: anywhere"), "per_payment": whole("", 1)}),
            "stores": listed(schema("Store")),
        },
        {
            "face": _MONEY,
            "min_spend": _MONEY,
            "price": _MONEY,
            "percent_off": whole("", 1, 100),
            "max_discount": _MONEY,
        },
    ),
    "CampaignPage": members(
        {
            "id": identifier(),
            "title": text(),
            "timezone": text("IANA name"),
            "currency": text("ISO 4217", pattern="^[A-Z]{3}$"),
            "by": one_of(get_args(ClaimantKind), "Whom the limits count"),
            "limits": listed(schema("Limit")),
            "cap": members(
                {"claims": or_null(whole()), "value": or_null(_MONEY)}, says="Of the whole campaign; null: none"
            ),
            "eligibility": schema("Eligibility"),
            "offers": listed(schema("Offer")),
            "waves": listed(schema("Wave")),
            **LEFT_AGE,
        }
    ),
    "Time": members({"server_time_ms": whole("Unix milliseconds of the clock that decides")}),
    "ProblemPage": members(
        {
            "type": text(format="uri-reference"),
            "title": text(),
            "status": whole("", 400, 599),
            "code": one_of(KINDS),
            "final": truth("Whether asking again, the same way, does not help"),
            "explanation": text("What it means and what can be done"),
        }
    ),
    "ProblemPages": members({"problems": listed(schema("ProblemPage"), "In the order in which they are looked at")}),
    "Health": members({"status": one_of(["ok"])}),
    "Ready": members({"status": one_of(["ready"])}),
    "NotReady": members({"status": one_of(["draining", "not_ready"])}),
}

STOCK: Final = whole("A total, with what is claimed", 0, STOCK_MAX)

WAVE_EXAMPLE: Final[dict[str, Any]] = {
    "id": "try-it",
    "campaign": "try-it",
    "round": "",
    "state": "open",
    "opens_at": "2026-01-01T00:00:00.000+08:00",
    "closes_at": "2036-01-01T00:00:00.000+08:00",
    "offers": [{"id": "shop-10", "title": "便利店消费券 10 元", "face": 1000, "stock": 1000, "left": 999}],
    "left_age_ms": 113,
    "left_read_at_ms": 1795291309887,
}
