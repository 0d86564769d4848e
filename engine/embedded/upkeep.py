"""Starting again what died, until it is plain that this does not help.

    the first death          it is started again at once
    each further one         after a pause, which doubles
    more than the bound      CannotRun with the reason, and everything stops: what dies of its settings, of a full disk
                             or of a mistake in the program would die for ever, and nobody would look

A start that fails counts as a death. A part waits with its start for those that it needs: a writer cannot begin while
Postgres is being repaired, and that is not the writer's fault.

A process that hangs has not died: from outside it cannot be told from one that works hard, and a second one beside it
would be worse.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from engine.embedded.child import Child
from engine.errors import CannotRun

WINDOW_S = 60.0
"""Deaths count for so long."""
PAUSE_S = 0.1
PAUSE_MAX_S = 2.0
"""Before the second restart within WINDOW_S, doubled for each further one. At most what a change of leases takes."""
_WATCH_S = 0.1
"""How soon the end of a part is noticed."""


class Part(Protocol):
    """A server or role, as far as keeping and stopping it goes."""

    role: str
    """What it is; several may be the same."""
    child: Child

    async def restart(self) -> None:
        """Start it as before, once it has ended by itself. CannotRun, and nothing of it runs, where that fails."""

    async def stop(self) -> None:
        """End it in order."""

    def hurry(self) -> None:
        """Cut short the stop that is under way or comes next."""

    def trouble(self, what: str) -> str:
        """Why it ended, in one line."""


class Upkeep:
    """Keeps one part alive."""

    def __init__(
        self,
        part: Part,
        needs: Sequence["Upkeep"],
        restarts_max: int,
        say: Callable[[str], None],
        count: Callable[[str], None],
    ) -> None:
        """`needs` have to be up before it can start. `say` gets lines for people, `count` the role at each restart."""
        self.part = part
        self._needs = needs
        self._restarts_max = restarts_max
        self._say = say
        self._count = count
        self._deaths_s: list[float] = []
        self._is_up = True

    @property
    def is_up(self) -> bool:
        """Whether it is started, and has not ended since."""
        return self._is_up and self.part.child.runs

    async def keep(self) -> None:
        """Returns never; CannotRun, with the end of its log, once it has died too often."""
        while True:
            await _until(lambda: not self.part.child.runs)
            self._is_up = False
            await self._revive()
            self._is_up = True

    async def _revive(self) -> None:
        died_s, name = time.monotonic(), self.part.child.name
        reason = self.part.trouble("died")
        self._note_death(reason)
        self._say(f"{reason}; it is started again")
        while True:
            await asyncio.sleep(self._pause_s())
            await _until(lambda: all(needed.is_up for needed in self._needs))
            try:
                await self.part.restart()
            except CannotRun as error:
                self._note_death(str(error))
                self._say(str(error))
            else:
                break
        self._count(self.part.role)
        self._say(f"{name} runs again, {time.monotonic() - died_s:.1f} s after its death")

    def _note_death(self, reason: str) -> None:
        """Remember it. CannotRun where it was one too many."""
        now_s = time.monotonic()
        self._deaths_s = [death_s for death_s in self._deaths_s if now_s - death_s < WINDOW_S] + [now_s]
        deaths = len(self._deaths_s)
        if deaths > self._restarts_max:
            child = self.part.child
            often = f" {deaths} times within {WINDOW_S:.0f} s, the last time" if deaths > 1 else ""
            raise CannotRun(f"{reason}\n{child.name} ended{often} with {child.ending}. Its last lines:\n{child.tail()}")

    def _pause_s(self) -> float:
        before = len(self._deaths_s) - 1
        return 0.0 if before < 1 else min(PAUSE_MAX_S, PAUSE_S * 2.0 ** (before - 1))


async def _until(condition: Callable[[], bool]) -> None:
    while True:
        if condition():
            return
        await asyncio.sleep(_WATCH_S)
