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

**Log entry** (stream id `epoch-last`): fields `v` (format version, 1), `first` (number of the first
decision in it), `at` (the store's clock, ms) and one of
 - `claims`: a line for each claim, numbers `first` … `last` in order:
   `<wave>\t<request_no>\t<offer>\t<unit>\t<nth>\t<terms>\t<late_ms>\t<code>\t<claimant>\t<account>`
   where claimed_at_ms = at + late_ms (0 unless the clock had stepped back);
 - `act`: an `ActLine` as JSON; then `first` equals `last`.

**meta** fields: `last` (number of the last decision), `act` (number of the last act), `act_id` (ids of the
last acts, newest first), `claims` and `value` (counted against the campaign's cap), `rules` (`Rules` as
JSON), `catalogue` (`Catalogue` as JSON), `wave:<no>` (`WaveState` as JSON), `latch:<no>` (1 once the wave
was seen open), `sold_out:<wave>:<offer>` (ms, since when).
"""

from typing import Any

import msgspec

from engine.domain.campaign import CLAIMS_PER_CLAIMANT_MAX
from engine.domain.decisions import ActLine, LogEntry
from engine.domain.outcome import Claim
from engine.errors import ShardBroken

LOG_VERSION = 1
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
    if fields.get(b"v") != b"%d" % LOG_VERSION:
        raise ShardBroken(
            f"log entry {entry_id.decode()} has format {fields.get(b'v')!r}; this program reads {LOG_VERSION}"
        )
    try:
        return _read_entry(entry_id, fields)
    except (KeyError, ValueError, msgspec.DecodeError) as error:
        raise ShardBroken(f"log entry {entry_id.decode()} cannot be read: {type(error).__name__}") from error


def _read_entry(entry_id: bytes, fields: dict[bytes, bytes]) -> LogEntry:
    epoch, last = (int(part) for part in entry_id.split(b"-"))
    first, at_ms = int(fields[b"first"]), int(fields[b"at"])
    if b"act" in fields:
        return LogEntry(epoch, first, last, at_ms, act=_ACT.decode(fields[b"act"]))
    lines = fields[b"claims"].decode().split("\n")
    if len(lines) != last - first + 1:
        raise ShardBroken(
            f"log entry {entry_id.decode()} holds {len(lines)} claims, its numbers say {last - first + 1}"
        )
    claims = tuple(_claim_of_log(line, epoch, first + place, at_ms) for place, line in enumerate(lines))
    return LogEntry(epoch, first, last, at_ms, claims=claims)


def _claim_of_log(line: str, epoch: int, sequence: int, at_ms: int) -> Claim:
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


def to_json(value: Any) -> str:
    """JSON text of a record, for a script's argument."""
    return msgspec.json.encode(value).decode()
