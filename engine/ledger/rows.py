"""Claims and vouchers as the rows of a binary COPY, packed in one go for a whole batch.

asyncpg can do this from tuples, one value after the other; that took half of the writer's time for a claim. What a row
is made of (https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format"): how many fields, then each field as
its length in bytes and its value in network byte order; length -1 and no value is null. An instant is microseconds
since 2000. A value that does not fit its column raises struct.error here, or is refused by Postgres.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from struct import Struct as Layout

from msgspec import Struct

from engine.domain.outcome import Claim
from engine.ledger.instants import instant, unix_ms

COPY_BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_END = b"\xff\xff"
_NULL = Layout("!i").pack(-1)
_LENGTH = Layout("!i").pack

CLAIM_COLUMNS = (
    "campaign_no",
    "epoch",
    "sequence",
    "wave_no",
    "offer_no",
    "unit",
    "nth",
    "request_no",
    "terms_version",
    "claimed_at",
    "claimant",
    "account",
    "code",
)
_CLAIM_START = Layout("!h" + "ii" + "iq" * 2 + "ih" * 2 + "ii" + "ih" * 2 + "ii" + "iq" + "i").pack
"""The columns up to `claimed_at`, and the length of `claimant`."""

VOUCHER_COLUMNS = ("campaign_no", "epoch", "sequence", "valid_from", "expires_at", "code")
_VOUCHER_START = Layout("!h" + "ii" + "iq" * 4 + "i").pack
"""The columns up to `expires_at`, and the length of `code`."""


class VoucherRow(Struct, frozen=True, gc=False):
    """The voucher that a claim (epoch, sequence) issues."""

    code: str
    epoch: int
    sequence: int
    valid_from_ms: int
    expires_at_ms: int


def claim_rows(campaign_no: int, claims: Sequence[Claim]) -> bytearray:
    """The rows of these claims, of CLAIM_COLUMNS; between COPY_BEGIN and COPY_END.

    Raises struct.error, OverflowError, TypeError or ValueError where a value fits no column.
    """
    moments, rows = _Moments(), bytearray()
    for claim in claims:
        claimant, code = claim.claimant.encode(), claim.code.encode()
        rows += _CLAIM_START(
            13,
            4, campaign_no,
            8, claim.epoch,
            8, claim.sequence,
            2, claim.wave_no,
            2, claim.offer_no,
            4, claim.unit,
            2, claim.nth,
            2, claim.request_no,
            4, claim.terms_version,
            8, moments[claim.claimed_at_ms],
            len(claimant),
        )  # fmt: skip
        rows += claimant
        rows += _NULL if claim.account == claim.claimant else _text(claim.account)
        rows += _LENGTH(len(code))
        rows += code
    return rows


def voucher_rows(campaign_no: int, vouchers: Sequence[VoucherRow]) -> bytearray:
    """The rows of these vouchers, of VOUCHER_COLUMNS. Raises as `claim_rows` does."""
    moments, rows = _Moments(), bytearray()
    for voucher in vouchers:
        code = voucher.code.encode()
        rows += _VOUCHER_START(
            6,
            4, campaign_no,
            8, voucher.epoch,
            8, voucher.sequence,
            8, moments[voucher.valid_from_ms],
            8, moments[voucher.expires_at_ms],
            len(code),
        )  # fmt: skip
        rows += code
    return rows


def _text(text: str) -> bytes:
    encoded = text.encode()
    return _LENGTH(len(encoded)) + encoded


class _Moments(dict[int, int]):
    """Instants as Postgres has them, by Unix milliseconds, of one batch: the claims of one entry share theirs."""

    def __missing__(self, ms: int) -> int:
        instant(ms)  # Postgres goes on for millennia after the last year that Python could read from it
        moment = self[ms] = (ms - _YEAR_2000_MS) * 1_000
        return moment


_YEAR_2000_MS = unix_ms(datetime(2000, 1, 1, tzinfo=UTC))
