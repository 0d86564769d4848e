"""How often a merchant's token may ask in vain: for codes that nobody was given, and for users who hold nothing.

A till may mistype; a program that tries codes or accounts one after the other has to become slow. Each token has two
buckets (`rates.Buckets`), by its `sub`, so that a new token is no new bucket. What is found takes nothing. What is not
found takes a token **afterwards**, into debt where there is none left: to take it beforehand would hold up an honest
chain that has more requests under way than the bucket holds. So whoever sends a thousand guesses at once gets them, and
then waits for all of them; in the long run it is the rate that counts. In debt everything that names a code or a user
is refused before it is looked at: were only the wrong ones refused, the refusal would tell them from the right ones.

A wrong check character is told without a look and counts the same: whoever can compute it learns nothing by it. Like
all buckets these are a process's own.
"""

import time
from collections.abc import Callable
from typing import Final, Literal

from engine.gateway.answer import Answer
from engine.gateway.identity.caller import Caller
from engine.gateway.rates import Buckets
from engine.gateway.refusals import Problem
from engine.settings import Settings
from engine.telemetry import GUESSES

Guessed = Literal["code", "user"]
"""What a request names that could be a guess."""

NOTHING: Final = "nothing"
"""Outcome of quotes with no voucher in them: the user holds none here, or there is no such user."""
IN_VAIN: Final[dict[Guessed, frozenset[str]]] = {
    "code": frozenset({"mistyped_code", "unknown_code"}),
    "user": frozenset({NOTHING}),
}
"""Outcomes that take from the bucket."""
DEBT_S_MAX: Final = 600.0
"""No token is locked out for longer, whatever was tried with it; at most `requests_in_flight_max` guesses in that time
against 2**60 codes are none to speak of."""


class Guesses:
    """The buckets of one gateway process, as the settings have them."""

    def __init__(self, settings: Settings, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        def buckets(per: str, per_second: float, burst: int) -> Buckets | None:
            return Buckets(per, per_second, burst, settings.rate_buckets_max, monotonic_s) if per_second else None

        self._buckets: dict[Guessed, Buckets | None] = {
            "code": buckets("code_guesses", settings.code_guesses_per_second, settings.code_guesses_burst),
            "user": buckets("user_guesses", settings.user_guesses_per_second, settings.user_guesses_burst),
        }

    def refusal(self, guessed: Guessed, caller: Caller) -> Problem | None:
        """`too_many_requests` where this token has asked in vain too often."""
        buckets = self._buckets[guessed]
        wait_s = 0.0 if buckets is None else buckets.lacks(caller.identity.account)
        return Problem("too_many_requests", wait_ms=int(wait_s * 1000) + 1) if wait_s else None

    def answered(self, guessed: Guessed, caller: Caller, answer: Answer) -> None:
        """What came of a request; it takes a token where it was in vain."""
        if answer.outcome not in IN_VAIN[guessed]:
            return
        GUESSES.labels(answer.outcome).inc()
        buckets = self._buckets[guessed]
        if buckets is not None:
            buckets.owe(caller.identity.account, DEBT_S_MAX)
            buckets.tell()
