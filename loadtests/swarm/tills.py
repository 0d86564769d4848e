"""The tills of one worker: no other worker has them, nor the numbers of their requests."""

import json
import random
from collections.abc import Sequence
from itertools import count
from typing import Any, Final

import gevent
from locust.contrib.fasthttp import FastHttpSession, ResponseContextManager

from loadtests.swarm.accounts import Tokens, stores_of
from loadtests.swarm.answers import OPEN, Told
from loadtests.swarm.crowd import Crowd
from loadtests.swarm.line import Line, flaw, read
from loadtests.swarm.receipts import Sales
from loadtests.swarm.till_answers import AGAIN, FINE_AT_TILLS, Heard

TILLS_A_STORE: Final = 20
STORES_MAX: Final = 8
"""Of a card's stores: a campaign can have thousands, and each till costs a token."""
CONNECTIONS: Final = 64
TRIES_MAX: Final = 40
"""Of one request: half a minute and more of `busy`. Then nobody knows."""
_AGAIN_S: Final = 0.5
"""Where no answer says when to come back; up to twice that."""


class Till:
    """One till of one store."""

    def __init__(self, name: str, store: str, token: str) -> None:
        self.name = name
        self.store = store
        self.token = token
        self._requests = 0

    def request_no(self) -> str:
        """A new one."""
        self._requests += 1
        return f"{self.name}-{self._requests}"


class Tills:
    """All of them. Their tokens are made here, or those of LOAD_TILL_TOKENS, whose stores their issuer has named.

    Raises UsageError where there can be none.
    """

    def __init__(self, client: FastHttpSession, crowd: Crowd, tokens: Tokens, worker: int) -> None:
        self.sales: Sales = crowd.book.sales
        self._line = Line(client, crowd)
        self._tokens = tokens
        self._prefix = f"load-{crowd.stage.mark}-{worker}-till"
        self._by_store: dict[str, list[Till]] = {}
        self._draw = random.Random(crowd.stage.seed + worker)
        self._made = count(1)
        if not tokens.till_lines:
            tokens.of_till(self._prefix, "any")  # where none can be made, that is said before anybody goes shopping
        for token in tokens.till_lines[worker :: crowd.stage.shares]:
            for store in stores_of(token):
                self._by_store.setdefault(store, []).append(Till(self._name(), store, token))

    def of(self, store: str) -> list[Till]:
        """All tills of that store; none where there is no token for it."""
        if store not in self._by_store and not self._tokens.till_lines:
            names = [self._name() for _ in range(TILLS_A_STORE)]
            self._by_store[store] = [Till(name, store, self._tokens.of_till(name, store)) for name in names]
        return self._by_store.get(store, [])

    def among(self, stores: Sequence[str]) -> str:
        """One of these stores that has tills here; empty where none has."""
        known = [store for store in stores if store in self._by_store] if self._tokens.till_lines else stores
        return self._draw.choice(known[:STORES_MAX]) if known else ""

    def ask(self, till: Till, kind: str, path: str, body: dict[str, Any]) -> Heard:
        """Ask until it is decided, always the same, as long after each other as the answers say."""
        had_no_answer = False
        for _ in range(TRIES_MAX):
            told, members = self._once(till, kind, path, body)
            if told.code in OPEN and not had_no_answer:
                had_no_answer = True
                self.sales.open += 1
            if told.code not in AGAIN:
                self.sales.open -= had_no_answer
                break
            gevent.sleep(told.retry_after_ms / 1000 or self._draw.uniform(1, 2) * _AGAIN_S)
        return Heard(told, members, had_no_answer)

    def _name(self) -> str:
        return f"{self._prefix}-{next(self._made)}"

    def _once(self, till: Till, kind: str, path: str, body: dict[str, Any]) -> tuple[Told, dict[str, Any]]:
        answers: list[tuple[Told, dict[str, Any]]] = []

        def hear(response: ResponseContextManager) -> tuple[str, str]:
            told, members = read(response)
            answers.append((told, members))
            is_again = response.headers is not None and response.headers.get("idempotent-replayed") == "true"
            name = told.code if told.code != "ok" else "again" if is_again else "done"
            self.sales.answers[f"{kind} {name}"] += 1
            return name, flaw(told, response, FINE_AT_TILLS)

        headers = {"Authorization": f"Bearer {till.token}", "Content-Type": "application/json"}
        self._line.ask(kind, "POST", path, hear, headers, json.dumps(body))
        return answers[0]
