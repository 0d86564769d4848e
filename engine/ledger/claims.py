"""Claims that the ledger holds: settled ones, and those in quarantine, which count like them until they are voided.

A claim can move from the quarantine to the settled ones between two looks. So the quarantine is looked at first, and
what then is seen twice counts once.
"""

from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any

from msgspec import Struct

from engine.domain.outcome import Claim
from engine.ledger.database import Ledger
from engine.ledger.quarantine import held_by_account, held_by_claimant, kept_claims, lookup_text
from engine.ledger.queries import load_queries

CLAIMS_OF_ACCOUNT_MAX = 500
"""Claims in one card pack: some sixteen campaigns in which an account held all that a campaign allows."""

LATER_CLAIMS_MAX = 100_000
"""Claims behind their claimants' first ones that are put aside while all claims are read: with the first ones that go
with them some 100 MB. Where there are more, claims are read by the index."""

_SQL = load_queries("claims")


class OfferCount(Struct, frozen=True):
    """What an offer of a wave gave out, as far as the ledger knows: claims, and the highest unit that was used up.

    Held claims of the quarantine are counted. A voided one is not, but its unit stays used up.
    """

    claims: int
    unit_max: int
    voided: int = 0


async def counts(ledger: Ledger, campaign_no: int) -> dict[tuple[int, int], OfferCount]:
    """Claims per (wave_no, offer_no), held ones included; an offer of which nothing was claimed is not there."""
    rows = await ledger.fetch(_SQL["counts"], campaign_no)
    return {
        (row["wave_no"], row["offer_no"]): OfferCount(row["claims"], int(row["unit_max"]), row["voided"])
        for row in rows
    }


async def read_holdings(ledger: Ledger, campaign_no: int, chunk: int) -> AsyncGenerator[list[Claim], None]:
    """All claims of the campaign, held ones of the quarantine included, as they were at the first look.

    Yields lists of about `chunk` claims, by whole claimants, in no order of these: all claims of one stand together
    in one list, in order of `nth`; where one was voided its number is missing. Holds a connection until it is read to
    its end or closed (contextlib.aclosing); who takes longer than `ledger_timeout_ms` over one list gets
    LedgerUnavailable at the next.
    """
    async with ledger.snapshot() as connection:
        held: defaultdict[str, list[Claim]] = defaultdict(list)  # few, see sieve.HELD_MAX
        for claim, _ in await kept_claims(connection, campaign_no, ["held"]):
            held[claim.claimant].append(claim)
        later = await connection.fetch(_SQL["later_claimants"], campaign_no, LATER_CLAIMS_MAX + 1)
        if len(later) > LATER_CLAIMS_MAX:
            lists = _by_index(connection, campaign_no, chunk)
        else:
            lists = _as_they_lie(connection, campaign_no, chunk, {row["claimant"]: [] for row in later})
        async for claims in lists:
            yield _with_held(claims, held)
        if held:
            yield [claim for claims in held.values() for claim in sorted(claims, key=_nth)]


async def _as_they_lie(
    connection: Any, campaign_no: int, chunk: int, aside: dict[str, list[Claim]]
) -> AsyncGenerator[list[Claim], None]:
    """From the first row of the table to the last. The claimants of `aside` have several: these come behind all others.

    Five times as fast as by the index, which finds one row here and the next one there.
    """
    cursor = await connection.cursor(_SQL["all_claims"], campaign_no)
    while rows := await cursor.fetch(chunk):
        claims = [Claim(*row) for row in rows]
        if aside:
            for claim in claims:
                if claim.claimant in aside:
                    aside[claim.claimant].append(claim)
            claims = [claim for claim in claims if claim.claimant not in aside]
        if claims:
            yield claims
    gathered: list[Claim] = []
    for of_one in aside.values():
        gathered += sorted(of_one, key=_nth)
        if len(gathered) >= chunk:
            yield gathered
            gathered = []
    if gathered:
        yield gathered


async def _by_index(connection: Any, campaign_no: int, chunk: int) -> AsyncGenerator[list[Claim], None]:
    cursor = await connection.cursor(_SQL["all_claims_by_claimant"], campaign_no)
    rest: list[Claim] = []
    while rows := await cursor.fetch(chunk):
        claims = [*rest, *(Claim(*row) for row in rows)]
        whole = _end_of_whole_claimants(claims)
        rest = claims[whole:]
        if whole:
            yield claims[:whole]
    if rest:
        yield rest


async def claims_of_claimant(ledger: Ledger, campaign_no: int, claimant: str) -> list[Claim]:
    """The claims of one claimant in one campaign, in order of `nth`, held ones included."""
    held = await held_by_claimant(ledger, campaign_no, claimant)
    settled = []
    if lookup_text(claimant) == claimant:  # else no column could hold it
        settled = _claims(await ledger.fetch(_SQL["of_claimant"], campaign_no, claimant))
    return sorted(_once([*held, *settled]), key=_nth)


async def claims_of_account(ledger: Ledger, account: str) -> list[tuple[str, Claim]]:
    """(campaign id, claim) of an account in all campaigns: the newest CLAIMS_OF_ACCOUNT_MAX, newest first.

    Held ones are among them.
    """
    held = await held_by_account(ledger, account)
    rows = []
    if lookup_text(account) == account:
        rows = await ledger.fetch(_SQL["of_account"], account, CLAIMS_OF_ACCOUNT_MAX)
    found = [(campaign, Claim(*fields)) for campaign, *fields in rows]
    if not held:
        return found
    settled = {claim.code for _, claim in found}
    found += [(campaign, claim) for campaign, claim in held if claim.code not in settled]
    found.sort(key=lambda pair: (pair[1].claimed_at_ms, pair[1].epoch, pair[1].sequence), reverse=True)
    return found[:CLAIMS_OF_ACCOUNT_MAX]


async def settled_codes(ledger: Ledger, campaign: str, claims: Sequence[Claim]) -> set[str]:
    """The codes of those of these claims that the ledger has, held ones included.

    By the code, not by the number alone: where an epoch was lost and used again, its numbers are other claims' by now.
    """
    epochs, sequences = [claim.epoch for claim in claims], [claim.sequence for claim in claims]
    found = {row["code"] for row in await ledger.fetch(_SQL["settled_codes"], campaign, epochs, sequences)}
    return {claim.code for claim in claims if lookup_text(claim.code) in found}


def _claims(rows: Sequence[Any]) -> list[Claim]:
    """Each query names its columns in the order of Claim's fields."""
    return [Claim(*row) for row in rows]


def _nth(claim: Claim) -> int:
    return claim.nth


def _once(claims: Iterable[Claim]) -> Iterable[Claim]:
    return {(claim.epoch, claim.sequence): claim for claim in claims}.values()


def _with_held(claims: list[Claim], held: dict[str, list[Claim]]) -> list[Claim]:
    """Claims of whole claimants with what these have in quarantine, which leaves `held`."""
    if not held:
        return claims
    extra = [claim for claimant in {claim.claimant for claim in claims} for claim in held.pop(claimant, ())]
    return sorted([*claims, *extra], key=lambda claim: (claim.claimant, claim.nth)) if extra else claims


def _end_of_whole_claimants(claims: list[Claim]) -> int:
    """How many of these claims surely belong to claimants of whom none is still to come: all but the last one's."""
    end = len(claims)
    while end and claims[end - 1].claimant == claims[-1].claimant:
        end -= 1
    return end
