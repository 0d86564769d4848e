"""Well-framed requests to addresses that there are not, or not for that method."""

from random import Random
from typing import Final

from loadtests.fuzz.cases import Case, one
from loadtests.fuzz.kit import Kit

_ODD: Final = (
    b"%00", b"%2f", b"%2F%2e%2e", b"..", b".", b"%2e%2e", b"%252e", b"%ff", b"%c0%af", b"%ed%a0%80", b"%e5%88%b8", b"%",
    b"%zz", b"%0d%0aX:%201", b"%09", b"%20", b"+", b"'%27", b"%22", b"a%00b", b"{wave}", b"*", b"~", b"-", b"--", b"null",
    b"9" * 30, b"x" * 129, b"x" * 4_000, b"%00" * 1_000, b";a=b", b"a,b", b"a:b", b"@", b"%25", b"%u0041", b"%5c", b"|",
    b"%f0%9f%8e%ab", b"A", b"%ef%bb%bf", b"sandbox-", b"claims", b"%7f", b"%c2%85", b"%e2%80%a8", b"$", b"!", b"\\", b"^",
)  # fmt: skip
_PLACES: Final = (
    b"/v1/waves/%b", b"/v1/waves/%b/claims", b"/v1/waves/%b/tickets", b"/v1/campaigns/%b", b"/problems/%b", b"/v1/ops/waves/%b",
    b"/v1/ops/campaigns/%b", b"/v1/ops/waves/%b/report", b"/v1/ops/waves/%b/audit", b"/v1/me/%b", b"/v1/%b", b"/%b",
    b"/v1/waves?x=%b", b"/v1/time?%b=%b", b"/docs/%b", b"//%b", b"/v1//waves/%b", b"/v1/waves/%b/", b"/v1/waves/%b/claims/x",
    b"/v1/ops/campaigns/x?dry_run=%b&reason=%b", b"/v1/waves/%b?%b", b"/v1/ops/campaigns?%b=%b",
)  # fmt: skip
_METHODS: Final = (
    b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"PROPFIND", b"SEARCH", b"PURGE", b"LINK",
    b"M-SEARCH", b"NOTIFY", b"REPORT", b"LOCK", b"MKCOL", b"SOURCE",
)  # fmt: skip
_TARGETS: Final = (
    b"/", b"/v1", b"/v1/", b"/v1/waves", b"/v1/time", b"/v1/me/claims", b"/v1/me/vouchers", b"/v1/campaigns", b"/healthz",
    b"/problems", b"/problems/sold-out", b"/openapi.json", b"/v1/ops/campaigns", b"/v1/ops", b"/favicon.ico",
    b"/.git/config", b"/admin.php", b"/v1/waves/", b"/robots.txt",
)  # fmt: skip
_NOT_GRANTED: Final = frozenset(
    {
        "not_found",
        "method_not_allowed",
        "unknown_wave",
        "unauthenticated",
        "forbidden",
        "ticket_mismatch",
        "invalid_request",
    }
    | {"unsupported_media_type", "200", "204", "304", "busy"}
)


def _who(draw: Random, kit: Kit, number: int) -> bytes:
    return draw.choice(
        (
            b"",
            b"Authorization: Ticket %b\r\n" % kit.ticket(number),
            b"Authorization: Bearer %b\r\n" % kit.token(number),
            b"Authorization: Bearer %b\r\n" % kit.token(number, "ops", "viewer"),
        )
    )


def odd_address(draw: Random, kit: Kit, number: int) -> Case:
    """An id that nothing has: of any bytes that an address can hold."""
    odd = b"".join(draw.choices(_ODD, k=draw.choice((1, 1, 1, 2, 3))))[:4_000]
    place = draw.choice(_PLACES)
    target = place % ((odd,) * place.count(b"%b"))
    is_post = place.endswith((b"/claims", b"/tickets"))
    extra = _who(draw, kit, number) + (b"Content-Type: application/json\r\n" if is_post else b"")
    data = kit.request(b"POST" if is_post else b"GET", target, b"%d" % number, extra, kit.body if is_post else b"")
    return one(number, "", data, _NOT_GRANTED)


def odd_method(draw: Random, kit: Kit, number: int) -> Case:
    """Any method at any address, with and without a body; what users may ask with GET is answered."""
    target = draw.choice((*_TARGETS, b"/v1/waves/%b" % kit.wave, kit.claims, b"/v1/campaigns/%b" % kit.campaign))
    method = draw.choice(_METHODS)
    if method == b"POST" and target == kit.claims:
        method = b"PUT"
    body = draw.choice((b"", b"", kit.body, b"\x00" * 100, kit.claim(number, b"inner")))
    return one(number, "", kit.request(method, target, b"%d" % number, _who(draw, kit, number), body), _NOT_GRANTED)
