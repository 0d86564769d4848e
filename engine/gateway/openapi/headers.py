"""Headers that answers carry, and those that requests may."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from engine.gateway.openapi.shapes import REQUEST_ID, Shape, text, whole
from engine.gateway.problem_kind import ProblemKind
from engine.gateway.problems import KINDS


def _header(says: str, shape: Shape | None = None) -> dict[str, Any]:
    return {"description": says, "required": True, "schema": shape or text()}


HEADERS: Final[dict[str, dict[str, Any]]] = {
    "Allow": _header("The methods that the address takes"),
    "Cache-Control": _header("How long the answer may be kept, and by whom"),
    "Content-Language": _header("Of the sentences for people", text(enum=["en", "zh"])),
    "Content-Security-Policy": _header("What the page may load: nothing"),
    "ETag": _header(
        "Of this very answer; send it as `If-None-Match` or `If-Match`", text(pattern='^(W/)?"[0-9a-f]+"$')
    ),
    "Idempotent-Replayed": _header("The claim was made by an earlier request", text(const="true")),
    "Left-Read-At-Ms": {
        **_header("`left_read_at_ms`; in a 304 too, which says it anew; missing where it is null", whole("", 1)),
        "required": False,
    },
    "Referrer-Policy": _header("Links from the page tell nobody where they were", text(const="no-referrer")),
    "Retry-After": _header("`retry_after_ms` in whole seconds, rounded up", {"type": "integer", "minimum": 1}),
    "Vary": _header("Which headers of the request the answer depends on"),
    "WWW-Authenticate": _header("What to send in `Authorization`"),
    "X-Content-Type-Options": _header("The content is what its type says", text(const="nosniff")),
    "X-Request-Id": _header("The request's own name, or one that was given to it", text(pattern=REQUEST_ID)),
}

EVERYWHERE: Final = ("X-Content-Type-Options", "X-Request-Id")
"""Headers of every answer."""

PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    "AcceptLanguage": {
        "name": "Accept-Language",
        "in": "header",
        "description": "Sentences for people are in Chinese where that is preferred to English, else in English.",
        "schema": text(),
        "example": "zh-CN,zh;q=0.9",
    },
    "RequestId": {
        "name": "X-Request-Id",
        "in": "header",
        "description": "The client's own name for the request; comes back, and stands in the logs. Taken where it is 1 "
        "to 64 of the characters `A-Za-z0-9._-`; else the request is given another one.",
        "schema": text(),
        "example": "app-7f3a.1",
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The `ETag` of the answer that the client has: 304 where it is still the same.",
        "schema": text(),
        "example": 'W/"0123456789abcdef01"',
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "description": 'The revision that the operator looked at, in quotes; `"0"` for a new campaign.',
        "schema": text(pattern='^"(0|[1-9][0-9]{0,9})"$'),
        "example": '"3"',
    },
}


_BY_KIND: Final[dict[str, Callable[[ProblemKind], bool]]] = {
    "Allow": lambda kind: kind.code == "method_not_allowed",
    "ETag": lambda kind: kind.code == "precondition_failed",
    "Retry-After": lambda kind: kind.retry is not None,
    "WWW-Authenticate": lambda kind: kind.status == 401,
}
"""Headers that only some problems have."""


def of_problems(codes: Sequence[str]) -> dict[str, Any]:
    """The headers of an answer that refuses with one of these codes (of one status)."""
    found = header_refs((*EVERYWHERE, "Cache-Control", "Content-Language", "Vary"))
    for name, has_it in _BY_KIND.items():
        having = [code for code in codes if has_it(KINDS[code])]
        if having == list(codes):
            found |= header_refs([name])
        elif having:
            said = " and ".join(f"`{code}`" for code in having)
            found[name] = HEADERS[name] | {"required": False, "description": f"With {said}"}
    return dict(sorted(found.items()))


def header_refs(names: Iterable[str]) -> dict[str, Any]:
    """These headers, as they stand in an answer that always has them."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in sorted(names)}
