"""All connections of a process: who is let in, how long each may take for what, and who gives way.

Any protocol keeps a `Watch` for each of its connections and tells it what happens; `Connections` looks over all of
them a few times a second and ends those whose time is up. So a limit costs a request two notes, not a timer.

    phase      the client owes us                    for at most
    FRESH      a first byte                          first_byte_deadline_ms
    HEADERS    the rest of a request's headers       header_deadline_ms from their first byte, however they trickle
    BODY       the rest of a body                    body_deadline_ms (whoever reads the body sees to that)
    IDLE       another request, or none              keep_alive_ms
    BUSY       nothing: we owe it an answer          (what the answer waits for has bounds of its own)
    LEAVING    hanging up: it has its last answer    LINGER_S

In each of them it also owes us to take what was written: `write_deadline_ms` after something has begun to wait in our
memory without a pause, the connection is cut.

A process that has as many as it may have takes a new client for the one that has owed us something longest, if that is
longer than GRACE_S: connections that do nothing lock nobody out. Otherwise the new one is told `busy`.
"""

import asyncio
import ipaddress
import time
from collections import Counter
from collections.abc import Callable
from enum import IntEnum, StrEnum
from math import inf
from typing import Final, Literal

from engine.gateway.forwarded import counted_as
from engine.settings import Settings
from engine.telemetry import CONNECTIONS, CONNECTIONS_CUT, CONNECTIONS_REFUSED

GRACE_S: Final = 1.0
"""A connection is not cut for a new one before it has had this long: a request is on its way on most of those."""
LINGER_S: Final = 2.0
"""After its last answer a client gets this long to read it and hang up; what it sends meanwhile is thrown away. Closed
at once, unread bytes would make the kernel reset the connection, and the answer be lost (RFC 9112, 9.6)."""
UNSENT_BYTES_MAX: Final = 16_384
"""More than this in our memory that the kernel has no place for, and no further request of that client is begun."""
SENT_AHEAD_S: Final = 0.004
SENT_AHEAD_FREE: Final = 4
"""Clients that send requests ahead (pipelining; browsers and phones do not) get 250 answers a second together, where
there are more than these few. Without that a hundred of them, who need not even read, take nearly all of a
process: each has a request ready every time the loop goes round, and a claim needs ten rounds."""
TURNED_AWAY_MAX: Final = 256
"""Clients that are just being told `busy`; beyond them connections are closed without a word."""
_LOOK_S_MAX: Final = 0.5


class Phase(IntEnum):
    """What is waited for on a connection; see above. In those below BUSY the client owes us bytes."""

    FRESH = 0
    HEADERS = 1
    BODY = 2
    IDLE = 3
    BUSY = 4
    LEAVING = 5


_IDLE: Final = Phase.IDLE
_BUSY: Final = Phase.BUSY
"""For who asks at each request: to ask an Enum for one of its own takes as long as to ask a dict five times."""


class Cut(StrEnum):
    """Why the gateway ends a connection."""

    FIRST_BYTE = "first_byte"
    HEADERS = "headers"
    IDLE = "idle"
    UNREAD = "unread"
    HANG_UP = "hang_up"
    CROWDED = "crowded"
    DRAIN = "drain"


_CUT_IN: Final = {
    Phase.FRESH: Cut.FIRST_BYTE,
    Phase.HEADERS: Cut.HEADERS,
    Phase.IDLE: Cut.IDLE,
    Phase.LEAVING: Cut.HANG_UP,
}


class Watch:
    """What is known of one connection. Its protocol calls the verbs; `cut` is called when its time is up."""

    __slots__ = ("_all", "_header_bytes", "_share_of", "cut", "phase", "since_s", "transport", "unsent_since_s")

    def __init__(self, all_connections: "Connections", cut: Callable[[Cut], None]) -> None:
        self._all = all_connections
        self._header_bytes = 0
        self._share_of = ""
        self.cut = cut
        self.phase = Phase.FRESH
        self.since_s = 0.0
        self.unsent_since_s = 0.0
        """When bytes that the client does not take were first seen; 0: there are none."""
        self.transport: asyncio.Transport | None = None

    def opened(self, transport: asyncio.Transport) -> Literal["", "full", "address"]:
        """A client has connected; why not to serve it, or nothing. Refused or not, `lost` is to follow."""
        self.transport = transport
        transport.set_write_buffer_limits(high=UNSENT_BYTES_MAX)
        refusal, self._share_of = self._all.take_in(self, transport)
        self._turn(Phase.LEAVING if refusal else Phase.FRESH)
        return refusal

    def heard(self, count: int) -> bool:
        """So many bytes came that end no headers. False: more than headers may have."""
        if self.phase is Phase.FRESH or self.phase is Phase.IDLE:
            self._turn(Phase.HEADERS)
            self._header_bytes = 0
        elif self.phase is not Phase.HEADERS:
            return True  # of a body, or of a request behind the one that is under way
        self._header_bytes += count
        return self._header_bytes <= self._all.header_block_bytes_max

    def busy(self) -> None:
        """As `asked`, whole; and `idle` as `answered`. For who calls both for each request: in one step each."""
        self.phase = _BUSY
        self._all.owing.pop(self, None)

    def idle(self) -> None:
        """See `busy`."""
        self.phase = _IDLE
        self._all.owing[self] = None
        self.since_s = self._all.now_s()

    def asked(self, *, whole: bool) -> None:
        """A request has come: whole, or but for its body."""
        self._turn(Phase.BUSY if whole else Phase.BODY)

    def answered(self) -> None:
        """Every request that has come so far has its answer."""
        self._turn(Phase.IDLE)

    def leaving(self) -> None:
        """It has its last answer."""
        self._turn(Phase.LEAVING)

    def lost(self) -> None:
        """The connection is no more."""
        self._all.let_go(self, self._share_of)
        self.transport = None

    def _turn(self, phase: Phase) -> None:
        self.phase = phase
        self.since_s = self._all.note(self, owing=phase < Phase.BUSY)


class Connections:
    """All of a process, and whether they are to end (`draining`). `now_s` is any clock that only goes on."""

    def __init__(self, settings: Settings, connections_max: int, now_s: Callable[[], float] = time.monotonic) -> None:
        self.draining = False
        self.header_block_bytes_max = settings.header_block_bytes_max
        self._max = connections_max
        self._per_address_max = settings.connections_per_address_max
        self._write_s = settings.write_deadline_ms / 1000
        allowed_s = {
            Phase.FRESH: settings.first_byte_deadline_ms / 1000,
            Phase.HEADERS: settings.header_deadline_ms / 1000,
            Phase.IDLE: settings.keep_alive_ms / 1000,
            Phase.LEAVING: LINGER_S,
        }
        self._allowed_s = [allowed_s.get(phase, inf) for phase in Phase]
        self.look_s = min(_LOOK_S_MAX, self._write_s / 4, *(allowed / 4 for allowed in allowed_s.values()))
        """How often to look: a limit is kept to a quarter of the shortest one, or half a second."""
        self.now_s = now_s
        self._open: dict[Watch, None] = {}
        self._turned_away: dict[Watch, None] = {}
        self.owing: dict[Watch, None] = {}
        """Those that owe us something, the longest first: a dict keeps the order in which its keys came."""
        self._ahead = 0
        """Those that have their next request here already, and are held up."""
        self._addresses: Counter[str] = Counter()
        self._none_left = asyncio.Event()
        self._none_left.set()

    def __len__(self) -> int:
        return len(self._open) + len(self._turned_away)

    @property
    def unsent_bytes(self) -> int:
        """What clients have not taken yet, without what lies with the kernel."""
        return sum(watch.transport.get_write_buffer_size() for watch in self._open if watch.transport is not None)

    def take_in(self, watch: Watch, transport: asyncio.Transport) -> tuple[Literal["", "full", "address"], str]:
        """Why not to serve it, or nothing; and whose share of the connections it takes."""
        CONNECTIONS.inc()
        self._none_left.clear()
        address = share_of(transport) if self._per_address_max else ""
        refusal: Literal["", "full", "address"] = ""
        if address and self._addresses[address] >= self._per_address_max:
            refusal, address = "address", ""
        elif len(self._open) >= self._max and not self._make_room():
            refusal, address = "full", ""
        if refusal:
            CONNECTIONS_REFUSED.labels(refusal).inc()
            self._turned_away[watch] = None
            if len(self._turned_away) > TURNED_AWAY_MAX:
                transport.abort()
            return refusal, ""
        self._open[watch] = None
        if address:
            self._addresses[address] += 1
        return "", address

    def let_go(self, watch: Watch, address: str) -> None:
        """It is no more."""
        CONNECTIONS.dec()
        self._open.pop(watch, None)
        self._turned_away.pop(watch, None)
        self.owing.pop(watch, None)
        if address:
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]
        if not len(self):
            self._none_left.set()

    def note(self, watch: Watch, *, owing: bool) -> float:
        """It owes us something from now on, or nothing; gives now."""
        self.owing.pop(watch, None)
        if owing:
            self.owing[watch] = None
        return self.now_s()

    async def hold_up(self) -> None:
        """Wait before the next request of a client that had sent it before it had its answer."""
        self._ahead += 1
        try:
            await asyncio.sleep(SENT_AHEAD_S * self._ahead if self._ahead > SENT_AHEAD_FREE else 0)
        finally:
            self._ahead -= 1

    async def look(self) -> None:
        """End those whose time is up."""
        now_s = self.now_s()
        for watch in (*self._open, *self._turned_away):
            reason = self._overdue(watch, now_s)
            if reason is not None:
                self._end(watch, reason)

    def _overdue(self, watch: Watch, now_s: float) -> Cut | None:
        transport = watch.transport
        if transport is None:
            return None
        if not transport.get_write_buffer_size():
            watch.unsent_since_s = 0.0
        elif not watch.unsent_since_s:
            watch.unsent_since_s = now_s
        elif now_s - watch.unsent_since_s >= self._write_s:
            return Cut.UNREAD
        return _CUT_IN[watch.phase] if now_s - watch.since_s >= self._allowed_s[watch.phase] else None

    def _make_room(self) -> bool:
        """End the one that has owed us something longest; False where none has for long."""
        watch = next(iter(self.owing), None)
        if watch is None or self.now_s() - watch.since_s < GRACE_S:
            return False
        self._open.pop(watch, None)
        self._turned_away[watch] = None  # until it is gone
        self._end(watch, Cut.CROWDED)
        return True

    def _end(self, watch: Watch, reason: Cut) -> None:
        CONNECTIONS_CUT.labels(reason.value).inc()
        watch.leaving()  # whatever comes of it, it owes us nothing but to go
        watch.cut(reason)

    def dismiss_idle(self) -> None:
        """End those on which no request has begun."""
        for watch in tuple(self.owing):
            if watch.phase in (Phase.FRESH, Phase.IDLE):
                self._end(watch, Cut.DRAIN)

    def cut_all(self) -> None:
        """End every one, now."""
        for watch in (*self._open, *self._turned_away):
            CONNECTIONS_CUT.labels(Cut.DRAIN.value).inc()
            if watch.transport is not None:
                watch.transport.abort()

    async def wait_none_left(self, timeout_s: float) -> bool:
        """Whether every client has hung up within that time."""
        try:
            await asyncio.wait_for(self._none_left.wait(), timeout_s)
        except TimeoutError:
            return False
        return True


def share_of(transport: asyncio.Transport) -> str:
    """Who its connections are counted for: an IPv4 address, or the /64 that an IPv6 customer has; empty for nobody."""
    peer = transport.get_extra_info("peername")
    if not peer or not isinstance(peer, tuple):
        return ""
    address = ipaddress.ip_address(str(peer[0]).partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return counted_as(mapped or address)
