"""The quick readers of a token's parts read what the slow ones of the standard library read, and nothing else."""

import base64
import json
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.gateway.identity.compact import decode_part, read_compact, strict_object
from tests.gateway.identity.issuers import token_of

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
names = st.sampled_from(["sub", "exp", "a", "://", ":", '"', "名"]) | st.text(max_size=3)
spaces = st.sampled_from(["", " ", "\n", "\t ", "\r\n"])


@st.composite
def texts(draw: st.DrawFn, depth: int = 2) -> str:
    """JSON as nobody's encoder would write it: names that stand twice, spaces anywhere, colons in texts."""
    kind = draw(st.sampled_from(["scalar", "colons", "object", "list"] if depth else ["scalar", "colons"]))
    if kind == "scalar":
        return json.dumps(draw(scalars), ensure_ascii=draw(st.booleans()))
    if kind == "colons":
        return json.dumps(draw(st.text(st.sampled_from(':/"\\a'), max_size=8)))
    if kind == "list":
        return "[" + ",".join(draw(st.lists(texts(depth - 1), max_size=3))) + "]"
    return draw(objects(depth))


@st.composite
def objects(draw: st.DrawFn, depth: int = 2) -> str:
    members = [
        f"{draw(spaces)}{json.dumps(name)}{draw(spaces)}:{draw(spaces)}{draw(texts(depth - 1))}{draw(spaces)}"
        for name in draw(st.lists(names, max_size=4))
    ]
    return "{" + ",".join(members) + "}"


def read_slowly(data: bytes) -> dict[str, Any] | None:
    """By the standard library alone."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("twice")
        return dict(pairs)

    def refuse(text: str) -> Any:
        raise ValueError(text)

    try:
        value = json.loads(data.decode(), object_pairs_hook=members, parse_constant=refuse)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _same(one: object, other: object) -> bool:
    """Equal, and of equal types all the way down: 1 is not 1.0, nor True."""
    return repr(one) == repr(other)


@settings(max_examples=400)
@given(objects())
@example('{"sub":"u1","sub" :"u2","z":"://"}')
@example('{"sub":"u1","sub" :"u2","z":"//:","y":":"}')
@example('{"a":{"b":1,"b":2}}')
@example('{"iss":"https://issuer.example/a","aud":["https://b.example:8443"],"sub":"u1","exp":1}')
@example('{"a":1e400,"b":-1e400}')
@example('{"a":123456789012345678901234567890,"b":-0,"c":-0.0,"d":1E5,"e":0.1}')
@example('{"a":"\\ud800","b":"\\ud83d\\ude00"}')
@example('{"a":NaN}')
@example("{}")
@example('{"a":[' + "[" * 2_000 + "]" * 2_000 + "]}")
def test_an_object_is_read_as_the_standard_library_reads_it(text: str) -> None:
    data = text.encode(errors="surrogatepass")
    try:
        expected = read_slowly(data)
    except RecursionError:
        expected = None
    assert _same(strict_object(data), expected)


@settings(max_examples=300)
@given(st.binary(max_size=30) | objects().map(lambda text: text.encode()[:-1]), st.binary(max_size=3))
def test_what_is_no_object_is_none(begin: bytes, end: bytes) -> None:
    for data in (
        begin + end,
        b'{"a":"' + begin + b'"}',
        b'{"a":' + begin + b"}",
        b"\xef\xbb\xbf{}",
        begin + b"{}" + end,
    ):
        assert _same(strict_object(data), read_slowly(data)), data


def test_numbers_beyond_all_measure_are_no_failure() -> None:
    assert strict_object(b'{"a":' + b"9" * 5_000 + b"}") is None
    value = strict_object(b'{"a":1e999}')
    assert value is not None
    assert math.isinf(value["a"])


@settings(max_examples=400)
@given(st.text(st.sampled_from("AQgwZ_-+/= \n\x00é1"), max_size=9) | st.text(max_size=5))
@example("QQ")
@example("QR")
@example("QQ==")
@example("Q")
@example("")
def test_a_part_has_one_spelling(part: str) -> None:
    try:
        data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        data = None
    is_spelt_right = data is not None and base64.urlsafe_b64encode(data).rstrip(b"=").decode() == part
    assert decode_part(part) == (data if is_spelt_right else None)


@given(st.binary(max_size=40))
def test_every_content_has_a_spelling(data: bytes) -> None:
    assert decode_part(base64.urlsafe_b64encode(data).rstrip(b"=").decode()) == data


@pytest.mark.parametrize("header", [b'{"alg":"HS256"}', b'{"alg":"none","typ":"JWT"}'])
def test_a_header_that_was_read_before_is_the_same(header: bytes) -> None:
    first, second = (
        read_compact(token_of(header=header)),
        read_compact(token_of({"sub": "u2", "exp": 1}, header=header)),
    )
    assert first is not None
    assert second is not None
    assert first.header == second.header == json.loads(header)
    assert first.claims != second.claims
