"""Problems as answers: `application/problem+json` (RFC 9457), in the caller's language.

What is the same for every answer of a code and language is encoded once; the rest is appended.
"""

import secrets
from collections.abc import Callable
from typing import Any, Final, final

import msgspec
from msgspec import Struct

from engine.domain.quoting import presentable
from engine.gateway.answer import PROBLEM, Answer, Headers, Language, Words
from engine.gateway.language import choose
from engine.gateway.problem_kind import ProblemKind
from engine.gateway.problems import KINDS

_encode = msgspec.json.Encoder().encode


DETAIL_CHARACTERS_MAX: Final = 1_000
"""What a detail repeats of a request is cut where it is repeated; this holds where that was forgotten."""


@final
class Problem(Struct, frozen=True, gc=False):
    """Why a request is not granted; a value that travels to where it becomes an answer.

    What every claim passes asks `type(found) is Problem`: where the answer is no, isinstance takes three times as long
    with a Struct, and there are ten such questions on the way.
    """

    code: str
    detail: Words | None = None
    extras: dict[str, Any] | None = None
    """Members of the answer beside the usual ones; encoded as JSON. `msgspec.Raw` is taken as it is."""
    headers: Headers = ()
    wait_ms: int = 0
    """Added to the pause that the code asks for: not_open, until the opening; busy, until the queue is shorter."""
    jitter_ms: int = 0
    """Added to the width of the random part: busy, so that a long queue's clients do not come back as one."""
    close: bool = False


_CHALLENGES: Final[dict[str, Headers]] = {
    "unauthenticated": (("WWW-Authenticate", 'Bearer realm="dropwave"'),),
    "token_expired": (("WWW-Authenticate", 'Bearer realm="dropwave", error="invalid_token"'),),
    "ticket_expired": (("WWW-Authenticate", 'Ticket realm="dropwave", error="invalid_ticket"'),),
    "ticket_mismatch": (("WWW-Authenticate", 'Ticket realm="dropwave", error="invalid_ticket"'),),
}


def _constant_body(kind: ProblemKind, language: Language) -> bytes:
    body = {
        "type": f"/problems/{kind.slug}",
        "title": kind.title.say(language),
        "status": kind.status,
        "code": kind.code,
        "final": kind.final,
    }
    return bytes(_encode(body)[:-1])


def _constant_headers(kind: ProblemKind, language: Language) -> Headers:
    return (*PROBLEM, ("Content-Language", language), ("Vary", "Accept-Language"), *_CHALLENGES.get(kind.code, ()))


_LANGUAGES: Final[tuple[Language, Language]] = ("en", "zh")
_BODIES: Final = {
    (code, language): _constant_body(kind, language) for code, kind in KINDS.items() for language in _LANGUAGES
}
_HEADERS: Final = {
    (code, language): _constant_headers(kind, language) for code, kind in KINDS.items() for language in _LANGUAGES
}


def refuse(problem: Problem, accept_language: str, draw: Callable[[int], int] = secrets.randbelow) -> Answer:
    """The answer to a request that has this problem. `draw(n)` gives a random integer below n, for the jitter."""
    kind, language = KINDS[problem.code], choose(accept_language)
    body, headers = _BODIES[problem.code, language], _HEADERS[problem.code, language] + problem.headers
    if kind.retry is not None:
        retry_after_ms = kind.retry.at_least_ms + problem.wait_ms + draw(kind.retry.jitter_ms + problem.jitter_ms)
        body += b',"retry_after_ms":%d' % retry_after_ms
        headers += (("Retry-After", str(max(1, -(-retry_after_ms // 1000)))),)  # whole seconds, rounded up
    if problem.detail is not None:
        body += b',"detail":' + _encode(presentable(problem.detail.say(language), DETAIL_CHARACTERS_MAX))
    if problem.extras:
        body += b"," + _encode(problem.extras)[1:-1]
    return Answer(kind.status, kind.code, headers, body + b"}", problem.close)
