"""Claims whose framing is right and whose body is not."""

import json
from collections.abc import Callable
from math import isinf
from random import Random
from typing import Any, Final

from loadtests.fuzz.cases import Case, one
from loadtests.fuzz.kit import Kit

BODY_BYTES_MAX: Final = 8_192
DEPTH_SURE: Final = 100
"""Readers may differ in how deep they go from here on."""
DIGITS_SURE: Final = 1_000

_INVALID: Final = frozenset({"invalid_request"})
_TOO_LARGE: Final = frozenset({"too_large"})
_UNSURE: Final = frozenset({"invalid_request", "unknown_offer", "201"})
_VALUES: Final = (
    b"null", b"true", b"1", b"-1", b"1.0", b"1e0", b"-0", b"0", b"33", b"2", b"1e400", b"NaN", b"-Infinity", b"01", b"+1",
    b".5", b"5.", b'""', b'"\\u0000"', b"[]", b"[[]]", b"{}", b'["",""]', b"9223372036854775808", b"18446744073709551616",
    b"-9223372036854775809", b"9" * 400, b"9" * 5_000, b"'a'", b'"\\ud800"', b'"\\udc00\\ud800"', b'"\xed\xa0\x80"',
    b'"\xc0\xaf"', b'"\xff"', b'"a\x00b"', b'"\t"', b'"' + b"x" * 7_000 + b'"', b'"\\x41"', b'"unended', b"undefined",
)  # fmt: skip
_WHOLE: Final = (
    b"", b" ", b"null", b"[]", b'"offer"', b"0", b"{", b"}", b"{}", b"[{}]", b"\xef\xbb\xbf{}", b"\x00", b"<offer/>",
    b"offer=a", b"//", b"[" * 8_000, b'{"a":' * 1_600, b"{" * 8_000, b"[" * 300 + b"]" * 300, b"\xff\xfe{\x00}\x00",
)  # fmt: skip


def spoilt_json(draw: Random, kit: Kit, number: int) -> Case:
    """A claim whose body is no JSON, or not what a claim has to be; now and then it happens to be right."""
    body = draw.choice(_SPOILERS)(draw, kit)[: BODY_BYTES_MAX - 1]
    codes = codes_for(body, kit.offer.decode())
    return one(number, "", kit.claim(number, b"%d" % number, body=body), codes, may_claim="201" in codes)


def _other_value(draw: Random, kit: Kit) -> bytes:
    value = draw.choice(_VALUES)
    return draw.choice(
        (
            b'{"offer":%b}' % value,
            b'{"offers":%b}' % value,
            b'{"offers":["%b",%b]}' % (kit.offer, value),
            b'{"offer":"%b","request_no":%b}' % (kit.offer, value),
            b'{"offer":"%b","more":{"x":[%b]}}' % (kit.offer, value),
            b'{"offer":"%b",%b:1}' % (kit.offer, value),
        )
    )


def _key_twice(draw: Random, kit: Kit) -> bytes:
    keys = [b'"offer"', b'"\\u006fffer"', b'"request_no"', b'"x"', b'"x:"', b'""']
    inner = b"{%b:1,%b:2}" % (first := draw.choice(keys), draw.choice((first, draw.choice(keys))))
    return draw.choice(
        (
            b'{"offer":"%b","offer":"%b"}' % (kit.offer, kit.offer),
            b'{"offer":"%b","o\\u0066fer":"other"}' % kit.offer,
            b'{"offer":"%b","more":%b}' % (kit.offer, inner),
            b'{"offer":"%b","more":[%b]}' % (kit.offer, inner),
            b'{"offer":"%b","offers":["%b"]}' % (kit.offer, kit.offer),
            b'{"a":{},"offer":":","offer":"%b"}' % kit.offer,
        )
    )


def _deep(draw: Random, kit: Kit) -> bytes:
    depth = draw.randrange(2, 1_500)
    opening, closing = draw.choice(((b"[", b"]"), (b'{"a":', b"}")))
    return b'{"offer":"%b","more":%b1%b}' % (kit.offer, opening * depth, closing * depth)


def _otherwise_encoded(draw: Random, kit: Kit) -> bytes:
    text = kit.body.decode()
    coding = draw.choice(("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-8-sig", "utf-7", "cp037"))
    return text.encode(coding)


def _long(draw: Random, _kit: Kit) -> bytes:
    name = draw.choice((b"x", b"\xe5\x88\xb8", b"\\u0000", b"/", b"%00", b":")) * draw.randrange(1, 2_000)
    return draw.choice((b'{"offer":"%b"}', b'{"%b":1}', b'{"offer":"a","%b":1}', b'{"offers":["a","%b"]}')) % name


def _cut_or_longer(draw: Random, kit: Kit) -> bytes:
    if draw.random() < 0.5:
        return kit.body[: draw.randrange(len(kit.body))]
    return kit.body + draw.choice((b"x", b"\x00", b"{}", b",", b"]", b"\xef\xbb\xbf", kit.body, b" \n", b"//"))


def _mutated(draw: Random, kit: Kit) -> bytes:
    body = bytearray(kit.body)
    for _ in range(draw.randrange(1, 4)):
        place = draw.randrange(len(body))
        body[place : place + draw.randrange(2)] = bytes([draw.choice((draw.randrange(256), *b'"\\{}[],: 0'))])
    return bytes(body)


def _whole(draw: Random, _kit: Kit) -> bytes:
    return draw.choice(_WHOLE)


_SPOILERS: Final[tuple[Callable[[Random, Kit], bytes], ...]] = (
    _other_value, _other_value, _other_value, _key_twice, _key_twice, _deep, _otherwise_encoded, _long, _cut_or_longer,
    _mutated, _mutated, _mutated, _whole,
)  # fmt: skip


class _NotRight(ValueError):
    pass


def codes_for(body: bytes, offer: str) -> frozenset[str]:
    """What a claim with that body has to be answered where `offer` is the wave's only one, worked out independently."""
    unsure = False

    def number_of(digits: str) -> int:
        nonlocal unsure
        unsure = unsure or len(digits) > DIGITS_SURE
        return 0 if len(digits) > DIGITS_SURE else int(digits)

    try:
        tree = json.loads(
            body.decode(), object_pairs_hook=_once, parse_constant=_refuse, parse_float=_finite, parse_int=number_of
        )
        depth = _depth_of(tree)
        asked = _offers_of(tree)
    except RecursionError:
        return _UNSURE  # how deep a reader goes depends on how deep its caller is: here, and in the engine
    except ValueError:
        return _UNSURE if unsure else _INVALID
    if unsure or depth > DEPTH_SURE:
        return _UNSURE
    return frozenset({"201"}) if set(asked) == {offer} else frozenset({"unknown_offer"})


def _refuse(_text: str) -> None:
    raise _NotRight


def _finite(text: str) -> float:
    if isinf(number := float(text)):
        raise _NotRight
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise _NotRight
    return members


def _depth_of(tree: Any) -> int:
    """How deep it is; raises where a string in it is no text."""
    depth, level = 0, [tree]
    while level:
        depth += 1
        for value in level:
            for text in value if isinstance(value, dict) else [value]:
                if isinstance(text, str):
                    text.encode()  # half of a surrogate pair is no text
        level = [
            inner
            for value in level
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
    return depth


def _offers_of(tree: Any) -> list[str]:
    if not isinstance(tree, dict) or ("offer" in tree) == ("offers" in tree):
        raise _NotRight
    if type(number := tree.get("request_no", 1)) is not int or number != 1:  # one claim each is the limit
        raise _NotRight
    asked = tree["offers"] if "offers" in tree else [tree["offer"]]
    if not isinstance(asked, list) or not 1 <= len(asked) <= 32:
        raise _NotRight
    if not all(isinstance(each, str) and each for each in asked) or len(set(asked)) < len(asked):
        raise _NotRight
    return asked


_SENT: Final = (
    (b"", "unsupported_media_type"),
    (b"Content-Type:\r\n", "unsupported_media_type"),
    (b"Content-Type: text/plain\r\n", "unsupported_media_type"),
    (b"Content-Type: application/x-www-form-urlencoded\r\n", "unsupported_media_type"),
    (b"Content-Type: multipart/form-data; boundary=x\r\n", "unsupported_media_type"),
    (b"Content-Type: application/json; charset=utf-16\r\n", "unsupported_media_type"),
    (b"Content-Type: application/json; charset=\r\n", "unsupported_media_type"),
    (b"Content-Type: application/jsonp\r\n", "unsupported_media_type"),
    (b"Content-Type: application\r\n", "unsupported_media_type"),
    (b"Content-Type: \xff\xfe\r\n", "unsupported_media_type"),
    (b"Content-Type: %b\r\n" % (b"a" * 5_000), "unsupported_media_type"),
    (b"Content-Type: application/json%b\r\n" % (b";" * 3_000), "201"),
    (b"Content-Type: APPLICATION/JSON;CHARSET=UTF-8\r\n", "201"),
    (b"Content-Type: application/json\r\nContent-Encoding: gzip\r\n", "unsupported_media_type"),
    (b"Content-Type: application/json\r\nContent-Encoding: identity, br\r\n", "unsupported_media_type"),
    (b"Content-Type: application/json\r\nContent-Encoding: identity\r\nContent-Encoding: gzip\r\n", "unsupported_media_type"),
    (b"Content-Type: application/json\r\nContent-Encoding: \xff\r\n", "unsupported_media_type"),
    (b"Content-Type: application/json\r\nContent-Encoding: IDENTITY\r\n", "201"),
)  # fmt: skip


def sent_otherwise(draw: Random, kit: Kit, number: int) -> Case:
    """A right body in another type, charset or encoding, or larger than may be."""
    if draw.random() < 0.2:
        body = kit.body[:-1] + b" " * draw.randrange(BODY_BYTES_MAX, 4 * BODY_BYTES_MAX) + b"}"
        return one(number, "", kit.claim(number, b"%d" % number, body=body), _TOO_LARGE, may_end=True)
    lines, code = draw.choice(_SENT)
    data = kit.claim(number, b"%d" % number).replace(b"Content-Type: application/json\r\n", lines, 1)
    return one(number, "", data, frozenset({code}), may_claim=code == "201")
