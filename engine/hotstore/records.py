r"""The text formats that the scripts write and Python reads.

Identities contain no control characters (`engine.gateway.identity` refuses them), so newline and tab
separate, and the identity always stands last.

**Holder record** (value of `holders`): the number of claims of this claimant, then a line for each,
oldest first:

    2\n
    <wave>,<request_no>,<offer>,<epoch>,<sequence>,<unit>,<terms>,<claimed_at_ms>,<code>,<account>\n
    …

`account` is empty where it equals the claimant. `nth` is the number of the line. A line `-` keeps the number of a
claim that was voided: the next one has to get a number that is free in the ledger.

**Log entry** (stream id `epoch-last`): fields `v` (format version, 2), `first` (number of the first
decision in it), `at` (the store's clock, ms) and one of
 - `claims`: a line for each claim, numbers `first` … `last` in order; and before the first one, and before each that
   differs from its neighbour in more than unit, code and holder, a line that tells what holds from here on:
   `+<wave>\t<request_no>\t<offer>\t<nth>\t<terms>\t<late_ms>`
   `<unit>\t<code>,<account>\t<claimant>`
   where claimed_at_ms = at + late_ms (0 unless the clock had stepped back);
 - `act`: an `ActLine` as JSON; then `first` equals `last`.

Version 1 had everything in each claim's line; it is read too:
   `<wave>\t<request_no>\t<offer>\t<unit>\t<nth>\t<terms>\t<late_ms>\t<code>\t<claimant>\t<account>`

**meta** fields: `last` (number of the last decision), `act` (number of the last act), `act_id` (ids of the
last acts, newest first), `claims` and `value` (counted against the campaign's cap), `rules` (`Rules` as
JSON), `catalogue` (`Catalogue` as JSON), `wave:<no>` (`WaveState` as JSON), `latch:<no>` (1 once the wave
was seen open), `sold_out:<wave>:<offer>` (ms, since when).
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import msgspec

from engine.domain.campaign import CLAIMS_PER_CLAIMANT_MAX
from engine.domain.decisions import ActLine, LogEntry
from engine.domain.outcome import Claim
from engine.errors import ShardBroken

VOIDED = "-"
"""The line of a claim that was voided."""


def holder_line(claim: Claim) -> str:
    """The line of a holder record for this claim."""
    account = "" if claim.account == claim.claimant else claim.account
    return (
        f"{claim.wave_no},{claim.request_no},{claim.offer_no},{claim.epoch},{claim.sequence},{claim.unit},"
        f"{claim.terms_version},{claim.claimed_at_ms},{claim.code},{account}\n"
    )


def holder_record(claims: list[Claim]) -> str:
    """The record of a claimant who holds these claims, in order of `nth`: numbers are missing where one was voided."""
    lines: list[str] = []
    for claim in claims:
        missing = min(claim.nth, CLAIMS_PER_CLAIMANT_MAX) - 1 - len(lines)
        lines += [VOIDED + "\n"] * missing + [holder_line(claim)]
    return f"{len(lines)}\n" + "".join(lines)


def claim_of_line(line: str, claimant: str, nth: int) -> Claim:
    """The claim that a line of a holder record (without its newline) tells of."""
    wave, request, offer, epoch, sequence, unit, terms, claimed_at, code, account = line.split(",", 9)
    return Claim(
        wave_no=int(wave),
        request_no=int(request),
        offer_no=int(offer),
        epoch=int(epoch),
        sequence=int(sequence),
        unit=int(unit),
        nth=nth,
        terms_version=int(terms),
        claimed_at_ms=int(claimed_at),
        code=code,
        claimant=claimant,
        account=account or claimant,
    )


def claims_of_record(record: str, claimant: str) -> list[Claim]:
    """Every claim of a holder record, oldest first."""
    lines = record.split("\n")[1:-1]
    return [claim_of_line(line, claimant, nth) for nth, line in enumerate(lines, start=1) if line != VOIDED]


_ACT = msgspec.json.Decoder(ActLine)


def entry_of(entry_id: bytes, fields: dict[bytes, bytes]) -> LogEntry:
    """A log entry from what the stream holds. Raises ShardBroken where it cannot be read."""
    version = fields.get(b"v", b"")
    if version not in LOG_VERSIONS:
        raise ShardBroken(
            f"log entry {entry_id.decode()} has format {version.decode(errors='replace')!r};"
            f" this program reads {' and '.join(each.decode() for each in LOG_VERSIONS)}"
        )
    try:
        return _read_entry(entry_id, fields, LOG_VERSIONS[version])
    except (KeyError, ValueError, msgspec.DecodeError) as error:
        raise ShardBroken(f"log entry {entry_id.decode()} cannot be read: {type(error).__name__}") from error


def _read_entry(
    entry_id: bytes, fields: dict[bytes, bytes], claims_of: Callable[[str, int, int, int], list[Claim]]
) -> LogEntry:
    epoch, last = (int(part) for part in entry_id.split(b"-"))
    first, at_ms = int(fields[b"first"]), int(fields[b"at"])
    if b"act" in fields:
        return LogEntry(epoch, first, last, at_ms, act=_ACT.decode(fields[b"act"]))
    claims = claims_of(fields[b"claims"].decode(), epoch, first, at_ms)
    if len(claims) != last - first + 1:
        raise ShardBroken(
            f"log entry {entry_id.decode()} holds {len(claims)} claims, its numbers say {last - first + 1}"
        )
    return LogEntry(epoch, first, last, at_ms, claims=tuple(claims))


def _claims_of_log(text: str, epoch: int, first: int, at_ms: int) -> list[Claim]:
    claims: list[Claim] = []
    wave = request = offer = nth = terms = claimed_at_ms = 0
    for line in text.split("\n"):
        if line.startswith("+"):
            wave, request, offer, nth, terms, late = map(int, line[1:].split("\t"))
            claimed_at_ms = at_ms + late
            continue
        if not wave:
            raise ValueError("a claim, and nothing that tells of what")
        unit, code, claimant = line.split("\t")
        code, _, account = code.partition(",")
        sequence = first + len(claims)
        claims.append(
            Claim(  # by place: names cost three times as much, and this is done for every claim
                wave,
                offer,
                request,
                epoch,
                sequence,
                int(unit),
                nth,
                terms,
                claimed_at_ms,
                code,
                claimant,
                account or claimant,
            )
        )
    return claims


def _claims_of_log_1(text: str, epoch: int, first: int, at_ms: int) -> list[Claim]:
    return [_claim_of_log_1(line, epoch, first + place, at_ms) for place, line in enumerate(text.split("\n"))]


def _claim_of_log_1(line: str, epoch: int, sequence: int, at_ms: int) -> Claim:
    wave, request, offer, unit, nth, terms, late, code, claimant, account = line.split("\t")
    return Claim(
        wave_no=int(wave),
        request_no=int(request),
        offer_no=int(offer),
        epoch=epoch,
        sequence=sequence,
        unit=int(unit),
        nth=int(nth),
        terms_version=int(terms),
        claimed_at_ms=at_ms + int(late),
        code=code,
        claimant=claimant,
        account=account or claimant,
    )


LOG_VERSIONS = MappingProxyType({b"1": _claims_of_log_1, b"2": _claims_of_log})
"""How the claims of an entry are read, by its format version."""


def to_json(value: Any) -> str:
    """JSON text of a record, for a script's argument."""
    return msgspec.json.encode(value).decode()
