"""An answer to a claim or a ticket, as a client reads it: what was told, not what is true."""

import json
from datetime import datetime
from typing import Any, Final, NamedTuple

NO_ANSWER: Final = "no_answer"
"""A broken or refused connection, or a time-out on this side."""
NEW: Final = "claimed"
REPEATED: Final = "replayed"
"""The claim that was made before (`Idempotent-Replayed`)."""

EXPECTED: Final = frozenset(
    {
        *("not_open", "closed", "cancelled", "stopped", "paused", "sold_out", "cap_reached"),
        *("already_claimed", "limit_reached", "too_many_requests", "busy", "recovering", "outcome_unknown"),
        "ticket_expired",
    }
)
"""Refusals that a crowd may meet. Others (`unauthenticated`, `not_eligible`, `internal` …) are failures of the run."""
OPEN: Final = frozenset({NO_ANSWER, "outcome_unknown", "internal"})
"""Leave open whether the claim was granted."""
UNDECIDED: Final = OPEN | {"busy", "recovering", "too_many_requests", "timeout"}
"""Say nothing about the claim; all others tell what became of it."""
BEHIND_REPLAY: Final = frozenset(
    {
        *("not_eligible", "cancelled", "closed", "not_open", "stopped", "paused"),
        *("already_claimed", "limit_reached", "cap_reached", "sold_out"),
    }
)
"""A claim that is held comes before each of these: its holder never hears them for the same request (docs/http.md)."""


class ToldClaim(NamedTuple):
    """A claim as it was told."""

    id: str
    wave: str
    offer: str
    code: str
    claimed_ms: int
    terms: str = ""
    """Version and hash: what was promised."""


class Told(NamedTuple):
    """An answer. `code` is NEW, REPEATED, NO_ANSWER, another word of this module's caller, or that of the problem."""

    code: str
    status: int = 0
    claim: ToldClaim | None = None
    retry_after_ms: int = 0
    is_final: bool = False
    detail: str = ""


def read_claim_answer(status: int, body: bytes | None) -> Told:
    """The answer to `POST …/claims`; status 0 where there was none."""
    members = _members(body)
    if status not in (200, 201):
        return read_refusal(status, members)
    try:
        return Told(NEW if status == 201 else REPEATED, status, read_claim(members["claim"]), is_final=True)
    except (KeyError, TypeError, ValueError, IndexError):
        return Told("malformed", status, detail=f"{status} without a claim")


def read_refusal(status: int, members: dict[str, Any]) -> Told:
    """Any answer that is no success."""
    if status == 0:
        return Told(NO_ANSWER)
    code = members.get("code")
    if not isinstance(code, str):
        return Told(f"status_{status}", status, detail="no problem as the contract has it; a proxy's own answer?")
    wait_ms, detail = members.get("retry_after_ms"), str(members.get("detail", ""))
    return Told(code, status, None, wait_ms if isinstance(wait_ms, int) else 0, members.get("final") is True, detail)


def read_answer(status: int, body: bytes | None) -> tuple[Told, dict[str, Any]]:
    """Any other answer, and its members: "ok", or the refusal."""
    members = _members(body)
    return (Told("ok", status), members) if 200 <= status < 400 else (read_refusal(status, members), members)


def read_claim(members: dict[str, Any]) -> ToldClaim:
    """A claim of an answer. KeyError, TypeError, ValueError, IndexError where it is none."""
    code = members["vouchers"][0]["code"]
    claimed_ms, terms = instant_ms(members["claimed_at"]), terms_of(members["terms"])
    return ToldClaim(members["id"], members["wave"], members["offer"], code, claimed_ms, terms)


def terms_of(members: dict[str, Any]) -> str:
    """Version and hash of the terms in an answer."""
    return f"{members['version']} {members['hash']}"


def instant_ms(text: str) -> int:
    """Unix milliseconds of an instant in RFC 3339."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _members(body: bytes | None) -> dict[str, Any]:
    try:
        members = json.loads(body or b"")
    except ValueError:
        return {}
    return members if isinstance(members, dict) else {}
