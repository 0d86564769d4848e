"""`/v1/ops/waves/…`, `/v1/ops/stop-all` and `start-all`: operators look at waves and act on them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from engine.errors import CannotRun, DropwaveError, HotStoreError, LedgerError, UnknownWave, UsageError
from engine.gateway.answer import PRIVATE, Answer, Heading, Words
from engine.gateway.callers import Doorkeeper
from engine.gateway.ops_bodies import ActBody, read_act_body
from engine.gateway.ops_objects import done_members, live_members, results_members, seen_members, verdict_members
from engine.gateway.ops_refusals import problem_of, says
from engine.gateway.parts import GatewayParts
from engine.gateway.refusals import Problem, refuse
from engine.gateway.status_objects import Members
from engine.gateway.waves import find_wave
from engine.scheduling.operations import CampaignResult, Done, Operations
from engine.scheduling.performing import Actor

Act = Callable[[str, ActBody, Actor], Awaitable[Done | Problem]]

_AUDIT_RUNS: Final = Problem("busy", Words("another audit is under way here", "另一项审计正在进行"))
_encode: Final = msgspec.json.Encoder().encode


class ActsEndpoint:
    """Acts on waves, and what operators see of them. The name of who acts is the token's `sub`."""

    def __init__(self, parts: GatewayParts, doorkeeper: Doorkeeper) -> None:
        self._board = parts.board
        self._operations: Operations = parts.ops.operations
        self._audit = parts.ops.audit
        self._doorkeeper = doorkeeper
        self._auditing = asyncio.Lock()
        operations = self._operations
        self._acts: dict[str, Act] = {
            "pause": lambda wave, _, actor: operations.pause(wave, actor),
            "resume": lambda wave, _, actor: operations.resume(wave, actor),
            "close": lambda wave, _, actor: operations.close(wave, actor),
            "cancel": lambda wave, _, actor: operations.cancel(wave, actor),
            "restock": self._restock,
            "move": self._move,
            "void-tickets": self._void_tickets,
        }

    @property
    def acts(self) -> Sequence[str]:
        """Names of the acts on a wave, as they stand in addresses."""
        return tuple(self._acts)

    async def wave(self, wave: str, heading: Heading) -> Answer:
        """One wave as operators see it: of the hot store, else of the ledger."""
        caller = self._doorkeeper.viewer(heading.authorization)
        if isinstance(caller, Problem):
            return refuse(caller, heading.accept_language)
        try:
            return _fine(seen_members(await self._operations.look(wave)))
        except UnknownWave:
            live = await find_wave(self._board, wave)
            if isinstance(live, Problem):
                return refuse(live, heading.accept_language)
            return _fine(live_members(live, self._board.store_time_ms()))
        except DropwaveError as error:
            problem = problem_of(error)
            if problem.code == "act_incomplete":  # the answer to a look was lost: nothing is left half done
                problem = Problem("busy", problem.detail)
            return refuse(problem, heading.accept_language)

    async def act(self, act: str, wave: str, heading: Heading, body: bytes) -> Answer:
        """Do it, and tell what came of it."""
        actor = self._actor(heading, body)
        if isinstance(actor, Problem):
            return refuse(actor, heading.accept_language)
        try:
            done = await self._acts[act](wave, actor[1], actor[0])
        except UnknownWave as error:
            return refuse(await self._not_there(wave, error), heading.accept_language)
        except DropwaveError as error:
            return refuse(problem_of(error), heading.accept_language)
        if isinstance(done, Problem):
            return refuse(done, heading.accept_language)
        return _fine(done_members(done))

    async def _not_there(self, wave: str, error: UnknownWave) -> Problem:
        """The hot store has no such wave: there is none, or it is being loaded."""
        live = await find_wave(self._board, wave)
        if isinstance(live, Problem):
            return problem_of(error) if live.code == "unknown_wave" else live
        return Problem("recovering") if self._board.expects(live.catalogue) else problem_of(error)

    async def everywhere(self, act: str, heading: Heading, body: bytes) -> Answer:
        """`stop-all` or `start-all`. 503 with every result where a campaign could not be reached."""
        actor = self._actor(heading, body)
        if isinstance(actor, Problem):
            return refuse(actor, heading.accept_language)
        perform = self._operations.stop_all if act == "stop-all" else self._operations.start_all
        try:
            results = await perform(actor[0])
        except DropwaveError as error:
            return refuse(problem_of(error), heading.accept_language)
        members = results_members(act, results)
        if any(each.done is None for each in results):
            return refuse(Problem("act_incomplete", _not_reached(results), members), heading.accept_language)
        return _fine(members)

    async def audit(self, wave: str, heading: Heading) -> Answer:
        """The verdict on one wave, from the stores. One at a time: it reads every claim of the campaign."""
        caller = self._doorkeeper.viewer(heading.authorization)
        if isinstance(caller, Problem):
            return refuse(caller, heading.accept_language)
        live = await find_wave(self._board, wave)
        if isinstance(live, Problem):
            return refuse(live, heading.accept_language)
        if self._auditing.locked():
            return refuse(_AUDIT_RUNS, heading.accept_language)
        async with self._auditing:
            try:
                return _fine(verdict_members(await self._audit(live.catalogue.id, wave)))
            except UsageError as error:  # it has left its campaign since
                return refuse(Problem("unknown_wave", says(str(error))), heading.accept_language)
            except (HotStoreError, LedgerError, CannotRun) as error:
                return refuse(Problem("busy", says(str(error))), heading.accept_language)

    def _actor(self, heading: Heading, body: bytes) -> tuple[Actor, ActBody] | Problem:
        caller = self._doorkeeper.operator(heading.authorization)
        if isinstance(caller, Problem):
            return caller
        asked = read_act_body(body)
        if isinstance(asked, Problem):
            return asked
        try:
            return Actor(caller.identity.account, asked.reason), asked
        except UsageError as error:
            return Problem("invalid_request", says(str(error)), {"at": "$.reason"})

    async def _restock(self, wave: str, body: ActBody, actor: Actor) -> Done | Problem:
        stock = body.stock()
        return stock if isinstance(stock, Problem) else await self._operations.restock(wave, stock, actor)

    async def _move(self, wave: str, body: ActBody, actor: Actor) -> Done | Problem:
        opens_at, closes_at = body.text("opens_at"), body.text("closes_at")
        for text in (opens_at, closes_at):
            if isinstance(text, Problem):
                return text
        if not opens_at:
            return Problem("invalid_request", says("opens_at is missing"), {"at": "$.opens_at"})
        assert isinstance(opens_at, str)
        assert not isinstance(closes_at, Problem)
        return await self._operations.move(wave, opens_at, closes_at, actor)

    async def _void_tickets(self, wave: str, body: ActBody, actor: Actor) -> Done | Problem:
        before = body.text("before")
        return before if isinstance(before, Problem) else await self._operations.void_tickets(wave, before, actor)


def _not_reached(results: Sequence[CampaignResult]) -> Words:
    count, all_of_them = sum(each.done is None for each in results), len(results)
    return Words(
        f"{count} of {all_of_them} campaigns could not be reached: do it again",
        f"{all_of_them} 个活动中有 {count} 个未能完成，请重试",
    )


def _fine(members: Members) -> Answer:
    return Answer(200, "ok", PRIVATE, _encode(members))
