"""Finding the wave and the offers that a request names."""

from typing import Final

from engine.claiming.board import LiveCampaign, LiveWave
from engine.domain.quoting import presentable
from engine.domain.tickets import Ticket
from engine.errors import HotStoreError, LedgerError
from engine.gateway.answer import Words
from engine.gateway.callers import TICKET_MISMATCH, ticket_problem
from engine.gateway.identity.caller import is_clean
from engine.gateway.parts import BoardPart
from engine.gateway.refusals import Problem

ID_LENGTH_MAX = 128
"""Characters; no campaign file can hold a longer id, so none is looked for."""
_WAVES_KEPT_MAX = 1_000
"""Waves whose offers are at hand, a few hundred bytes each; past it all are dropped and made again."""


async def find_wave(board: BoardPart, wave: str) -> LiveWave | Problem:
    """The wave with that id. `unknown_wave` is said only where the stores could be asked."""
    live = board.wave(wave)
    if live is not None:
        return live
    if not is_clean(wave, ID_LENGTH_MAX):
        return Problem("unknown_wave")
    try:
        live = await board.find_wave(wave)
    except (HotStoreError, LedgerError):  # not reachable, or too many such looks at once
        return Problem("busy" if board.ready else "recovering")
    if live is not None:
        return live
    return Problem("unknown_wave" if board.ready else "recovering")


async def find_campaign(board: BoardPart, campaign: str) -> LiveCampaign | Problem:
    """The campaign with that id. `not_found` is said only where the stores could be asked."""
    if not is_clean(campaign, ID_LENGTH_MAX):
        return Problem("not_found")
    try:
        found = await board.find_campaign(campaign)
    except (HotStoreError, LedgerError):  # as above
        return Problem("busy" if board.ready else "recovering")
    if found is not None:
        return found
    return Problem("not_found" if board.ready else "recovering")


def check_ticket(own: LiveWave | Problem, ticket: Ticket, wave: str) -> Problem | None:
    """`ticket_expired` or `ticket_mismatch`: who asks is settled before anything is looked at that is asked for.

    Where the ticket's `own` wave could not be found, that is told in its turn, by the search for the wave.
    """
    problem = None if type(own) is Problem else ticket_problem(own, ticket)
    return problem or (None if ticket.wave == wave else TICKET_MISMATCH)


def offer_numbers(live: LiveWave, offers: tuple[str, ...]) -> tuple[int, ...] | Problem:
    """The numbers of these offers, in their order; all of them have to be in the wave."""
    of, known = _offers.get(live.wave.id, _NONE)
    if of is not live:
        known = _look_up_offers(live)
    numbers = (known.get(offers[0], -1),) if len(offers) == 1 else tuple([known.get(offer, -1) for offer in offers])
    if -1 in numbers:
        unknown = presentable(offers[numbers.index(-1)])
        return Problem("unknown_offer", Words(f"this wave has no offer {unknown}", f"本批次没有券 {unknown}"))
    return numbers


_NONE: Final[tuple[LiveWave | None, dict[str, int]]] = (None, {})
_offers: Final[dict[str, tuple[LiveWave | None, dict[str, int]]]] = {}
"""By their wave's id: numbers of offers by id, made once for each reading of the board."""


def _look_up_offers(live: LiveWave) -> dict[str, int]:
    if len(_offers) >= _WAVES_KEPT_MAX:
        _offers.clear()
    stock = live.wave.stock
    numbers = {offer.id: offer.no for offer in live.catalogue.offers if offer.no in stock}
    _offers[live.wave.id] = live, numbers
    return numbers
