r"""The text formats that the scripts write and Python reads.

Identities contain no control characters (`engine.gateway.identity` refuses them), so newline and tab
separate, and the identity always stands last.

**Holder record** (value of `holders`): a line for each claim of this claimant, oldest first, a newline before each:

    \n<wave>:<request_no>:<offer>:<epoch>:<sequence>:<unit>:<terms>:<claimed_at_ms>:<code>,<account>
    …

`<epoch>` and `<claimed_at_ms>` count from `base` in `meta` (the epoch as it was loaded); the epoch is empty where
it is the base. These two, `<sequence>` and `<unit>` are in base 36, the other numbers in base 10. `,<account>` is left
out where it equals the claimant. `nth` is the number of the line. A line `-` keeps the number of a claim that was
voided: the next one has to get a number that is free in the ledger.

Before there was a `base`, all of it was in base 10, with the number of lines before them; that is read too, and becomes
the form above when a claim is added:

    2\n
    <wave>,<request_no>,<offer>,<epoch>,<sequence>,<unit>,<terms>,<claimed_at_ms>,<code>,<account>\n
    …

A line of that form stands by itself: `voided`, which outlives epochs, has such (`forget.py`).

**Log entry** (stream id `epoch-last`): fields `v` (format version, 3), `first` (number of the first
decision in it), `at` (the store's clock, ms) and one of
 - `claims`: numbers `first` … `last` in order, in rows. A row is two lines; and a line before the first one, and before
   each that does not go on as the row before it, tells what its claims have in common, and the unit of the first:
   `+<wave>\t<request_no>\t<offer>\t<nth>\t<terms>\t<late_ms>\t<unit>`
   `<code>,<account>\t…`
   `<claimant>\t…`
   where claimed_at_ms = at + late_ms (0 unless the clock had stepped back), and units are numbered without gaps;
 - `act`: an `ActLine` as JSON; then `first` equals `last`.

Earlier versions are read too: 2 had a line `<unit>\t<code>,<account>\t<claimant>` for each claim, and no unit in
the line before them; 1 had everything in each claim's line:
   `<wave>\t<request_no>\t<offer>\t<unit>\t<nth>\t<terms>\t<late_ms>\t<code>\t<claimant>\t<account>`

**meta** fields: `last` (number of the last decision), `act` (number of the last act), `act_id` (ids of the
last acts, newest first), `base` (of the numbers in holder records), `claims` and `value` (counted against the
campaign's cap), `rules` (`Rules` as JSON), `catalogue` (`Catalogue` as JSON), `wave:<no>` (`WaveState` as JSON),
`brief:<no>` (what claim.lua made of `rules` and that wave, MessagePack; `brief.lua`: counts while `act` is the act it
names), `latch:<no>` (1 once the wave was seen open), `sold_out:<wave>:<offer>` (ms, since when).
"""

import string
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import msgspec

from engine.domain.campaign import CLAIMS_PER_CLAIMANT_MAX
from engine.domain.decisions import ActLine, LogEntry
from engine.domain.outcome import Claim
from engine.errors import ShardBroken

VOIDED = "-"
"""The line of a claim that was voided."""
LINE_STARTS_KEPT_MAX = 1_000
"""Beginnings of lines: of a load, as many as there are offers in waves, times the epochs in which they were claimed."""


def whole_line(claim: Claim) -> str:
    """The line of a holder record for this claim, every number in full."""
    account = "" if claim.account == claim.claimant else claim.account
    return (
        f"{claim.wave_no},{claim.request_no},{claim.offer_no},{claim.epoch},{claim.sequence},{claim.unit},"
        f"{claim.terms_version},{claim.claimed_at_ms},{claim.code},{account}"
    )


def _line(claim: Claim, base: int) -> str:
    account = "" if claim.account == claim.claimant else f",{claim.account}"
    return (
        f"{_line_start(claim.wave_no, claim.request_no, claim.offer_no, claim.epoch, base)}{in_36(claim.sequence)}:"
        f"{in_36(claim.unit)}:{claim.terms_version}:{in_36(claim.claimed_at_ms - base)}:{claim.code}{account}"
    )


@lru_cache(LINE_STARTS_KEPT_MAX)
def _line_start(wave_no: int, request_no: int, offer_no: int, epoch: int, base: int) -> str:
    return f"{wave_no}:{request_no}:{offer_no}:{'' if epoch == base else in_36(epoch - base)}:"


_DIGITS = string.digits + string.ascii_lowercase
_PAIRS = tuple(high + low for high in _DIGITS for low in _DIGITS)


def in_36(number: int) -> str:
    """The number in base 36, as `int(text, 36)` reads it."""
    left, text = abs(number), ""
    while left >= 36 * 36:  # two digits at a time: a load of ten million claims does this thirty million times
        left, pair = divmod(left, 36 * 36)
        text = _PAIRS[pair] + text
    return ("-" if number < 0 else "") + (_PAIRS[left] if left >= 36 else _DIGITS[left]) + text


def holder_record(claims: Sequence[Claim], base: int) -> str:
    """The record of a claimant who holds these claims, in order of `nth`: numbers are missing where one was voided."""
    if len(claims) == 1 and claims[0].nth == 1:
        return "\n" + _line(claims[0], base)
    lines: list[str] = []
    for claim in claims:
        missing = min(claim.nth, CLAIMS_PER_CLAIMANT_MAX) - 1 - len(lines)
        lines += [VOIDED] * missing + [_line(claim, base)]
    return "".join("\n" + line for line in lines)


def claim_of_line(line: str, claimant: str, nth: int, base: int) -> Claim:
    """The claim that a line of a holder record (without its newline) tells of, in either form."""
    if line[: line.find(":")].isdigit():
        wave, request, offer, epoch, sequence, unit, terms, claimed_at, code = line.split(":", 8)
        code, _, account = code.partition(",")
        epoch_no, claimed_at_ms = base + int(epoch or "0", 36), base + int(claimed_at, 36)
        sequence_no, unit_no = int(sequence, 36), int(unit, 36)
    else:
        wave, request, offer, epoch, sequence, unit, terms, claimed_at, code, account = line.split(",", 9)
        epoch_no, claimed_at_ms, sequence_no, unit_no = int(epoch), int(claimed_at), int(sequence), int(unit)
    return Claim(
        wave_no=int(wave),
        request_no=int(request),
        offer_no=int(offer),
        epoch=epoch_no,
        sequence=sequence_no,
        unit=unit_no,
        nth=nth,
        terms_version=int(terms),
        claimed_at_ms=claimed_at_ms,
        code=code,
        claimant=claimant,
        account=account or claimant,
    )


def claims_of_record(record: str, claimant: str, base: int) -> list[Claim]:
    """Every claim of a holder record, oldest first."""
    _, *lines = record.removesuffix("\n").split("\n")  # before the first newline: nothing, or the number of lines
    return [claim_of_line(line, claimant, nth, base) for nth, line in enumerate(lines, start=1) if line != VOIDED]


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
    wave = request = offer = nth = terms = claimed_at_ms = unit = 0
    lines = iter(text.split("\n"))
    for line in lines:
        if line.startswith("+"):
            wave, request, offer, nth, terms, late, unit = map(int, line[1:].split("\t"))
            claimed_at_ms = at_ms + late
            continue
        if not wave:
            raise ValueError("a claim, and nothing that tells of what")
        for code, claimant in zip(line.split("\t"), next(lines).split("\t"), strict=True):
            code, _, account = code.partition(",")
            claims.append(
                Claim(  # by place: names cost three times as much, and this is done for every claim
                    wave,
                    offer,
                    request,
                    epoch,
                    first + len(claims),
                    unit,
                    nth,
                    terms,
                    claimed_at_ms,
                    code,
                    claimant,
                    account or claimant,
                )
            )
            unit += 1
    return claims


def _claims_of_log_2(text: str, epoch: int, first: int, at_ms: int) -> list[Claim]:
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


LOG_VERSIONS = MappingProxyType({b"1": _claims_of_log_1, b"2": _claims_of_log_2, b"3": _claims_of_log})
"""How the claims of an entry are read, by its format version."""


def to_json(value: Any) -> str:
    """JSON text of a record, for a script's argument."""
    return msgspec.json.encode(value).decode()
