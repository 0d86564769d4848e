"""What a report on a wave looks like."""

from typing import Final, get_args

from engine.domain.decisions import ActKind, WaveStatus
from engine.gateway.openapi.shapes import (
    MILLISECONDS_MAX,
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
from engine.ledger.wave_books import PACE_SECONDS
from engine.reporting.sight import HotStoreState

_CHANGE: Final = -MILLISECONDS_MAX
_PERIOD: Final = {"opens_at": instant(), "closes_at": instant("Exclusive")}
_BY_SECOND: Final = listed(
    whole(), "Claims in each of the first seconds from the opening on", minItems=PACE_SECONDS, maxItems=PACE_SECONDS
)
_GIVEN: Final[dict[str, Shape]] = {
    "stock": schema("ReportStock"),
    "left": whole("Units that are not claimed, as far as settled", _CHANGE),
    "claimed": whole("Claims that are settled"),
    "value_given": whole("What they cost at most, in minor units, by the terms that each was given"),
    "first_claim_at": or_null(instant()),
    "last_claim_at": or_null(instant()),
    "sold_out_at": or_null(instant("Since when nothing is left")),
    "sold_out_after_ms": or_null(whole("From the opening on", _CHANGE)),
}

REPORT_SHAPES: Final[dict[str, Shape]] = {
    "ReportStock": members(
        {
            "put": whole("By the campaign's file"),
            "restocked": whole("By operators since; below 0 where they took units away", _CHANGE),
            "rolled_in": whole("Unsold units of other waves"),
            "rolled_out": whole("Unsold units that went to another wave"),
            "total": whole("put + restocked + rolled_in - rolled_out"),
        }
    ),
    "ReportOffer": members(
        {
            "id": identifier(),
            "title": text(),
            "face": or_null(whole("Minor units, by the terms that count now")),
            **_GIVEN,
            "terms": listed(
                members(
                    {
                        "version": whole(least=1),
                        "hash": text(),
                        "value": whole("What one claim costs at most, in minor units"),
                        "claims": whole(),
                    }
                ),
                "Versions that were given",
            ),
            "by_second": _BY_SECOND,
            "hot_store": or_null(
                members({"stock": whole(), "claimed": whole(least=_CHANGE), "left": whole(least=_CHANGE)})
            ),
        }
    ),
    "Report": members(
        {
            "wave": identifier(),
            "campaign": identifier(),
            "title": text("Of the campaign"),
            "sandbox": truth("To try things out"),
            "currency": text(),
            "round": text(),
            "day": text(format="date"),
            "state": one_of(get_args(WaveStatus)),
            "reason": text("Empty where there is none"),
            "stopped": text("Why the whole campaign is stopped; empty where it is not"),
            "as_of": instant("When the ledger was read, by its clock"),
            "complete": truth("Every claim that was made by then is in it"),
            "settled": members(
                {
                    "epoch": whole(),
                    "number": whole("Of the last decision that is in the ledger"),
                    "behind": or_null(whole("Decisions of the campaign that are not; null: not known")),
                }
            ),
            "hot_store": members(
                {
                    "state": one_of(get_args(HotStoreState), "Whether it could be asked, and has the campaign"),
                    "why": text("Why it is away; else empty"),
                    "claimed": or_null(whole("Units of the wave that it has given", _CHANGE)),
                    "agrees": {
                        "type": ["boolean", "null"],
                        "description": "It has given what the ledger has and what is on its way; null: not known",
                    },
                }
            ),
            "schedule": members(
                {
                    "planned": members(_PERIOD, says="By the campaign's file"),
                    **_PERIOD,
                    "closed_at": or_null(instant("When it was closed; null while it is not")),
                }
            ),
            "total": members(_GIVEN),
            "claimants": members(
                {
                    "accounts": whole("Distinct accounts"),
                    "persons": or_null(whole("Distinct persons; null where accounts are counted")),
                }
            ),
            "pace": members(
                {
                    "by_second": _BY_SECOND,
                    "peak": or_null(
                        members({"at": instant(), "second": whole("From the opening on", _CHANGE), "claims": whole()})
                    ),
                }
            ),
            "offers": listed(schema("ReportOffer")),
            "acts": listed(
                members(
                    {
                        "number": whole(),
                        "act": one_of(get_args(ActKind)),
                        "at": instant(),
                        "actor": text(),
                        "reason": text(),
                    }
                ),
                "On the wave, and stops of its campaign, oldest first",
            ),
            "acts_left_out": whole("Older ones; the trail has them"),
        }
    ),
}
