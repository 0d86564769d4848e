"""Stores and offers of a campaign as its file states them."""

from typing import cast, get_args

from msgspec import UNSET

from engine.domain.campaign import Offer, OfferKind, Store
from engine.scheduling.mistakes import shown
from engine.scheduling.places import LABEL_CHARACTERS_MAX, Place, flaw_of_id
from engine.scheduling.reading import Scalar
from engine.scheduling.rules import once

STORES_MAX = 10_000
"""Stores of one campaign; every claim's terms name those of its offer."""
OFFERS_MAX = 100
"""Offers of one campaign: a page that a person picks from, and what the script may have to look through."""
STORES_OF_OFFERS_MAX = 100_000
"""Stores summed over the offers: the catalogue repeats a store in the terms of each offer, some 80 bytes a time."""
TITLE_CHARACTERS_MAX = 200

STORE_KEYS = {"title": "武商广场", "merchant": "m-01", "city": "武汉"}
COMMON_KEYS = {"id": "mall-50", "title": "商场消费券 50 元", "kind": "threshold", "stores": "all"}
KINDS: dict[OfferKind, tuple[dict[str, str], tuple[str, ...]]] = {
    "threshold": ({"face": "5000", "min_spend": "15000"}, ()),
    "instant": ({"face": "1000"}, ()),
    "percent": ({"percent_off": "20", "max_discount": "1500"}, ()),
    "gift": ({"face": "13800"}, ("price",)),
}
"""What each kind must have (with an example) and may have, beside what all offers have."""
AMOUNT_KEYS = ("face", "min_spend", "price", "percent_off", "max_discount")
OFFER_KEYS = ("id", "title", "category", "kind", *AMOUNT_KEYS, "stores", "funder", "code_page")
STORE_EXAMPLE = "mall-001: {title: 武商广场, merchant: m-01, city: 武汉}"
_OFFER_EXAMPLE = "{id: mall-50, title: 商场消费券 50 元, kind: threshold, face: 5000, min_spend: 15000, stores: all}"

assert set(KINDS) == set(get_args(OfferKind))


def read_stores(place: Place) -> dict[str, Store | None] | None:
    """Stores by id, in the order of the file; one that has a mistake is None, so that its id is known all the same."""
    entries = place.entries(f"{{{STORE_EXAMPLE}}}")
    if entries is None:
        return None
    if len(entries) > STORES_MAX:
        place.wrong(f"has {len(entries):,} stores; at most {STORES_MAX:,} are possible in one campaign")
        return None
    return {key: _store(key, entry) for key, entry in entries.items()}


def _store(store: str, place: Place) -> Store | None:
    flaw = flaw_of_id(store)
    if flaw:
        place.wrong(flaw)
    found = place.fields(STORE_KEYS, STORE_KEYS, "{title: 武商广场, merchant: m-01, city: 武汉}")
    if found is None:
        return None
    title = found["title"].text(TITLE_CHARACTERS_MAX, "武商广场") if "title" in found else None
    merchant = found["merchant"].text(LABEL_CHARACTERS_MAX, "m-01") if "merchant" in found else None
    city = found["city"].text(LABEL_CHARACTERS_MAX, "武汉") if "city" in found else None
    return Store(title, merchant, city) if title and merchant and city else None


class Offers:
    """The offers of a file: those that are right, and every id that the file gives to one."""

    def __init__(self, offers: list[tuple[Place, Offer | None]], ids: dict[str, Place]) -> None:
        self.offers = tuple(offer for _, offer in offers if offer)
        self.ids = ids
        self.places = {offer.id: place for place, offer in offers if offer}


def read_offers(place: Place, stores: dict[str, Store | None] | None) -> Offers | None:
    """The offers; `stores` of None means that the stores could not be read, and what names them is not checked."""
    items = place.items(_OFFER_EXAMPLE, 1, OFFERS_MAX)
    if items is None:
        return None
    ids: dict[str, Place] = {}
    read = [(item, _offer(item, stores, ids)) for item in items]
    named = sum(len(offer.stores) for _, offer in read if offer)
    if named > STORES_OF_OFFERS_MAX:
        place.wrong(
            f"name {named:,} stores in all; at most {STORES_OF_OFFERS_MAX:,} are possible: "
            "have fewer offers, or fewer stores in each"
        )
    return Offers(read, ids)


def _offer(place: Place, stores: dict[str, Store | None] | None, ids: dict[str, Place]) -> Offer | None:
    found = place.fields(OFFER_KEYS, COMMON_KEYS, _OFFER_EXAMPLE)
    if found is None:
        return None
    offer = _id(found["id"], ids) if "id" in found else None
    title = found["title"].text(TITLE_CHARACTERS_MAX, "商场消费券 50 元") if "title" in found else None
    category = found["category"].text(LABEL_CHARACTERS_MAX, "mall") if "category" in found else ""
    kind = cast(OfferKind | None, found["kind"].choice(KINDS) if "kind" in found else None)
    amounts = _amounts(place, found, kind)
    taking = _stores_of(found["stores"], stores) if "stores" in found else None
    funder = found["funder"].text(LABEL_CHARACTERS_MAX, "湖北省商务厅") if "funder" in found else UNSET
    code_page = found["code_page"].flag() if "code_page" in found else False
    if offer is None or title is None or category is None or kind is None or amounts is None or taking is None:
        return None
    if funder is None or code_page is None:
        return None
    return Offer(
        id=offer,
        title=title,
        kind=kind,
        stores=taking,
        category=category,
        funder=funder,
        code_page=code_page or UNSET,
        **amounts,
    )


def _id(place: Place, ids: dict[str, Place]) -> str | None:
    offer = place.id("mall-50")
    # an id that is wrong is remembered too: stock that names it is not told to be wrong as well
    written = place.node.text if isinstance(place.node, Scalar) else ""
    if offer in ids:
        place.wrong(f"{shown(offer)} is taken by the offer in line {ids[offer].line}: ids are used once")
    ids.setdefault(written, place)
    return offer


def _amounts(place: Place, found: dict[str, Place], kind: OfferKind | None) -> dict[str, int] | None:
    """The amounts that are there, checked against what the kind asks for."""
    read = {key: _amount(key, found[key]) for key in AMOUNT_KEYS if key in found}
    if kind is None:
        return None
    must, may = KINDS[kind]
    for key, example in must.items():
        if not place.has(key):
            place.wrong_below(key, f"is missing: an offer of kind {kind} needs it; write for example {key}: {example}")
    for key in read:
        if key not in must and key not in may:
            takes = ", ".join([*must, *may])
            found[key].wrong(
                f"does not belong to an offer of kind {kind}, which has {takes}: remove it, or change the kind"
            )
    face = read.get("face") or 0
    if kind == "threshold" and face and 0 < (read.get("min_spend") or 0) < face:
        found["min_spend"].wrong(f"{read['min_spend']} is below face, {face}: more would be taken off than is spent")
    if kind == "gift" and face and (read.get("price") or 0) >= face:
        found["price"].wrong(f"{read['price']} is not below face, {face}: that would be no gain for the user")
    if any(key not in read for key in must):
        return None
    amounts = {key: amount for key, amount in read.items() if amount is not None}
    return amounts if len(amounts) == len(read) else None


def _amount(key: str, place: Place) -> int | None:
    return place.whole(1, 99) if key == "percent_off" else place.amount()


def _stores_of(place: Place, stores: dict[str, Store | None] | None) -> tuple[str, ...] | None:
    if not place.is_list():
        if place.text(LABEL_CHARACTERS_MAX, "all") not in ("all", None):
            place.wrong("must be all, or a list of stores like [mall-001]")
        return tuple(stores or ())
    items = place.items("[mall-001]", 1, STORES_MAX)
    if items is None:
        return None
    names = [item.id("mall-001") for item in items]
    if stores is not None:
        for item, name in zip(items, names, strict=True):
            if name is not None and name not in stores:
                item.wrong(
                    f"{shown(name)} is not among the stores of this campaign{place.mistakes.nearest(name, stores)}"
                )
    return once(items, names)
