"""What claims, vouchers and tickets look like, sent and received."""

from typing import Any, Final, get_args

from engine.domain.campaign import CLAIMS_PER_CLAIMANT_MAX
from engine.domain.codes import ALPHABET, CODE_LENGTH
from engine.domain.outcome import Ack
from engine.gateway.bodies import OFFERS_MAX
from engine.gateway.openapi.shapes import (
    Shape,
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

CODE: Final = text(
    "Sixteen characters, as they are read out over a counter", pattern=f"^[{ALPHABET}]{{{CODE_LENGTH}}}$"
)
CLAIM_ID: Final = text("Unique everywhere", pattern="^c-[0-9a-f]{20}$")
FACE: Final = or_null(whole("In minor units; null where the offer has none (a percentage)"))
TITLE: Final = text("As the terms of the claim have it")
PERIOD: Final = {"valid_from": instant(), "expires_at": instant("Exclusive")}
PLACE: Final = {"campaign": identifier(), "wave": identifier(), "offer": identifier()}
_REQUEST_NO: Final = {
    "request_no": whole(
        "Above 1: a further claim, where the limits allow more than one in a wave", 1, CLAIMS_PER_CLAIMANT_MAX
    )
    | {"default": 1}
}
_OFFER: Final = text("An offer of the wave", minLength=1)

CLAIM_SHAPES: Final[dict[str, Shape]] = {
    "Terms": members(
        {
            "version": whole("Counts from 1", 1),
            "hash": text("SHA-256 of the terms", pattern="^[0-9a-f]{64}$"),
        },
        says="The version of the terms that holds for a claim, whatever comes later",
    ),
    "ClaimVoucher": members({"code": CODE, **PERIOD}),
    "Claim": members(
        {
            "id": CLAIM_ID,
            **PLACE,
            "title": TITLE,
            "face": FACE,
            "terms": schema("Terms"),
            "sequence": whole("Orders the claims of one campaign until its hot store is recovered", 1),
            "claimed_at": instant("By the hot store's clock"),
            "vouchers": listed(schema("ClaimVoucher"), minItems=1),
        }
    ),
    "Claimed": members(
        {
            "status": always("claimed"),
            "ack": one_of(get_args(Ack), "What the answer waited for"),
            "claim": schema("Claim"),
        }
    ),
    "Claims": members({"claims": listed(schema("Claim"))}),
    "Ticket": members(
        {
            "ticket": text("Send it as `Authorization: Ticket <ticket>`", pattern="^[A-Za-z0-9_-]+$"),
            "expires_at": instant("When it is surely of no more use"),
            "opens_at": instant(),
            "server_time_ms": whole("The hot store's clock"),
            "remaining": or_null(
                whole(
                    "Claims that the limits leave in this wave; null where that is not known",
                    0,
                    CLAIMS_PER_CLAIMANT_MAX,
                )
            ),
        }
    ),
    "ClaimOne": members({"offer": _OFFER}, _REQUEST_NO, "One offer"),
    "ClaimFirstOf": members(
        {"offers": listed(_OFFER, minItems=1, maxItems=OFFERS_MAX, uniqueItems=True)},
        _REQUEST_NO,
        "The first of these that has stock, in one decision",
    ),
    "ClaimRequest": {
        # Exactly one of the two: a body that names both would be one request with two meanings.
        "oneOf": [schema("ClaimOne"), schema("ClaimFirstOf")]
    },
}

CLAIM_REQUEST_EXAMPLES: Final[dict[str, Any]] = {
    "one": {"summary": "One offer", "value": {"offer": "shop-10"}},
    "choice": {"summary": "The first that has stock", "value": {"offers": ["mall-50", "mall-30"]}},
    "second": {"summary": "A second claim in the wave", "value": {"offer": "shop-10", "request_no": 2}},
}
CLAIM_EXAMPLE: Final[dict[str, Any]] = {
    "id": "c-2826ccc340b959a7bb4f",
    "campaign": "try-it",
    "wave": "try-it",
    "offer": "shop-10",
    "title": "便利店消费券 10 元",
    "face": 1000,
    "terms": {"version": 1, "hash": "934999ef" * 8},
    "sequence": 6,
    "claimed_at": "2026-11-22T04:01:50.900+08:00",
    "vouchers": [
        {
            "code": "7ZZS5N2CNT5750W5",
            "valid_from": "2026-11-22T04:01:50.900+08:00",
            "expires_at": "2026-11-29T04:01:50.900+08:00",
        }
    ],
}
CLAIMED_EXAMPLE: Final = {"status": "claimed", "ack": "logged", "claim": CLAIM_EXAMPLE}
TICKET_EXAMPLE: Final = {
    "ticket": "1CsLvdHJ5LWl0CXRyeS1pdAlhbGljZQlhbGljZQ",
    "expires_at": "2036-01-02T00:00:00.000+08:00",
    "opens_at": "2026-01-01T00:00:00.000+08:00",
    "server_time_ms": 1795291310000,
    "remaining": 1,
}
