"""A claim as it is asked for, and what became of it: a value, never an exception.

    Outcome = Claimed | Refused

`Claimed` carries the claim, `Refused` its one true reason (P9). The order of `RefusalCode` is the
order in which the reasons are looked at: the first that applies is given.

Values that are made for every claim refer to nothing that could refer back to them: they are no affair of the garbage
collector (`gc=False`), here and in what the gateway makes of them.
"""

from enum import StrEnum
from typing import Literal

from msgspec import Struct

Ack = Literal["memory", "logged", "replicated", "settled"]


class Ask(Struct, frozen=True, gc=False):
    """A claim as it is asked for: `offers` in order of choice.

    `broken_rule` is the gateway's verdict on eligibility, empty where nothing is broken; the script gives it
    its place among the refusals, behind the replay of what is held already.
    """

    wave_no: int
    request_no: int
    offers: tuple[int, ...]
    claimant: str
    account: str
    broken_rule: str = ""


class Claim(Struct, frozen=True, gc=False):
    """One accepted right to one offer in one wave, as the script decided it.

    `claimant` is who the limits count, `account` who asked; they differ where limits count persons.
    `sequence` counts claims and acts of one shard and epoch from 1. `unit` counts the stock of
    (wave, offer) from 1, `nth` the claims of the claimant in the campaign from 1.
    """

    wave_no: int
    offer_no: int
    request_no: int
    epoch: int
    sequence: int
    unit: int
    nth: int
    terms_version: int
    claimed_at_ms: int
    code: str
    claimant: str
    account: str


class RefusalCode(StrEnum):
    """Every reason not to grant a claim, in the order in which they are looked at (docs/http.md)."""

    UNKNOWN_WAVE = "unknown_wave"
    UNKNOWN_OFFER = "unknown_offer"
    NOT_ELIGIBLE = "not_eligible"
    CANCELLED = "cancelled"
    CLOSED = "closed"
    NOT_OPEN = "not_open"
    STOPPED = "stopped"
    PAUSED = "paused"
    ALREADY_CLAIMED = "already_claimed"
    LIMIT_REACHED = "limit_reached"
    CAP_REACHED = "cap_reached"
    SOLD_OUT = "sold_out"
    BUSY = "busy"
    RECOVERING = "recovering"
    OUTCOME_UNKNOWN = "outcome_unknown"


class Claimed(Struct, frozen=True, gc=False):
    """The claim was granted; `replayed` says that an earlier request had got it already."""

    claim: Claim
    replayed: bool = False


class Refused(Struct, frozen=True, gc=False):
    """The claim was not granted. Only the fields that belong to the code are set."""

    code: RefusalCode
    rule: str = ""
    """not_eligible: city, tags, list or person_required."""
    reason: str = ""
    """cancelled, stopped, paused: what ops told the users; may be empty."""
    at_ms: int = 0
    """not_open: opens_at; closed: closed_at; sold_out: since when, 0 where that is not known."""
    wait_ms: int = 0
    """busy: how long the queue takes, as far as that can be told; 0 where it is not the queue."""
    claim: Claim | None = None
    """already_claimed, limit_reached: what is held, where it belongs to the asking account."""


Outcome = Claimed | Refused
