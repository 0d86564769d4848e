"""How often one may ask: token buckets for accounts and, where that is switched on, for addresses.

A bucket holds `burst` tokens and regains `per_second` of them; a request takes one. It is kept as one number, the
instant at which it will be full again (the "theoretical arrival time" of GCRA, ITU-T I.371): nothing runs in the
background, and a bucket that is full need not be kept at all.

**Who is let off.** Answers that are no fault of who asks give most of their token back (`GENTLE`): a replay, and what
is refused because of the state of things here. Who comes back when `retry_after_ms` says is never refused.

**Memory.** At most `buckets_max` are kept, those that took longest ago go first. A bucket that has gone counts as
full, so that forgetting can only forgive. Could a crowd of accounts push debts out on purpose? Only by taking once
with each of `buckets_max` other accounts before the debt has run off by itself, which takes burst / per_second
seconds (5 by default). That is buckets_max / 5 s = 20,000 requests a second, all that one process answers, from
100,000 accounts that an issuer has vouched for, to spare one of them a pause of seconds; and those accounts may
ask 1,000,000 times a second in all without any trick. Nobody else's bucket gets fuller or emptier by it than it
would be, save that some honest users are forgiven too.

**One process.** Buckets are not shared: with N workers a user can get N times the rate by spreading requests over
many connections (a connection stays with its worker; a phone has one or two). To share them would cost what the
limit is there to save, a round trip to Redis before each claim, and would make the rate a way to slow the hot store.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from engine.gateway.refusals import Problem
from engine.settings import Settings
from engine.telemetry import RATE_BUCKETS, RATE_FORGIVEN, RATE_REFUSED

GENTLE: Final = frozenset({"replayed", "stopped", "paused", "busy", "recovering", "outcome_unknown", "internal"})
"""Outcomes that give most of the token back."""
GIVEN_BACK: Final = 0.9
"""Of a token. Not all of it: a storm of replays is still work, and ends at ten times the rate."""
_SWEPT_AT_ONCE: Final = 16
"""That many come in before those that are full are looked for."""
_ROUNDING_S: Final = 1e-6
"""Sums of floats: a request that comes exactly when its token does is not too early."""


class Buckets:
    """Token buckets by name, in bounded memory. `per` is what the metrics call them."""

    def __init__(
        self,
        per: str,
        per_second: float,
        burst: int,
        buckets_max: int,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._token_s = 1 / per_second
        self._deepest_s = burst * self._token_s + _ROUNDING_S
        self._buckets_max = buckets_max
        self._monotonic_s = monotonic_s
        self._full_at_s: OrderedDict[str, float] = OrderedDict()
        self._new = 0
        """Those that came in since full ones were looked for."""
        self._refused = RATE_REFUSED.labels(per)
        self._forgiven = RATE_FORGIVEN.labels(per)
        self._size = RATE_BUCKETS.labels(per)

    def __len__(self) -> int:
        """How many buckets are kept."""
        return len(self._full_at_s)

    def take(self, name: str) -> float:
        """Take a token: 0.0 where there was one, else the seconds until there is one (and nothing was taken)."""
        now_s, buckets = self._monotonic_s(), self._full_at_s
        known_s = buckets.get(name)
        if known_s is None:  # as nearly all of a crowd
            buckets[name] = now_s + self._token_s
            self._new += 1
            if self._new >= _SWEPT_AT_ONCE or len(buckets) > self._buckets_max:
                self._sweep(now_s)
            return 0.0
        full_at_s = (known_s if known_s > now_s else now_s) + self._token_s
        if full_at_s - now_s > self._deepest_s:
            self._refused.inc()
            return full_at_s - now_s - self._deepest_s + _ROUNDING_S
        buckets[name] = full_at_s
        buckets.move_to_end(name)
        return 0.0

    def lacks(self, name: str) -> float:
        """Seconds until there is a token, 0.0 where there is one; nothing is taken."""
        now_s = self._monotonic_s()
        wait_s = self._full_at_s.get(name, now_s) + self._token_s - now_s - self._deepest_s
        if wait_s <= 0:
            return 0.0
        self._refused.inc()
        return wait_s + _ROUNDING_S

    def owe(self, name: str, debt_s_max: float) -> None:
        """Take a token whether there is one or not: who has none owes it, and has to wait until it is there too, at
        most `debt_s_max` seconds."""
        now_s = self._monotonic_s()
        known_s = self._full_at_s.get(name)
        full_at_s = (now_s if known_s is None or known_s < now_s else known_s) + self._token_s
        self._full_at_s[name] = min(full_at_s, now_s + self._deepest_s - self._token_s + debt_s_max)
        if known_s is None:
            self._new += 1
            self._sweep(now_s)
        else:
            self._full_at_s.move_to_end(name)

    def give_back(self, name: str, share: float) -> None:
        """Put that share of a token back."""
        full_at_s = self._full_at_s.get(name)
        if full_at_s is not None:
            self._full_at_s[name] = full_at_s - share * self._token_s

    def tell(self) -> None:
        """Set the gauge of this process."""
        self._size.set(len(self._full_at_s))

    def _sweep(self, now_s: float) -> None:
        """For each that came in two that are full may go, so that what is kept shrinks; without room, one has to.

        The front is who took longest ago: after burst / per_second seconds that one is full.
        """
        buckets = self._full_at_s
        new, self._new = self._new, 0
        for _ in range(2 * new):
            oldest = next(iter(buckets))
            if buckets[oldest] > now_s:
                break
            del buckets[oldest]
        if len(buckets) > self._buckets_max:
            buckets.popitem(last=False)
            self._forgiven.inc()


class Rates:
    """The buckets of one gateway process, as the settings have them."""

    def __init__(self, settings: Settings, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        def buckets(per: str, per_second: float, burst: int) -> Buckets | None:
            return Buckets(per, per_second, burst, settings.rate_buckets_max, monotonic_s) if per_second else None

        self._users = buckets("user", settings.user_requests_per_second, settings.user_requests_burst)
        self._addresses = buckets("address", settings.address_requests_per_second, settings.address_requests_burst)
        self.counts_addresses = self._addresses is not None
        """Whether addresses are limited at all; off by default, since a carrier's users share a few of them."""

    def user(self, account: str) -> Problem | None:
        """`too_many_requests` where this account has no token left; else one is taken."""
        wait_s = 0.0 if self._users is None else self._users.take(account)
        return _problem(wait_s) if wait_s else None

    def user_answered(self, account: str, outcome: str) -> None:
        """The request that took a token ended like this: most of it is given back where that was gentle."""
        if self._users is not None and outcome in GENTLE:
            self._users.give_back(account, GIVEN_BACK)

    def address(self, address: str) -> Problem | None:
        """The same of an address (`forwarded.counted_as`). One that is not known is not counted."""
        return None if self._addresses is None or not address else _problem(self._addresses.take(address))

    def tell(self) -> None:
        """Set the gauges."""
        for buckets in (self._users, self._addresses):
            if buckets is not None:
                buckets.tell()


def _problem(wait_s: float) -> Problem | None:
    """The refusal that asks for this pause, and for what the code asks on top (`problems`)."""
    return Problem("too_many_requests", wait_ms=int(wait_s * 1000) + 1) if wait_s else None
