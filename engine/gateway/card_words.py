"""What a card says in words: what the voucher takes off, and what its holder can do next.

By the terms of the claim, and in the time of the campaign's zone.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from engine.domain.campaign import Offer, Promise, Store
from engine.gateway.answer import Words
from engine.gateway.instants import wall_clock
from engine.gateway.money import money
from engine.ledger.promise_book import Kept
from engine.wallet.card_pack import Card

STORES_NAMED_MAX: Final = 3
"""In a sentence; the card lists all."""
TERMS_KEPT_MAX: Final = 1_000
"""Terms whose words are kept; past it all are made anew. A campaign with thousands of stores takes a millisecond."""


class SpokenTerms(Struct, frozen=True):
    """What one version of terms is in words, and the stores that take its vouchers, by id."""

    stores: dict[str, Store]
    places: Words
    rule: Words


_kept_words: Final[dict[str, SpokenTerms]] = {}
"""By the hash of the terms, which stands for their content: terms never change."""


def spoken_terms(kept: Kept) -> SpokenTerms:
    """The words of these terms. Stores that take the voucher are those of the terms, in the cities of the terms."""
    known = _kept_words.get(kept.hash)
    if known is None:
        promise = kept.promise
        cities = promise.use.cities
        stores = {id: store for id, store in promise.stores.items() if not cities or store.city in cities}
        if len(_kept_words) >= TERMS_KEPT_MAX:
            _kept_words.clear()
        known = SpokenTerms(stores, _places(stores), rule_words(promise.offer, promise.currency))
        _kept_words[kept.hash] = known
    return known


def rule_words(offer: Offer, currency: str) -> Words:
    """What the voucher is worth, and from which amount on."""
    worth = _worth(offer, currency)
    if offer.min_spend is None:
        return worth
    least = money(offer.min_spend, currency)
    return Words(f"{worth.en} when {least.en} or more is due", f"满 {least.zh}，{worth.zh}")


def _worth(offer: Offer, currency: str) -> Words:
    match offer.kind:
        case "threshold" | "instant":
            face = money(offer.face or 0, currency)
            return Words(f"{face.en} off", f"减 {face.zh}")
        case "percent":
            part = Words(f"{offer.percent_off}% off", f"减 {offer.percent_off}%")
            if offer.max_discount is None:
                return part
            most = money(offer.max_discount, currency)
            return Words(f"{part.en}, at most {most.en}", f"{part.zh}，最多减 {most.zh}")
        case "gift":
            if not offer.price:
                return Words("exchanged for a gift", "兑换礼品")
            price = money(offer.price, currency)
            return Words(f"exchanged for a gift, for {price.en}", f"加 {price.zh} 兑换礼品")


def next_step(card: Card) -> Words:
    """What there is to do, or what happened."""
    promise, made, state = card.kept.promise, card.standing.made, card.state
    expires = _clock(card.standing.period.expires_at_ms, promise)
    places = spoken_terms(card.kept).places
    if state == "pending":
        use_it = _use_it(promise, places, expires)
        return _with_open_page(use_it) if promise.offer.needs_code_page else use_it
    if state == "not_yet_effective":
        begins = _clock(card.standing.period.valid_from_ms, promise)
        return Words(
            f"It can be used from {begins} on, before {expires}, at {places.en}.",
            f"自 {begins} 起、{expires} 前，可在{places.zh}使用。",
        )
    if state == "expired":
        return Words(
            f"It could be used before {expires}, and is not issued again.", f"已于 {expires} 过期，过期不补发。"
        )
    if made is None:  # deleted by hand, say: there is nothing to tell
        return Words("It can no longer be used.", "此券已不可用。")
    when = _clock(made.at_ms, promise)
    if state == "locked":
        until = _clock(made.until_ms, promise)
        if card.now_ms >= card.standing.period.expires_at_ms:
            return Words(
                f"It is held for an unpaid order until {until}: pay for that order. "
                f"Its own time ended at {expires}, so it cannot be used elsewhere.",
                f"已被未付款订单占用至 {until}：请完成付款。此券已于 {expires} 到期，取消订单后不能再用。",
            )
        return Words(
            f"It is held for an unpaid order until {until}: pay for that order, or cancel it to use it elsewhere.",
            f"已被未付款订单占用至 {until}：请完成付款，或取消该订单后再使用。",
        )
    if state == "redeemed":
        store = promise.stores[made.store].title if made.store in promise.stores else made.store
        return Words(f"It was used on {when} at {store}.", f"已于 {when} 在{store}使用。")
    if state == "deleted":
        return Words(f"You deleted it on {when}.", f"您已于 {when} 删除此券。")
    if state == "cancelled":
        return Words(f"It was cancelled on {when}: {made.reason}", f"已于 {when} 取消，原因：{made.reason}")
    return Words(f"It was taken back on {when}: {made.reason}", f"已于 {when} 失效，原因：{made.reason}")


def _with_open_page(use_it: Words) -> Words:
    return Words(
        f"{use_it.en} Open its code page there: a screenshot is not taken.",
        f"{use_it.zh}到店后请打开券码页，截图无效。",
    )


def _use_it(promise: Promise, places: Words, expires: str) -> Words:
    if promise.offer.kind == "gift":
        return Words(
            f"Show this code at {places.en} before {expires} to get the gift.",
            f"请在 {expires} 前到{places.zh}出示此券码，领取礼品。",
        )
    if promise.offer.min_spend is None:
        return Words(
            f"Show this code when you pay at {places.en}, before {expires}.",
            f"请在 {expires} 前到{places.zh}，付款时出示此券码。",
        )
    least = money(promise.offer.min_spend, promise.currency)
    return Words(
        f"Show this code when you pay {least.en} or more at {places.en}, before {expires}.",
        f"请在 {expires} 前到{places.zh}，付款满 {least.zh}时出示此券码。",
    )


def _places(stores: dict[str, Store]) -> Words:
    titles: Sequence[str] = [store.title for store in stores.values()]
    if not titles:
        return Words("a store that takes it", "适用门店")
    named, more = titles[:STORES_NAMED_MAX], len(titles) - STORES_NAMED_MAX
    if more > 0:
        others = "one other store" if more == 1 else f"{more} other stores"
        return Words(f"{', '.join(named)} or {others}", f"{'、'.join(named)}等 {len(titles)} 家门店")
    head, all_of_them = ", ".join(named[:-1]), "、".join(named)
    return Words(f"{head} or {named[-1]}" if head else named[0], all_of_them)


def _clock(at_ms: int, promise: Promise) -> str:
    return wall_clock(at_ms, promise.timezone)
