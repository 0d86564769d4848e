"""What rounds gave: samples of figures, their medians and spread, and ratios of sides that took turns."""

import statistics
from collections.abc import Iterator

from msgspec import Struct

from loadtests.bench.measuring import Figures


class Sample(Struct, frozen=True):
    """One round of one side."""

    side: str
    round: int
    figures: Figures
    wrong: tuple[str, ...] = ()
    """What its answers and its store contradict each other in, or what went wrong; none: the round counts."""


class Spread(Struct, frozen=True):
    """A figure over the rounds."""

    median: float
    least: float
    most: float


class Result(Struct, frozen=True):
    """A scenario that was run."""

    scenario: str
    title: str
    how: str
    """What was done, in a sentence or two."""
    shown: tuple[str, ...]
    """Names of the figures that its table shows, the one that is compared first."""
    samples: tuple[Sample, ...]
    notes: tuple[str, ...] = ()
    reference: str | None = ""
    """The side that ratios are to; empty: nginx with Lua, where it took part; None: its sides are not compared."""
    does: dict[str, str] = {}
    """What each side does for a claim."""

    @property
    def sides(self) -> list[str]:
        """In the order in which they took turns."""
        return list(dict.fromkeys(sample.side for sample in self.samples))

    @property
    def wrong(self) -> list[str]:
        """Everything that went wrong."""
        return [f"{sample.side}, round {sample.round}: {what}" for sample in self.samples for what in sample.wrong]

    def values(self, side: str, figure: str) -> list[float]:
        """A figure of a side, round by round."""
        return [each.figures[figure] for each in self.samples if each.side == side and figure in each.figures]

    def spread(self, side: str, figure: str) -> Spread | None:
        """Median and extremes; None where no round has that figure."""
        values = self.values(side, figure)
        return Spread(statistics.median(values), min(values), max(values)) if values else None

    def ratio(self, side: str, reference: str, figure: str) -> Spread | None:
        """Of two sides: the median of the ratios of each round, in which both met the same machine."""
        ratios = list(self._ratios(side, reference, figure))
        return Spread(statistics.median(ratios), min(ratios), max(ratios)) if ratios else None

    def _ratios(self, side: str, reference: str, figure: str) -> Iterator[float]:
        by_round = {each.round: each.figures.get(figure, 0.0) for each in self.samples if each.side == reference}
        for each in self.samples:
            if each.side == side and figure in each.figures and by_round.get(each.round):
                yield each.figures[figure] / by_round[each.round]
