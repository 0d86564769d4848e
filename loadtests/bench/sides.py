"""What is measured, as scenarios use it: a server to be started, waves to be opened, users to come."""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from msgspec import Struct

from loadtests.baselines.redis import BenchRedis

OFFER: Final = "mall-50"
"""The one offer of every wave here."""
_SEED: Final = 2654435761
"""An odd number: multiplied by it, numbers of 32 bits come in no order, and each once."""
SCATTERED_SQL: Final = f"""'f' || lpad(to_hex((n::bigint * {_SEED}) & 4294967295), 8, '0')
               || lpad((((n::bigint * {_SEED}) & 4294967295) % 9999991)::text, 7, '0')"""
"""`account("f", n)`, as Postgres says it."""


class WaveAt(Struct, frozen=True):
    """A wave of a side that runs."""

    id: str
    stock: int

    @property
    def page(self) -> str:
        """Path of its status page."""
        return f"/v1/waves/{self.id}"

    @property
    def claims(self) -> str:
        """Path of its claims."""
        return f"{self.page}/claims"

    @property
    def tickets(self) -> str:
        """Path of its tickets."""
        return f"{self.page}/tickets"


class TakesTurns(Protocol):
    """What a run starts, lets work and stops."""

    name: str
    does: str
    """What it does for a claim, in a few words: sides that do not do the same are told apart by it."""

    async def start(self) -> None:
        """Start everything. CannotRun where something does not."""
        ...

    async def stop(self) -> None:
        """End everything, started or not."""
        ...

    def rest(self) -> None:
        """Use no processor until `wake`: it is another side's turn."""
        ...

    def wake(self) -> None:
        """Go on."""
        ...

    async def verdict(self) -> tuple[bool, str]:
        """Whether what it holds of its last wave keeps what it promises, in words; no words where nobody can tell."""
        ...


class Side(TakesTurns, Protocol):
    """The engine, or a baseline."""

    has_ledger: bool
    """Whether what was claimed settles somewhere."""
    redis: BenchRedis
    body: bytes
    """Of a claim."""

    @property
    def port(self) -> int:
        """Where it answers."""
        ...

    def measured(self, wave: WaveAt) -> AbstractAsyncContextManager[None]:
        """Around what is measured: what the side leaves for later, by its own wish, is left from here to there."""
        ...

    async def open_wave(self, stock: int, opens_in_s: float) -> WaveAt:
        """A new wave that nobody has claimed in. Below zero: it has been open for so long."""
        ...

    def users(self, wave: WaveAt, prefix: str, count: int) -> Iterator[str]:
        """A header line for each of so many users, all of one length, their ends in no order (wrk.lua needs that)."""
        ...

    async def given(self, wave: WaveAt) -> int:
        """Claims that its hot store holds in the wave."""
        ...

    async def settled(self, wave: WaveAt) -> float:
        """Wait until every claim is where it is to stay, the ledger; seconds that it took. 0 where there is none."""
        ...

    def names(self) -> dict[int, str]:
        """Its processes by what they are."""
        ...


class Missing(Exception):
    """What a side needs is not installed; the message names the command that installs it."""


def account(prefix: str, number: int) -> str:
    """An account's name: all have one length, and they come in no order, by their first letters and by their last.

    Indexes of the ledger would be filled from one end otherwise, which no crowd does; and see wrk.lua.
    """
    scattered = number * _SEED % 2**32
    return f"{prefix}{scattered:08x}{scattered % 9_999_991:07d}"
