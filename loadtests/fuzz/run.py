"""One run: cases from a seed, sent by several callers at once, judged as they are answered."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Final

from loadtests.fuzz.cases import Case
from loadtests.fuzz.judge import Judge
from loadtests.fuzz.kinds import make_case
from loadtests.fuzz.kit import Kit
from loadtests.fuzz.talks import Caller, talks_of

TELL_EACH: Final = 1_000


class Run:
    """All that is known of a run while it goes on."""

    def __init__(self, kit: Kit, judge: Judge, seed: int, requests: int, deadline_s: float) -> None:
        self._kit = kit
        self._judge = judge
        self._seed = seed
        self._requests = requests
        self._ends_s = time.monotonic() + deadline_s
        self.made = 0
        self.connections = 0
        self.unreachable = ""
        """Why no connection was to be had any more; the run ends with it."""

    async def go(self, host: str, port: int, callers: int, tell: Callable[[int], None] = lambda _made: None) -> None:
        """Send everything; ends earlier at the deadline, or where nobody listens any more."""
        talks = talks_of(self._cases(tell))
        await asyncio.gather(*(self._call(Caller(host, port, self._seed + nth), talks) for nth in range(callers)))

    def _cases(self, tell: Callable[[int], None]) -> Iterator[Case]:
        for number in range(self._requests):
            if time.monotonic() > self._ends_s or self.unreachable:
                return
            yield make_case(self._seed, number, self._kit)
            self.made = number + 1
            if self.made % TELL_EACH == 0:
                tell(self.made)

    async def _call(self, caller: Caller, talks: Iterator[list[Case]]) -> None:
        try:
            for cases in talks:
                self._judge.hear(await caller.talk(cases))
        except OSError as error:
            self.unreachable = str(error)
        finally:
            self.connections += caller.connections
            caller.close()
