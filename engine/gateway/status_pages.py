"""What everybody may see: campaigns, waves, the store's clock. Asked for by a crowd that watches a countdown.

What a page says is encoded once for each reading of the board; only the age of `left` is put in for each
request. The ETag is weak and does not cover that age: a page that differs in nothing else is the same page. It is made
of what the page says and of nothing else, so every gateway gives the same one, and a cache in front of several can
ask any of them.

**How old.** A page may be kept for a second, and no longer: `must-revalidate`, and no `stale-while-revalidate`, since
a page that says `open` must not outlive the wave. In a cache `left_age_ms` stands still; `left_read_at_ms` does not
lie, by the clock of `/v1/time`. A 304 makes a kept page new again without touching its body, so it says in
`Left-Read-At-Ms` when what is in the body was last seen to be so.

**Around a change.** When a wave opens or closes within `NEAR_MS`, a browser is told to keep nothing (`max-age=0`), so
that it does not add its second to that of a cache on the way, and nobody is shown the old state for longer than
one second past the change. A shared cache may keep its second even then (`s-maxage=1`, RFC 9111, 5.2.2.10): without
it, at the very moment when everybody looks, each look would reach the gateways, and the claims would wait behind them.
Who must not be a second late goes by `opens_at` and `/v1/time`, as every page says both.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from engine.claiming.board import LiveWave
from engine.domain.campaign import Catalogue, CatalogueWave
from engine.gateway.answer import BARE, JSON, PRIVATE, Answer, Headers, Heading
from engine.gateway.etags import has, tag_of
from engine.gateway.parts import BoardPart
from engine.gateway.refusals import Problem, refuse
from engine.gateway.status_objects import Members, campaign_members, unloaded_wave_members, wave_members
from engine.gateway.waves import find_campaign, find_wave

CACHED_MAX: Final = 2_000
"""Objects kept as text, a few kB each; past it all are dropped and made again."""

_encode: Final = msgspec.json.Encoder().encode
_KEEP: Final = ("Cache-Control", "public, max-age=1, must-revalidate")
_KEEP_SHARED: Final = ("Cache-Control", "public, max-age=0, s-maxage=1, must-revalidate")
NEAR_MS: Final = 2_000
"""A second in a shared cache, which rounds the age that it states down, and a second in the browser behind it."""
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
        return self.page_of(live, heading)

    def page_of(self, live: LiveWave, heading: Heading) -> Answer:
        """The page of a wave that is at hand."""
        now_ms = self._board.store_time_ms()
        if _is_missed(live, now_ms):
            return refuse(_RECOVERING, heading.accept_language)
        printed = self._wave(live, now_ms)
        return self._send(printed.body, printed.tag, [live], _cache_control([_hours(live)], now_ms), heading)

    def waves(self, heading: Heading) -> Answer:
        """Every wave in the hot store, by opening. Those of sandboxes are shown only to who asks for them by id."""
        shown = (wave for wave in self._board.waves() if not wave.catalogue.sandbox)
        live = sorted(shown, key=lambda wave: (wave.state.opens_ms, wave.wave.id))
        now_ms = self._board.store_time_ms()
        printed = [self._wave(wave, now_ms) for wave in live]
        body = b'{"waves":[' + b",".join(part.body for part in printed) + b"]}"
        tags = b"".join(part.tag for part in printed)
        return self._send(body, tags, live, _cache_control(map(_hours, live), now_ms), heading)

    async def campaign(self, campaign: str, heading: Heading) -> Answer:
        """A campaign: rules, offers, schedule. Of the hot store, or of the ledger where it has left that."""
        found = await find_campaign(self._board, campaign)
        if isinstance(found, Problem):
            return refuse(found, heading.accept_language)
        catalogue, live = found.catalogue, {wave.wave.no: wave for wave in found.waves}
        now_ms = self._board.store_time_ms()
        if any(_is_missed(wave, now_ms) for wave in found.waves):
            return refuse(_RECOVERING, heading.accept_language)
        rules = self._print("campaign", campaign, catalogue, "", lambda: campaign_members(catalogue))
        schedule = [
            self._wave(live[wave.no], now_ms) if wave.no in live else self._unloaded(catalogue, wave, now_ms)
            for wave in catalogue.waves
        ]
        body = rules.body[:-1] + b',"waves":[' + b",".join(part.body for part in schedule) + b"]}"
        tags = rules.tag + b"".join(part.tag for part in schedule)
        hours = [
            _hours(live[wave.no]) if wave.no in live else (wave.opens_at_ms, wave.closes_at_ms)
            for wave in catalogue.waves
        ]
        return self._send(body, tags, list(live.values()), _cache_control(hours, now_ms), heading)

    def _send(
        self, body: bytes, tags: bytes, waves: Sequence[LiveWave], cache_control: tuple[str, str], heading: Heading
    ) -> Answer:
        """The page with the age of its oldest `left`, or 304 where the caller has it already."""
        tag = f"W/{tag_of(tags)}"
        read_ms = min((wave.read_ms for wave in waves if wave.loaded), default=0)
        headers: Headers = (cache_control, ("ETag", tag))
        if read_ms:
            headers += (("Left-Read-At-Ms", str(read_ms)),)
        if has(heading.if_none_match, tag):
            return Answer(304, "not_modified", BARE + headers)
        age = b"%d" % max(0, self._board.store_time_ms() - read_ms) if read_ms else b"null"
        read_at = b"%d" % read_ms if read_ms else b"null"
        aged = body[:-1] + b',"left_age_ms":' + age + b',"left_read_at_ms":' + read_at + b"}"
        return Answer(200, "ok", JSON + headers, aged)

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


def _is_missed(live: LiveWave, now_ms: int) -> bool:
    """Whether it is on, and the hot store lacks it for the moment: what is left of it is not known."""
    return not live.loaded and live.state.state == "live" and live.state.opens_ms <= now_ms < live.state.closes_ms


def _hours(live: LiveWave) -> tuple[int, int]:
    """When it opens and closes; 0 for what it will not do any more."""
    return (live.state.opens_ms, live.state.closes_ms) if live.state.state in ("live", "paused") else (0, 0)


def _cache_control(hours: Iterable[tuple[int, int]], now_ms: int) -> tuple[str, str]:
    """How long a page with waves of these hours may be kept."""
    is_near = any(0 <= instant_ms - now_ms < NEAR_MS for pair in hours for instant_ms in pair)
    return _KEEP_SHARED if is_near else _KEEP
