"""How long a claim will wait for its turn, judged by how long the last batches took."""

_WEIGHT = 0.5
"""Of the newest batch in the average: three quick batches after a stall the stall counts for an eighth."""


class Pace:
    """Of one desk. Times are in seconds, of one clock that the caller names.

    It says too little at most by the factor between a small and a full batch (about three: most of a call is the
    fsync), until the first full one has ended. It is never asked while the desk is idle, so a bad memory cannot stop a
    desk: the claim that finds nobody before it is sent whatever was, and its batch is the next thing remembered.
    """

    def __init__(self) -> None:
        self._usual_s = 0.0
        self._began_s: float | None = None

    def began(self, now_s: float) -> None:
        """A batch is on its way."""
        self._began_s = now_s

    def ended(self, now_s: float) -> None:
        """It has its answers."""
        if self._began_s is not None:
            self._usual_s += _WEIGHT * (now_s - self._began_s - self._usual_s)
            self._began_s = None

    def wait_s(self, batches_before: int, now_s: float) -> float:
        """Until a claim is sent that has so many full batches before it, beside the one under way."""
        if self._began_s is None:
            return batches_before * self._usual_s
        gone_s = now_s - self._began_s
        # A call that takes longer than calls do is a store that is silent: it is not known for how long, and the best
        # guess is as long again; those behind it will hardly fare better.
        left_s = self._usual_s - gone_s if gone_s < self._usual_s else gone_s
        return left_s + batches_before * max(self._usual_s, gone_s)
