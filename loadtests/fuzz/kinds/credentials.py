"""Who asks: tickets and tokens that are none; and headers that are odd and allowed."""

import base64
import json
from random import Random
from typing import Final

from loadtests.fuzz.cases import Case, one
from loadtests.fuzz.kit import Kit

_REFUSED: Final = frozenset({"unauthenticated", "token_expired", "ticket_expired", "ticket_mismatch", "forbidden"})
_SCHEMES: Final = (
    b"", b"Bearer", b"Ticket", b"Basic dTpw", b"Digest x", b"bearer\t", b"Negotiate " + b"A" * 4_000, b"Bearer ", b"Ticket ",
    b"Ticket \xff\xfe", b"Bearer \xe5\x88\xb8", b"Bearer a.b.c", b"Bearer ....", b"Bearer " + b"a" * 8_000, b"Ticket 1",
    b"Ticket " + b"1" * 5_000, b"\xff", b"=", b"Bearer " + b"." * 3_000, b"Ticket \t", b"Bearer e30.e30.", b"Bearer null",
)  # fmt: skip
_HEADS: Final[tuple[object, ...]] = (
    {"alg": "none"}, {"alg": "None"}, {"alg": "HS256", "crit": ["x"]}, {"alg": "HS512"}, {"alg": "RS256"}, {"alg": ["HS256"]},
    {"alg": None}, {}, {"alg": "HS256", "kid": "../../x"}, {"alg": "HS256", "kid": {"a": 1}}, {"alg": "HS256", "b64": False},
    {"alg": "HS256", "jwk": {"kty": "oct", "k": ""}}, {"alg": "ES256"}, {"alg": "EdDSA"}, {"alg": "HS256", "zip": "DEF"}, [],
)  # fmt: skip
_CLAIMS: Final[tuple[object, ...]] = (
    {"sub": "a", "exp": 9_999_999_999}, {"sub": 1, "exp": 1e400}, {"sub": "", "exp": "x"}, {"exp": -1}, {"sub": "a\x00", "exp": 9e9},
    {"sub": "a", "exp": 10**40}, {"sub": ["a"], "exp": True}, {"sub": "a", "exp": 9e9, "scope": ["ops"]}, [], "x", None,
    {"sub": "a", "exp": 9e9, "nbf": 9e18}, {"sub": "a", "exp": {"$gt": 0}}, {"sub": "x" * 5_000, "exp": 9e9},
)  # fmt: skip


def bad_credentials(draw: Random, kit: Kit, number: int) -> Case:
    """A claim, or a look at one's own, by nobody who may."""
    make = draw.choice((_altered_ticket, _altered_token, _forged_token, _no_scheme, _twice, _wrong_scope))
    authorization = make(draw, kit, number)
    method, target, body = draw.choice(
        (
            (b"POST", kit.claims, kit.body),
            (b"POST", kit.claims, kit.body),
            (b"POST", b"/v1/waves/%b/tickets" % kit.wave, b""),
            (b"GET", kit.claims, b""),
            (b"GET", b"/v1/me/vouchers", b""),
        )
    )
    extra = authorization + (b"Content-Type: application/json\r\n" if body else b"")
    return one(number, "", kit.request(method, target, b"%d" % number, extra, body), _REFUSED)


def _altered_ticket(draw: Random, kit: Kit, number: int) -> bytes:
    return b"Authorization: Ticket %b\r\n" % _altered(draw, kit.ticket(number))


def _altered_token(draw: Random, kit: Kit, number: int) -> bytes:
    return b"Authorization: Bearer %b\r\n" % _altered(draw, kit.token(number))


def _altered(draw: Random, credentials: bytes) -> bytes:
    place = draw.randrange(len(credentials))
    other = draw.choice([letter for letter in b"AZaz09-_.~=" if letter != credentials[place]])
    return draw.choice(
        (
            credentials[:place],
            credentials[place + 1 :],
            credentials[:place] + bytes([other]) + credentials[place + 1 :],
            credentials[:place] + bytes([other]) + credentials[place:],
            credentials + credentials,
            credentials + b"=",
            credentials.swapcase(),
        )
    )


def _forged_token(draw: Random, kit: Kit, number: int) -> bytes:
    parts = [_part(json.dumps(draw.choice(_HEADS))), _part(json.dumps(draw.choice(_CLAIMS)))]
    signature = draw.choice((b"", b"AAAA", kit.token(number).rpartition(b".")[2]))
    return b"Authorization: Bearer %b\r\n" % b".".join([*parts, signature])


def _part(text: str) -> bytes:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=")


def _no_scheme(draw: Random, _kit: Kit, _number: int) -> bytes:
    return b"Authorization: %b\r\n" % draw.choice(_SCHEMES) if draw.random() < 0.9 else b""


def _twice(draw: Random, kit: Kit, number: int) -> bytes:
    first, second = draw.sample([kit.ticket(number), kit.ticket(f"{number}-other"), b"x"], 2)
    return b"Authorization: Ticket %b\r\nAuthorization: Ticket %b\r\n" % (first, second)


def _wrong_scope(draw: Random, kit: Kit, number: int) -> bytes:
    scope = draw.choice(("merchant", "ops", "claims", "CLAIM", "*"))
    return b"Authorization: Bearer %b\r\n" % kit.token(number, scope, "viewer" if scope == "ops" else "")


_ODD_HEADERS: Final = (
    b"Accept-Language: %b\r\n" % (b"zh;q=0.%d, " % 5 * 400), b"Accept-Language: \xff\xfe;q=9\r\n", b"Accept-Language: ;;,,==\r\n",
    b"If-None-Match: \r\n", b'If-None-Match: W/"x", *\r\n', b"If-None-Match: %b\r\n" % (b'"a",' * 1_500), b"Origin: null\r\n",
    b"Origin: https://\xff\r\n", b"Traceparent: 00-0-0-00\r\n", b"Traceparent: %b\r\n" % (b"f" * 3_000), b"Cookie: \x80\xff\r\n",
    b"Tracestate: a=b,c\r\nTracestate: =\r\n", b"Baggage: %b\r\n" % (b"a=b," * 1_000), b"X-Forwarded-For: 1.2.3.4, \xff, ::1%eth0\r\n",
    b"X-Forwarded-For: %b\r\n" % (b"1.1.1.1," * 900), b"Forwarded: for=\"[::1\";by=;;\r\n", b"X-Real-IP: x\r\nX-Real-IP: y\r\n",
    b"Range: bytes=0-0,-1,5-\r\n", b"If-Modified-Since: never\r\n", b"If-Range: x\r\n", b"Accept: %b\r\n" % (b"*/*;q=2," * 800),
    b"Accept-Encoding: br;q=x, \xff\r\n", b"TE: trailers, chunked\r\n", b"Keep-Alive: timeout=-1\r\n", b"Via: 1.0 x\r\n",
    b"Pragma: x\r\n", b"X-Http-Method-Override: DELETE\r\n", b"X-Original-Url: /v1/ops/stop-all\r\n", b"Priority: u=9\r\n",
    b"X-Request-Id: second\r\n", b"Sec-Fetch-Mode: navigate\r\n", b"A: \r\n" * 50, b"!#$%: x\r\n",
    b"Content_Length: 3\r\n", b"Transfer_Encoding: chunked\r\n", b"Warning: \"\r\n", b"DNT: \t \t1\t \t\r\n", b"Idempotency-Key: \x80\r\n",
    b"Access-Control-Request-Method: \xff\r\nAccess-Control-Request-Headers: %b\r\n" % (b"x," * 1_000),
)  # fmt: skip
_CLAIMED: Final = frozenset({"201"})
_SHOWN: Final = frozenset({"200", "304"})


def odd_headers(draw: Random, kit: Kit, number: int) -> Case:
    """Headers that a client may send, whatever they say: the request is answered as if they were not there."""
    extra = draw.choice(_ODD_HEADERS)
    if draw.random() < 0.5:
        return one(number, "", kit.claim(number, b"%d" % number, extra=extra), _CLAIMED, may_claim=True)
    target = draw.choice((b"/v1/time", b"/v1/waves/%b" % kit.wave, b"/problems/busy", b"/healthz"))
    return one(number, "", kit.request(draw.choice((b"GET", b"HEAD")), target, b"%d" % number, extra), _SHOWN)
