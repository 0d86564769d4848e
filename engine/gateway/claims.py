"""A claim, from the header and body that came to the answer that goes.

The steps, in the order in which a refusal can come of them: how the body is sent, who asks and how often, what is
asked, in which wave and for which offers; then the desk, whose outcome `outcomes` puts into words.

They are written down once (`_steps`) and taken in two ways: `answer` is a coroutine, for whoever has a task for each
request; `begin` takes them at once and is called back by the desk, which saves a crowd a task and a future each.
"""

from collections.abc import Generator

import structlog
from msgspec import Struct
from msgspec.structs import replace

from engine.claiming.board import LiveWave
from engine.claiming.presence import Presence
from engine.claiming.waiting import Waiting
from engine.domain.outcome import Ask, Outcome
from engine.domain.tickets import Ticket
from engine.gateway.answer import Answer, Heading
from engine.gateway.aside import Aside, Listener
from engine.gateway.bodies import JSON_TYPE, ClaimBody, bad_request_no, check_media_type, read_claim_body
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
    """A claim that the desk can be asked for, and by whom."""

    caller: Caller | Ticket
    live: LiveWave
    ask: Ask


class _Refusal(Struct, frozen=True):
    """Why it is not asked for; `caller` where it is known who asked."""

    problem: Problem
    caller: Caller | Ticket | None = None


_Steps = Generator[str, LiveWave | Problem, _Claim | _Refusal]
"""Yields the ids of waves that are not on the board, and wants each as `find_wave` finds it."""


class ClaimEndpoint:
    """`POST /v1/waves/{wave}/claims`, whatever has parsed the request."""

    def __init__(self, parts: GatewayParts, doorkeeper: Doorkeeper, printer: ClaimPrinter) -> None:
        self._board = parts.board
        self._desks = parts.desks
        self._doorkeeper = doorkeeper
        self._answers = ClaimAnswers(printer, parts.board, parts.settings.ack)
        self._laps = LapSampler()
        self._aside = Aside()
        """For claims of `begin` that have to wait for more than a desk."""

    async def answer(
        self, wave: str, heading: Heading, body: bytes | Problem, presence: Presence | None = None
    ) -> Answer:
        """The answer to this claim. Once the desk was asked, nothing but a decision or `outcome_unknown` ends it.

        `body` is a problem where it could not be read; that is told in its turn. `presence` tells when the client has
        gone: CancelledError then, and where the claim was not sent to the hot store yet, it never is.
        """
        laps = self._laps.next(heading)
        steps = self._steps(wave, heading, body, laps)
        answer = await self._looked_up_and_decided(steps, None, heading, presence, laps)
        return replace(answer, close=True) if isinstance(body, Problem) else answer

    def begin(self, wave: str, heading: Heading, body: bytes, presence: Presence, listener: Listener) -> None:
        """As `answer`, told to the listener, perhaps before this returns; no task waits for it, mostly."""
        laps = self._laps.next(heading)
        steps = self._steps(wave, heading, body, laps)
        try:
            wanted = next(steps)
        except StopIteration as ended:
            claim: _Claim | _Refusal = ended.value
        else:
            answer = self._looked_up_and_decided(steps, wanted, heading, presence, laps)
            self._aside.wait_for(answer, heading, listener)
            return
        if isinstance(claim, _Refusal):
            listener.answered(self._refused(claim, heading, laps))
        elif not self._desks.ask(claim.live, _Calling(self, claim, heading, laps, listener), presence):
            self._aside.wait_for(self._decided(claim, heading, presence, laps), heading, listener)

    def call_back(
        self, claim: _Claim, outcome: Outcome, heading: Heading, laps: Laps | None, listener: Listener
    ) -> None:
        """The desk has called: tell the listener."""
        if laps is not None:
            laps.done("decide")
        try:
            answer = self._answers.at_hand(claim.live, claim.ask, outcome, heading.accept_language)
        except LookupError:  # terms that are newer than the board
            self._aside.wait_for(self._worded(claim, outcome, heading, laps), heading, listener)
            return
        except Exception:
            log.exception("claim has no answer", request_id=heading.request_id, wave=claim.live.wave.id)
            answer = _not_known(heading)
        listener.answered(self._ended(claim.caller, answer, laps))

    async def _looked_up_and_decided(
        self, steps: _Steps, wanted: str | None, heading: Heading, presence: Presence | None, laps: Laps | None
    ) -> Answer:
        """The answer behind these steps, which have got as far as to want that wave; None: they have not begun."""
        try:
            if wanted is None:
                wanted = next(steps)
            while True:
                wanted = steps.send(await find_wave(self._board, wanted))
        except StopIteration as ended:
            claim: _Claim | _Refusal = ended.value
        if isinstance(claim, _Refusal):
            return self._refused(claim, heading, laps)
        return await self._decided(claim, heading, presence, laps)

    async def _decided(self, claim: _Claim, heading: Heading, presence: Presence | None, laps: Laps | None) -> Answer:
        try:
            outcome = await self._desks.claim(claim.live, claim.ask, presence)
        except Exception:
            log.exception("claim has no answer", request_id=heading.request_id, wave=claim.live.wave.id)
            return self._ended(claim.caller, _not_known(heading), laps)
        if laps is not None:
            laps.done("decide")
        return await self._worded(claim, outcome, heading, laps)

    async def _worded(self, claim: _Claim, outcome: Outcome, heading: Heading, laps: Laps | None) -> Answer:
        try:
            answer = await self._answers.of(claim.live, claim.ask, outcome, heading.accept_language)
        except Exception:
            log.exception("claim has no answer", request_id=heading.request_id, wave=claim.live.wave.id)
            answer = _not_known(heading)
        return self._ended(claim.caller, answer, laps)

    def _refused(self, refusal: _Refusal, heading: Heading, laps: Laps | None) -> Answer:
        return self._ended(refusal.caller, refuse(refusal.problem, heading.accept_language), laps, "")

    def _ended(self, caller: Caller | Ticket | None, answer: Answer, laps: Laps | None, step: str = "render") -> Answer:
        """There is an answer: whoever was let in is told what it counts as."""
        if caller is not None:
            self._doorkeeper.answered(caller, answer)
        if laps is not None:
            laps.ended(step)
        return answer

    def _steps(self, wave: str, heading: Heading, body: bytes | Problem, laps: Laps | None) -> _Steps:
        """All that comes before the desk."""
        caller: Caller | Ticket | Problem = self._caller(heading, body)
        own: LiveWave | Problem | None = None
        if isinstance(caller, Ticket):
            own = self._board.wave(caller.wave) or (yield caller.wave)
            caller = check_ticket(own, caller, wave) or caller
        if not isinstance(caller, Problem):
            caller = self._doorkeeper.too_often(caller) or caller
        if laps is not None:
            laps.done("authenticate")
        if isinstance(caller, Problem):
            return _Refusal(caller)
        asked = body if isinstance(body, Problem) else read_claim_body(body)
        if isinstance(asked, Problem):
            return _Refusal(asked, caller)
        live = self._board.wave(wave) or (yield wave)
        claim = live if isinstance(live, Problem) else _claim(caller, own, live, asked)
        if isinstance(claim, Problem):
            return _Refusal(claim, caller)
        if laps is not None:
            laps.done("read")
        return claim

    def _caller(self, heading: Heading, body: bytes | Problem) -> Caller | Ticket | Problem:
        if heading.content_type == JSON_TYPE and not heading.content_encoding and isinstance(body, bytes):
            return self._doorkeeper.user_or_ticket(heading.authorization)  # nearly all are sent so
        return _sent_wrongly(heading, body) or self._doorkeeper.user_or_ticket(heading.authorization)


def _claim(
    caller: Caller | Ticket, own: LiveWave | Problem | None, live: LiveWave, asked: ClaimBody
) -> _Claim | Problem:
    """What to ask the desk for, or why not. `own` is the wave that a ticket was held against."""
    # Where that is this very picture of the wave, the ticket says all that there is to say of its bearer.
    asker = caller if isinstance(caller, Ticket) and own is live else asker_in(live, caller)
    if isinstance(asker, Problem):
        return asker
    if asked.request_no > 1 and asked.request_no > live.catalogue.claims_per_wave_max:
        return bad_request_no(live.catalogue.claims_per_wave_max)
    offers = offer_numbers(live, asked.offers)
    if isinstance(offers, Problem):
        return offers
    if not asker.claimant:  # nobody whom the script could count, and so nothing that could be a replay
        return not_eligible(asker.broken_rule)
    ask = Ask(live.wave.no, asked.request_no, offers, asker.claimant, asker.account, asker.broken_rule)
    return _Claim(caller, live, ask)


class _Calling(Waiting):
    """A claim of `begin` at its desk."""

    __slots__ = ("_claim", "_endpoint", "_heading", "_laps", "_listener")

    def __init__(
        self, endpoint: ClaimEndpoint, claim: _Claim, heading: Heading, laps: Laps | None, listener: Listener
    ) -> None:
        self.ask, self.is_over = claim.ask, False  # as Waiting has it, without the call
        self._endpoint = endpoint
        self._claim = claim
        self._heading = heading
        self._laps = laps
        self._listener: Listener | None = listener

    def decided(self, outcome: Outcome) -> None:
        """The answer can be given."""
        if self._listener is not None:
            self._endpoint.call_back(self._claim, outcome, self._heading, self._laps, self._listener)

    def left(self) -> None:
        """A batch may keep this for seconds; it shall not keep the client's connection."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.left()


def _not_known(heading: Heading) -> Answer:
    """Something failed that should not, after the desk was asked."""
    return refuse(Problem("outcome_unknown", extras={"id": heading.request_id}), heading.accept_language)


def _sent_wrongly(heading: Heading, body: bytes | Problem) -> Problem | None:
    """What is wrong with how the body came: too large, not JSON, too late. Broken chunks come behind who asks."""
    if isinstance(body, Problem) and body.code == "too_large":
        return body
    problem = check_media_type(heading.content_type, heading.content_encoding)
    if problem is None and isinstance(body, Problem) and body.code == "timeout":
        return body
    return problem
