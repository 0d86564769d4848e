"""Every operation of the gateway, and which refusals each can give."""

from typing import Final

from engine.gateway.openapi.claim_operations import CLAIM_OPERATIONS
from engine.gateway.openapi.operation import Operation, Who
from engine.gateway.openapi.ops_operations import OPS_OPERATIONS
from engine.gateway.openapi.page_operations import PAGE_OPERATIONS
from engine.gateway.problems import KINDS

OPERATIONS: Final[tuple[Operation, ...]] = (*CLAIM_OPERATIONS, *PAGE_OPERATIONS, *OPS_OPERATIONS)
BY_KEY: Final = {operation.key: operation for operation in OPERATIONS}

_ANY_REQUEST: Final = frozenset({"too_large", "headers_too_large", "invalid_request", "internal"})
"""Any request can be malformed, or announce (`Expect: 100-continue`) more than is read."""
_ANY_BODY: Final = frozenset({"unsupported_media_type", "timeout"})
_TOKEN: Final = frozenset({"unauthenticated", "token_expired", "forbidden"})
_TICKET: Final = frozenset({"ticket_expired", "ticket_mismatch"})
_BY_WHO: Final[dict[Who, frozenset[str]]] = {
    "anybody": frozenset(),
    "user": _TOKEN,
    "user_or_ticket": _TOKEN | _TICKET,
    "viewer": _TOKEN,
    "operator": _TOKEN,
}
_RANK: Final = {code: rank for rank, code in enumerate(KINDS)}


def refusals_of(operation: Operation) -> dict[int, tuple[str, ...]]:
    """The codes that this operation can refuse with, by status, each in the order in which they are looked at."""
    codes = operation.refusals | _ANY_REQUEST | _BY_WHO[operation.who] | (_ANY_BODY if operation.sent else frozenset())
    found: dict[int, tuple[str, ...]] = {}
    for code in sorted(codes, key=_RANK.__getitem__):
        status = KINDS[code].status
        found[status] = (*found.get(status, ()), code)
    return found
