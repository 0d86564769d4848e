"""Every operation of the gateway, and which refusals each can give."""

from typing import Final

from engine.gateway.address_gate import PROBES
from engine.gateway.openapi.card_operations import CARD_OPERATIONS
from engine.gateway.openapi.claim_operations import CLAIM_OPERATIONS
from engine.gateway.openapi.operation import Operation, Who
from engine.gateway.openapi.ops_operations import OPS_OPERATIONS
from engine.gateway.openapi.ops_voucher_operations import OPS_VOUCHER_OPERATIONS
from engine.gateway.openapi.page_operations import PAGE_OPERATIONS
from engine.gateway.openapi.quote_operations import QUOTE_OPERATIONS
from engine.gateway.openapi.shop_operations import SHOP_OPERATIONS
from engine.gateway.openapi.statement_operations import STATEMENT_OPERATIONS
from engine.gateway.problems import KINDS

OPERATIONS: Final[tuple[Operation, ...]] = (
    *CLAIM_OPERATIONS,
    *CARD_OPERATIONS,
    *SHOP_OPERATIONS,
    *QUOTE_OPERATIONS,
    *PAGE_OPERATIONS,
    *OPS_OPERATIONS,
    *OPS_VOUCHER_OPERATIONS,
    *STATEMENT_OPERATIONS,
)

BEFORE_ROUTING: Final = frozenset({"headers_too_large", "timeout", "busy"})
"""What any request can meet before it is looked at: it is too large or too slow, or too many are connected."""
ON_ANY_ROUTE: Final = frozenset({"too_large", "too_many_requests", "invalid_request", "internal"})
"""What any address can answer: more is announced (`Expect: 100-continue`) than is read, too much comes from one client,
the request contradicts itself, a failure."""
_ANY_BODY: Final = frozenset({"unsupported_media_type"})
_TOKEN: Final = frozenset({"unauthenticated", "token_expired", "forbidden"})
_TICKET: Final = frozenset({"ticket_expired", "ticket_mismatch"})
_BY_WHO: Final[dict[Who, frozenset[str]]] = {
    "anybody": frozenset(),
    "user": _TOKEN,
    "user_or_ticket": _TOKEN | _TICKET,
    "merchant": _TOKEN,
    "viewer": _TOKEN,
    "operator": _TOKEN,
}
_RANK: Final = {code: rank for rank, code in enumerate(KINDS)}


def on_route(operation: Operation) -> frozenset[str]:
    """The codes that this operation shares with others, as far as they come once the address was read."""
    codes = ON_ANY_ROUTE | _BY_WHO[operation.who] | (_ANY_BODY if operation.sent else frozenset())
    return codes - {"too_many_requests"} if operation.path in PROBES else codes


def refusals_of(operation: Operation) -> dict[int, tuple[str, ...]]:
    """The codes that this operation can refuse with, by status, each in the order in which they are looked at."""
    codes = operation.refusals | BEFORE_ROUTING | on_route(operation)
    found: dict[int, tuple[str, ...]] = {}
    for code in sorted(codes, key=_RANK.__getitem__):
        status = KINDS[code].status
        found[status] = (*found.get(status, ()), code)
    return found
