"""Which faults come in which drop, and at what point of it: from the seed alone."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Due:
    """A fault, once that share of the stock was granted."""

    fault: str
    share: float


def schedule(seed: int, names: Sequence[str]) -> Iterator[tuple[Due, ...]]:
    """The faults of each drop, without end: all of them in a new order each time round; every fourth drop has two."""
    draw = random.Random(f"{seed}/schedule")
    number = 0
    while True:
        deck = list(names)
        draw.shuffle(deck)
        while deck:
            number += 1
            count = 2 if number % 4 == 0 and len(deck) > 1 else 1
            yield tuple(Due(deck.pop(), draw.uniform(0.1, 0.6)) for _ in range(count))
