"""What every fault is made of: its name, what survives it, and the scene in which it does its damage."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from loadtests.chaos.book import Book
from loadtests.chaos.servers import Servers

ACKS: Final = ("memory", "logged", "replicated", "settled")
"""From the weakest to the strongest."""

SURVIVES: Final = {
    "memory": "survives the death of any gateway, writer, steward, Postgres",
    "logged": "survives kill -9 or power loss of Redis too",
    "replicated": "survives loss of the Redis machine too, if a replica that answered is promoted",
    "settled": "survives loss of Redis and all its replicas too",
}
"""What a level promises, in the words of docs/architecture.md."""


@dataclass
class Scene:
    """One fault in one drop: what it may touch, and what it tells of itself."""

    servers: Servers
    book: Book
    random: random.Random
    """The fault's own, so that what it draws depends on the seed alone."""
    began_s: float = 0.0
    ended_s: float = float("inf")
    losable: tuple[float, float] | None = None
    """From when to when an acknowledgement may be lost, where the level does not survive this."""
    apart: tuple[str, float, float] | None = None
    """A gateway that spoke to another store than the rest, from when to when."""
    notes: list[str] = field(default_factory=list)

    async def pause(self, least_s: float, most_s: float) -> None:
        """As long as the seed says."""
        await asyncio.sleep(self.random.uniform(least_s, most_s))

    def may_lose(self, since_s: float) -> None:
        """What was acknowledged from then on until now is gone with what was just broken."""
        self.losable = (min(since_s, self.losable[0]) if self.losable else since_s, time.monotonic())

    def was_apart(self, gateway: str, since_s: float) -> None:
        """From then on until now this gateway spoke to a store that is gone."""
        self.apart = gateway, since_s, time.monotonic()


@dataclass(frozen=True)
class Fault:
    """Something that breaks, and mends or is mended within seconds."""

    name: str
    survives: str
    """The lowest `ack` under which nothing acknowledged may be lost by it."""
    do: Callable[[Scene], Awaitable[None]]
    needs: str = ""
    """A Debian package or a right without which it cannot be done."""
    restarts: str = ""
    """The store that it restarts: two faults of one drop do that one after the other."""
    shifts_clocks: bool = False
    """Whether times of the store and of this process cannot be compared afterwards."""


FAULTS: dict[str, Fault] = {}


def fault(
    name: str, survives: str = "memory", needs: str = "", *, restarts: str = "", shifts_clocks: bool = False
) -> Callable[[Callable[[Scene], Awaitable[None]]], Callable[[Scene], Awaitable[None]]]:
    """Make a fault of a coroutine function."""

    def enter(do: Callable[[Scene], Awaitable[None]]) -> Callable[[Scene], Awaitable[None]]:
        assert name not in FAULTS, name
        FAULTS[name] = Fault(name, survives, do, needs, restarts, shifts_clocks)
        return do

    return enter
