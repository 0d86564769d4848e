"""What a row of the tables of problems is made of."""

from msgspec import Struct

from engine.gateway.answer import Words


class Retry(Struct, frozen=True):
    """Come back after `at_least_ms` plus a random part of `jitter_ms`."""

    at_least_ms: int
    jitter_ms: int


class ProblemKind(Struct, frozen=True):
    """One code. `more` tells a person what it means and what can be done."""

    code: str
    status: int
    final: bool
    title: Words
    more: Words
    retry: Retry | None = None

    @property
    def slug(self) -> str:
        """The code as it stands in `/problems/…`."""
        return self.code.replace("_", "-")
