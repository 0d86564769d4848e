"""One simulated user of locust: a phone, and one visit after the other or the crowd's waiting behind it."""

import random

import gevent
from locust import task
from locust.contrib.fasthttp import FastHttpUser
from locust.exception import StopUser

from loadtests.swarm.accounts import Account
from loadtests.swarm.crowd import Crowd
from loadtests.swarm.line import Line
from loadtests.swarm.load import Load
from loadtests.swarm.operator import trust
from loadtests.swarm.phone import Phone
from loadtests.swarm.receipts import Receipts
from loadtests.swarm.shopping import Shopping
from loadtests.swarm.visit import Visit

_LOOKS_ON: int = 3
"""Who is done looks at the page so much less often."""
_SET_UP_S: float = 0.05


class Claimant(FastHttpUser):
    """`--host` names the installation."""

    network_timeout = 15.0
    """Longer than a gateway lets a claim wait (docs/http.md, Bounds)."""
    connection_timeout = 5.0
    insecure = False
    ssl_context_factory = staticmethod(trust)
    concurrency = 2
    """Connections: one, and a second for a double tap."""

    @task
    def visit(self) -> None:
        """As one account; then as the next one, or looking on until the end."""
        while (load := Load.here) is None:
            gevent.sleep(_SET_UP_S)
        crowd = load.join()
        account = None if crowd is None else crowd.accounts.next()
        if crowd is None or account is None:  # a file of tokens has no more of them
            raise StopUser
        phone, draw = Phone(self.client, crowd), random.Random(f"{crowd.stage.seed} {account.name}")
        visit = Visit(phone, crowd, account, draw)
        try:
            visit.make()
            self._go_shopping(load, crowd, account, visit, draw)
        finally:
            load.end_visit(crowd, visit.standing)
        while not crowd.plan.renews:
            gevent.sleep(draw.expovariate(1 / (_LOOKS_ON * crowd.plan.look_s)))
            phone.look()
        if crowd.plan.pause_s:
            gevent.sleep(draw.expovariate(1 / crowd.plan.pause_s))

    def _go_shopping(self, load: Load, crowd: Crowd, account: Account, visit: Visit, draw: random.Random) -> None:
        """With what the visit came to, where the plan has that."""
        claim = visit.standing.granted
        if claim is None or load.tills is None or draw.random() >= crowd.plan.shop_part:
            return
        receipts = Receipts(account.name, claim, crowd.book.sales)
        Shopping(Line(self.client, crowd), crowd, load.tills, receipts, account, draw).make()
