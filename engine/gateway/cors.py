"""CORS: whose pages may read answers in a browser (https://fetch.spec.whatwg.org/#http-cors-protocol).

By the setting `cors_origins`: exact origins, or `*` for every page there is. There is no mode with credentials:
who asks is said in `Authorization`, which a page sets itself, and cookies are neither set nor read; so `*` gives a
stranger's page nothing that the stranger could not fetch without a browser. The origin `null` (a file, a sandboxed
frame) is nobody's and matches only where it is listed, or `*` is.

With a list, what is sent depends on `Origin`, and each answer says so in `Vary`, also where a request had none: a
cache must not hand the answer without permission to a page that has it. With `*` each answer is the same for all, and
a cache keeps one copy, so `*` is the better one behind a CDN. Operators' paths and `/metrics` are opened to no page
from elsewhere: what they show and do is for few, and a console is served from the gateway's own origin.
"""

import re
from typing import Final

from engine.errors import SettingsError
from engine.gateway.answer import BARE, Answer, Headers

EXPOSED: Final = ("Age", "Date", "ETag", "Idempotent-Replayed", "Left-Read-At-Ms", "Retry-After", "X-Request-Id")
"""What scripts may read beside the headers that they always may. Age and Date: how old a cached page is."""
ALLOWED: Final = ("Accept-Language", "Authorization", "Content-Type", "If-Match", "If-None-Match")
"""What scripts may send: all that the contract reads."""
TRACED: Final = ("Traceparent", "Tracestate", "X-Request-Id")
PREFLIGHT_S: Final = 7_200
"""How long a browser may remember a preflight: Chromium takes no more, Firefox a day. At 20:00:00 none has to ask."""
OPS_PATH: Final = "/v1/ops"
_CLOSED_ENDPOINTS: Final = frozenset({"ops", "metrics"})

_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?P<port>:[1-9][0-9]{0,4})?"
)
_USUAL_PORTS: Final = {"http": ":80", "https": ":443"}


class Cors:
    """What answers say to browsers. Raises SettingsError where an origin is not written as a browser sends it."""

    def __init__(self, origins: str) -> None:
        listed = [origin.strip() for origin in origins.split(",") if origin.strip()]
        if "*" in listed and len(listed) > 1:
            raise SettingsError("cors_origins: * is every origin, so it stands alone")
        for origin in listed:
            _check(origin)
        self._origins = frozenset(listed)
        self._any = "*" in self._origins
        self._to: dict[str, Headers] = {origin: _permission(origin) for origin in listed}

    @property
    def is_on(self) -> bool:
        """Whether any page may read anything."""
        return bool(self._origins)

    def opened(self, endpoint: str, origin: str, headers: Headers) -> Headers:
        """The headers of an answer of that endpoint to that origin, which is empty where the request named none."""
        if not self._origins or endpoint in _CLOSED_ENDPOINTS:
            return headers
        if self._any:
            return headers + self._to["*"]
        return _varying(headers) + self._to.get(origin, ())

    def preflight(self, path: str, origin: str, method: str, allow: str) -> Answer | None:
        """The answer to an OPTIONS that a browser sends before `method`, which `Access-Control-Request-Method` names.

        `allow` is what the path takes (`GET,HEAD`). None where it is not for a page to ask: then it is an OPTIONS
        like any other. `opened` adds the permission itself, as to every answer.
        """
        if not method or path.startswith(OPS_PATH) or not ((self._any and origin) or origin in self._origins):
            return None
        headers = (
            *BARE,
            ("Access-Control-Allow-Methods", ", ".join(sorted(each.strip() for each in allow.split(",")))),
            ("Access-Control-Allow-Headers", ", ".join(ALLOWED + TRACED)),
            ("Access-Control-Max-Age", str(PREFLIGHT_S)),
        )
        return Answer(204, "preflight", headers)


def _permission(origin: str) -> Headers:
    return (
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Expose-Headers", ", ".join(EXPOSED)),
    )


def _varying(headers: Headers) -> Headers:
    """The headers with `Origin` among what the answer depends on, in one line: not every cache reads a second one."""
    for place, (name, value) in enumerate(headers):
        if name == "Vary":
            return (*headers[:place], (name, f"{value}, Origin"), *headers[place + 1 :])
    return (*headers, ("Vary", "Origin"))


def _check(origin: str) -> None:
    """An origin is compared as it is sent (RFC 6454, 6.2): small letters, no path, no port that goes without saying."""
    if origin in ("*", "null"):
        return
    parts = _ORIGIN.fullmatch(origin)
    if parts is None:
        raise SettingsError(
            f"cors_origins: {origin!r} is no origin; one looks like https://shop.example or http://localhost:3000, "
            "in small letters, without a path or a slash at the end"
        )
    if parts["port"] and parts["port"] == _USUAL_PORTS.get(parts["scheme"]):
        raise SettingsError(f"cors_origins: browsers leave {parts['port']} out of {origin}; so must the setting")
