"""Bodies that have to be a JSON object: UTF-8 and RFC 8259 to the letter, no key twice, and words for what is wrong."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.gateway.bodies import ClaimBody, read_claim_body
from engine.gateway.json_objects import PATH_SHOWN_MAX, read_object
from engine.gateway.ops_bodies import read_act_body, read_campaign_body
from engine.gateway.refusals import Problem

JSON = "application/json"
TWICE = "this key stands twice in its object"


def refusal(body: bytes) -> tuple[str, str]:
    """Where and what, of a body that has to be refused."""
    problem = read_object(body)
    assert isinstance(problem, Problem), body[:80]
    assert problem.code == "invalid_request"
    assert problem.extras
    assert problem.detail
    assert problem.detail.zh
    return problem.extras["at"], problem.detail.en


@pytest.mark.parametrize(
    ("body", "at"),
    [
        (b'{"offer":"a","offer":"a"}', "$.offer"),
        (b'{"offer":"a","offer":"b"}', "$.offer"),
        (b'{"offer":"a","o\\u0066fer":"b"}', "$.offer"),  # another spelling of the same key
        (b'{"a:b":1,"offer":"x","a:b":2}', '$["a:b"]'),
        (b'{"offer":"a","more":{"x":{"y":1,"y":2}}}', "$.more.x.y"),
        (b'{"offer":"a","more":[0,[{"y":1,"y":2}]]}', "$.more[1][0].y"),
        (b'{"offer":"a","":1,"":2}', '$[""]'),
        (b'{"offer":"a","\xe5\x88\xb8":1,"\\u5238":2}', '$["券"]'),
        (b'{"' + b"k" * 3_000 + b'":1,"' + b"k" * 3_000 + b'":2}', f'$["{"k" * 64}…"]'),
        # one key less and one colon more: the counts of colons and members must not even out
        (b'{"a":{},"offer":":","offer":"b"}', "$.offer"),
        (b'{"x":{"a":1,"a":2},"x":3}', "$.x"),  # the value that was dropped counts too
    ],
)
def test_a_key_that_stands_twice(body: bytes, at: str) -> None:
    assert refusal(body) == (at, TWICE)


@pytest.mark.parametrize(
    "body",
    [
        b'{"offer":"a"}',
        b'{"offer":"a:b:c"}',
        b'{"offer":"a","offers:":[],"OFFER":"b"}',
        b'{"offer":"a","more":{"offer":"b"},"list":[{"offer":1},{"offer":2}]}',
        b'{"offer":"a","n":123456789012345678901234567890,"f":1.5e300}',
        b' \t\r\n{ "offer" : "a" } \n',
    ],
)
def test_no_key_stands_twice(body: bytes) -> None:
    assert read_object(body) == json.loads(body)


KEYS = st.sampled_from(["a", "b", "a:", ":", ""])


@given(
    st.recursive(
        st.sampled_from(["1", '":"', '"a:b"', "null"]),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda items: "[" + ",".join(items) + "]"),
            st.lists(st.tuples(KEYS, inner), max_size=3).map(
                lambda pairs: "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in pairs) + "}"
            ),
        ),
        max_leaves=8,
    )
)
def test_what_counting_colons_lets_through_has_no_key_twice(text: str) -> None:
    repeats: list[bool] = []

    def pairs(members: list[tuple[str, object]]) -> object:
        repeats.append(len({key for key, _ in members}) < len(members))
        return dict(members)

    tree = json.loads(text, object_pairs_hook=pairs)
    if isinstance(tree, dict):
        assert isinstance(read_object(text.encode()), Problem) == any(repeats)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "truncated"),
        (b'\xef\xbb\xbf{"offer":"a"}', "byte order mark"),
        ('{"offer":"a"}'.encode("utf-16"), "byte order mark"),
        ('{"offer":"a"}'.encode("utf-16-le"), "byte 1"),
        ('{"offer":"a"}'.encode("utf-32-be"), "byte 0"),
        (b'{"offer":"\xed\xa0\x80"}', "byte 10 is not UTF-8"),  # half of a pair, as bytes
        (b'{"offer":"\xc0\xaf"}', "byte 10 is not UTF-8"),  # a slash in two bytes
        (b'{"offer":"\\ud800xxxxxx"}', ""),
        (b'{"offer":"\\ud800\\ud800"}', "surrogate"),
        (b'{"\\udc00":1}', "surrogate"),
        (b'{"offer":"a\x00b"}', "byte 11"),
        (b'{"offer":"a"}\x00', "trailing"),
        (b'{"offer":"a"}{}', "trailing"),
        (b'{"offer":"a",}', "comma"),
        (b'{"offer":NaN}', "byte 9"),
        (b'{"offer":-Infinity}', "byte 10"),
        (b'{"offer":1e400}', "out of range"),
        (b'{"offer":' + b"9" * 5_000 + b"}", "out of range"),
        (b'{"offer":01}', "number"),
        (b"{'offer':'a'}", "keys must be strings"),
        (b'/**/{"offer":"a"}', "byte 0"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'[{"a":1}]', "has to be a JSON object"),
        (b"true", "has to be a JSON object"),
    ],
)
def test_what_is_no_object_says_why(body: bytes, what: str) -> None:
    at, detail = refusal(body)
    assert at == "$"
    assert what in detail
    assert isinstance(read_claim_body(body), Problem)


def test_a_place_far_down_is_cut() -> None:
    depth = 200
    at, detail = refusal(b'{"filling":' * depth + b'{"a":1,"a":2}' + b"}" * depth)
    assert detail == TWICE
    assert len(at) == PATH_SHOWN_MAX + 1
    assert at.startswith("$.filling.filling")


def test_minus_nothing_is_nothing_and_a_whole_number_has_no_point() -> None:
    assert read_claim_body(b'{"offer":"a","request_no":1}') == ClaimBody(("a",), 1)
    for number in (b"-0", b"1.0", b"1e0", b"true", b'"1"', b"9223372036854775808", b"-9223372036854775809"):
        problem = read_claim_body(b'{"offer":"a","request_no":%b}' % number)
        assert isinstance(problem, Problem)
        assert problem.extras == {"at": "$.request_no"}


def test_what_operators_send_has_no_key_twice_either() -> None:
    act = read_act_body(b'{"reason":"rain","stock":{"a":1,"a":2}}')
    assert isinstance(act, Problem)
    assert act.extras == {"at": "$.stock.a"}
    sent = read_campaign_body(JSON, b'{"file":"campaign: a","lists":{"vip":"u1","vip":"u2"}}')
    assert isinstance(sent, Problem)
    assert sent.extras == {"at": "$.lists.vip"}
    # A campaign sent as JSON is read as YAML, which knows the line of a key that stands twice.
    whole = read_campaign_body(JSON, b'{"campaign":"a","campaign":"b"}')
    assert not isinstance(whole, Problem)
    assert whole.text.count("campaign") == 2
