"""The card pack: `GET /v1/me/vouchers` and `GET /v1/me/vouchers/{code}`."""

from typing import Any, Final

import msgspec

from engine.domain.codes import Mistyped, claim_id, typed_code
from engine.errors import HotStoreError, LedgerError
from engine.gateway.answer import PRIVATE, Answer, Heading
from engine.gateway.callers import Doorkeeper
from engine.gateway.identity.caller import Caller
from engine.gateway.instants import rfc3339
from engine.gateway.parts import GatewayParts
from engine.gateway.refusals import Problem, refuse
from engine.wallet.card_pack import Card

_encode: Final = msgspec.json.Encoder().encode
_NOT_FOUND: Final = Problem("unknown_code")


class CardsEndpoint:
    """What a user has in the card pack. "Nothing" is said only where the stores could be asked."""

    def __init__(self, parts: GatewayParts, doorkeeper: Doorkeeper) -> None:
        self._card_pack = parts.card_pack
        self._doorkeeper = doorkeeper

    async def cards(self, heading: Heading) -> Answer:
        """The vouchers of the caller, newest first."""

        async def answer(caller: Caller) -> Answer:
            try:
                cards = await self._card_pack.cards(caller.identity)
            except (HotStoreError, LedgerError) as error:
                return refuse(_away(error), heading.accept_language)
            return Answer(200, "ok", PRIVATE, _encode({"vouchers": [card_object(card) for card in cards]}))

        return await self._doorkeeper.let_in(self._doorkeeper.user(heading.authorization), heading, answer)

    async def card(self, code: str, heading: Heading) -> Answer:
        """One voucher of the caller. Somebody else's is as unknown as one that there is not."""

        async def answer(caller: Caller) -> Answer:
            meant = typed_code(code)
            if isinstance(meant, Mistyped):
                return refuse(Problem("mistyped_code"), heading.accept_language)
            try:
                card = await self._card_pack.card(caller.identity, meant)
            except (HotStoreError, LedgerError) as error:
                return refuse(_away(error), heading.accept_language)
            if card is None:
                return refuse(_NOT_FOUND, heading.accept_language)
            return Answer(200, "ok", PRIVATE, _encode(card_object(card)))

        return await self._doorkeeper.let_in(self._doorkeeper.user(heading.authorization), heading, answer)


def card_object(card: Card) -> dict[str, Any]:
    """A voucher as its holder sees it, by the terms of the claim alone (P8)."""
    promise, zone = card.kept.promise, card.kept.promise.timezone
    return {
        "code": card.claim.code,
        "state": card.state,
        "valid_from": rfc3339(card.period.valid_from_ms, zone),
        "expires_at": rfc3339(card.period.expires_at_ms, zone),
        "claim": claim_id(card.claim.code),
        "campaign": card.campaign,
        "wave": card.wave,
        "offer": card.kept.offer,
        "title": promise.offer.title,
        "face": promise.offer.face,
        "min_spend": promise.offer.min_spend,
        "terms": {"version": card.claim.terms_version, "hash": card.kept.hash},
        "stores": [
            {"id": id, "title": store.title, "city": store.city}
            for id, store in promise.stores.items()
            if not promise.use.cities or store.city in promise.use.cities
        ],
    }


def _away(error: HotStoreError | LedgerError) -> Problem:
    return Problem("recovering") if isinstance(error, HotStoreError) else Problem("busy")
