"""`POST /v1/waves/{wave}/tickets`: everything slow about a claim, done before the wave opens."""

from typing import Final

import msgspec

from engine.claiming.board import LiveWave
from engine.domain.campaign import CLAIMS_PER_CLAIMANT_MAX, Limit
from engine.domain.outcome import Claim
from engine.domain.tickets import Ticket
from engine.errors import HotStoreError, LedgerError
from engine.gateway.answer import PRIVATE, Answer, Heading
from engine.gateway.callers import Asker, Doorkeeper, asker_of, not_eligible
from engine.gateway.identity.caller import Caller
from engine.gateway.instants import rfc3339
from engine.gateway.parts import GatewayParts
from engine.gateway.refusals import Problem, refuse
from engine.gateway.waves import find_wave

_encode: Final = msgspec.json.Encoder().encode


class TicketEndpoint:
    """Issues tickets to users who may claim."""

    def __init__(self, parts: GatewayParts, doorkeeper: Doorkeeper) -> None:
        self._parts = parts
        self._doorkeeper = doorkeeper

    async def answer(self, wave: str, heading: Heading) -> Answer:
        """201 with a ticket, or why there is none."""
        caller = self._doorkeeper.user(heading.authorization)
        return await self._doorkeeper.let_in(caller, heading, lambda caller: self._for(caller, wave, heading))

    async def _for(self, caller: Caller, wave: str, heading: Heading) -> Answer:
        live = await find_wave(self._parts.board, wave)
        if isinstance(live, Problem):
            return refuse(live, heading.accept_language)
        asker = asker_of(live, caller.identity)
        now_ms = self._parts.board.store_time_ms()
        problem = not_eligible(asker.broken_rule) if asker.broken_rule else _over(live, now_ms)
        if problem is not None:
            return refuse(problem, heading.accept_language)
        return Answer(201, "issued", PRIVATE, _encode(await self._issue(live, asker, now_ms)))

    async def _issue(self, live: LiveWave, asker: Asker, now_ms: int) -> dict[str, str | int | None]:
        ticket = ticket_for(live, asker.account, asker.claimant, now_ms)
        timezone = live.catalogue.timezone
        # Not an end that anybody enforces: the script decides. A day past the close it is of no more use.
        expires_ms = max(now_ms, live.state.closes_ms) + self._parts.settings.ticket_life_ms
        return {
            "ticket": self._parts.tickets.mint(ticket),
            "expires_at": rfc3339(expires_ms, timezone),
            "opens_at": rfc3339(live.state.opens_ms, timezone),
            "server_time_ms": now_ms,
            "remaining": await self._remaining(live, asker.claimant),
        }

    async def _remaining(self, live: LiveWave, claimant: str) -> int | None:
        """Claims that the limits leave this claimant in the wave; None where that cannot be known now."""
        try:
            held = await self._parts.holdings.in_campaign(live, claimant)
        except (HotStoreError, LedgerError):
            return None  # a ticket is worth having all the same
        return remaining(live, held)


def ticket_for(live: LiveWave, account: str, claimant: str, now_ms: int) -> Ticket:
    """A ticket for somebody who may claim in that wave."""
    # Where this process's estimate of the clock is behind, a new ticket must not be among those that were voided.
    issued_ms = max(now_ms, live.state.void_before_ms)
    return Ticket(live.catalogue.id, live.wave.id, account, claimant, live.catalogue.by, "", issued_ms)


def remaining(live: LiveWave, held: list[Claim]) -> int:
    """Claims that the campaign's limits leave to whoever holds these, in that wave."""
    left = [limit.max - _counted(limit, live, held) for limit in live.catalogue.limits]
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
