"""The body of a claim: `{"offer": id}` or `{"offers": [ids]}`, and `request_no`. Unknown fields are ignored."""

from functools import lru_cache
from typing import Any, Final

from engine.domain.campaign import CLAIMS_PER_CLAIMANT_MAX
from engine.frozen import Frozen
from engine.gateway.answer import Words
from engine.gateway.json_objects import invalid, read_object
from engine.gateway.refusals import Problem

OFFERS_MAX: Final = 32
"""Choices in one claim: the script looks at each of them."""

JSON_TYPE: Final = "application/json"
_SHORT_BYTES: Final = 128
"""Bodies of this size are kept with what they ask for, some hundreds of them."""


class ClaimBody(Frozen):
    """What is asked for: offers in order of choice, by their ids."""

    offers: tuple[str, ...]
    request_no: int


def check_media_type(content_type: str, content_encoding: str) -> Problem | None:
    """The problem with how a body is sent, if there is one."""
    if content_encoding.lower() not in ("", "identity"):
        return Problem("unsupported_media_type")
    if content_type == JSON_TYPE:
        return None
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = [part.removeprefix("charset=").strip('"') for part in parameters if part.startswith("charset=")]
    if kind != JSON_TYPE or any(charset != "utf-8" for charset in charsets):
        return Problem("unsupported_media_type")
    return None


def read_claim_body(body: bytes) -> ClaimBody | Problem:
    """What the body asks for, or `invalid_request` with what is wrong and where. Never raises."""
    return _read_short(body) if len(body) <= _SHORT_BYTES else _read(body)


@lru_cache(maxsize=512)  # a crowd asks for the same few things
def _read_short(body: bytes) -> ClaimBody | Problem:
    return _read(body)


def _read(body: bytes) -> ClaimBody | Problem:
    fields = read_object(body)
    if isinstance(fields, Problem):
        return fields
    offers = _offers(fields)
    if isinstance(offers, Problem):
        return offers
    request_no = fields.get("request_no", 1)
    if type(request_no) is not int or not 1 <= request_no <= CLAIMS_PER_CLAIMANT_MAX:
        return bad_request_no(CLAIMS_PER_CLAIMANT_MAX)
    return ClaimBody(offers, request_no)


def bad_request_no(highest: int) -> Problem:
    """`request_no` is not an integer from 1 to `highest`."""
    return invalid(
        "$.request_no",
        Words(f"request_no has to be an integer from 1 to {highest}", f"request_no 必须是 1 到 {highest} 的整数"),
    )


def _offers(fields: dict[str, Any]) -> tuple[str, ...] | Problem:
    if "offer" in fields:
        if "offers" in fields:
            return invalid("$.offers", Words("send offer or offers, not both", "offer 与 offers 只能有一个"))
        offer = fields["offer"]
        if not isinstance(offer, str) or not offer:
            return invalid("$.offer", Words("offer has to be the id of an offer", "offer 必须是券的 id"))
        return (offer,)
    if "offers" not in fields:
        return invalid("$", Words("offer or offers is missing", "缺少 offer 或 offers"))
    offers = fields["offers"]
    if not isinstance(offers, list) or not 1 <= len(offers) <= OFFERS_MAX:
        return invalid(
            "$.offers",
            Words(f"offers has to be a list of 1 to {OFFERS_MAX} ids", f"offers 必须是 1 到 {OFFERS_MAX} 个 id 的列表"),
        )
    for place, offer in enumerate(offers):
        if not isinstance(offer, str) or not offer:
            return invalid(f"$.offers[{place}]", Words("has to be the id of an offer", "必须是券的 id"))
        if offer in offers[:place]:
            return invalid(f"$.offers[{place}]", Words("names an offer a second time", "重复的券"))
    return tuple(offers)
