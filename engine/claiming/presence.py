"""Whether whoever asked is still there to hear the answer."""

from typing import Protocol


class Wait(Protocol):
    """What somebody waits for."""

    def cancel(self) -> object:
        """Nobody waits for it any more."""


class Presence:
    """One client's, for as long as its connection lives; it waits for one answer at a time.

    While nothing is decided yet, a wait ends the moment the client leaves: nobody works for a client that has gone.
    """

    __slots__ = ("_wait", "gone")

    def __init__(self) -> None:
        self.gone = False
        self._wait: Wait | None = None

    def waits_for(self, wait: Wait) -> None:
        """What the client waits for now; cancelled when it leaves, and at once where it has left already."""
        self._wait = wait
        if self.gone:
            wait.cancel()

    def leave(self) -> None:
        """The client has gone."""
        self.gone = True
        if self._wait is not None:
            self._wait.cancel()
            self._wait = None
