"""`POST /v1/waves/{wave}/tickets`: everything slow about a claim, done before the wave opens."""

from typing import Final, cast

import msgspec
from msgspec import Struct

from engine.claiming.board import LiveWave
from engine.claiming.looks import Looking
from engine.domain.campaign import CLAIMS_PER_CLAIMANT_MAX, Limit
from engine.domain.outcome import Claim
from engine.domain.tickets import Ticket, TicketBook
from engine.errors import HotStoreError, LedgerError
from engine.gateway.answer import PRIVATE, Answer, Heading
from engine.gateway.aside import Aside, Listener, failure_of_ours
from engine.gateway.callers import Asker, Doorkeeper, asker_of, not_eligible
from engine.gateway.identity.caller import Caller
from engine.gateway.instants import rfc3339
from engine.gateway.parts import GatewayParts
from engine.gateway.refusals import Problem, refuse
from engine.gateway.waves import find_wave

_encode: Final = msgspec.json.Encoder().encode


class _Grant(Struct, frozen=True, gc=False):
    """Somebody may have a ticket: who, for which wave, and when that was found, by the hot store's clock."""

    live: LiveWave
    asker: Asker
    now_ms: int


class TicketEndpoint:
    """Issues tickets to users who may claim.

    The steps are taken in two ways, as a claim's are (`claims`): `answer` is a coroutine; `begin` takes them at once,
    and is called back by the look at what the user holds, which saves a crowd a task and a future each.
    """

    def __init__(self, parts: GatewayParts, doorkeeper: Doorkeeper) -> None:
        self._board = parts.board
        self._holdings = parts.holdings
        self._doorkeeper = doorkeeper
        self._printer = TicketPrinter(parts.tickets, parts.settings.ticket_life_ms)
        self._aside = Aside()
        """For tickets of `begin` that have to wait for more than a look at the hot store."""

    async def answer(self, wave: str, heading: Heading) -> Answer:
        """201 with a ticket, or why there is none."""
        caller = self._doorkeeper.user(heading.authorization)
        return await self._doorkeeper.let_in(caller, heading, lambda caller: self._for(caller, wave, heading))

    def begin(self, live: LiveWave, heading: Heading, listener: Listener) -> None:
        """As `answer`, for a wave that is at hand, told to the listener, perhaps before this returns."""
        caller = self._doorkeeper.user(heading.authorization)
        problem = caller if isinstance(caller, Problem) else self._doorkeeper.too_often(caller)
        grant = problem or self._grant(live, cast(Caller, caller))
        if isinstance(grant, Problem):
            listener.answered(refuse(grant, heading.accept_language))
        elif not self._holdings.ask(live, _Visit(self, grant, heading, listener)):
            self._aside.wait_for(self._issue(grant), heading, listener)

    def issued(self, grant: _Grant, held: list[Claim] | None) -> Answer:
        """The ticket, and how many claims are left to who holds these; None where that cannot be known now."""
        left = None if held is None else remaining(grant.live, held)  # without it a ticket is worth having all the same
        return Answer(201, "issued", PRIVATE, self._printer.ticket(grant.live, grant.asker, left, grant.now_ms))

    async def _for(self, caller: Caller, wave: str, heading: Heading) -> Answer:
        live = await find_wave(self._board, wave)
        grant = live if isinstance(live, Problem) else self._grant(live, caller)
        return refuse(grant, heading.accept_language) if isinstance(grant, Problem) else await self._issue(grant)

    async def _issue(self, grant: _Grant) -> Answer:
        try:
            held = await self._holdings.in_campaign(grant.live, grant.asker.claimant)
        except (HotStoreError, LedgerError):
            return self.issued(grant, None)
        return self.issued(grant, held)

    def _grant(self, live: LiveWave, caller: Caller) -> _Grant | Problem:
        """What a ticket is made of, or why the caller gets none for that wave."""
        asker, now_ms = asker_of(live, caller.identity), self._board.store_time_ms()
        problem = not_eligible(asker.broken_rule) if asker.broken_rule else _over(live, now_ms)
        return problem or _Grant(live, asker, now_ms)


class _Visit(Looking):
    """One ticket of `begin` on its way: it waits for the look."""

    __slots__ = ("_endpoint", "_grant", "_heading", "_listener")

    def __init__(self, endpoint: TicketEndpoint, grant: _Grant, heading: Heading, listener: Listener) -> None:
        self.claimant = grant.asker.claimant
        self._endpoint = endpoint
        self._grant = grant
        self._heading = heading
        self._listener = listener

    def seen(self, claims: list[Claim]) -> None:
        """The ticket goes out."""
        self._go_out(claims)

    def unseen(self, error: Exception) -> None:
        """So it does where the hot store is away."""
        if isinstance(error, HotStoreError):
            self._go_out(None)
        else:
            self._listener.answered(failure_of_ours(error, self._heading))

    def _go_out(self, held: list[Claim] | None) -> None:
        try:
            answer = self._endpoint.issued(self._grant, held)
        except Exception as error:  # noqa: BLE001 - it is logged, and told, as any failure of ours
            answer = failure_of_ours(error, self._heading)
        self._listener.answered(answer)


class TicketPrinter:
    """Tickets as JSON. The instants are the same for all of a wave until that is over, and are made once."""

    def __init__(self, book: TicketBook, life_ms: int) -> None:
        self._book = book
        self._life_ms = life_ms
        self._last: tuple[LiveWave | None, int] = (None, 0)
        self._last_instants = b""

    def ticket(self, live: LiveWave, asker: Asker, left: int | None, now_ms: int) -> bytes:
        """The body of an answer, for somebody who may claim in that wave, and has so many claims left there."""
        text = self._book.mint(ticket_for(live, asker.account, asker.claimant, now_ms))
        return b'{"ticket":"%s",%s,"server_time_ms":%d,"remaining":%s}' % (
            text.encode(),
            self._instants(live, now_ms),
            now_ms,
            b"null" if left is None else b"%d" % left,
        )

    def _instants(self, live: LiveWave, now_ms: int) -> bytes:
        # Not an end that anybody enforces: the script decides. A day past the close it is of no more use.
        expires_ms = max(now_ms, live.state.closes_ms) + self._life_ms
        last_live, last_ms = self._last
        if live is not last_live or expires_ms != last_ms:
            timezone = live.catalogue.timezone
            instants = {"expires_at": rfc3339(expires_ms, timezone), "opens_at": rfc3339(live.state.opens_ms, timezone)}
            self._last, self._last_instants = (live, expires_ms), bytes(_encode(instants)[1:-1])
        return self._last_instants


def ticket_for(live: LiveWave, account: str, claimant: str, now_ms: int) -> Ticket:
    """A ticket for somebody who may claim in that wave."""
    # Where this process's estimate of the clock is behind, a new ticket must not be among those that were voided.
    issued_ms = max(now_ms, live.state.void_before_ms)
    return Ticket(live.catalogue.id, live.wave.id, account, claimant, live.catalogue.by, "", issued_ms)


def remaining(live: LiveWave, held: list[Claim]) -> int:
    """Claims that the campaign's limits leave to whoever holds these, in that wave."""
    left = [limit.max - (_counted(limit, live, held) if held else 0) for limit in live.catalogue.limits]
    return max(0, min([CLAIMS_PER_CLAIMANT_MAX - len(held), *left]))


def _counted(limit: Limit, live: LiveWave, held: list[Claim]) -> int:
    """How many of these claims count against that limit in that wave."""
    if limit.per == "campaign":
        return len(held)
    own = live.wave
    same = {
        wave.no
        for wave in live.catalogue.waves
        if wave.no == own.no
        or (limit.per == "round" and wave.round == own.round)
        or (limit.per == "day" and wave.day == own.day)
    }
    return sum(claim.wave_no in same for claim in held)


def _over(live: LiveWave, now_ms: int) -> Problem | None:
    """Why there is no point in a ticket for that wave any more, if so."""
    status = live.status(now_ms)
    if status == "cancelled":
        return Problem("cancelled", extras={"reason": live.state.reason} if live.state.reason else None)
    if status == "closed":
        closed_ms = live.state.closed_ms or live.state.closes_ms
        return Problem("closed", extras={"closed_at": rfc3339(closed_ms, live.catalogue.timezone)})
    return None
