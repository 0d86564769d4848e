"""The look at users' own claims at the end of a run: what was acknowledged has to be shown, and nothing else."""

import time
from typing import Final

import gevent
from gevent.pool import Pool
from locust.contrib.fasthttp import FastHttpSession

from loadtests.swarm.accounts import Accounts
from loadtests.swarm.answers import ToldClaim, read_answer, read_claim
from loadtests.swarm.book import Book
from loadtests.swarm.operator import session_of
from loadtests.swarm.tally import Checks

CHECK_S: Final = 30.0
_AT_ONCE: Final = 8
"""Connections of one worker."""
_ANSWER_S: Final = 10.0
_PAUSE_S: Final = 0.2


def check_own_claims(host: str, wave: str, book: Book, accounts: Accounts) -> Checks:
    """Asks for those that the book has picked, for CHECK_S at most."""
    ends_s = time.monotonic() + CHECK_S
    waiting, checks, pool = [*book.winners.kept, *book.losers.kept], Checks(), Pool(_AT_ONCE)

    def ask_one_after_the_other() -> None:
        session = session_of(host, _ANSWER_S)
        while waiting and time.monotonic() < ends_s:
            standing = waiting.pop()
            account = accounts.at(standing.number)
            assert account is not None
            shown = _own_claims(session, wave, account.token, ends_s)
            if shown is None:
                checks.silent += 1
            else:
                checks.shown += 1
                book.see_own_claims(standing, shown)

    for _ in range(_AT_ONCE):
        pool.spawn(ask_one_after_the_other)
    pool.join(raise_error=True)
    checks.silent += len(waiting)
    return checks


def _own_claims(session: FastHttpSession, wave: str, token: str, ends_s: float) -> list[ToldClaim] | None:
    """None where they are not told in time."""
    while True:
        response = session.request("GET", f"/v1/waves/{wave}/claims", headers={"Authorization": f"Bearer {token}"})
        told, members = read_answer(response.status_code, response.content)
        if told.code == "ok":
            return [read_claim(claim) for claim in members["claims"]]
        if told.is_final or time.monotonic() > ends_s:
            return None
        gevent.sleep(max(told.retry_after_ms / 1000, _PAUSE_S))
