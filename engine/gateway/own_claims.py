"""What the caller has claimed: `GET /v1/waves/{wave}/claims`, `GET /v1/me/claims`. Vouchers: `cards`."""

from typing import Final

from engine.domain.eligibility import Identity
from engine.domain.tickets import Ticket
from engine.errors import HotStoreError, LedgerError
from engine.gateway.answer import PRIVATE, Answer, Heading
from engine.gateway.callers import Doorkeeper, asker_in
from engine.gateway.identity.caller import Caller
from engine.gateway.parts import GatewayParts
from engine.gateway.printing import ClaimPrinter
from engine.gateway.refusals import Problem, refuse
from engine.gateway.waves import check_ticket, find_wave

_RECOVERING: Final = Problem("recovering")
_BUSY: Final = Problem("busy")


class OwnEndpoint:
    """Reads what callers hold. "Nothing" is said only where the stores could be asked."""

    def __init__(self, parts: GatewayParts, doorkeeper: Doorkeeper, printer: ClaimPrinter) -> None:
        self._board = parts.board
        self._holdings = parts.holdings
        self._doorkeeper = doorkeeper
        self._printer = printer

    async def in_wave(self, wave: str, heading: Heading) -> Answer:
        """The caller's claims in one wave, settled or not. A ticket for the wave will do."""
        caller = self._doorkeeper.user_or_ticket(heading.authorization)
        if isinstance(caller, Ticket):
            caller = check_ticket(await find_wave(self._board, caller.wave), caller, wave) or caller
        return await self._doorkeeper.let_in(caller, heading, lambda caller: self._in(wave, caller, heading))

    async def _in(self, wave: str, caller: Caller | Ticket, heading: Heading) -> Answer:
        live = await find_wave(self._board, wave)
        if isinstance(live, Problem):
            return refuse(live, heading.accept_language)
        asker = asker_in(live, caller)
        if isinstance(asker, Problem):
            return refuse(asker, heading.accept_language)
        identity = _ticket_identity(caller) if isinstance(caller, Ticket) else caller.identity
        try:
            held = await self._holdings.in_wave(live, identity)
        except (HotStoreError, LedgerError) as error:
            return refuse(_away(error), heading.accept_language)
        return _listed(b"claims", [await self._printer.claim(live.catalogue, claim) for claim in held])

    async def claims(self, heading: Heading) -> Answer:
        """All claims of the caller, newest first."""

        async def answer(caller: Caller) -> Answer:
            try:
                held = await self._holdings.of(caller.identity)
            except (HotStoreError, LedgerError) as error:
                return refuse(_away(error), heading.accept_language)
            return _listed(b"claims", [await self._printer.claim(catalogue, claim) for catalogue, claim in held])

        return await self._doorkeeper.let_in(self._doorkeeper.user(heading.authorization), heading, answer)


def _ticket_identity(ticket: Ticket) -> Identity:
    """As much of the bearer as holdings need."""
    return Identity(ticket.account, person=ticket.claimant if ticket.by == "person" else "")


def _away(error: HotStoreError | LedgerError) -> Problem:
    return _RECOVERING if isinstance(error, HotStoreError) else _BUSY


def _listed(name: bytes, items: list[bytes]) -> Answer:
    return Answer(200, "ok", PRIVATE, b'{"%s":[%s]}' % (name, b",".join(items)))
