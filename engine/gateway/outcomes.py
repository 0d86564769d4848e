"""An outcome of the desk as an answer."""

from typing import Any, Final

import msgspec
from msgspec.structs import replace

from engine.claiming.board import LiveWave
from engine.domain.outcome import Ack, Ask, Claimed, Outcome, RefusalCode, Refused
from engine.gateway.answer import PRIVATE, Answer, Headers
from engine.gateway.callers import not_eligible
from engine.gateway.instants import rfc3339
from engine.gateway.parts import BoardPart
from engine.gateway.printing import ClaimPrinter
from engine.gateway.refusals import Problem, refuse

_REPLAYED: Final[Headers] = (*PRIVATE, ("Idempotent-Replayed", "true"))
_INSTANTS: Final = {
    RefusalCode.CLOSED: "closed_at",
    RefusalCode.NOT_OPEN: "opens_at",
    RefusalCode.SOLD_OUT: "sold_out_at",
}


class ClaimAnswers:
    """Puts outcomes into words."""

    def __init__(self, printer: ClaimPrinter, board: BoardPart, ack: Ack) -> None:
        self._printer = printer
        self._board = board
        self._head = b'{"status":"claimed","ack":"%s","claim":' % ack.encode()

    async def of(self, live: LiveWave, ask: Ask, outcome: Outcome, accept_language: str) -> Answer:
        """The answer to this ask. Raises LookupError where a claim's terms are not known even after another look."""
        try:
            return self.at_hand(live, ask, outcome, accept_language)
        except LookupError:
            newer = replace(live, catalogue=await self._printer.newer(live.catalogue))
            return self.at_hand(newer, ask, outcome, accept_language)

    def at_hand(self, live: LiveWave, ask: Ask, outcome: Outcome, accept_language: str) -> Answer:
        """The same without another look. Raises LookupError where a claim's terms are newer than the board's."""
        if isinstance(outcome, Claimed):
            body = self._head + self._printer.claim_at_hand(live.catalogue, outcome.claim) + b"}"
            if outcome.replayed:
                return Answer(200, "replayed", _REPLAYED, body)
            return Answer(201, "claimed", PRIVATE, body)
        return refuse(self._problem(live, ask, outcome), accept_language)

    def _problem(self, live: LiveWave, ask: Ask, refused: Refused) -> Problem:
        code, extras, wait_ms = refused.code, dict[str, Any](), refused.wait_ms
        if code is RefusalCode.NOT_ELIGIBLE:
            return not_eligible(refused.rule)
        if refused.reason:
            extras["reason"] = refused.reason
        if refused.at_ms and code in _INSTANTS:
            extras[_INSTANTS[code]] = rfc3339(refused.at_ms, live.catalogue.timezone)
        if code is RefusalCode.NOT_OPEN:
            wait_ms = max(0, refused.at_ms - self._board.store_time_ms())
        elif code is RefusalCode.SOLD_OUT:
            extras |= self._alternatives(live, ask)
        elif refused.claim is not None and refused.claim.account == ask.account:
            extras["claim"] = msgspec.Raw(self._printer.claim_at_hand(live.catalogue, refused.claim))
        return Problem(code.value, extras=extras, wait_ms=wait_ms, jitter_ms=refused.wait_ms)

    def _alternatives(self, live: LiveWave, ask: Ask) -> dict[str, Any]:
        """Offers of the wave that were not asked for and had some left when the board was last read."""
        latest = self._board.wave(live.wave.id) or live
        offers = [
            {"offer": offer.id, "title": offer.current.promise.offer.title, "left": latest.left[offer.no]}
            for offer in latest.catalogue.offers
            if latest.left.get(offer.no, 0) > 0 and offer.no not in ask.offers
        ]
        age_ms = max(0, self._board.store_time_ms() - latest.read_ms)
        return {"alternatives": offers, "alternatives_age_ms": age_ms}
