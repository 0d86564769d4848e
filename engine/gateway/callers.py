"""Who asks: the `Authorization` header against tokens, tickets, scopes, how often one has asked, and a wave's rules."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from engine.claiming.board import LiveWave
from engine.domain.eligibility import Identity, broken_rule, claimant_of
from engine.domain.tickets import Ticket, TicketBook, TicketFault
from engine.frozen import Frozen
from engine.gateway.answer import Answer, Heading, Words
from engine.gateway.identity.caller import Caller
from engine.gateway.identity.reasons import TOKEN_MISSING
from engine.gateway.identity.tokens import TokenReader
from engine.gateway.rates import GENTLE, Rates
from engine.gateway.refusals import Problem, refuse

Asking = TypeVar("Asking", bound=Caller | Ticket)

USER_SCOPE: Final = "claim"
OPS_SCOPE: Final = "ops"
MERCHANT_SCOPE: Final = "merchant"

_FORGED: Final = Problem("unauthenticated", Words("the ticket is not valid", "领取凭证无效"))
_FORBIDDEN: Final = Problem("forbidden", Words(f"this needs the scope {USER_SCOPE}", f"此操作需要权限 {USER_SCOPE}"))
_NOT_OPS: Final = Problem("forbidden", Words(f"this needs the scope {OPS_SCOPE}", f"此操作需要权限 {OPS_SCOPE}"))
_NOT_MERCHANT: Final = Problem(
    "forbidden", Words(f"this needs the scope {MERCHANT_SCOPE}", f"此操作需要权限 {MERCHANT_SCOPE}")
)
_NOT_VIEWER: Final = Problem(
    "forbidden", Words("this takes the role viewer or operator", "此操作需要角色 viewer 或 operator")
)
_NOT_OPERATOR: Final = Problem("forbidden", Words("this takes the role operator", "此操作需要角色 operator"))
_TICKET_EXPIRED: Final = Problem("ticket_expired")
TICKET_MISMATCH: Final = Problem("ticket_mismatch")
_RULE_WORDS: Final[dict[str, Words]] = {
    "city": Words("not open to users of this city", "所在城市不在活动范围内"),
    "tags": Words("not open to this group of users", "不属于活动面向的用户"),
    "list": Words("this account is not on the list", "该账号不在活动名单内"),
    "person_required": Words("the token has to name the person", "需要完成实名认证"),
}


class Asker(Frozen):
    """Who asks in a wave: the account, whom the limits count, and the rule that forbids it (or nothing)."""

    account: str
    claimant: str
    broken_rule: str


class Doorkeeper:
    """Reads `Authorization`, and slows down who asks too often. Operators and tills are not slowed down."""

    def __init__(self, tokens: TokenReader, tickets: TicketBook, rates: Rates) -> None:
        self._tokens = tokens
        self._tickets = tickets
        self._rates = rates

    def user(self, authorization: str) -> Caller | Problem:
        """The user behind a Bearer token."""
        caller = self._bearer(authorization)
        if isinstance(caller, Caller) and USER_SCOPE not in caller.scopes:
            return _FORBIDDEN
        return caller

    def merchant(self, authorization: str) -> Caller | Problem:
        """A merchant's till; its stores are those of the token."""
        caller = self._bearer(authorization)
        if isinstance(caller, Caller) and MERCHANT_SCOPE not in caller.scopes:
            return _NOT_MERCHANT
        return caller

    def viewer(self, authorization: str) -> Caller | Problem:
        """Who may see what operators see. A token without a role is a viewer's."""
        caller = self._bearer(authorization)
        if isinstance(caller, Problem):
            return caller
        if OPS_SCOPE not in caller.scopes:
            return _NOT_OPS
        return caller if caller.role in ("", "viewer", "operator") else _NOT_VIEWER

    def operator(self, authorization: str) -> Caller | Problem:
        """Who may act."""
        caller = self.viewer(authorization)
        return caller if isinstance(caller, Problem) or caller.role == "operator" else _NOT_OPERATOR

    def _bearer(self, authorization: str) -> Caller | Problem:
        scheme, _, credentials = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return TOKEN_MISSING
        return self._tokens.read(credentials.strip())

    def user_or_ticket(self, authorization: str) -> Caller | Ticket | Problem:
        """The user behind a Bearer token, or a ticket for whatever wave: `waves.check_ticket` looks at that."""
        scheme, _, credentials = authorization.partition(" ")
        if scheme != "Ticket" and scheme.lower() != "ticket":
            return self.user(authorization)
        ticket = self._tickets.read(credentials.strip())
        if isinstance(ticket, Ticket):
            return ticket
        return _TICKET_EXPIRED if ticket is TicketFault.KEY_GONE else _FORGED

    def too_often(self, caller: Caller | Ticket) -> Problem | None:
        """`too_many_requests`, where it is. Asked once for each request, when it is settled who asks."""
        return self._rates.user(caller.account if type(caller) is Ticket else _account_of(caller))

    def answered(self, caller: Caller | Ticket, answer: Answer) -> None:
        """What came of it: replays, and refusals that are no fault of who asks, hardly count (`rates.GENTLE`)."""
        if answer.outcome in GENTLE:
            self._rates.user_answered(_account_of(caller), answer.outcome)

    async def let_in(
        self, caller: Asking | Problem, heading: Heading, answer: Callable[[Asking], Awaitable[Answer]]
    ) -> Answer:
        """The answer for this caller, unless it is a refusal because of who asks, or how often."""
        if isinstance(caller, Problem):
            return refuse(caller, heading.accept_language)
        problem = self.too_often(caller)
        if problem is not None:
            return refuse(problem, heading.accept_language)
        given = await answer(caller)
        self.answered(caller, given)
        return given


def _account_of(caller: Caller | Ticket) -> str:
    return caller.account if isinstance(caller, Ticket) else caller.identity.account


def asker_in(live: LiveWave, caller: Caller | Ticket) -> Asker | Problem:
    """What the caller is in that wave. A ticket carries its verdict; a token is held against the rules now."""
    if isinstance(caller, Caller):
        return asker_of(live, caller.identity)
    return ticket_problem(live, caller) or Asker(caller.account, caller.claimant, caller.broken_rule)


def ticket_problem(live: LiveWave, ticket: Ticket) -> Problem | None:
    """Why a ticket does not let into the wave that it names."""
    if ticket.campaign != live.catalogue.id:
        return TICKET_MISMATCH
    if ticket.by != live.catalogue.by:
        return _TICKET_EXPIRED  # it counts the account where persons are counted now, or the other way round
    if ticket.issued_ms < live.state.void_before_ms:
        return _TICKET_EXPIRED
    return None


def asker_of(live: LiveWave, identity: Identity) -> Asker:
    """What this identity is in that wave, by the rules of campaign and wave."""
    by, own = live.catalogue.by, live.wave.eligibility
    rules = (live.catalogue.eligibility,) if own is None else (live.catalogue.eligibility, own)
    return Asker(identity.account, claimant_of(identity, by), broken_rule(identity, by, rules) or "")


def not_eligible(rule: str) -> Problem:
    """The refusal that names the rule."""
    return Problem("not_eligible", _RULE_WORDS.get(rule), {"rule": rule})
