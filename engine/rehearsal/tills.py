"""Shops after the drop: the terms change, holders look at their cards, and tills redeem what was claimed before."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from engine.domain.campaign import Store
from engine.domain.voucher import Period
from engine.ledger.taken import Taken
from engine.rehearsal.case import instant_ms
from engine.rehearsal.client import Pool, Reply
from engine.rehearsal.errands import Errand, ErrandKind, Holding, Visit

TILLS = 40
"""At work at once, as many as a small chain has."""
TRIES_MAX = 20
PAUSE_S = 0.1
PAUSE_MAX_S = 1.0
HANG_UP_MAX_S = 0.02
"""A reply that is lost: the connection is cut while the redemption is under way, or when it is just done."""
CARDS = 100
"""Holders who look at their card after the terms have changed. Nobody looks before: what a gateway has remembered from
then would hide that it reads other terms now."""
ASK_AGAIN = frozenset({"no_answer", "busy", "recovering", "outcome_unknown", "too_many_requests", "not_settled_yet"})


@dataclass(frozen=True)
class Merchants:
    """What a rehearsal is lent to go shopping."""

    stores: Mapping[str, Store]
    """Of the campaign, as it was when the claims were made."""
    mint_till: Callable[[str], str]
    """The token of a till of that store."""
    revise: Callable[[], Awaitable[object]]
    """Apply a revision with worse terms."""
    set_periods: Callable[[Mapping[str, Period]], Awaitable[None]]
    """Give these vouchers, by code, another period in the ledger: time goes no faster for a rehearsal."""
    taken: Callable[[], Awaitable[Sequence[Taken]]]
    """The redemptions that the ledger has."""


class _Terms(Struct, frozen=True):
    version: int


class _Redemption(Struct, frozen=True):
    code: str
    discount: int
    terms: _Terms


class _Told(Struct, frozen=True):
    """What is of interest in a till's answer, whatever it says."""

    code: str = ""
    retry_after_ms: int = 0
    redemption: _Redemption | None = None


_TOLD = msgspec.json.Decoder(_Told)


class _CardStore(Struct, frozen=True):
    id: str


class _Card(Struct, frozen=True):
    """Of a card: what was promised."""

    title: str
    face: int | None
    min_spend: int | None
    per_payment: int
    cities: list[str]
    terms: _Terms
    valid_from: str
    expires_at: str
    stores: list[_CardStore]


_CARD = msgspec.json.Decoder(_Card)


class Said(Struct, frozen=True):
    """What a till was told. `outcome`: `redeemed`, the code of the refusal, `no_answer` or `unreadable`."""

    errand: int
    visit: Visit
    outcome: str
    discount: int = 0
    terms_version: int = 0
    is_rival: bool = False
    """At the other of two tills at once."""


class Shopping(Struct, frozen=True):
    """All that tills and holders were told, and what the ledger has."""

    errands: tuple[Errand, ...]
    said: tuple[Said, ...]
    cards_changed: tuple[str, ...]
    """Ids of claims whose card told something else than was promised."""
    cards: int
    taken: tuple[Taken, ...]


class Tills:
    """Sends vouchers on their errands, once."""

    def __init__(
        self, pool: Pool, authority: str, merchants: Merchants, authorize: Callable[[int], str], seed: int
    ) -> None:
        """`authorize`: the token of a user, as the header has it."""
        self._pool = pool
        self._host = authority.encode()
        self._merchants = merchants
        self._authorize = authorize
        self._draw = random.Random(seed)  # noqa: S311 - has to be repeatable
        self._tokens = {store: f"Bearer {merchants.mint_till(store)}" for store in merchants.stores}
        self._said: list[Said] = []

    async def visit(self, errands: Sequence[Errand]) -> Shopping:
        """The revision, cards, vouchers out of their time, every errand."""
        holders = errands[:CARDS]
        await self._merchants.revise()
        cards = await asyncio.gather(*map(self._card, holders))
        free = asyncio.Semaphore(TILLS)

        async def run(errand: Errand) -> None:
            async with free:
                await self._run(errand)

        await self._go_out_of_time([errand for errand in errands if errand.meanwhile is not None], free)
        await asyncio.gather(*map(run, errands))
        changed = [
            errand.holding.claim_id
            for errand, card in zip(holders, cards, strict=True)
            if card is None or not _is_promised(errand.holding, card)
        ]
        taken = tuple(await self._merchants.taken())
        return Shopping(tuple(errands), tuple(self._said), tuple(changed), len(holders), taken)

    async def _go_out_of_time(self, errands: Sequence[Errand], free: asyncio.Semaphore) -> None:
        """Each first visit in another period than the voucher's own, which it has again afterwards."""

        async def ask(errand: Errand) -> None:
            async with free:
                if errand.first is not None:
                    await self._ask(errand, errand.first, "first")

        await self._merchants.set_periods({each.holding.code: each.meanwhile for each in errands if each.meanwhile})
        await asyncio.gather(*map(ask, errands))
        await self._merchants.set_periods({each.holding.code: each.holding.life for each in errands})

    async def _run(self, errand: Errand) -> None:
        if errand.first is not None and errand.meanwhile is None:
            await self._ask(errand, errand.first, "first")
        match errand.kind:
            case ErrandKind.TWO_TILLS:
                await asyncio.gather(
                    self._ask(errand, errand.then, "here"), self._ask(errand, errand.then, "there", is_rival=True)
                )
            case ErrandKind.LOST_REPLY:
                await self._open_page(errand)
                await self._pool.hang_up(
                    self._request(errand, errand.then, "lost"), self._draw.uniform(0, HANG_UP_MAX_S)
                )
                await self._ask(errand, errand.then, "lost")
                await self._ask(errand, errand.then, "lost")
            case _:
                await self._ask(errand, errand.then, "once")

    async def _ask(self, errand: Errand, visit: Visit, request: str, *, is_rival: bool = False) -> None:
        """Until there is an answer that does not say "ask again", within bounds."""
        await self._open_page(errand)
        for _ in range(TRIES_MAX):
            outcome, told = _read(await self._pool.exchange(self._request(errand, visit, request)))
            if outcome not in ASK_AGAIN:
                break
            await asyncio.sleep(min(told.retry_after_ms / 1000 or PAUSE_S, PAUSE_MAX_S))
        redemption = told.redemption
        if redemption is None:
            self._said.append(Said(errand.number, visit, outcome, is_rival=is_rival))
        else:
            said = Said(errand.number, visit, outcome, redemption.discount, redemption.terms.version, is_rival)
            self._said.append(said)

    async def _open_page(self, errand: Errand) -> None:
        """Its holder has the code in sight, where the terms ask for it; one that is of no use stays closed."""
        if not errand.holding.promise.offer.needs_code_page:
            return
        path, authorization = f"/v1/me/vouchers/{errand.holding.code}/code-page", self._authorize(errand.holding.user)
        for _ in range(TRIES_MAX):
            reply = await self._pool.exchange(self._head("PUT", path, authorization) + b"Content-Length: 0\r\n\r\n")
            if reply.status and reply.status not in (429, 503):
                return
            await asyncio.sleep(PAUSE_S)

    def _request(self, errand: Errand, visit: Visit, request: str) -> bytes:
        name = f"{errand.number}-{request}"
        body = msgspec.json.encode(
            {
                "code": errand.holding.code, "store": visit.store, "clerk": "rehearsal", "amount": visit.amount,
                "order_no": f"o-{name}", "payment_no": f"p-{name}", "request_no": f"r-{name}",
            }
        )  # fmt: skip
        head = self._head("POST", "/v1/merchant/redemptions", self._tokens[visit.store])
        return b"%bContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (head, len(body), body)

    async def _card(self, errand: Errand) -> _Card | None:
        """A card; None where it could not be seen."""
        path, authorization = f"/v1/me/vouchers/{errand.holding.code}", self._authorize(errand.holding.user)
        for _ in range(TRIES_MAX):
            reply = await self._pool.exchange(self._head("GET", path, authorization) + b"\r\n")
            if reply.status == 200:
                try:
                    return _CARD.decode(reply.body)
                except msgspec.DecodeError:
                    return None
            if reply.status and reply.status not in (429, 503):
                return None
            await asyncio.sleep(PAUSE_S)
        return None

    def _head(self, method: str, path: str, authorization: str) -> bytes:
        return b"%b %b HTTP/1.1\r\nHost: %b\r\nAccept-Language: en\r\nAuthorization: %b\r\n" % (
            method.encode(), path.encode(), self._host, authorization.encode(),
        )  # fmt: skip


def _is_promised(holding: Holding, card: _Card) -> bool:
    promise, life = holding.promise, holding.life
    offer, use = promise.offer, promise.use
    shown = (card.title, card.face, card.min_spend, card.per_payment, tuple(card.cities), card.terms.version)
    promised = (offer.title, offer.face, offer.min_spend, use.per_payment, tuple(use.cities), holding.terms_version)
    usable = {id for id, store in promise.stores.items() if not use.cities or store.city in use.cities}
    return (
        shown == promised
        and {store.id for store in card.stores} == usable
        and (instant_ms(card.valid_from), instant_ms(card.expires_at)) == (life.valid_from_ms, life.expires_at_ms)
    )


def _read(reply: Reply) -> tuple[str, _Told]:
    if reply.status == 0:
        return "no_answer", _Told()
    try:
        told = _TOLD.decode(reply.body)
    except msgspec.DecodeError:
        return "unreadable", _Told()
    return ("redeemed" if told.redemption is not None else told.code or str(reply.status)), told
