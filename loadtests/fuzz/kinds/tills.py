"""What tills send, spoilt: redemptions, locks, refunds. None of it names a voucher or a store of its token, so none of it
may be done."""

import json
from random import Random
from typing import Any, Final

from loadtests.fuzz.cases import Case, one
from loadtests.fuzz.kinds.bodies import spoilt_json
from loadtests.fuzz.kit import Kit

_NOTHING: Final = "0" * 32
_ORDER: Final[dict[str, Any]] = {
    "code": "7ZZS-5N2C-NT57-50W5",
    "store": "s-1",
    "clerk": "li",
    "order_no": "o",
    "payment_no": "p",
    "amount": 3,
    "lines": [{"id": "a", "amount": 1}, {"id": "b", "amount": 2}],
    "request_no": "q",
}
_REFUND: Final[dict[str, Any]] = {"clerk": "li", "by": "user", "completed": True, "amount": 1, "request_no": "q"}
_ASKED: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("redemptions", _ORDER),
    ("locks", _ORDER | {"hold_ms": 1_000}),
    (f"redemptions/r-{_NOTHING}/reversal", _REFUND),
    (f"locks/l-{_NOTHING}/release", {"clerk": "li"}),
    ("redemptions/%FF/reversal", _REFUND),
    (f"locks/{'9' * 900}/release", {"clerk": "li"}),
)
_VALUES: Final[tuple[Any, ...]] = (
    None, True, 0, -1, 1, 1.5, 1e300, 1 << 53, (1 << 53) + 1, 1 << 70, "", " ", "x" * 65, "x" * 5_000, "\x00", "a\nb",
    "\u202e", "券", [], {}, [None], [{}], [{"amount": -1}], [{"amount": 3, "id": 7}], [{"amount": 3}] * 101, [[[]]], "merchant",
    "'; drop table vouchers; --", "%s", "\ud800",
)  # fmt: skip
_REFUSED: Final = frozenset({"invalid_request", "forbidden", "unknown_redemption", "unknown_lock", "not_found"})


def bad_tills(draw: Random, kit: Kit, number: int) -> Case:
    """A request of a till with something wrong in it, or for a store that its token does not name."""
    path, right = draw.choice(_ASKED)
    match draw.randrange(4):
        case 0:
            body = spoilt_json(draw, kit, number).data.partition(b"\r\n\r\n")[2]
        case 1:
            name = draw.choice(list(right))
            body = json.dumps({key: value for key, value in right.items() if key != name}).encode()
        case _:
            body = json.dumps(right | {draw.choice(list(right)): draw.choice(_VALUES)}).encode()
    token = kit.token(number, "merchant")
    extra = b"Authorization: Bearer %b\r\nContent-Type: application/json\r\n" % token
    target = b"/v1/merchant/%b" % path.encode()
    return one(number, "", kit.request(b"POST", target, b"%d" % number, extra, body or b" "), _REFUSED)
