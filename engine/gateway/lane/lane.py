"""What the lane answers: claims, tickets, the page of a wave, and what tills post.

It refuses nothing of its own: a request that it is not sure of is left to the application, as if it had not been seen.
"""

import time
from typing import Final, Protocol

import structlog

from engine.claiming.presence import Presence
from engine.gateway.answer import Heading
from engine.gateway.aside import Listener
from engine.gateway.endpoints import Endpoints
from engine.gateway.forwarded import Forwarded
from engine.gateway.identity.caller import Caller
from engine.gateway.lane.plain import Head, Plain, PlainReader
from engine.gateway.load import Load
from engine.gateway.parts import GatewayParts
from engine.gateway.rates import Rates
from engine.gateway.refusals import Problem, refuse
from engine.gateway.request_ids import request_id_of
from engine.telemetry import REQUEST_ID
from engine.telemetry.tracing import trace_request

log = structlog.get_logger(__name__)

_POST: Final = b"POST /v1/waves/"
_GET: Final = b"GET /v1/waves/"
_TILL: Final = b"POST /v1/merchant/"
_POST_PATH: Final = len("POST ")
_GET_PATH: Final = len("GET ")


class Asker(Listener, Protocol):
    """The connection that a request came on."""

    address: str
    presence: Presence

    def begun(self, endpoint: str, heading: Heading, load: Load | None) -> None:
        """A request is taken, and counted by `load`, if at all."""


class Lane:
    """Of one process."""

    def __init__(self, parts: GatewayParts, endpoints: Endpoints, rates: Rates, load: Load) -> None:
        settings = parts.settings
        self._board = parts.board
        self._claims = endpoints.claims
        self._pages = endpoints.pages
        self._tickets = endpoints.tickets
        self._tills = endpoints.tills
        self._till_posts = {post.path.encode(): post for post in endpoints.tills.posts}
        self._rates = rates
        self._load = load
        self._forwarded = Forwarded(settings.trusted_proxies, settings.forwarded_header)
        self._forwarded_name = self._forwarded.header
        self._body_bytes_max = settings.body_bytes_max
        self._reader = PlainReader(settings.header_bytes_max, settings.headers_max)

    def read(self, data: bytes) -> Plain | None:
        """What may be a request for the lane, by its form alone; None where it is for the application."""
        if data.startswith((_POST, _TILL)):
            return self._reader.read(data, _POST_PATH)
        return self._reader.read(data, _GET_PATH) if data.startswith(_GET) else None

    def take(self, asker: Asker, plain: Plain) -> bool:
        """Whether this is a request for the lane; the asker hears of it then, perhaps before this returns."""
        head, authorization, body = plain
        try:
            if head.ask == "claim":
                return self._take_claim(asker, head, authorization, body)
            if head.ask == "ticket":
                return self._take_ticket(asker, head, authorization, body)
            if head.ask == "page":
                return self._take_page(asker, head, authorization, body)
            return head.ask == "till" and self._take_till(asker, head, authorization, body)
        except Exception:  # the application will meet the same, and knows what to say
            log.exception("request was not taken")
            asker.left()
            return False

    def _take_claim(self, asker: Asker, head: Head, authorization: str, body: bytes) -> bool:
        if len(body) > self._body_bytes_max or self._board.wave(head.wave) is None:
            return False
        heading = _heading_of(head, authorization, asker.address, "POST", "/v1/waves/{wave}/claims")
        if not self._is_refused(asker, head, "claim", heading):
            asker.begun("claim", heading, self._load)
            self._claims.begin(head.wave, heading, body, asker.presence, asker)
        return True

    def _take_ticket(self, asker: Asker, head: Head, authorization: str, body: bytes) -> bool:
        live = None if len(body) > self._body_bytes_max else self._board.wave(head.wave)
        if live is None:
            return False
        heading = _heading_of(head, authorization, asker.address, "POST", "/v1/waves/{wave}/tickets")
        if not self._is_refused(asker, head, "ticket", heading):
            asker.begun("ticket", heading, self._load)
            self._tickets.begin(live, heading, asker)
        return True

    def _take_till(self, asker: Asker, head: Head, authorization: str, body: bytes) -> bool:
        post = self._till_posts.get(head.target)
        if post is None or len(body) > self._tills.bytes_max:
            return False
        heading = _heading_of(head, authorization, asker.address, "POST", post.path)
        caller = self._tills.let_in(heading)
        if self._is_refused(asker, head, post.endpoint, heading, caller if isinstance(caller, Problem) else None):
            return True
        assert isinstance(caller, Caller)  # else it was refused
        asker.begun(post.endpoint, heading, self._load)
        self._tills.begin(post, caller, heading, body, asker)
        return True

    def _take_page(self, asker: Asker, head: Head, authorization: str, body: bytes) -> bool:
        live = None if body else self._board.wave(head.wave)
        if live is None:
            return False
        heading = _heading_of(head, authorization, asker.address, "GET", "/v1/waves/{wave}")
        if not self._is_refused(asker, head, "status", heading):
            asker.begun("status", heading, self._load)
            asker.answered(self._pages.page_of(live, heading))
        return True

    def _is_refused(
        self, asker: Asker, head: Head, endpoint: str, heading: Heading, wrong: Problem | None = None
    ) -> bool:
        """Whether too much comes from this address, its head is `wrong`, or too much comes to this process; it has its
        answer then. If not, it is counted."""
        problem = self._address_refusal(head, heading) if self._rates.counts_addresses else None
        if problem is not None:
            endpoint = "connection"
        else:
            problem = wrong or self._load.enter()
        if problem is None:
            return False
        asker.begun(endpoint, heading, None)
        asker.answered(refuse(problem, heading.accept_language))
        return True

    def _address_refusal(self, head: Head, heading: Heading) -> Problem | None:
        line = head.headers.get(self._forwarded_name)
        return self._rates.address(self._forwarded.client(heading.address, () if line is None else (line,)))


def _heading_of(head: Head, authorization: str, address: str, method: str, route: str) -> Heading:
    """As `requests.heading_of` makes one of aiohttp's requests."""
    began_s, said = time.perf_counter(), head.heading
    request_id = request_id_of(said.request_id)
    REQUEST_ID.set(request_id)
    return Heading(  # by place: names cost half as much again, and every request has one
        authorization,
        said.content_type,
        said.content_encoding,
        said.accept,
        said.accept_language,
        said.if_none_match,
        said.if_match,
        said.origin,
        said.traceparent,
        address,
        request_id,
        method,
        route,
        began_s,
        trace_request(said.traceparent, began_s),
    )
