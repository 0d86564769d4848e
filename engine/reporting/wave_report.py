"""Making a report: the ledger's books at one instant, then a look at the hot store.

The hot store is looked at second, so whatever the ledger has it has too, and what it has on top was decided but not
settled when the books were read. That makes the difference of both the lag, and the report says it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from engine.domain.campaign import CatalogueOffer
from engine.domain.decisions import ActLine, LogEntry, WaveState
from engine.errors import UnknownWave
from engine.hotstore.store import HotStore
from engine.ledger.database import Ledger
from engine.ledger.wave_books import PACE_SECONDS, Apart, Given, WaveBooks, read_wave_books
from engine.reporting.report import OfferReport, Peak, Settled, TermsGiven, WaveReport
from engine.reporting.sight import Sight, look
from engine.reporting.stock import stock_course

ACTS_SHOWN_MAX = 1_000
"""Acts in one report, the newest: far more than a wave sees. The trail has all of them."""
TRIES_MAX = 2
"""A recovery between the two looks raises the epoch; twice in a row means that one is under way, and it is said."""
OVER = ("closed", "cancelled")


async def report_on(
    ledger: Ledger, store: HotStore | None, wave: str, *, unload_after_ms: int, away: str = ""
) -> WaveReport:
    """A report on the wave with that id, as it is now.

    Without a hot store (`away` says why) it is made of the ledger alone, and says so. Raises UnknownWave where the
    ledger has no such wave, LedgerUnavailable where it cannot be asked.
    """
    for attempt in range(1, TRIES_MAX + 1):
        books = await read_wave_books(ledger, wave)
        if books is None:
            break
        if store is None:
            return _report(books, Sight("away", why=away), None)
        sight = await look(store, books.catalogue, books.wave.no, unload_after_ms)
        if sight.place is None:
            return _report(books, sight, None)
        if sight.place[0] == books.cursor.epoch:
            return _report(books, sight, await _agrees(store, books, sight, unload_after_ms))
        if attempt == TRIES_MAX:
            return _report(books, Sight("recovering", read_ms=sight.read_ms), None)
    raise UnknownWave(f"no wave {wave} is applied")


async def _agrees(store: HotStore, books: WaveBooks, sight: Sight, unload_after_ms: int) -> bool:
    """Whether each offer was given as often as the ledger says, but for what is on its way.

    Stock is read a moment after the number of the last decision; where that makes too few, a second look has a
    number from behind the stock.
    """
    used = _used(books)
    ahead = [offer.claimed - used.get(no, 0) for no, offer in sight.offers.items()]
    if any(units < 0 for units in ahead):
        return False
    on_their_way = _behind(books, sight)
    if sum(ahead) > on_their_way:
        on_their_way = _behind(books, await look(store, books.catalogue, books.wave.no, unload_after_ms))
    return sum(ahead) <= on_their_way


def _behind(books: WaveBooks, sight: Sight) -> int:
    """Decisions of the campaign that the books lack. Of another epoch nothing can be said: then it is none."""
    is_same_epoch = sight.place is not None and sight.place[0] == books.cursor.epoch
    return max(0, sight.place[1] - books.cursor.last) if sight.place is not None and is_same_epoch else 0


def _report(books: WaveBooks, sight: Sight, agrees: bool | None) -> WaveReport:
    catalogue, state = books.catalogue, sight.wave or books.state
    offers = _offers(books, sight)
    behind = None if sight.place is None else _behind(books, sight)
    is_left = any(offer.hot.left if offer.hot else offer.left for offer in offers)
    stopped = sight.stopped if sight.state == "live" else _stopped(books.acts)
    acts = _concerning(books.acts, state)
    return WaveReport(
        catalogue=catalogue,
        wave=books.wave.id,
        state=state,
        status=state.status(sight.read_ms or books.read_ms, is_stopped=bool(stopped), is_anything_left=is_left),
        stopped=stopped,
        planned_ms=books.planned_ms,
        offers=offers,
        by_second=tuple(map(sum, zip(*(offer.by_second for offer in offers), strict=True))) or (0,) * PACE_SECONDS,
        peak=None if books.pace.peak_second is None else Peak(books.pace.peak_second, books.pace.peak_claims),
        accounts=books.accounts,
        persons=books.persons,
        acts=acts[-ACTS_SHOWN_MAX:],
        acts_left_out=max(0, len(acts) - ACTS_SHOWN_MAX),
        as_of_ms=books.read_ms,
        # Nothing is given behind an end that is settled, and a campaign only leaves the hot store when all of it is.
        complete=books.state.state in OVER or sight.state == "unloaded" or behind == 0,
        settled=Settled(books.cursor.place, 0 if sight.state == "unloaded" else behind),
        sight=sight,
        agrees=agrees,
    )


def _offers(books: WaveBooks, sight: Sight) -> tuple[OfferReport, ...]:
    """The wave's offers in the order of the file, and any that has claims: their sum is what the ledger has."""
    given: defaultdict[int, list[Given]] = defaultdict(list)
    for each in books.given:
        given[each.offer_no].append(each)
    own_acts = [entry for entry in books.acts if entry.act and entry.act.wave_no == books.wave.no]
    return tuple(
        _offer(offer, books, given[offer.no], own_acts, sight)
        for offer in books.catalogue.offers
        if str(offer.no) in books.state.offers or given[offer.no] or offer.no in books.apart
    )


def _offer(
    offer: CatalogueOffer, books: WaveBooks, given: Sequence[Given], acts: Sequence[LogEntry], sight: Sight
) -> OfferReport:
    course = stock_course(offer.no, books.state, acts)
    apart = books.apart.get(offer.no, Apart())
    used = sum(each.claims for each in given) + apart.held + apart.voided
    last_ms = max((each.last_ms for each in given), default=None)
    is_gone = used >= course.stock.total and not course.stock.rolled_out
    shown = offer.current.promise.offer
    return OfferReport(
        id=offer.id,
        title=shown.title,
        face=shown.face,
        stock=course.stock,
        terms=tuple(_terms(offer, each) for each in given),
        first_claim_ms=min((each.first_ms for each in given), default=None),
        last_claim_ms=last_ms,
        quarantined=apart.held,
        voided=apart.voided,
        # What is sold out was made so by its last claim, or by an operator who took away what was left.
        sold_out_ms=max(last_ms or 0, course.changed_ms) or None if is_gone else None,
        by_second=books.pace.by_second.get(offer.no, (0,) * PACE_SECONDS),
        hot=sight.offers.get(offer.no),
    )


def _terms(offer: CatalogueOffer, given: Given) -> TermsGiven:
    terms = offer.version(given.terms_version)
    return TermsGiven(terms.version, terms.hash, terms.promise.offer.value, given.claims)


def _used(books: WaveBooks) -> Mapping[int, int]:
    """Units that are used up in the ledger, by offer number."""
    used = defaultdict(int, {no: apart.held + apart.voided for no, apart in books.apart.items()})
    for each in books.given:
        used[each.offer_no] += each.claims
    return used


def _stopped(acts: Sequence[LogEntry]) -> str:
    """Why the campaign is stopped, by the last act that the ledger has on that."""
    return next((entry.act.rules.stopped for entry in reversed(acts) if entry.act and entry.act.rules), "")


def _concerning(acts: Sequence[LogEntry], state: WaveState) -> tuple[tuple[LogEntry, ActLine], ...]:
    """Acts on the wave, and of those on the whole campaign what kept users from it while it was open."""
    told = [(entry, entry.act) for entry in acts if entry.act is not None]
    ends_ms = state.closed_ms or state.closes_ms
    before = [act for entry, act in told if act.rules is not None and entry.at_ms < state.opens_ms]
    return tuple(
        (entry, act)
        for entry, act in told
        if act.state is not None
        or state.opens_ms <= entry.at_ms < ends_ms
        or (act in before[-1:] and act.kind == "stop")
    )
