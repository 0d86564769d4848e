"""How long a claim will wait for its turn, judged by how long the last batches took."""

_WEIGHT = 0.5
"""Of the newest batch in the average: three quick batches after a stall the stall counts for an eighth."""


class Pace:
    """Of one desk. Times are in seconds, of one clock that the caller names.

    It says too little at most by the factor between a small and a full batch (about three: most of a call is the
    fsync), until the first full one has ended. It is never asked while the desk is idle, so a bad memory cannot stop a
    desk: the claim that finds nobody before it is sent whatever was, and its batch is the next thing remembered.
    """

    def __init__(self, calls_max: int = 1) -> None:
        """`calls_max`: batches that may be under way at a time."""
        self._calls_max = calls_max
        self._usual_s = 0.0
        self._began_s: list[float] = []
        """Of the batches under way, the oldest first."""

    def began(self, now_s: float) -> None:
        """A batch is on its way."""
        self._began_s.append(now_s)

    def ended(self, began_s: float, now_s: float) -> None:
        """The one that began then has its answers."""
        self._began_s.remove(began_s)
        self._usual_s += _WEIGHT * (now_s - began_s - self._usual_s)

    def wait_s(self, batches_before: int, now_s: float) -> float:
        """Until a claim is sent that has so many full batches before it, beside those under way."""
        turns = batches_before / self._calls_max
        if len(self._began_s) < self._calls_max:
            return turns * self._usual_s
        gone_s = now_s - self._began_s[0]
        # A call that takes longer than calls do is a store that is silent: it is not known for how long, and the best
        # guess is as long again; those behind it will hardly fare better.
        left_s = self._usual_s - gone_s if gone_s < self._usual_s else gone_s
        return left_s + turns * max(self._usual_s, gone_s)
