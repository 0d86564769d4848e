"""`/v1/ops/vouchers/…`: operators look at a voucher and take it back."""

from typing import Final

import msgspec

from engine.errors import DropwaveError, LedgerUnavailable, UsageError
from engine.gateway.answer import PRIVATE, Answer, Heading
from engine.gateway.callers import Doorkeeper
from engine.gateway.ops_bodies import read_act_body
from engine.gateway.ops_refusals import problem_of, says
from engine.gateway.parts import GatewayParts
from engine.gateway.refusals import Problem, refuse
from engine.gateway.status_objects import Members
from engine.gateway.voucher_objects import taken_back_members, voucher_members
from engine.ledger.voucher_acts import Taking
from engine.scheduling.performing import Actor

_encode: Final = msgspec.json.Encoder().encode


class OpsVouchersEndpoint:
    """One voucher, by its code. The name of who acts is the token's `sub`."""

    def __init__(self, parts: GatewayParts, doorkeeper: Doorkeeper) -> None:
        self._taking_back = parts.ops.taking_back
        self._doorkeeper = doorkeeper

    async def voucher(self, code: str, heading: Heading) -> Answer:
        """The voucher with all that was done with it."""
        caller = self._doorkeeper.viewer(heading.authorization)
        if isinstance(caller, Problem):
            return refuse(caller, heading.accept_language)
        try:
            return _fine(voucher_members(await self._taking_back.look(code)))
        except LedgerUnavailable as error:  # a look leaves nothing half done
            return refuse(Problem("busy", says(str(error))), heading.accept_language)
        except DropwaveError as error:
            return refuse(problem_of(error), heading.accept_language)

    async def take_back(self, act: Taking, code: str, heading: Heading, body: bytes) -> Answer:
        """Take it back, and tell what came of it. Again, it is the same."""
        caller = self._doorkeeper.operator(heading.authorization)
        if isinstance(caller, Problem):
            return refuse(caller, heading.accept_language)
        asked = read_act_body(body)
        if isinstance(asked, Problem):
            return refuse(asked, heading.accept_language)
        try:
            actor = Actor(caller.identity.account, asked.reason)
        except UsageError as error:
            return refuse(Problem("invalid_request", says(str(error)), {"at": "$.reason"}), heading.accept_language)
        try:
            return _fine(taken_back_members(await self._taking_back.take_back(code, act, actor.name, actor.reason)))
        except DropwaveError as error:
            return refuse(problem_of(error), heading.accept_language)


def _fine(members: Members) -> Answer:
    return Answer(200, "ok", PRIVATE, _encode(members))
