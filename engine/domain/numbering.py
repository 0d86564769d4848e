"""Whether two catalogues of one campaign mean the same by the same numbers.

Claims name campaign, offer, wave and terms by numbers that the ledger gave for good. A ledger that went back in time
has forgotten some, and gives them anew when files are applied to it: in another order, they mean something else.
"""

from collections.abc import Iterable, Mapping

from engine.domain.campaign import Catalogue


def is_overtaken(loaded: Catalogue, applied: Catalogue) -> bool:
    """Whether the ledger has a later file under no higher number: what was loaded is a revision that it has lost."""
    return 0 < loaded.applied_ms < applied.applied_ms and loaded.revision >= applied.revision


def contradictions(loaded: Catalogue, waves: Mapping[int, str], applied: Catalogue) -> list[str]:
    """What a number means in the hot store and what it means in the ledger, where that is not the same; for people.

    `waves`: ids by number of the waves that are in the hot store, also of those that have left the catalogue.
    """
    if (loaded.campaign_no, loaded.code_prefix) != (applied.campaign_no, applied.code_prefix):
        return [
            f"the campaign has number {loaded.campaign_no} in the hot store and {applied.campaign_no} in the ledger"
        ]
    found = [
        *_differing("offer", ((offer.no, offer.id) for offer in loaded.offers), ((o.no, o.id) for o in applied.offers)),
        *_differing("wave", waves.items(), ((wave.no, wave.id) for wave in applied.waves)),
    ]
    hashes = {(offer.id, terms.version): terms.hash for offer in applied.offers for terms in offer.terms}
    for offer in loaded.offers:
        for terms in offer.terms:
            if hashes.get((offer.id, terms.version), terms.hash) != terms.hash:
                found.append(f"terms version {terms.version} of offer {offer.id} promises something else in the ledger")
    return found


def _differing(what: str, loaded: Iterable[tuple[int, str]], applied: Iterable[tuple[int, str]]) -> list[str]:
    by_no = dict(applied)
    by_id = {id: no for no, id in by_no.items()}
    return [
        f"{what} number {no} is {id} in the hot store, in the ledger {by_no.get(no, 'none')} "
        f"({id}: {by_id.get(id, 'none')})"
        for no, id in sorted(loaded)
        if by_no.get(no, id) != id or by_id.get(id, no) != no
    ]
