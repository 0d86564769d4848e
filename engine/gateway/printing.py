"""Claims as JSON. All of it but numbers, instants and the code is the same for every claim
of an offer in a wave, and is encoded once.
"""

from typing import Any, Final

import msgspec
import structlog

from engine.domain.campaign import Catalogue, Promise
from engine.domain.codes import claim_id
from engine.domain.outcome import Claim
from engine.domain.voucher import period
from engine.errors import HotStoreError
from engine.frozen import Frozen
from engine.gateway.instants import rfc3339
from engine.gateway.parts import BoardPart

log = structlog.get_logger(__name__)

TEMPLATES_MAX: Final = 10_000
"""(campaign, wave, offer, terms version) kept, some 1 kB each; past it all are dropped and made again."""

_encode = msgspec.json.Encoder().encode
_Key = tuple[int, int, int, int]
_CLAIMED_AT: Final = b"\0claimed"
_EXPIRES_AT: Final = b"\0expires"
"""No JSON has such a byte."""


class _Template(Frozen):
    """The parts of a printed claim that do not change, with `%` where the rest goes, and marks for the instants."""

    claim: bytes
    timezone: str
    promise: Promise
    day: str
    expires_at: str | None
    """None where it depends on the instant of the claim."""


class ClaimPrinter:
    """Prints claims, each as its terms version promised it (P8).

    A claim can be newer than the catalogue at hand, by the time between two readings of the board; then the
    board is read once more. Methods raise LookupError where that does not help.
    """

    def __init__(self, board: BoardPart) -> None:
        self._board = board
        self._templates: dict[_Key, _Template] = {}
        self._last_template: _Template | None = None
        self._last_ms = 0
        self._last_dated = b""

    async def claim(self, catalogue: Catalogue, claim: Claim) -> bytes:
        """The `claim` object of answers."""
        try:
            return self.claim_at_hand(catalogue, claim)
        except LookupError:
            return self.claim_at_hand(await self.newer(catalogue), claim)

    async def newer(self, catalogue: Catalogue) -> Catalogue:
        """The campaign as another reading of the board has it."""
        try:
            await self._board.refresh()
        except HotStoreError as error:
            log.warning("cannot look for newer terms", campaign=catalogue.id, error=str(error))
        return self._board.campaign(catalogue.id) or catalogue

    def claim_at_hand(self, catalogue: Catalogue, claim: Claim) -> bytes:
        """The same as `claim`, by this catalogue. Raises LookupError where the claim is newer."""
        template = self._template(catalogue, claim)
        return self._dated(template, claim) % (claim_id(claim.code).encode(), claim.sequence, claim.code.encode())

    def _dated(self, template: _Template, claim: Claim) -> bytes:
        """The template with when it was claimed and when it expires: the same for a batch, mostly."""
        if template is not self._last_template or claim.claimed_at_ms != self._last_ms:
            self._last_template, self._last_ms = template, claim.claimed_at_ms
            self._last_dated = _date(template, claim)
        return self._last_dated

    def _template(self, catalogue: Catalogue, claim: Claim) -> _Template:
        key = (catalogue.campaign_no, claim.wave_no, claim.offer_no, claim.terms_version)
        template = self._templates.get(key)
        if template is None:
            if len(self._templates) >= TEMPLATES_MAX:
                self._templates.clear()
            template = self._templates[key] = _make_template(catalogue, claim)
        return template


def _date(template: _Template, claim: Claim) -> bytes:
    claimed_at = rfc3339(claim.claimed_at_ms, template.timezone)
    expires_at = template.expires_at
    if expires_at is None:
        end_ms = period(template.promise, template.day, claim.claimed_at_ms).expires_at_ms
        expires_at = rfc3339(end_ms, template.timezone)
    return template.claim.replace(_CLAIMED_AT, claimed_at.encode()).replace(_EXPIRES_AT, expires_at.encode())


def _make_template(catalogue: Catalogue, claim: Claim) -> _Template:
    offer = next((offer for offer in catalogue.offers if offer.no == claim.offer_no), None)
    wave = next((wave for wave in catalogue.waves if wave.no == claim.wave_no), None)
    if offer is None or wave is None:
        raise LookupError(f"{catalogue.id} revision {catalogue.revision} lacks the claim's offer or wave")
    terms = offer.version(claim.terms_version)
    promise = terms.promise
    head = {"campaign": catalogue.id, "wave": wave.id, "offer": offer.id}
    shown = {"title": promise.offer.title, "face": promise.offer.face}
    frozen = {"terms": {"version": terms.version, "hash": terms.hash}}
    fixed = promise.validity.days_after_claim is None
    end_ms = period(promise, wave.day, claim.claimed_at_ms).expires_at_ms
    voucher = b'{"code":"%s","valid_from":"' + _CLAIMED_AT + b'","expires_at":"' + _EXPIRES_AT + b'"'
    return _Template(
        claim=b'{"id":"%s",'
        + _members(head | shown | frozen)
        + b',"sequence":%d,"claimed_at":"'
        + _CLAIMED_AT
        + b'","vouchers":['
        + voucher
        + b"}]}",
        timezone=promise.timezone,
        promise=promise,
        day=wave.day,
        expires_at=rfc3339(end_ms, promise.timezone) if fixed else None,
    )


def _members(fields: dict[str, Any]) -> bytes:
    """The members of a JSON object, without its braces, safe inside a `%` template."""
    return bytes(_encode(fields)[1:-1]).replace(b"%", b"%%")
