"""A claim, from the header and body that came to the answer that goes.

The steps, in the order in which a refusal can come of them: how the body is sent, who asks and how often, what is
asked, in which wave and for which offers; then the desk, whose outcome `outcomes` puts into words.
"""

import structlog
from msgspec import Struct
from msgspec.structs import replace

from engine.claiming.board import LiveWave
from engine.claiming.presence import Presence
from engine.domain.outcome import Ask
from engine.domain.tickets import Ticket
from engine.gateway.answer import Answer, Heading
from engine.gateway.bodies import bad_request_no, check_media_type, read_claim_body
from engine.gateway.callers import Doorkeeper, asker_in, not_eligible
from engine.gateway.identity.caller import Caller
from engine.gateway.outcomes import ClaimAnswers
from engine.gateway.parts import GatewayParts
from engine.gateway.printing import ClaimPrinter
from engine.gateway.refusals import Problem, refuse
from engine.gateway.steps import Laps, LapSampler
from engine.gateway.waves import check_ticket, find_wave, offer_numbers

log = structlog.get_logger(__name__)


class _Claim(Struct, frozen=True):
    """A claim that the desk can be asked for."""

    live: LiveWave
    ask: Ask


class ClaimEndpoint:
    """`POST /v1/waves/{wave}/claims`, whatever has parsed the request."""

    def __init__(self, parts: GatewayParts, doorkeeper: Doorkeeper, printer: ClaimPrinter) -> None:
        self._board = parts.board
        self._desks = parts.desks
        self._doorkeeper = doorkeeper
        self._answers = ClaimAnswers(printer, parts.board, parts.settings.ack)
        self._laps = LapSampler()

    async def answer(
        self, wave: str, heading: Heading, body: bytes | Problem, presence: Presence | None = None
    ) -> Answer:
        """The answer to this claim. Once the desk was asked, nothing but a decision or `outcome_unknown` ends it.

        `body` is a problem where it could not be read; that is told in its turn. `presence` tells when the client has
        gone: CancelledError then, and where the claim was not sent to the hot store yet, it never is.
        """
        laps = self._laps.next(heading)
        caller = await self._who(wave, heading, body)
        laps.done("authenticate")
        if isinstance(caller, Problem):
            answer = refuse(caller, heading.accept_language)
        else:
            answer = await self._of(caller, wave, heading, body, presence, laps)
            self._doorkeeper.answered(caller, answer)
        laps.ended()
        return replace(answer, close=True) if isinstance(body, Problem) else answer

    async def _of(
        self,
        caller: Caller | Ticket,
        wave: str,
        heading: Heading,
        body: bytes | Problem,
        presence: Presence | None,
        laps: Laps,
    ) -> Answer:
        claim = await self._read(caller, wave, body, laps)
        if isinstance(claim, Problem):
            return refuse(claim, heading.accept_language)
        try:
            outcome = await self._desks.claim(claim.live, claim.ask, presence)
            laps.done("decide")
            answer = await self._answers.of(claim.live, claim.ask, outcome, heading.accept_language)
        except Exception:
            log.exception("claim has no answer", request_id=heading.request_id, wave=wave)
            return refuse(Problem("outcome_unknown", extras={"id": heading.request_id}), heading.accept_language)
        laps.done("render")
        return answer

    async def _who(self, wave: str, heading: Heading, body: bytes | Problem) -> Caller | Ticket | Problem:
        """Who asks, or why that is not looked into, not known, or not heard just now."""
        problem = _sent_wrongly(heading, body)
        if problem is not None:
            return problem
        caller = self._doorkeeper.user_or_ticket(heading.authorization)
        if isinstance(caller, Problem):
            return caller
        stale = await check_ticket(self._board, caller, wave) if isinstance(caller, Ticket) else None
        return stale or self._doorkeeper.too_often(caller) or caller

    async def _read(self, caller: Caller | Ticket, wave: str, body: bytes | Problem, laps: Laps) -> _Claim | Problem:
        """What to ask the desk for, or the first reason not to."""
        asked = body if isinstance(body, Problem) else read_claim_body(body)
        if isinstance(asked, Problem):
            return asked
        live = await find_wave(self._board, wave)
        if isinstance(live, Problem):
            return live
        asker = asker_in(live, caller)
        if isinstance(asker, Problem):
            return asker
        if asked.request_no > live.catalogue.claims_per_wave_max:
            return bad_request_no(live.catalogue.claims_per_wave_max)
        offers = offer_numbers(live, asked.offers)
        if isinstance(offers, Problem):
            return offers
        if not asker.claimant:  # nobody whom the script could count, and so nothing that could be a replay
            return not_eligible(asker.broken_rule)
        ask = Ask(live.wave.no, asked.request_no, offers, asker.claimant, asker.account, asker.broken_rule)
        laps.done("read")
        return _Claim(live, ask)


def _sent_wrongly(heading: Heading, body: bytes | Problem) -> Problem | None:
    """What is wrong with how the body came: too large, not JSON, too late. Broken chunks come behind who asks."""
    if isinstance(body, Problem) and body.code == "too_large":
        return body
    problem = check_media_type(heading.content_type, heading.content_encoding)
    if problem is None and isinstance(body, Problem) and body.code == "timeout":
        return body
    return problem
