"""A voucher as its holder sees it, by the terms of the claim alone (P8)."""

from typing import Any

from engine.domain.codes import claim_id, grouped
from engine.gateway.answer import Language
from engine.gateway.card_words import next_step, spoken_terms
from engine.gateway.instants import rfc3339
from engine.wallet.card_pack import Card

Members = dict[str, Any]


def card_object(card: Card, language: Language) -> Members:
    """As a list has it: the stores are counted, for a campaign can have thousands."""
    promise, standing = card.kept.promise, card.standing
    offer, zone, spoken = promise.offer, promise.timezone, spoken_terms(card.kept)
    return {
        "code": standing.code,
        "code_grouped": grouped(standing.code),
        "state": card.state,
        "next_step": next_step(card).say(language),
        "settled": card.is_settled,
        "claimed_at": rfc3339(standing.claimed_at_ms, zone),
        "valid_from": rfc3339(standing.period.valid_from_ms, zone),
        "expires_at": rfc3339(standing.period.expires_at_ms, zone),
        "claim": claim_id(standing.code),
        "campaign": card.campaign,
        "wave": card.wave,
        "offer": card.kept.offer,
        "title": offer.title,
        "kind": offer.kind,
        "rule": spoken.rule.say(language),
        "currency": promise.currency,
        "face": offer.face,
        "min_spend": offer.min_spend,
        "per_payment": promise.use.per_payment,
        "cities": list(promise.use.cities),
        "terms": {"version": standing.terms_version, "hash": card.kept.hash},
        "store_count": len(spoken.stores),
        "needs_code_page": offer.needs_code_page,
        "made": _made(card),
    }


def whole_card_object(card: Card, language: Language) -> Members:
    """As it stands alone: with every store that takes it."""
    stores = spoken_terms(card.kept).stores
    shown = [{"id": id, "title": store.title, "city": store.city} for id, store in stores.items()]
    return card_object(card, language) | {"stores": shown}


def code_page_object(card: Card, until_ms: int) -> Members:
    """What is told of a code page that is open until then; 0: the voucher needs none."""
    code, zone = card.standing.code, card.kept.promise.timezone
    return {
        "code": code,
        "code_grouped": grouped(code),
        "needs_code_page": card.kept.promise.offer.needs_code_page,
        "open_until": rfc3339(until_ms, zone) if until_ms else None,
    }


def _made(card: Card) -> Members | None:
    """What made its state, where somebody did: time alone is told by the period."""
    made, promise = card.standing.made, card.kept.promise
    if made is None or (made.kind == "lock" and card.state != "locked"):
        return None
    store = promise.stores.get(made.store)
    return {
        "by": made.kind,
        "at": rfc3339(made.at_ms, promise.timezone),
        "store": {"id": made.store, "title": store.title if store else made.store} if made.store else None,
        "order_no": made.order_no or None,
        "until": rfc3339(made.until_ms, promise.timezone) if made.until_ms else None,
        "reason": made.reason or None,
    }
