"""Python's garbage collector in a gateway: what lives as long as the process is not looked through again and again.

Left as it is, it runs for every 700 objects that a crowd makes, and each second or so through all objects there are,
which holds up every client for tens of milliseconds. Claims leave nothing to be found: what they are made of goes
when the last reference to it does.
"""

import gc
from typing import Final

MADE_MAX: Final = 10_000
"""Objects made and not gone yet before it looks at the young ones: a few megabytes, and more than 256 clients have
under way. What is left of a connection or a failure in a circle waits for that long."""


class Garbage:
    """A service, the last to start: what is there then, it takes for what stays."""

    def __init__(self) -> None:
        self._before: tuple[int, int, int] | None = None

    async def start(self) -> None:
        """Look once more, and then no more at what is left."""
        if self._before is None:
            self._before = gc.get_threshold()
            gc.collect()
            gc.freeze()
            gc.set_threshold(MADE_MAX, *self._before[1:])

    async def stop(self) -> None:
        """As it was before."""
        before, self._before = self._before, None
        if before is not None:
            gc.set_threshold(*before)
            gc.unfreeze()
