"""How far a log may be trimmed: to where the cursor was some minutes ago.

Postgres can go back in time too (a standby is promoted, a backup is restored). What the log still holds
then is settled again without anybody's help.
"""

from collections import deque

Place = tuple[int, int]
"""(epoch, number of the last settled decision)."""

SAMPLES = 16
"""Places remembered of one campaign: the log is kept by a sixteenth longer than it has to be, at most."""


class PlaceHistory:
    """Where one campaign's cursor was, and when. Times are seconds of one monotonic clock."""

    def __init__(self, behind_s: float) -> None:
        self._behind_s = behind_s
        self._seen: deque[tuple[float, Place]] = deque()
        self._trimmed: Place | None = None

    def note(self, now_s: float, place: Place) -> None:
        """Remember that the cursor is there; at most SAMPLES times within the time that the log is kept."""
        if not self._seen or now_s - self._seen[-1][0] >= self._behind_s / SAMPLES:
            self._seen.append((now_s, place))

    def due(self, now_s: float) -> Place | None:
        """The newest place that the cursor passed long enough ago, once; None where nothing more is to be trimmed."""
        place = None
        while self._seen and now_s - self._seen[0][0] >= self._behind_s:
            place = self._seen.popleft()[1]
        if place is None or place == self._trimmed:
            return None
        self._trimmed = place
        return place
