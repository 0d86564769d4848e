"""What status pages say of a campaign and a wave, as plain members of JSON objects.

Lists of accounts (`allow`, `deny`) are never shown; that there is a list is.
"""

from typing import Any

from msgspec import UNSET

from engine.claiming.board import LiveWave
from engine.domain.campaign import Catalogue, CatalogueOffer, CatalogueWave, Eligibility, Promise
from engine.domain.decisions import WaveStatus
from engine.gateway.instants import rfc3339

Members = dict[str, Any]


def wave_members(live: LiveWave, status: WaveStatus) -> Members:
    """A wave as the hot store has it, or the ledger, where `left` is null."""
    catalogue, state = live.catalogue, live.state
    members: Members = {
        "id": live.wave.id,
        "campaign": catalogue.id,
        "round": live.wave.round,
        "state": status,
        "opens_at": rfc3339(state.opens_ms, catalogue.timezone),
        "closes_at": rfc3339(state.closes_ms, catalogue.timezone),
    }
    reason = live.stopped if status == "paused" and live.stopped else state.reason
    if reason and status in ("paused", "closed", "cancelled"):
        members["reason"] = reason
    if state.closed_ms:
        members["closed_at"] = rfc3339(state.closed_ms, catalogue.timezone)
    members["offers"] = [
        _stock(live, offer, state.offers[str(offer.no)].total)
        for offer in catalogue.offers
        if str(offer.no) in state.offers
    ]
    if live.wave.eligibility is not None:
        members["eligibility"] = _eligibility(live.wave.eligibility)
    return members


def unloaded_wave_members(catalogue: Catalogue, wave: CatalogueWave, status: WaveStatus) -> Members:
    """A wave that the hot store does not have: its schedule."""
    return {
        "id": wave.id,
        "campaign": catalogue.id,
        "round": wave.round,
        "state": status,
        "opens_at": rfc3339(wave.opens_at_ms, catalogue.timezone),
        "closes_at": rfc3339(wave.closes_at_ms, catalogue.timezone),
        "offers": [
            _named(offer) | {"stock": wave.stock[offer.no], "left": None}
            for offer in catalogue.offers
            if offer.no in wave.stock
        ],
    }


def campaign_members(catalogue: Catalogue) -> Members:
    """Rules and offers of a campaign, with the terms that a claim made now is given."""
    return {
        "id": catalogue.id,
        "title": catalogue.title,
        "timezone": catalogue.timezone,
        "currency": catalogue.currency,
        "by": catalogue.by,
        "limits": catalogue.limits,
        "cap": catalogue.cap,
        "eligibility": _eligibility(catalogue.eligibility),
        "offers": [_offer(offer) for offer in catalogue.offers],
    }


def _named(offer: CatalogueOffer) -> Members:
    shown = offer.current.promise.offer
    return {"id": offer.id, "title": shown.title, "face": shown.face}


def _stock(live: LiveWave, offer: CatalogueOffer, total: int) -> Members:
    members = _named(offer) | {"stock": total, "left": live.left.get(offer.no) if live.loaded else None}
    if sold_out_ms := live.sold_out_ms.get(offer.no):
        members["sold_out_at"] = rfc3339(sold_out_ms, live.catalogue.timezone)
    return members


def _offer(offer: CatalogueOffer) -> Members:
    terms = offer.current
    promise, shown = terms.promise, terms.promise.offer
    amounts = {
        name: amount
        for name in ("face", "min_spend", "price", "percent_off", "max_discount")
        if (amount := getattr(shown, name)) is not None
    }
    return {
        "id": offer.id,
        "title": shown.title,
        "kind": shown.kind,
        "category": shown.category,
        **amounts,
        "needs_code_page": shown.needs_code_page,
        "terms": {"version": terms.version, "hash": terms.hash},
        "validity": _validity(promise),
        "use": promise.use,
        "stores": [
            {"id": store_id, "title": store.title, "city": store.city} for store_id, store in promise.stores.items()
        ],
    }


def _validity(promise: Promise) -> Members:
    validity, begins = promise.validity, _begin(promise)
    if validity.until_ms is not None:
        return {"until": rfc3339(validity.until_ms, promise.timezone), **begins}
    if validity.days_after_claim is not None:
        return {"days_after_claim": validity.days_after_claim, **begins}
    return {"natural_days": validity.natural_days, **begins}


def _begin(promise: Promise) -> Members:
    from_ms, from_day = promise.validity.from_ms, promise.validity.from_day
    if from_ms is not UNSET:
        return {"from": rfc3339(from_ms, promise.timezone)}
    return {} if from_day is UNSET else {"from_day": from_day}


def _eligibility(rule: Eligibility) -> Members:
    return {"cities": rule.cities, "tags": rule.tags, "listed_only": rule.allow is not None}
