"""The card pack: `GET /v1/me/vouchers`, and of each voucher its card, its QR code, its code page, and DELETE."""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from engine.domain.codes import Mistyped, typed_code
from engine.domain.redemption import Unfit, why_not
from engine.errors import ActOutrun, HotStoreError, LedgerError
from engine.gateway.answer import BARE, PRIVATE, Answer, Headers, Heading
from engine.gateway.callers import Doorkeeper
from engine.gateway.card_objects import card_object, code_page_object, whole_card_object
from engine.gateway.card_queries import Query, cursor_of, read_card_query
from engine.gateway.identity.caller import Caller
from engine.gateway.language import choose
from engine.gateway.parts import GatewayParts
from engine.gateway.qr_codes import qr_svg
from engine.gateway.refusals import Problem, refuse
from engine.gateway.voucher_answers import unfit
from engine.wallet.card_pack import Card

_SHOWN_AT_TILLS: Final = frozenset({"pending", "locked"})
"""What a till may take, sooner or later: of any other voucher no code page is opened."""
_encode: Final = msgspec.json.Encoder().encode
_NOT_FOUND: Final = Problem("unknown_code")
_DELETED: Final = Problem("deleted")
_WORDED: Final[Headers] = (*PRIVATE, ("Vary", "Accept-Language"))
_SVG: Final[Headers] = (*BARE, ("Content-Type", "image/svg+xml"), ("Cache-Control", "no-store"))
_NOTHING: Final[Headers] = (*BARE, ("Cache-Control", "no-store"))


class CardsEndpoint:
    """What a user has in the card pack. "Nothing" is said only where the stores could be asked."""

    def __init__(self, parts: GatewayParts, doorkeeper: Doorkeeper) -> None:
        self._card_pack = parts.card_pack
        self._code_page_ms = parts.settings.code_page_ms
        self._doorkeeper = doorkeeper

    async def cards(self, query: Query, heading: Heading) -> Answer:
        """A page of the caller's vouchers, newest first."""

        async def answer(caller: Caller) -> Answer:
            asked = read_card_query(query)
            if isinstance(asked, Problem):
                return refuse(asked, heading.accept_language)
            try:
                page = await self._card_pack.page(caller.identity, asked.states, asked.after, asked.cards_max)
            except (HotStoreError, LedgerError) as error:
                return refuse(_away(error), heading.accept_language)
            language = choose(heading.accept_language)
            members = {
                "vouchers": [card_object(card, language) for card in page.cards],
                "next_after": cursor_of(page.behind) if page.behind else None,
            }
            return Answer(200, "ok", _WORDED, _encode(members))

        return await self._doorkeeper.let_in(self._doorkeeper.user(heading.authorization), heading, answer)

    async def card(self, code: str, heading: Heading) -> Answer:
        """One voucher of the caller. Somebody else's is as unknown as one that there is not."""

        async def answer(card: Card) -> Answer:
            language = choose(heading.accept_language)
            return Answer(200, "ok", _WORDED, _encode(whole_card_object(card, language)))

        return await self._of_card(code, heading, answer)

    async def qr_code(self, code: str, heading: Heading) -> Answer:
        """Its code as a picture."""

        async def answer(card: Card) -> Answer:
            return Answer(200, "ok", _SVG, qr_svg(card.standing.code))

        return await self._of_card(code, heading, answer)

    async def delete(self, code: str, heading: Heading) -> Answer:
        """The caller wants to see it no more; again, nothing changes."""

        async def answer(caller: Caller, meant: str) -> Answer:
            gone = await self._card_pack.delete(caller.identity, meant)
            if isinstance(gone, Unfit):
                return unfit(gone, heading.accept_language)
            return Answer(204, "deleted", _NOTHING)

        return await self._of_code(code, heading, answer)

    async def open_page(self, code: str, heading: Heading) -> Answer:
        """The caller has its code page open from now on; again, for as long again."""

        async def answer(card: Card) -> Answer:
            if card.state not in _SHOWN_AT_TILLS:
                gone = why_not(card.standing, card.state, card.kept.promise, card.now_ms)
                return unfit(gone, heading.accept_language)
            until_ms = await self._card_pack.open_page(card, self._code_page_ms)
            return Answer(200, "ok", PRIVATE, _encode(code_page_object(card, until_ms)))

        return await self._of_card(code, heading, answer)

    async def close_page(self, code: str, heading: Heading) -> Answer:
        """The caller has it open no more; again, nothing changes."""

        async def answer(card: Card) -> Answer:
            await self._card_pack.close_page(card)
            return Answer(204, "closed", _NOTHING)

        return await self._of_card(code, heading, answer)

    async def _of_card(self, code: str, heading: Heading, show: Callable[[Card], Awaitable[Answer]]) -> Answer:
        async def answer(caller: Caller, meant: str) -> Answer:
            card = await self._card_pack.card(caller.identity, meant)
            if card is None:
                return refuse(_NOT_FOUND, heading.accept_language)
            if card.standing.is_hidden:
                return refuse(_DELETED, heading.accept_language)
            return await show(card)

        return await self._of_code(code, heading, answer)

    async def _of_code(self, code: str, heading: Heading, answer: Callable[[Caller, str], Awaitable[Answer]]) -> Answer:
        """The answer for the caller and the code that was meant, unless the stores fail."""

        async def answered(caller: Caller) -> Answer:
            meant = typed_code(code)
            if isinstance(meant, Mistyped):
                return refuse(Problem("mistyped_code"), heading.accept_language)
            try:
                return await answer(caller, meant)
            except (HotStoreError, LedgerError, ActOutrun) as error:
                return refuse(_away(error), heading.accept_language)

        return await self._doorkeeper.let_in(self._doorkeeper.user(heading.authorization), heading, answered)


def _away(error: Exception) -> Problem:
    return Problem("recovering") if isinstance(error, HotStoreError) else Problem("busy")
