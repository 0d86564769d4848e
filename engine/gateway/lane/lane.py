"""What the lane answers: claims, and the page of a wave.

It refuses nothing of its own: a request that it is not sure of is left to the application, as if it had not been seen.
"""

import time
from typing import Final, Protocol

import structlog

from engine.claiming.presence import Presence
from engine.gateway.answer import Heading
from engine.gateway.claims import Listener
from engine.gateway.endpoints import Endpoints
from engine.gateway.forwarded import Forwarded
from engine.gateway.lane.plain import Plain, PlainReader
from engine.gateway.load import Load
from engine.gateway.parts import GatewayParts
from engine.gateway.rates import Rates
from engine.gateway.refusals import refuse
from engine.gateway.request_ids import request_id_of
from engine.telemetry import REQUEST_ID
from engine.telemetry.tracing import trace_request

log = structlog.get_logger(__name__)

_POST: Final = b"POST /v1/waves/"
_GET: Final = b"GET /v1/waves/"
_PATH: Final = len("/v1/waves/")
_CLAIMS: Final = b"/claims"


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
        self._rates = rates
        self._load = load
        self._forwarded = Forwarded(settings.trusted_proxies, settings.forwarded_header)
        self._forwarded_name = self._forwarded.header.encode()
        self._body_bytes_max = settings.body_bytes_max
        self._reader = PlainReader(settings.header_bytes_max, settings.headers_max)

    def take(self, asker: Asker, data: bytes) -> bool:
        """Whether this is a request for the lane; the asker hears of it then, perhaps before this returns."""
        is_claim = data.startswith(_POST)
        if not is_claim and not data.startswith(_GET):
            return False
        plain = self._reader.read(data, 5 if is_claim else 4)
        if plain is None:
            return False
        try:
            return self._take_claim(asker, plain) if is_claim else self._take_page(asker, plain)
        except Exception:  # the application will meet the same, and knows what to say
            log.exception("request was not taken")
            asker.left()
            return False

    def _take_claim(self, asker: Asker, plain: Plain) -> bool:
        target, body = plain.target, plain.body
        if not target.endswith(_CLAIMS) or b"content-length" not in plain.headers or len(body) > self._body_bytes_max:
            return False
        wave = target[_PATH : -len(_CLAIMS)].decode()
        if self._board.wave(wave) is None:
            return False
        heading = _heading_of(plain, asker.address, "POST", "/v1/waves/{wave}/claims")
        if self._is_refused(asker, plain, "claim", heading):
            return True
        asker.begun("claim", heading, self._load)
        if self._claims.begin(wave, heading, body, asker.presence, asker):
            return True
        asker.left()
        return False

    def _take_page(self, asker: Asker, plain: Plain) -> bool:
        if plain.body or b"content-length" in plain.headers:
            return False
        live = self._board.wave(plain.target[_PATH:].decode())
        if live is None:
            return False
        heading = _heading_of(plain, asker.address, "GET", "/v1/waves/{wave}")
        if not self._is_refused(asker, plain, "status", heading):
            asker.begun("status", heading, self._load)
            asker.answered(self._pages.page_of(live, heading))
        return True

    def _is_refused(self, asker: Asker, plain: Plain, endpoint: str, heading: Heading) -> bool:
        """Whether too much comes from this address or to this process, and has its answer. If not, it is counted."""
        if self._rates.counts_addresses:
            line = plain.headers.get(self._forwarded_name)
            client = self._forwarded.client(heading.address, () if line is None else (line.decode(),))
            problem = self._rates.address(client)
            if problem is not None:
                asker.begun("connection", heading, None)
                asker.answered(refuse(problem, heading.accept_language))
                return True
        problem = self._load.enter()
        if problem is not None:
            asker.begun(endpoint, heading, None)
            asker.answered(refuse(problem, heading.accept_language))
            return True
        return False


def _heading_of(plain: Plain, address: str, method: str, route: str) -> Heading:
    """As `requests.heading_of` makes one of aiohttp's requests."""
    began_s, get = time.perf_counter(), plain.headers.get
    request_id, traceparent = request_id_of(get(b"x-request-id", b"").decode()), get(b"traceparent", b"").decode()
    REQUEST_ID.set(request_id)
    return Heading(
        authorization=get(b"authorization", b"").decode(),
        content_type=get(b"content-type", b"").decode(),
        accept=get(b"accept", b"").decode(),
        accept_language=get(b"accept-language", b"").decode(),
        if_none_match=get(b"if-none-match", b"").decode(),
        if_match=get(b"if-match", b"").decode(),
        origin=get(b"origin", b"").decode(),
        traceparent=traceparent,
        address=address,
        request_id=request_id,
        method=method,
        route=route,
        began_s=began_s,
        trace=trace_request(traceparent, began_s),
    )
