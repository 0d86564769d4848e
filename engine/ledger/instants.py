"""Between Unix milliseconds, which the product counts in, and timestamptz, which Postgres stores."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def instant(ms: int) -> datetime:
    """That instant, exact: no floating point between. OverflowError past the year 9999."""
    return _EPOCH + timedelta(milliseconds=ms)


def unix_ms(moment: datetime) -> int:
    """Unix milliseconds of an aware datetime, rounded down."""
    return (moment - _EPOCH) // _MILLISECOND
