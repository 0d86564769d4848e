"""From evidence to findings: what each promise demands, and the figures that a person wants to see beside it."""

from collections.abc import Iterator

from engine.audit.evidence import Evidence, Place, Sight
from engine.audit.names import counted, place
from engine.domain.verdict import Finding


def findings(evidence: Evidence) -> tuple[Finding, ...]:
    """One finding for each of P1 to P7."""
    return (
        _stock(evidence),
        _limits(evidence),
        _kept(evidence),
        _given_out(evidence),
        _repeats(evidence),
        _window(evidence),
        _numbers(evidence),
    )


def _stock(evidence: Evidence) -> Finding:
    """P1. What the replay saw unit by unit is counted once more offer by offer, in both stores."""
    faults, stocks = evidence.faults, evidence.books.stocks
    offers = [offer for offer in sorted(stocks.keys() | evidence.replay.units.keys()) if evidence.judged(offer[0])]
    claims = 0
    for offer in offers:
        given = evidence.replay.units[offer].claims
        claims += given
        _check_total(evidence, offer, given, stocks.get(offer, 0), "the ledger")
    for offer, total, left in _shelves(evidence):
        assert evidence.sight is not None
        if evidence.hot_store is not None:
            _check_total(evidence, offer, evidence.hot_store.held.counts[offer], total, "the hot store")
        if left < 0:
            faults.add("P1", "offers with less than nothing left", f"{evidence.names.offer(*offer)}: {left:,}")
    waves = {wave_no for wave_no, offer_no in offers if stocks.get((wave_no, offer_no))}
    units = sum(stocks.get(offer, 0) for offer in offers)
    return faults.finding(
        "P1", f"{claims:,} claims on {units:,} units ({counted(len(offers), 'offer')} in {counted(len(waves), 'wave')})"
    )


def _check_total(evidence: Evidence, offer: Place, claims: int, total: int, where: str) -> None:
    if claims > total:
        example = f"{evidence.names.offer(*offer)}: {claims:,} of {total:,}"
        evidence.faults.add("P1", f"claims above the stock in {where}", example, claims - total)


def _limits(evidence: Evidence) -> Finding:
    """P2, by the limits as they stand now."""
    figures = evidence.ledger
    said = []
    for limit, found in figures.limits:
        if found.over:
            what = f"cases above the limit of {limit.max} per {limit.per}"
            evidence.faults.add("P2", what, f"{found.claims_max} claims of one claimant", found.over)
        said.append(f"{found.claims_max} per {limit.per} (limit {limit.max})")
    return evidence.faults.finding(
        "P2", f"{counted(figures.claimants.claimants, 'claimant')}; most claims of one: {', '.join(said)}"
    )


def _kept(evidence: Evidence) -> Finding:
    """P3. A tail that is not settled yet is lag, not loss: it is in the log and held."""
    vouchers, hot_store = evidence.ledger.vouchers, evidence.hot_store
    for what, count, is_claim in (
        ("claims without a voucher", vouchers.claims_without, True),
        ("vouchers without a claim", vouchers.vouchers_without, False),
    ):
        strays = [place(stray.epoch, stray.sequence) for stray in evidence.books.strays if stray.is_claim is is_claim]
        evidence.faults.add_many("P3", what, count, strays)
    figures = f"{vouchers.claims:,} claims and {vouchers.vouchers:,} vouchers in the ledger"
    if evidence.books.held:
        figures += f", {evidence.books.held:,} in quarantine"
    if evidence.books.voided:
        figures += f", {len(evidence.books.voided):,} voided there"
    if hot_store is not None:
        held, log = hot_store.held, hot_store.logbook
        figures += (
            f", {sum(held.counts.values()):,} claims held in the hot store, {log.decisions:,} decisions in the log, "
            f"{log.unsettled:,} not settled yet"
        )
        if held.unforgotten:
            figures += f"; {len(held.unforgotten):,} voided ones that it still holds: void them again"
        if held.newer:
            figures += f"; {len(held.newer):,} claims made meanwhile are not judged"
    return evidence.faults.finding("P3", figures, unknown=_hot_store_missing(evidence))


def _given_out(evidence: Evidence) -> Finding:
    """P4, as far as stores can tell: no unit is lost between being taken from the shelf and being claimed."""
    stranded = 0
    for offer, units in sorted(evidence.replay.units.items()):
        if units.stranded and evidence.judged(offer[0]):
            stranded += units.stranded
            evidence.faults.add("P4", "units that nobody was given", evidence.names.offer(*offer), units.stranded)
    left_in_all = 0
    for offer, total, left in _shelves(evidence):
        left_in_all += left
        if evidence.hot_store is not None and evidence.sight is not None:
            _check_shelf(evidence, evidence.sight, offer, total, left)
    figures = f"{stranded:,} units stranded"
    if evidence.sight is not None:
        figures += f"; {left_in_all:,} left in the hot store, which is stock less claims for each offer"
    return evidence.faults.finding("P4", figures, unknown=_hot_store_missing(evidence))


def _check_shelf(evidence: Evidence, sight: Sight, offer: Place, total: int, left: int) -> None:
    """What is off the shelf was claimed by a number between the two looks; on a shard at rest that is one figure."""
    least, most = (counts[offer] for counts in evidence.replay.counts_at)
    name = evidence.names.offer(*offer)
    if not least <= total - left <= most:
        claims = f"{least:,}" if least == most else f"{least:,} to {most:,}"
        example = f"{name}: {left:,} left of {total:,}, with {claims} claims"
        evidence.faults.add("P4", "offers with another number left than stock less claims", example)
    if left > 0 and offer in sight.first.sold_out_ms:
        evidence.faults.add("P4", "offers marked sold out with units left", f"{name}: {left:,} left")


def _repeats(evidence: Evidence) -> Finding:
    """P5, as far as stores can tell: one claim for one request, one code for one claim."""
    books, claims = evidence.books, evidence.ledger.vouchers.claims
    evidence.faults.add_many("P5", "claims with a code that was given before", books.repeated_codes, [])
    evidence.faults.add_many("P5", "claims with a code of another campaign", books.foreign_codes, [])
    evidence.faults.add_many("P5", "requests that were granted again", evidence.ledger.repeated_requests, [])
    return evidence.faults.finding("P5", f"{claims:,} claims, each with a code and a request of its own")


def _window(evidence: Evidence) -> Finding:
    """P6, by the acts: the replay knew the window and the state of a wave at each number."""
    replay = evidence.replay
    shutting = counted(replay.shutting_acts, "act")
    return evidence.faults.finding(
        "P6", f"{replay.claims:,} claims between opening and close; {shutting} that paused or closed a wave"
    )


def _numbers(evidence: Evidence) -> Finding:
    """P7."""
    replay = evidence.replay
    figures = f"{replay.claims:,} claims and {counted(replay.acts, 'act')}, up to {place(replay.epoch, replay.last)}"
    if evidence.hot_store is not None and evidence.hot_store.logbook.first is not None:
        log = evidence.hot_store.logbook
        assert log.first is not None
        figures += f"; log {place(*log.first)} to {place(*log.newest)}"
    return evidence.faults.finding("P7", figures)


def _shelves(evidence: Evidence) -> Iterator[tuple[Place, int, int]]:
    """(offer, units in all, units left) of every offer that is judged, as the hot store has it."""
    if evidence.sight is None:
        return
    shard = evidence.sight.first
    for wave_no, wave in sorted(shard.waves.items()):
        for offer_no, offer in wave.offers.items():
            at = (wave_no, int(offer_no))
            if evidence.judged(wave_no) and at in shard.left:
                yield at, offer.total, shard.left[at]


def _hot_store_missing(evidence: Evidence) -> str:
    """Why the hot store says nothing; empty where it does, or need not any more."""
    cursor = evidence.books.cursor
    if evidence.sight is None:
        # A campaign that is over leaves the hot store some time later; the ledger is then all there is.
        return "" if evidence.over else "not in the hot store: only the ledger was looked at"
    if evidence.hot_store is None:
        epoch = evidence.sight.first.epoch
        return f"the hot store is at epoch {epoch}, the ledger at {cursor.epoch}: the shard has to be recovered first"
    return ""
