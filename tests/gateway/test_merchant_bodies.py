"""A redemption as most tills send it is read by a shorter way, to the same end."""

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.domain.redemption import AMOUNT_MAX, Line
from engine.gateway.merchant_bodies import CODE_LENGTH_MAX, NUMBER_LENGTH_MAX, read_redemption_body
from engine.gateway.refusals import Problem

PLAIN: dict[str, Any] = {
    "code": "HB7K2M9P4R6T8WXQ",
    "store": "mall",
    "clerk": "li",
    "amount": 20_000,
    "request_no": "q1",
}
NUMBERS = {"order_no": "o1", "payment_no": "p1"}
TEXTS = ["", "a:b", "武汉", "\u3000", " ", "\x7f", "a\nb", "a\r\n", "\t", '"\\']
LONG_TEXTS = ["x" * length for most in (NUMBER_LENGTH_MAX, CODE_LENGTH_MAX) for length in (most, most + 1)]
OTHERS: list[Any] = [0, -1, AMOUNT_MAX, AMOUNT_MAX + 1, 1.0, 2.5, True, None, [], {}, [{"amount": 20_000}]]
VALUES: st.SearchStrategy[Any] = st.sampled_from([*TEXTS, *LONG_TEXTS, *OTHERS])
NAMES = st.sampled_from([*PLAIN, *NUMBERS, "lines", "more"])
Members = list[tuple[str, Any]]


def written(members: Members) -> bytes:
    """The object, with a key twice where it is there twice."""
    return b"{%s}" % b",".join(f"{json.dumps(name)}:{json.dumps(value)}".encode() for name, value in members)


@given(
    changed=st.dictionaries(NAMES, VALUES, max_size=2),
    dropped=st.sets(st.sampled_from([*PLAIN, *NUMBERS]), max_size=2),
    repeated=st.lists(st.tuples(NAMES, VALUES), max_size=1),
)
@example(changed={}, dropped=set(), repeated=[])
@example(changed={}, dropped=set(NUMBERS), repeated=[])
@example(changed={}, dropped=set(), repeated=[("store", "mall")])
@example(changed={"order_no": ""}, dropped=set(), repeated=[])
@example(changed={"clerk": "\x7f"}, dropped=set(), repeated=[])
@example(changed={"amount": 1.0}, dropped=set(), repeated=[])
def test_both_ways_end_alike(changed: dict[str, Any], dropped: set[str], repeated: Members) -> None:
    members = [*(PLAIN | NUMBERS | changed).items()]
    members = [(name, value) for name, value in members if name not in dropped] + repeated
    assert read_redemption_body(written(members)) == read_redemption_body(written([*members, ("unknown", 0)]))


@given(body=st.binary(max_size=40) | st.just(b"[" * 5_000))
def test_what_is_no_redemption_is_refused(body: bytes) -> None:
    assert getattr(read_redemption_body(body), "code", "") == "invalid_request"


def test_what_scanners_and_serialisers_send_beside_it_means_nothing() -> None:
    """Enter or a tab around the code; null for what is not there."""
    plain = read_redemption_body(json.dumps(PLAIN).encode())
    assert not isinstance(plain, Problem)
    for before, after in (("", "\n"), ("", "\r\n"), ("\t", "\t")):
        scanned = PLAIN | {"code": f"{before}{PLAIN['code']}{after}"}
        assert read_redemption_body(json.dumps(scanned).encode()) == plain
    empty = PLAIN | {"order_no": None, "payment_no": None, "lines": None}
    assert read_redemption_body(json.dumps(empty).encode()) == plain
    lines = PLAIN | {"lines": [{"id": None, "amount": 20_000}]}
    assert read_redemption_body(json.dumps(lines).encode()) == replace(plain, lines=(Line(20_000),))
    for name in PLAIN:
        assert isinstance(read_redemption_body(json.dumps(PLAIN | {name: None}).encode()), Problem), name
