"""What winners do with their vouchers in shops, drawn in advance, and what the terms of their claims say to that."""

import itertools
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct

from engine.domain.campaign import Offer, Promise, Store
from engine.domain.discount import discount_on, least_amount
from engine.domain.voucher import Period

REDEEMED: str = "redeemed"
"""What is expected of a till that has to take the voucher; else the code of its refusal is."""
_SPENT_MAX = 20_000
"""Beyond what the offer asks for, in minor units."""


class ErrandKind(StrEnum):
    """How a voucher is used."""

    PLAIN = "redeemed once"
    TWO_TILLS = "shown at two tills at once"
    LOST_REPLY = "redeemed, the reply lost, and asked for again under the same number"
    WRONG_PLACE = "shown where it is not taken first"
    TOO_LITTLE = "shown for a payment that is too small first"
    TOO_EARLY = "shown before it can be used first"
    TOO_LATE = "shown after its end first"


_IN_TURN: Final = {0: ErrandKind.TOO_EARLY, 1: ErrandKind.TOO_LATE}
_TURN: Final = 20
"""The first two of each twenty vouchers go out of their time; no campaign's validity gives both within a rehearsal."""
_DRAWN: Final = [kind for kind in ErrandKind if kind not in _IN_TURN.values()]
_OFF_MS: Final = 3_600_000


class Holding(Struct, frozen=True):
    """A voucher as its holder was told of it, and what was promised with it."""

    user: int
    code: str
    claim_id: str
    claimed_at_ms: int
    offer_no: int
    terms_version: int
    promise: Promise
    life: Period
    """Fixed by the claim."""


class Visit(Struct, frozen=True):
    """One request at a till, and what has to come of it by the terms of the claim."""

    store: str
    amount: int
    expected: str
    discount: int = 0


class Errand(Struct, frozen=True):
    """A voucher's way through shops. `first` is refused and changes nothing; None: it goes to `then` at once.

    Where there is a `meanwhile`, that is the voucher's period while `first` is asked for.
    """

    number: int
    holding: Holding
    kind: ErrandKind
    then: Visit
    first: Visit | None = None
    meanwhile: Period | None = None


def draw_errands(holdings: Sequence[Holding], stores: Mapping[str, Store], now_ms: int, seed: int) -> list[Errand]:
    """An errand for each voucher. `stores` are all of the campaign. The same seed draws the same.

    Stores that do not take an offer's vouchers come in turn: a few of its vouchers hear each of their refusals.
    """
    draw = random.Random(seed)  # noqa: S311 - has to be repeatable
    turns: _Turns = defaultdict(itertools.count)
    return [_errand(draw, number, each, stores, now_ms, turns) for number, each in enumerate(holdings)]


_Turns = defaultdict[int, "itertools.count[int]"]
"""How often vouchers of an offer were shown where they are not taken, by the offer's number."""


def _errand(
    draw: random.Random, number: int, holding: Holding, stores: Mapping[str, Store], now_ms: int, turns: _Turns
) -> Errand:
    promise, kind = holding.promise, _IN_TURN.get(number % _TURN) or draw.choice(_DRAWN)
    good = [id for id, store in promise.stores.items() if not promise.use.cities or store.city in promise.use.cities]
    store = draw.choice([good[-1], draw.choice(good)])  # the last is what the revision takes away
    amount = _enough(promise.offer) + draw.randint(0, _SPENT_MAX)
    life = holding.life
    if not life.valid_from_ms <= now_ms < life.expires_at_ms:
        late = "expired" if now_ms >= life.expires_at_ms else "not_yet_effective"
        return Errand(number, holding, ErrandKind.PLAIN, Visit(store, amount, late))
    given = discount_on(promise.offer, amount)
    assert isinstance(given, int), "enough is spent"
    then = Visit(store, amount, REDEEMED, given)
    first, meanwhile = None, None
    if kind is ErrandKind.TOO_EARLY:
        first = Visit(store, amount, "not_yet_effective")
        meanwhile = Period(now_ms + _OFF_MS, now_ms + 2 * _OFF_MS)
    elif kind is ErrandKind.TOO_LATE:
        first = Visit(store, amount, "expired")
        meanwhile = Period(holding.claimed_at_ms - _OFF_MS, holding.claimed_at_ms)
    elif kind is ErrandKind.TOO_LITTLE and promise.offer.min_spend:
        first = Visit(store, promise.offer.min_spend - 1, "below_min_spend")
    elif kind is ErrandKind.WRONG_PLACE:
        wrong = sorted(stores.keys() - set(good))
        place = next(turns[holding.offer_no])
        first = _misplaced(promise, stores, wrong[place % len(wrong)], amount) if wrong else None
    plain = kind in (ErrandKind.TOO_LITTLE, ErrandKind.WRONG_PLACE) and first is None
    return Errand(number, holding, ErrandKind.PLAIN if plain else kind, then, first, meanwhile)


def _enough(offer: Offer) -> int:
    return max(least_amount(offer), offer.price or 0, 1)


def _misplaced(promise: Promise, stores: Mapping[str, Store], store: str, amount: int) -> Visit:
    if store in promise.stores:
        return Visit(store, amount, "wrong_city")
    is_own = stores[store].merchant in _merchants(promise.stores.values())
    return Visit(store, amount, "wrong_store" if is_own else "other_merchant")


def _merchants(stores: Iterable[Store]) -> set[str]:
    return {store.merchant for store in stores}
