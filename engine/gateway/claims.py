"""A claim, from the header and body that came to the answer that goes.

The steps, in the order in which a refusal can come of them: how the body is sent, who asks and how often, what is
asked, in which wave and for which offers; then the desk, whose outcome `outcomes` puts into words.

They are written down once (`ClaimEndpoint._steps`) and taken in two ways: `answer` is a coroutine, for whoever has a
task for each request; `begin` takes them at once and is called back by the desk, which saves a crowd a task and a
future each.
"""

import structlog
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


class _Visit(Waiting):
    """One claim on its way: through the steps, and then at its desk."""

    __slots__ = ("body", "caller", "endpoint", "found", "heading", "laps", "listener", "live", "own", "refusal", "wave")

    def __init__(
        self,
        endpoint: "ClaimEndpoint",
        wave: str,
        heading: Heading,
        body: bytes | Problem,
        laps: Laps | None,
        listener: Listener | None = None,
    ) -> None:
        self.is_over = False  # as Waiting has it; `ask` comes of the steps
        self.endpoint = endpoint
        self.wave = wave
        self.heading = heading
        self.body = body
        self.laps = laps
        self.listener = listener
        self.caller: Caller | Ticket | None = None
        """Who asks, once that is known and may be heard."""
        self.own: LiveWave | Problem | None = None
        """The wave that a ticket was held against."""
        self.live: LiveWave | None = None
        self.found: LiveWave | Problem | None = None
        """The wave that the steps have wanted."""
        self.refusal: Problem | None = None

    def lap(self, step: str) -> None:
        """A step has ended, of one that is measured or traced."""
        if self.laps is not None:
            self.laps.done(step)

    def decided(self, outcome: Outcome) -> None:
        """The answer can be given."""
        if self.listener is not None:
            self.endpoint.call_back(self, outcome, self.listener)

    def left(self) -> None:
        """A batch may keep this for seconds; it shall not keep the client's connection."""
        listener, self.listener = self.listener, None
        if listener is not None:
            listener.left()


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
        visit = _Visit(self, wave, heading, body, self._laps.next(heading))
        answer = await self._looked_up(visit, self._steps(visit), presence)
        return replace(answer, close=True) if isinstance(body, Problem) else answer

    def begin(self, wave: str, heading: Heading, body: bytes, presence: Presence, listener: Listener) -> None:
        """As `answer`, told to the listener, perhaps before this returns; no task waits for it, mostly."""
        visit = _Visit(self, wave, heading, body, self._laps.next(heading), listener)
        wanted = self._steps(visit)
        if wanted is not None:
            self._aside.wait_for(self._looked_up(visit, wanted, presence), heading, listener)
        elif visit.live is None:
            listener.answered(self._refused(visit))
        elif not self._desks.ask(visit.live, visit, presence):
            self._aside.wait_for(self._asked(visit, visit.live, presence), heading, listener)

    def call_back(self, visit: _Visit, outcome: Outcome, listener: Listener) -> None:
        """The desk has called: tell the listener."""
        assert visit.live is not None
        heading = visit.heading
        if visit.laps is not None:
            visit.laps.done("decide")
        try:
            answer = self._answers.at_hand(visit.live, visit.ask, outcome, heading.accept_language)
        except LookupError:  # terms that are newer than the board
            self._aside.wait_for(self._worded(visit, visit.live, outcome), heading, listener)
            return
        except Exception:
            log.exception("claim has no answer", request_id=heading.request_id, wave=visit.wave)
            answer = _not_known(heading)
        listener.answered(self._ended(visit, answer))

    async def _looked_up(self, visit: _Visit, wanted: str | None, presence: Presence | None) -> Answer:
        """The answer behind the steps, which have got as far as to want that wave."""
        while wanted is not None:
            visit.found = await find_wave(self._board, wanted)
            wanted = self._steps(visit)
        return self._refused(visit) if visit.live is None else await self._asked(visit, visit.live, presence)

    async def _asked(self, visit: _Visit, live: LiveWave, presence: Presence | None) -> Answer:
        try:
            outcome = await self._desks.claim(live, visit.ask, presence)
        except Exception:
            log.exception("claim has no answer", request_id=visit.heading.request_id, wave=visit.wave)
            return self._ended(visit, _not_known(visit.heading))
        visit.lap("decide")
        return await self._worded(visit, live, outcome)

    async def _worded(self, visit: _Visit, live: LiveWave, outcome: Outcome) -> Answer:
        try:
            answer = await self._answers.of(live, visit.ask, outcome, visit.heading.accept_language)
        except Exception:
            log.exception("claim has no answer", request_id=visit.heading.request_id, wave=visit.wave)
            answer = _not_known(visit.heading)
        return self._ended(visit, answer)

    def _refused(self, visit: _Visit) -> Answer:
        assert visit.refusal is not None
        return self._ended(visit, refuse(visit.refusal, visit.heading.accept_language), "")

    def _ended(self, visit: _Visit, answer: Answer, step: str = "render") -> Answer:
        """There is an answer: whoever was let in is told what it counts as."""
        if visit.caller is not None:
            self._doorkeeper.answered(visit.caller, answer)
        if visit.laps is not None:
            visit.laps.ended(step)
        return answer

    def _steps(self, visit: _Visit) -> str | None:
        """All that comes before the desk. Behind it the visit has `live` and `ask`, or else `refusal`.

        Or else the id of a wave that is not on the board: to be called again when `found` has what `find_wave` found.
        """
        if visit.caller is None:
            wanted = self._let_in(visit)
            if wanted is not None or visit.refusal is not None:
                return wanted
        return self._read(visit)

    def _let_in(self, visit: _Visit) -> str | None:
        """Who asks, and how often: `caller` and `own`. Nothing is noted of it before a wave is wanted."""
        caller, own = self._caller(visit.heading, visit.body), visit.own
        if type(caller) is Ticket:
            own = visit.found or self._board.wave(caller.wave)
            if own is None:
                return caller.wave
            caller = check_ticket(own, caller, visit.wave) or caller
        if type(caller) is not Problem:
            caller = self._doorkeeper.too_often(caller) or caller
        if visit.laps is not None:
            visit.laps.done("authenticate")
        if type(caller) is Problem:
            visit.refusal = caller
        else:
            visit.caller, visit.own = caller, own
        return None

    def _read(self, visit: _Visit) -> str | None:
        """What is asked, in which wave and for which offers."""
        body, own, caller = visit.body, visit.own, visit.caller
        assert caller is not None
        asked = body if type(body) is Problem else read_claim_body(body)
        if type(asked) is Problem:
            visit.refusal = asked
            return None
        # A ticket is for the wave that is asked for, or would have been refused.
        live: LiveWave | Problem | None = own if type(own) is LiveWave else visit.found or self._board.wave(visit.wave)
        if live is None:
            return visit.wave
        if type(live) is Problem:
            visit.refusal = live
            return None
        ask = _ask(caller, own, live, asked)
        if type(ask) is Problem:
            visit.refusal = ask
        else:
            visit.live, visit.ask = live, ask
            if visit.laps is not None:
                visit.laps.done("read")
        return None

    def _caller(self, heading: Heading, body: bytes | Problem) -> Caller | Ticket | Problem:
        if heading.content_type == JSON_TYPE and not heading.content_encoding and isinstance(body, bytes):
            return self._doorkeeper.user_or_ticket(heading.authorization)  # nearly all are sent so
        return _sent_wrongly(heading, body) or self._doorkeeper.user_or_ticket(heading.authorization)


def _ask(caller: Caller | Ticket, own: LiveWave | Problem | None, live: LiveWave, asked: ClaimBody) -> Ask | Problem:
    """What to ask the desk for, or why not. `own` is the wave that a ticket was held against."""
    # Where that is this very picture of the wave, the ticket says all that there is to say of its bearer.
    asker = caller if type(caller) is Ticket and own is live else asker_in(live, caller)
    if type(asker) is Problem:
        return asker
    if asked.request_no > 1 and asked.request_no > live.catalogue.claims_per_wave_max:
        return bad_request_no(live.catalogue.claims_per_wave_max)
    offers = offer_numbers(live, asked.offers)
    if type(offers) is Problem:
        return offers
    if not asker.claimant:  # nobody whom the script could count, and so nothing that could be a replay
        return not_eligible(asker.broken_rule)
    return Ask(live.wave.no, asked.request_no, offers, asker.claimant, asker.account, asker.broken_rule)


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
