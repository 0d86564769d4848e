"""The users of one process in one run: what they share."""

import time
from typing import Final

import gevent

from loadtests.swarm.accounts import Accounts
from loadtests.swarm.book import Book
from loadtests.swarm.checking import check_own_claims
from loadtests.swarm.plan import Plan
from loadtests.swarm.stage import Stage
from loadtests.swarm.tally import Checks

UNDER_WAY_S: Final = 20.0
"""For requests under way at the end: longer than a user waits for an answer."""
_LOOK_S: Final = 0.05


class Crowd:
    """The users of this process in one run."""

    def __init__(self, stage: Stage, accounts: Accounts, worker: int) -> None:
        self.stage = stage
        self.plan = Plan(**stage.plan)
        self.accounts = accounts
        self.book = Book(stage.seed + worker, is_fresh=accounts.is_fresh)
        self.is_closing = False
        """Whether no further request may begin."""
        self.under_way = 0
        """Requests that have not been answered."""

    def close(self, host: str) -> Checks:
        """Let no further request begin, wait for those under way, look at own claims."""
        self.is_closing = True
        ends_s = time.monotonic() + UNDER_WAY_S
        gevent.sleep(_LOOK_S)
        while self.under_way and time.monotonic() < ends_s:
            gevent.sleep(_LOOK_S)
        return check_own_claims(host, self.stage.wave, self.book, self.accounts)
