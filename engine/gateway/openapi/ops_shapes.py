"""What operators send and are shown."""

from typing import Any, Final, get_args

from engine.domain.decisions import WaveFlag
from engine.domain.verdict import Promise
from engine.gateway.openapi.page_shapes import SOLD_OUT_AT, STOCK, STOCKED_OFFER, WAVE, WAVE_SOMETIMES
from engine.gateway.openapi.shapes import (
    Shape,
    identifier,
    instant,
    keyed,
    listed,
    members,
    one_of,
    or_null,
    schema,
    text,
    truth,
    whole,
)
from engine.ledger.changes import Part
from engine.scheduling.files import CAMPAIGN_KEYS, REQUIRED_KEYS
from engine.scheduling.performing import WORDS_LENGTH_MAX

_REASON: Final = {
    "reason": text(
        "Stands in the audit trail; users see that of a pause, a cancellation, a stop",
        minLength=1,
        maxLength=WORDS_LENGTH_MAX,
    )
}
_WHEN: Final = 'Local in the campaign\'s zone ("2021-09-17 20:00") or RFC 3339'
_REVISION: Final = whole("Counts the applies that changed something, from 1")
_BY_OFFER: Final = keyed(whole(), "Units by offer")
_DONE: Final = truth("False where it was so already")


def _act(
    *, says: str = "", required: dict[str, Shape] | None = None, optional: dict[str, Shape] | None = None
) -> Shape:
    return members(_REASON | (required or {}), optional, says)


OPS_SHAPES: Final[dict[str, Shape]] = {
    "Act": _act(says="Why it is done"),
    "Restock": _act(required={"stock": keyed(STOCK, "Totals by offer, with what is claimed") | {"minProperties": 1}}),
    "Move": _act(
        required={"opens_at": text(_WHEN)},
        optional={"closes_at": or_null(text(_WHEN + "; without it the wave lasts as long as before"))},
    ),
    "VoidTickets": _act(optional={"before": or_null(text(_WHEN + "; without it: now"))}),
    "OfferSeen": members(STOCKED_OFFER | {"claimed": or_null(whole("Units; null where `left` is"))}, SOLD_OUT_AT),
    "WaveSeen": members(
        WAVE
        | {
            "offers": listed(schema("OfferSeen")),
            "reason": text("Empty where there is none"),
            "flag": one_of(get_args(WaveFlag), "What operators did to it"),
            "stopped": text("Why the whole campaign is stopped; empty where it is not"),
            "day": text("For limits per day, and validity in natural days", format="date"),
            "revision": _REVISION,
            "tickets_void_before": or_null(instant()),
        },
        {name: shape for name, shape in WAVE_SOMETIMES.items() if name != "reason"}
        | {
            "rolled_in": keyed(_BY_OFFER, "Units got from other waves, by wave"),
            "rolled_out": or_null(_BY_OFFER),
            "act_no": whole("Number of the campaign's last act"),
            "epoch": whole("Of the campaign in the hot store"),
        },
        "A wave as operators see it. What only the hot store knows is missing where it is shown from the ledger",
    ),
    "Done": members(
        {
            "wave": identifier(),
            "act": text(),
            "done": _DONE,
            "before": schema("WaveSeen"),
            "after": schema("WaveSeen"),
        }
    ),
    "CampaignResult": members(
        {"campaign": identifier(), "done": {"type": ["boolean", "null"], "description": "Null: not known"}},
        {"error": text("Why it is not known to be done")},
    ),
    "Results": members({"act": one_of(["stop-all", "start-all"]), "campaigns": listed(schema("CampaignResult"))}),
    "CampaignRow": members(
        {
            "id": identifier(),
            "title": text(),
            "timezone": text("IANA name"),
            "revision": _REVISION,
            "sandbox": truth("To try things out"),
            "loaded": truth("Whether it is in the hot store"),
            "stopped": text("Why it is stopped; empty where it is not"),
            "waves": listed(members({"id": identifier(), "opens_at": instant(), "closes_at": instant("Exclusive")})),
        }
    ),
    "CampaignRows": members(
        {"campaigns": listed(schema("CampaignRow")), "complete": truth("False: the ledger could not be asked")}
    ),
    "Finding": members(
        {
            "promise": one_of(get_args(Promise)),
            "says": text("The promise"),
            "held": {"type": ["boolean", "null"], "description": "Null: it cannot be judged, and `figures` says why"},
            "figures": text(),
            "examples": listed(text(), "What broke it"),
        }
    ),
    "Verdict": members(
        {
            "subject": text("What was looked at"),
            "broken": truth("Whether any promise broke"),
            "notes": listed(text()),
            "findings": listed(schema("Finding")),
        }
    ),
    "CampaignFile": {
        "type": "object",
        "description": "A campaign file as JSON: docs/campaign-files.md explains every key",
        "properties": {name: {} for name in CAMPAIGN_KEYS},
        "required": list(REQUIRED_KEYS),
    },
    "SentCampaign": members(
        {"file": text("The text of a campaign file, YAML or JSON")},
        {
            "lists": keyed(
                {"oneOf": [text("One account a line"), listed(text())]}, "Lists of accounts that the file names"
            )
        },
    ),
    "Change": members(
        {
            "part": one_of(get_args(Part)),
            "id": text(),
            "field": text("Empty where the whole part comes or goes"),
            "before": {"description": "The value; null where there is none"},
            "after": {"description": "The value; null where there is none"},
            "text": text("For a person"),
        }
    ),
    "Applied": members(
        {"campaign": identifier(), "revision": _REVISION, "changed": truth("False where it was in force already")}
    ),
    "Plan": members(
        {
            "dry_run": {"type": "boolean", "const": True},
            "campaign": identifier(),
            "revision": whole("At which it is now; 0 where it is not applied yet"),
            "changes": listed(schema("Change")),
            "refusals": listed(text(), "Why it could not be applied; with any of them nothing would be done"),
            "offers_kept": listed(identifier()),
            "waves_kept": listed(identifier()),
        }
    ),
}

ACT_EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "Act": {"reason": "payment is down"},
    "Restock": {"reason": "second tranche", "stock": {"mall-50": 1500}},
    "Move": {"reason": "the partner asked", "opens_at": "2021-09-17 20:00"},
    "VoidTickets": {"reason": "a list had leaked"},
}

_FILE: Final = """campaign: try-it
title: Try it
timezone: Asia/Shanghai
currency: CNY
validity: {natural_days: 7}
eligibility: {allow: vips.txt}
stores: {s1: {title: A shop, merchant: m1, city: Wuhan}}
offers:
  - {id: shop-10, title: 10 yuan off, category: shop, kind: instant, face: 1000, stores: all}
waves:
  - {id: try-it, opens_at: "2036-01-01 20:00", lasts: 4h, stock: {shop-10: 1000}}
"""
CAMPAIGN_EXAMPLES: Final[dict[str, Any]] = {
    "campaign": {
        "summary": "The campaign",
        "value": {
            "campaign": "try-it",
            "title": "Try it",
            "timezone": "Asia/Shanghai",
            "currency": "CNY",
            "validity": {"natural_days": 7},
            "stores": {"s1": {"title": "A shop", "merchant": "m1", "city": "Wuhan"}},
            "offers": [
                {
                    "id": "shop-10",
                    "title": "10 yuan off",
                    "category": "shop",
                    "kind": "instant",
                    "face": 1000,
                    "stores": "all",
                }
            ],
            "waves": [{"id": "try-it", "opens_at": "2036-01-01 20:00", "lasts": "4h", "stock": {"shop-10": 1000}}],
        },
    },
    "file": {"summary": "A file with its lists", "value": {"file": _FILE, "lists": {"vips.txt": ["alice", "bob"]}}},
}
