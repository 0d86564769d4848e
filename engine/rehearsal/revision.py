"""A revision that is worse for whoever holds a voucher: what was claimed before it has to stay as it was promised."""

from msgspec.structs import replace

from engine.domain.campaign import Campaign, Offer


def worse_terms(campaign: Campaign) -> Campaign:
    """The same campaign with other terms of every offer: its last store gone, half the discount, twice the spend.

    A store that no offer has any more is no store of the campaign's, either.
    """
    offers = tuple(map(_worse, campaign.offers))
    gone = _named(campaign.offers) - _named(offers)
    return replace(campaign, offers=offers, stores={id: each for id, each in campaign.stores.items() if id not in gone})


def _named(offers: tuple[Offer, ...]) -> set[str]:
    return {store for offer in offers for store in offer.stores}


def _worse(offer: Offer) -> Offer:
    """An offer of one store keeps it: an offer has to have one. The title changes with all, so the terms do as well."""
    worse = replace(offer, title=f"{offer.title} II", stores=offer.stores[:-1] or offer.stores)
    match offer.kind:
        case "threshold" | "instant":
            face = max(1, (offer.face or 0) // 2)
            return replace(worse, face=face, min_spend=None if offer.min_spend is None else 2 * offer.min_spend)
        case "percent":
            return replace(worse, percent_off=max(1, (offer.percent_off or 0) // 2))
        case "gift":
            return worse
