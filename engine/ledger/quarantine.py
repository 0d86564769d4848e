"""The quarantine: claims that were granted and that Postgres refuses as data, kept until somebody has looked.

A held claim counts like a settled one wherever claims are counted or shown, so its claimant cannot claim again
and its unit is not given twice. The claim is kept as bytes, whole: whatever made Postgres refuse it (a NUL, a number
that is too long) is still in there. What it is looked up by stands beside it in columns, see `lookup_text`.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

import msgspec
from msgspec import Struct

from engine.domain.outcome import Claim
from engine.errors import LedgerRefused
from engine.ledger.database import Ledger
from engine.ledger.instants import unix_ms
from engine.ledger.queries import load_queries

State = Literal["held", "retried", "voided"]
STATES: tuple[State, ...] = ("held", "retried", "voided")

LISTED_MAX = 1_000
"""Claims in one answer: what a person can read, and what `HELD_MAX` lets come together."""
LOOKUP_TEXT_MAX = 500
"""Characters of a text that is kept to be looked up by: an index of Postgres takes 2,700 bytes."""
_HASHED = "sha256:"

_SQL = load_queries("quarantine")


class Refusal(Struct, frozen=True):
    """A claim that Postgres refused, and what it said: without values, so without claimant and code."""

    claim: Claim
    sqlstate: str
    constraint: str
    error: str

    @classmethod
    def of(cls, claim: Claim, error: LedgerRefused) -> "Refusal":
        """Why that claim was refused."""
        return cls(claim, error.sqlstate, error.constraint, str(error))


class Place(Struct, frozen=True):
    """Names a quarantined claim: its campaign, and its number in the log."""

    campaign: str
    epoch: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.campaign}/{self.epoch}-{self.sequence}"


class Quarantined(Struct, frozen=True):
    """A claim in quarantine, and how it ended where it has: `ended_*` are empty (None, '') while it is held."""

    campaign: str
    campaign_no: int
    claim: Claim
    sqlstate: str
    constraint: str
    error: str
    quarantined_ms: int
    state: State
    ended_by: str
    ended_reason: str
    ended_ms: int | None

    @property
    def place(self) -> Place:
        """Its name."""
        return Place(self.campaign, self.claim.epoch, self.claim.sequence)


async def add_refusals(connection: Any, campaign_no: int, refusals: Iterable[Refusal]) -> None:
    """Keep refused claims, in the transaction that moves the cursor past them."""
    await connection.executemany(_SQL["add"], [_row(campaign_no, refusal) for refusal in refusals])


async def known_codes(connection: Any, campaign_no: int, claims: Sequence[Claim]) -> dict[tuple[int, int], str]:
    """Of these decisions (epoch, sequence) those that the ledger has as claims, settled or not, with their codes.

    Each code is given as its `lookup_text`: of a quarantined claim the row has no more.
    """
    epochs, sequences = [claim.epoch for claim in claims], [claim.sequence for claim in claims]
    rows = await connection.fetch(_SQL["known_codes"], campaign_no, epochs, sequences)
    return {(row["epoch"], row["sequence"]): lookup_text(row["code"]) for row in rows}


async def count_held(connection: Any, campaign_no: int) -> int:
    """Claims of the campaign that nobody has decided about."""
    held: int = await connection.fetchval(_SQL["held"], campaign_no)
    return held


async def held_everywhere(ledger: Ledger) -> dict[str, int]:
    """Held claims by campaign id, of every campaign that was applied."""
    return {row["campaign"]: row["held"] for row in await ledger.fetch(_SQL["held_everywhere"])}


async def kept_claims(connection: Any, campaign_no: int, states: Sequence[State]) -> list[tuple[Claim, State]]:
    """The campaign's claims in these states, in order of (epoch, sequence)."""
    rows = await connection.fetch(_SQL["kept"], campaign_no, list(states))
    return [(claim_of(row["claim"]), row["state"]) for row in rows]


async def voided_claims(ledger: Ledger, campaign_no: int) -> dict[tuple[int, int], Claim]:
    """The campaign's claims that were taken back, by (epoch, sequence)."""
    async with ledger.snapshot() as connection:
        kept = await kept_claims(connection, campaign_no, ["voided"])
    return {(claim.epoch, claim.sequence): claim for claim, _ in kept}


async def held_by_claimant(ledger: Ledger, campaign_no: int, claimant: str) -> list[Claim]:
    """Held claims of one claimant, in no order."""
    rows = await ledger.fetch(_SQL["held_by_claimant"], campaign_no, lookup_text(claimant))
    return [claim_of(row["claim"]) for row in rows]


async def held_by_account(ledger: Ledger, account: str) -> list[tuple[str, Claim]]:
    """(campaign id, claim) of an account's held claims, in no order."""
    rows = await ledger.fetch(_SQL["held_by_account"], lookup_text(account))
    return [(row["campaign"], claim_of(row["claim"])) for row in rows]


async def list_quarantined(
    ledger: Ledger, campaign: str | None = None, states: Sequence[State] = STATES
) -> list[Quarantined]:
    """Claims in these states, of one campaign or of all: the newest of a campaign first, LISTED_MAX at most."""
    return [quarantined_of(row) for row in await ledger.fetch(_SQL["list"], campaign, list(states), LISTED_MAX)]


async def read_quarantined(ledger: Ledger, place: Place) -> Quarantined | None:
    """One claim; None where none of that name was ever in quarantine."""
    row = await ledger.fetch_row(_SQL["one"], place.campaign, place.epoch, place.sequence)
    return None if row is None else quarantined_of(row)


def lookup_text(text: str) -> str:
    """The text itself where a column and its index can hold it, else a hash of it. Of a lookup text: itself."""
    if "\0" in text or len(text) > LOOKUP_TEXT_MAX:
        return _HASHED + hashlib.sha256(text.encode()).hexdigest()
    return text


def claim_of(kept: bytes) -> Claim:
    """The claim as it was. Not by msgspec, whose numbers end at 64 bits."""
    return Claim(**json.loads(kept))


def _row(campaign_no: int, refusal: Refusal) -> tuple[Any, ...]:
    claim = refusal.claim
    fields: Mapping[str, Any] = msgspec.structs.asdict(claim)
    return (
        campaign_no,
        claim.epoch,
        claim.sequence,
        json.dumps(fields).encode(),
        claim.wave_no,
        claim.offer_no,
        Decimal(claim.unit),
        Decimal(claim.nth),
        Decimal(claim.request_no),
        lookup_text(claim.claimant),
        lookup_text(claim.account),
        lookup_text(claim.code),
        refusal.sqlstate,
        refusal.constraint,
        refusal.error,
    )


def quarantined_of(row: Any) -> Quarantined:
    """A quarantined claim from its row (queries `list`, `one`)."""
    return Quarantined(
        campaign=row["campaign"],
        campaign_no=row["campaign_no"],
        claim=claim_of(row["claim"]),
        sqlstate=row["sqlstate"],
        constraint=row["constraint_name"],
        error=row["error"],
        quarantined_ms=unix_ms(row["quarantined_at"]),
        state=row["state"],
        ended_by=row["ended_by"],
        ended_reason=row["ended_reason"],
        ended_ms=None if row["ended_at"] is None else unix_ms(row["ended_at"]),
    )
