"""What everybody may see: campaigns, waves, the store's clock. Asked for by a crowd that watches a countdown.

What a page says is encoded once for each reading of the board; only the age of `left` is put in for each
request. The ETag is weak and does not cover that age: a page that differs in nothing else is the same page.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from engine.claiming.board import LiveWave
from engine.domain.campaign import Catalogue, CatalogueWave
from engine.gateway.answer import BARE, JSON, PRIVATE, Answer, Heading
from engine.gateway.parts import BoardPart
from engine.gateway.refusals import Problem, refuse
from engine.gateway.status_objects import Members, campaign_members, unloaded_wave_members, wave_members
from engine.gateway.waves import find_wave

CACHED_MAX: Final = 2_000
"""Objects kept as text, a few kB each; past it all are dropped and made again."""

_encode: Final = msgspec.json.Encoder().encode
_CACHE_CONTROL: Final = ("Cache-Control", "public, max-age=1")
_RECOVERING: Final = Problem("recovering")


class _Printed(Struct, frozen=True):
    """A JSON object as text, what it was made from, and its part of an ETag."""

    source: object
    state: str
    body: bytes
    tag: bytes


class StatusPages:
    """Prints the board."""

    def __init__(self, board: BoardPart) -> None:
        self._board = board
        self._printed: dict[tuple[str, str], _Printed] = {}

    def time(self, heading: Heading) -> Answer:
        """The hot store's clock as this gateway estimates it."""
        now_ms = self._board.store_time_ms()
        if not now_ms:  # the store was not heard yet
            return refuse(_RECOVERING, heading.accept_language)
        return Answer(200, "ok", PRIVATE, b'{"server_time_ms":%d}' % now_ms)

    async def wave(self, wave: str, heading: Heading) -> Answer:
        """One wave."""
        live = await find_wave(self._board, wave)
        if isinstance(live, Problem):
            return refuse(live, heading.accept_language)
        now_ms = self._board.store_time_ms()
        if not live.loaded and live.state.state == "live" and live.state.opens_ms <= now_ms < live.state.closes_ms:
            return refuse(_RECOVERING, heading.accept_language)  # it is on, and the hot store lacks it for the moment
        printed = self._wave(live, now_ms)
        return self._send(printed.body, printed.tag, [live], heading)

    def waves(self, heading: Heading) -> Answer:
        """Every wave in the hot store, by opening. Those of sandboxes are shown only to who asks for them by id."""
        shown = (wave for wave in self._board.waves() if not wave.catalogue.sandbox)
        live = sorted(shown, key=lambda wave: (wave.state.opens_ms, wave.wave.id))
        now_ms = self._board.store_time_ms()
        printed = [self._wave(wave, now_ms) for wave in live]
        body = b'{"waves":[' + b",".join(part.body for part in printed) + b"]}"
        return self._send(body, b"".join(part.tag for part in printed), live, heading)

    def campaign(self, campaign: str, heading: Heading) -> Answer:
        """A campaign: rules, offers, schedule."""
        catalogue = self._board.campaign(campaign)
        if catalogue is None:
            return refuse(Problem("not_found") if self._board.ready else _RECOVERING, heading.accept_language)
        live = {wave.wave.no: wave for wave in self._board.waves() if wave.catalogue.id == campaign}
        now_ms = self._board.store_time_ms()
        rules = self._print("campaign", campaign, catalogue, "", lambda: campaign_members(catalogue))
        schedule = [
            self._wave(live[wave.no], now_ms) if wave.no in live else self._unloaded(catalogue, wave, now_ms)
            for wave in catalogue.waves
        ]
        body = rules.body[:-1] + b',"waves":[' + b",".join(part.body for part in schedule) + b"]}"
        return self._send(body, rules.tag + b"".join(part.tag for part in schedule), list(live.values()), heading)

    def _send(self, body: bytes, tags: bytes, waves: Sequence[LiveWave], heading: Heading) -> Answer:
        """The page with the age of its oldest `left`, or 304 where the caller has it already."""
        tag = f'W/"{hashlib.blake2b(tags, digest_size=9).hexdigest()}"'
        headers = (_CACHE_CONTROL, ("ETag", tag))
        if _has(heading.if_none_match, tag):
            return Answer(304, "not_modified", BARE + headers)
        read_ms = min((wave.read_ms for wave in waves if wave.loaded), default=0)
        age = b"%d" % max(0, self._board.store_time_ms() - read_ms) if read_ms else b"null"
        return Answer(200, "ok", JSON + headers, body[:-1] + b',"left_age_ms":' + age + b"}")

    def _wave(self, live: LiveWave, now_ms: int) -> _Printed:
        status = live.status(now_ms)
        return self._print("wave", live.wave.id, live, status, lambda: wave_members(live, status))

    def _unloaded(self, catalogue: Catalogue, wave: CatalogueWave, now_ms: int) -> _Printed:
        """A wave of a loaded campaign that the hot store does not have yet, or any more."""
        status: Final = "scheduled" if now_ms < wave.closes_at_ms else "closed"
        return self._print("wave", wave.id, wave, status, lambda: unloaded_wave_members(catalogue, wave, status))

    def _print(self, kind: str, name: str, source: object, state: str, make: Callable[[], Members]) -> _Printed:
        printed = self._printed.get((kind, name))
        if printed is None or printed.source is not source or printed.state != state:
            if len(self._printed) >= CACHED_MAX:
                self._printed.clear()
            body = bytes(_encode(make()))
            printed = _Printed(source, state, body, hashlib.blake2b(body, digest_size=9).digest())
            self._printed[kind, name] = printed
        return printed


def _has(if_none_match: str, tag: str) -> bool:
    """Whether `If-None-Match` names this tag, compared weakly (RFC 9110, 13.1.2)."""
    if not if_none_match:
        return False
    opaque = tag.removeprefix("W/")
    return if_none_match.strip() == "*" or any(
        candidate.strip().removeprefix("W/") == opaque for candidate in if_none_match.split(",")
    )
