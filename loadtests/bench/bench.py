"""A run of the bench: its options, its folder, and sides that take turns."""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import IO, Final, TypeVar

import msgspec
from msgspec import Struct

from engine.errors import DropwaveError
from loadtests.bench.samples import Result, Sample
from loadtests.bench.sides import Side, TakesTurns

RATE_MAX: Final = 60_000
"""Users a second that are made for a side of which nothing is known yet; too few end a round as not valid."""
_RESERVE: Final = 1.6
"""Over the best rate that a side has shown: rounds differ by that much on a machine that others use too."""


class Options(Struct, frozen=True):
    """What the command line says."""

    rounds: int = 3
    seconds: int = 5
    warm_up_s: int = 1
    connections: int = 256
    workers: int = 1
    """Gateways of the engine, where a scenario does not say."""
    baseline_workers: int = 2
    ack: str = "logged"
    sides: tuple[str, ...] = ()
    """Only these, by the first word of their names; none: all."""
    settings: tuple[tuple[str, str], ...] = ()
    """Of the engine, beside what scenarios say."""
    variants: tuple[tuple[str, dict[str, str]], ...] = ()
    """More engines, by what to call them: the settings in which they differ."""
    audit: bool = True
    claims_max: int = 1_000_000
    requests: int = 0
    """Where `memory` ends; 0: after its rounds."""
    rate: int = 0
    """Requests a second of the open loop; 0: what the scenario says."""
    locks: tuple[str, ...] = ()
    """Files that are locked, in this order, while something is measured: for benches that share a machine."""


SideT = TypeVar("SideT", bound=TakesTurns)


class Bench:
    """One run."""

    def __init__(self, folder: Path, options: Options, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.options = options
        self.say = say
        self.left_out: list[str] = []
        """What is missing, and the command that installs it."""
        self._rates: dict[tuple[str, str], float] = {}
        self._sides = 0
        self._files = 0

    def wants(self, name: str) -> bool:
        """Whether a side of that name is asked for."""
        wanted = self.options.sides
        return not wanted or any(name.startswith(each) for each in wanted)

    def leave_out(self, why: str) -> None:
        """Tell once what is missing."""
        if why not in self.left_out:
            self.left_out.append(why)
            self.say(f"left out: {why}")

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Around what is measured: whoever uses the same locks waits meanwhile, and is waited for."""
        async with AsyncExitStack() as stack:
            for path in self.options.locks:
                await asyncio.to_thread(fcntl.flock, stack.enter_context(_opened(path)), fcntl.LOCK_EX)
            yield

    def users_file(self) -> Path:
        """A file for the users of a load; several may run at once."""
        self._files += 1
        return self.folder / f"users-{self._files}"

    def side_folder(self) -> Path:
        """A folder for one more side."""
        self._sides += 1
        folder = self.folder / f"side-{self._sides}"
        folder.mkdir(mode=0o755)
        return folder

    def users_for(self, side: Side, kind: str, seconds: float) -> int:
        """How many users a side needs for that time, by what it has shown so far in requests of that kind."""
        return int(max(1_000, self._rates.get((side.name, kind), RATE_MAX) * (seconds + 0.5)))

    def has_shown(self, side: Side, kind: str, per_second: float) -> None:
        """So fast was it in a round."""
        best = self._rates.get((side.name, kind), 0.0)
        self._rates[side.name, kind] = max(best if best < RATE_MAX else 0.0, per_second * _RESERVE)

    async def in_turns(
        self,
        result: Result,
        sides: Sequence[SideT],
        act: Callable[[SideT, int], Awaitable[Sample]],
        *,
        steps: Sequence[Callable[[SideT], Awaitable[None]]] = (),
        enough: Callable[[Sequence[Sample]], bool] | None = None,
        audits: bool = True,
    ) -> Result:
        """The result with a sample of each side and round: A B A B. CannotRun where a side does not start.

        `steps` prepare each side once. `enough` says when to end, where that is not after so many rounds.
        """
        samples: list[Sample] = []
        self._rates.clear()  # of another scenario
        async with AsyncExitStack() as stack:
            async with self.alone():
                for side in sides:
                    stack.push_async_callback(side.stop)
                    await side.start()
                    side.rest()
            for side in sides:
                for step in steps:
                    async with self.alone():
                        side.wake()
                        await step(side)
                        side.rest()
            for number in count(1):
                if enough(samples) if enough else number > self.options.rounds:
                    break
                for side in sides:
                    async with self.alone():
                        samples.append(await self._turn(side, number, act))
                    self.say(told(result, samples[-1]))
            notes = []
            if audits and self.options.audit:
                async with self.alone():
                    notes = [note for side in sides if (note := await self._judge(side, samples))]
        does = {side.name: side.does for side in sides}
        return msgspec.structs.replace(result, samples=tuple(samples), notes=(*result.notes, *notes), does=does)

    async def _turn(
        self, side: SideT, number: int, act: Callable[[SideT, int], Awaitable[Sample]]
    ) -> Sample:  # fmt: skip
        side.wake()
        try:
            return await act(side, number)
        except (DropwaveError, OSError, TimeoutError) as error:
            return Sample(side.name, number, {}, (f"{type(error).__name__}: {error}",))
        finally:
            side.rest()

    async def _judge(self, side: TakesTurns, samples: list[Sample]) -> str:
        """What the side's own books say at the end; where they do not hold, its last round does not either."""
        side.wake()
        try:
            held, words = await side.verdict()
        except (DropwaveError, OSError, TimeoutError) as error:
            held, words = False, f"{type(error).__name__}: {error}"
        side.rest()
        if not held:
            samples.append(Sample(side.name, self.options.rounds, {}, (words,)))
        return f"{side.name}: {words}" if words and held else ""


def _opened(path: str) -> IO[str]:
    return Path(path).open("a", encoding="utf-8")


def told(result: Result, sample: Sample) -> str:
    """A line on a sample, for who watches."""
    figures = "  ".join(f"{name} {sample.figures[name]:,.1f}" for name in result.shown if name in sample.figures)
    wrong = "".join(f"\n    WRONG: {what}" for what in sample.wrong)
    return f"{result.scenario} round {sample.round} {sample.side:24} {figures}{wrong}"
