"""What everybody may see: campaigns, waves, the store's clock. Asked for by a crowd that watches a countdown.

What a page says is encoded once for each reading of the board, and the page of a wave is put together once until the
next reading, or until an instant at which it changes by itself; only the age of `left` is put in for each request.
The ETag is weak and does not cover that age: a page that differs in nothing else is the same page. It is made of what
the page says and of nothing else, so every gateway gives the same one, and a cache in front of several can ask any.

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
NEVER_MS: Final = 2**63
_RECOVERING: Final = Problem("recovering")


class _Printed(Struct, frozen=True):
    """A JSON object as text, what it was made from, and its part of an ETag."""

    source: object
    state: str
    body: bytes
    tag: bytes


class _Page(Struct, frozen=True):
    """A page for whoever asks: all but the age of its oldest `left`, which was read at `read_ms` (0: there is none)."""

    tag: str
    own: Headers
    """What its 304 says beside what every answer does."""
    headers: Headers
    before_age: bytes
    read_ms: int
    behind_age: bytes


class _Standing(Struct, frozen=True):
    """The page of a wave, for as long as the board has this picture of it and the clock is between these instants."""

    live: LiveWave
    from_ms: int
    until_ms: int
    page: _Page


class StatusPages:
    """Prints the board."""

    def __init__(self, board: BoardPart) -> None:
        self._board = board
        self._printed: dict[tuple[str, str], _Printed] = {}
        self._standing: dict[str, _Standing] = {}

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
        now_ms, standing = self._board.store_time_ms(), self._standing.get(live.wave.id)
        if standing is None or standing.live is not live or not standing.from_ms <= now_ms < standing.until_ms:
            if _is_missed(live, now_ms):
                return refuse(_RECOVERING, heading.accept_language)
            standing = self._stand(live, now_ms)
        return self._send(standing.page, heading)

    def _stand(self, live: LiveWave, now_ms: int) -> _Standing:
        printed = self._wave(live, now_ms)
        page = _page(printed.body, printed.tag, [live], _cache_control([_hours(live)], now_ms))
        if len(self._standing) >= CACHED_MAX:
            self._standing.clear()
        standing = self._standing[live.wave.id] = _Standing(live, now_ms, _next_change_ms(live, now_ms), page)
        return standing

    def waves(self, heading: Heading) -> Answer:
        """Every wave in the hot store, by opening. Those of sandboxes are shown only to who asks for them by id."""
        shown = (wave for wave in self._board.waves() if not wave.catalogue.sandbox)
        live = sorted(shown, key=lambda wave: (wave.state.opens_ms, wave.wave.id))
        now_ms = self._board.store_time_ms()
        printed = [self._wave(wave, now_ms) for wave in live]
        body = b'{"waves":[' + b",".join(part.body for part in printed) + b"]}"
        tags = b"".join(part.tag for part in printed)
        return self._send(_page(body, tags, live, _cache_control(map(_hours, live), now_ms)), heading)

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
        return self._send(_page(body, tags, list(live.values()), _cache_control(hours, now_ms)), heading)

    def _send(self, page: _Page, heading: Heading) -> Answer:
        """The page with the age of its oldest `left`, or 304 where the caller has it already."""
        if has(heading.if_none_match, page.tag):
            return Answer(304, "not_modified", BARE + page.own)
        age = b"%d" % max(0, self._board.store_time_ms() - page.read_ms) if page.read_ms else b"null"
        return Answer(200, "ok", page.headers, page.before_age + age + page.behind_age)

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


def _page(body: bytes, tags: bytes, waves: Sequence[LiveWave], cache_control: tuple[str, str]) -> _Page:
    """The page of this JSON object, which shows these waves."""
    read_ms = min((wave.read_ms for wave in waves if wave.loaded), default=0)
    tag = f"W/{tag_of(tags)}"
    own: Headers = (cache_control, ("ETag", tag))
    if read_ms:
        own += (("Left-Read-At-Ms", str(read_ms)),)
    read_at = b"%d" % read_ms if read_ms else b"null"
    behind_age = b',"left_read_at_ms":' + read_at + b"}"
    return _Page(tag, own, JSON + own, body[:-1] + b',"left_age_ms":', read_ms, behind_age)


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


def _next_change_ms(live: LiveWave, now_ms: int) -> int:
    """From when on the clock alone may have made another page of it: the wave opens or closes, or is near to it, or no
    longer."""
    instants_ms = (live.state.opens_ms, live.state.closes_ms)
    changes_ms = (at_ms + more_ms for at_ms in instants_ms for more_ms in (1 - NEAR_MS, 0, 1))
    return min((change_ms for change_ms in changes_ms if change_ms > now_ms), default=NEVER_MS)
