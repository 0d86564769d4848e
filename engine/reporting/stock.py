"""The units of an offer in a wave, and the acts by which they came to be so many."""

from collections.abc import Iterable

from msgspec import Struct

from engine.domain.decisions import LogEntry, WaveState


class Stock(Struct, frozen=True):
    """Units of an offer in a wave, by where they came from. An offer that the wave does not have has none at all."""

    put: int = 0
    """By the campaign's file, as it was put into the hot store last."""
    restocked: int = 0
    """By operators since; below 0 where they took units away."""
    rolled_in: int = 0
    """Unsold units of other waves."""
    rolled_out: int = 0
    """Units that this wave left unsold and gave to another."""

    @property
    def total(self) -> int:
        """What can be claimed, with what is claimed."""
        return self.put + self.restocked + self.rolled_in - self.rolled_out

    def __add__(self, other: "Stock") -> "Stock":
        return Stock(
            self.put + other.put,
            self.restocked + other.restocked,
            self.rolled_in + other.rolled_in,
            self.rolled_out + other.rolled_out,
        )


class StockCourse(Struct, frozen=True):
    """The stock of an offer as it stands, and since when its total is what it is (0: since it was put first)."""

    stock: Stock
    changed_ms: int = 0


def stock_course(offer_no: int, state: WaveState, acts: Iterable[LogEntry]) -> StockCourse:
    """How the units of that offer came to be. `acts` are those on the wave, oldest first; `state` what they led to.

    What is neither put nor rolled over was restocked: where a later file says another number than the acts had led
    to, that number is what was put, and restocks before it are history.
    """
    number = str(offer_no)
    put = own = total = changed_ms = 0
    is_first = True
    for entry in acts:
        if entry.act is None or entry.act.state is None:
            continue
        after = entry.act.state
        own_after, total_after = _own(after, number), _total(after, number)
        if is_first or (entry.act.kind == "put_wave" and own_after != own):
            put = own_after
        if not is_first and total_after != total:
            changed_ms = entry.at_ms
        own, total, is_first = own_after, total_after, False
    if is_first:
        put = own = _own(state, number)
    gained = sum(units.get(number, 0) for units in state.rolled_in.values())
    return StockCourse(Stock(put, own - put, gained, (state.rolled_out or {}).get(number, 0)), changed_ms)


def _total(state: WaveState, number: str) -> int:
    return state.offers[number].total if number in state.offers else 0


def _own(state: WaveState, number: str) -> int:
    """What the campaign and its operators gave the wave, without what was rolled over."""
    return _total(state, number) - state.moved_units(number) if number in state.offers else 0
