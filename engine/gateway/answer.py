"""What goes out over HTTP and what came in with a request, free of any HTTP library.

One code decides about claims whatever has parsed the request: it takes a `Heading`, an id from the
path and the body's bytes, and gives an `Answer`.
"""

from typing import Final, Literal, NamedTuple

from msgspec import Struct

from engine.telemetry.tracing import Trace

Language = Literal["en", "zh"]
Headers = tuple[tuple[str, str], ...]


class Words(NamedTuple):
    """A sentence for people, in both languages."""

    en: str
    zh: str

    def say(self, language: Language) -> str:
        """The sentence in that language."""
        return self.zh if language == "zh" else self.en


class Heading(Struct, frozen=True, gc=False):
    """The headers that matter to an answer, as received, empty where the request has none; and whose request it is."""

    authorization: str = ""
    content_type: str = ""
    content_encoding: str = ""
    accept: str = ""
    accept_language: str = ""
    if_none_match: str = ""
    if_match: str = ""
    origin: str = ""
    traceparent: str = ""
    address: str = ""
    """The peer's; that of a proxy where there is one."""
    request_id: str = ""
    """The client's own name for it, or one made here (`request_ids`)."""
    method: str = ""
    route: str = ""
    """As the routes are written, `/v1/waves/{wave}`; empty where none fits. For logs and traces: what was really asked
    for can hold anything."""
    began_s: float = 0.0
    """When its headers were there, by `time.perf_counter`."""
    trace: Trace | None = None
    """Where it is traced."""


class Answer(Struct, frozen=True, gc=False):
    """A whole answer. `outcome` is what the metrics count it as; Content-Length and Date come with the sending."""

    status: int
    outcome: str
    headers: Headers
    body: bytes = b""
    close: bool = False
    """Whether the connection ends with it: the rest of the request was not, or could not be, read."""


BARE: Final[Headers] = (
    ("Server", "dropwave"),  # names no versions
    ("X-Content-Type-Options", "nosniff"),
)
"""Every answer has these."""
JSON: Final[Headers] = (*BARE, ("Content-Type", "application/json; charset=utf-8"))
PRIVATE: Final[Headers] = (*JSON, ("Cache-Control", "no-store"))
"""For what belongs to one caller, or to one moment."""
PROBLEM: Final[Headers] = (*BARE, ("Content-Type", "application/problem+json"), ("Cache-Control", "no-store"))
