"""One account's visit: countdown, ticket, claim, retries as told, repeats, a look at one's own claims."""

import random
from typing import Final

import gevent

from loadtests.swarm.accounts import Account
from loadtests.swarm.answers import OPEN, Told, instant_ms
from loadtests.swarm.book import Asking, Standing
from loadtests.swarm.crowd import Crowd
from loadtests.swarm.phone import Phone

TRIES_MAX: Final = 40
"""Of one claim: half a minute and more of `busy`. Whoever does not know by then goes without knowing."""
TICKET_TRIES_MAX: Final = 3
"""Then the claim is sent with the token."""
_AGAIN_S: Final = 0.5
"""After no answer, where nobody says when; up to twice that, so that a crowd does not come back at once."""
_EARLY_S: Final = 2.0
_TICKET_BEFORE_S: Final = 0.5
"""The latest moment for a ticket before the opening; the crowd spreads them over the countdown."""
_REPEATS_MAX: Final = 3
_REPEAT_S: Final = 0.3


class Visit:
    """What its user wants is drawn from the seed of the run and the account's name."""

    def __init__(self, phone: Phone, crowd: Crowd, account: Account, draw: random.Random) -> None:
        self.standing = Standing(account.name, account.number)
        self._phone = phone
        self._crowd = crowd
        self._token = account.token
        self._authorization = ""
        self._draw = draw
        self._is_first = True
        offers = crowd.stage.offers
        choice = draw.sample(offers, draw.randint(1, min(2, len(offers))))
        self._offers = tuple(choice)
        """One, or a first and a second choice."""

    def make(self) -> None:
        """From the first look to the last."""
        plan = self._crowd.plan
        self._phone.set_clock()
        self._phone.look()
        self._await_opening()
        if not self._authorization:
            self._get_ticket()
        if self._draw.random() < plan.double_part:
            self._double_tap()
        self._claim()
        if self.standing.granted is not None:
            if self._draw.random() < plan.again_part:
                self._ask_again()
            self._phone.see_own_claims(self.standing, self._token)
        self._phone.look()

    def _await_opening(self) -> None:
        """Looks at the page until it is time, with a ticket on the way; a wave that is moved is followed."""
        plan, draw, phone = self._crowd.plan, self._draw, self._phone
        delay_s = -draw.uniform(0, _EARLY_S) if draw.random() < plan.early_part else draw.expovariate(1 / plan.rush_s)
        ticket_part = draw.random()
        first_s = phone.now_s()
        while phone.page.get("state") == "scheduled":
            opens_s = instant_ms(phone.page["opens_at"]) / 1000
            ticket_s = first_s + ticket_part * max(opens_s - _TICKET_BEFORE_S - first_s, 0)
            now_s = phone.now_s()
            if not self._authorization and now_s >= ticket_s:
                self._get_ticket()
            left_s = opens_s + delay_s - now_s
            if left_s <= 0:
                return
            pause_s = draw.uniform(0.5, 1.5) * plan.look_s
            if left_s <= pause_s:
                gevent.sleep(left_s)
                return
            gevent.sleep(pause_s)
            phone.look()
        gevent.sleep(max(delay_s, 0))

    def _get_ticket(self) -> None:
        for _ in range(TICKET_TRIES_MAX):
            ticket, told = self._phone.get_ticket(self._token)
            if ticket:
                self._authorization = f"Ticket {ticket}"
                return
            if told.is_final:
                break
            self._wait(told)
        self._authorization = f"Bearer {self._token}"

    def _claim(self) -> None:
        """Until it is decided."""
        for _ in range(TRIES_MAX):
            told = self._ask()
            if told.code == "ticket_expired":  # operators made it void; a new one is to be had
                self._get_ticket()
            elif told.is_final:
                return
            else:
                self._wait(told)

    def _double_tap(self) -> None:
        """The same request twice at the same moment. What comes of it the next one tells."""
        askings = [self._asking(is_first=False) for _ in range(2)]
        taps = [gevent.spawn(self._phone.claim, asking, self._authorization) for asking in askings]
        try:
            gevent.joinall(taps, raise_error=True)
        finally:
            gevent.killall(taps)  # the user may be stopped in between

    def _ask_again(self) -> None:
        for _ in range(self._draw.randint(1, _REPEATS_MAX)):
            gevent.sleep(self._draw.expovariate(1 / _REPEAT_S))
            self._ask()

    def _ask(self) -> Told:
        return self._phone.claim(self._asking(is_first=self._is_first), self._authorization)

    def _asking(self, *, is_first: bool) -> Asking:
        self._is_first = False
        stage = self._crowd.stage
        return self._crowd.book.ask(self.standing, stage.wave, self._offers, is_first=is_first)

    def _wait(self, told: Told) -> None:
        """As long as the answer says."""
        if told.code in OPEN and not told.retry_after_ms:
            gevent.sleep(self._draw.uniform(1, 2) * _AGAIN_S)
        else:
            gevent.sleep(told.retry_after_ms / 1000)
