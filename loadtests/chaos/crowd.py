"""The users of a plan at two gateways: each asks until it has an answer that ends the matter, or patience ends."""

import asyncio
import itertools
import random
import time
from collections.abc import Coroutine, Mapping
from typing import Any, Final

from loadtests.chaos.book import FINAL, ActEntry, Answer, Book, Key, Listed, Request
from loadtests.chaos.client import Api
from loadtests.chaos.workload import PROBE, Act, Ask, Plan, User, instant

_RETRY_MIN_S: Final = 0.1
_UNASKED_S: Final = 0.3
"""Where no answer has said when to come back: at least this."""
_RETRY_MAX_S: Final = 1.0
"""Users honour `retry_after_ms` a little: nobody waits longer than this."""
_PROBE_S: Final = 0.06
_PROBES_MAX: Final = 40
"""Probes under way at the same time."""


class Crowd:
    """All users, operators and probes of one drop. Everything that they hear stands in the book."""

    def __init__(self, plan: Plan, book: Book, gateways: Mapping[str, Api], opens_s: float) -> None:
        """`opens_s`: the first opening, on the monotonic clock."""
        self._plan = plan
        self._book = book
        self._gateways = gateways
        self._names = tuple(gateways)
        self._opens_s = opens_s
        self._until_s = float("inf")
        self._tasks: set[asyncio.Task[None]] = set()
        self._prober: asyncio.Task[None] | None = None
        self._operator: asyncio.Task[None] | None = None
        self._late = itertools.count(1)

    def begin(self) -> None:
        """Users come, operators act, probes go out."""
        for user in self._plan.users:
            self._start(self._visit(user))
        self._operator = self._start(self._operate())
        self._prober = asyncio.create_task(self._probe(), name="prober")

    async def end(self, patience_s: float) -> None:
        """Wait until everybody has an answer that ends the matter, at most so long."""
        self._until_s = time.monotonic() + patience_s
        await self._stop_probing()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def stop(self) -> None:
        """Break off."""
        await self._stop_probing()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def buy_out(self) -> None:
        """Fresh users ask for every offer of every wave that is open, until twice in turn there is nothing left."""
        for wave, stock in self._plan.stocks:
            if wave != self._plan.waves[2]:  # which has closed
                for offer, _ in stock:
                    if offer != PROBE:
                        await self._buy_out(wave, offer)

    async def _buy_out(self, wave: str, offer: str) -> None:
        sold_out = 0
        for number in itertools.count():
            account = f"d{self._plan.number}-late{next(self._late)}"
            key = Key(account, wave, 1)
            answer = await self._ask_until_told(Request(key, account, (offer,), self._names[number % 2]), ("late",))
            sold_out = sold_out + 1 if answer.code == "sold_out" else 0
            if sold_out == 2 or not (answer.is_acknowledged or answer.code == "sold_out"):
                return

    async def resume(self) -> None:
        """When the operator has done everything: nothing stays paused. A store that went back may have forgotten a
        resume, which somebody has to see then."""
        if self._operator is not None:
            await asyncio.wait({self._operator})
        for act in self._plan.acts:
            if act.kind == "resume":
                await self._act(act)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error  # a mistake of ours: the loop tells of it

    async def _stop_probing(self) -> None:
        prober, self._prober = self._prober, None
        if prober is not None:
            prober.cancel()
            await asyncio.wait({prober})

    # Users

    async def _visit(self, user: User) -> None:
        await asyncio.gather(*(self._come(user, ask) for ask in user.asks))

    async def _come(self, user: User, ask: Ask) -> None:
        await self._sleep_until(self._opens_s + ask.at_s)
        key = Key(user.account, ask.wave, ask.request_no)
        names = self._plan.chance("gateways", user.account, ask.wave, ask.request_no)
        authorization = await self._authorization(user, ask.wave) if user.by_ticket else ""
        parallel = (
            self._ask_until_told(
                Request(key, user.person, ask.offers, names.choice(self._names)), (number,), authorization
            )
            for number in range(ask.times)
        )
        await asyncio.gather(*parallel)
        if ask.looks:
            await self._look(user, names)

    async def _authorization(self, user: User, wave: str) -> str:
        """A ticket, where one is to be had; else the token does."""
        api = next(iter(self._gateways.values()))
        ticket = await api.ticket(wave, api.token(user.account, person=user.person))
        return f"Ticket {ticket}" if ticket else ""

    async def _look(self, user: User, names: random.Random) -> None:
        gateway = names.choice(self._names)
        api, sent_s = self._gateways[gateway], time.monotonic()
        claims = await api.own_claims(api.token(user.account, person=user.person))
        if claims is not None:
            self._book.listed.append(Listed(user.account, sent_s, claims, gateway))

    async def _ask_until_told(self, request: Request, name: tuple[object, ...], authorization: str = "") -> Answer:
        chance = self._plan.chance("retries", request.key, *name)
        while True:
            answer = await self._ask(request, authorization)
            if answer.is_acknowledged or answer.code in FINAL or time.monotonic() > self._until_s:
                return answer
            if not (answer.retry_after_ms or answer.is_unknown or answer.code == "not_sent"):
                return answer  # final, and not what can be: the auditor will say so
            asked_s = answer.retry_after_ms / 1000 or chance.uniform(_UNASKED_S, _RETRY_MAX_S)
            await asyncio.sleep(min(max(asked_s, _RETRY_MIN_S), _RETRY_MAX_S))
            request = Request(request.key, request.person, request.offers, chance.choice(self._names))

    async def _ask(self, request: Request, authorization: str) -> Answer:
        api = self._gateways[request.gateway]
        token = authorization or f"Bearer {api.token(request.key.account, person=request.person)}"
        entry = self._book.sends(request)
        answer = await api.claim(request.key.wave, token, request.offers, request.key.request_no)
        self._book.answered(entry, answer)
        return answer

    # Probes and operators

    async def _probe(self) -> None:
        """Somebody new asks for the offer that never sells out, again and again, at each gateway in turn."""
        wave = self._plan.waves[0]
        await self._sleep_until(self._opens_s)
        for number in itertools.count():
            if len(self._tasks) < _PROBES_MAX + len(self._plan.users):
                key = Key(f"d{self._plan.number}-probe{number}", wave, 1)
                self._start(self._probe_once(Request(key, key.account, (PROBE,), self._names[number % 2])))
            await asyncio.sleep(_PROBE_S)

    async def _probe_once(self, request: Request) -> None:
        await self._ask_until_told(request, ("probe",))

    async def _operate(self) -> None:
        """One operator, who does one thing after the other, and each until it is done: a pause before its resume."""
        for act in self._plan.acts:
            await self._act(act)

    async def _act(self, act: Act) -> None:
        await self._sleep_until(self._opens_s + act.at_s)
        chance = self._plan.chance("act", act.kind, act.at_s)
        body: dict[str, Any] = {"reason": "chaos"}
        if act.kind == "move":
            opens_s = self._opens_s + self._plan.opens_after_s(act.wave) + act.shift_s
            body["opens_at"] = instant(time.time() + opens_s - time.monotonic())
        if act.kind == "restock":
            stocks = dict(dict(self._plan.stocks)[act.wave])
            body["stock"] = {offer: stocks[offer] + more for offer, more in act.stock}
        entry = ActEntry(act.kind, act.wave, time.monotonic())
        self._book.acts.append(entry)
        while True:
            api = self._gateways[chance.choice(self._names)]
            status, _ = await api.operate("POST", f"/v1/ops/waves/{act.wave}/{act.kind}", body)
            if status in (200, 409) or time.monotonic() > self._until_s:
                entry.answered_s, entry.done = time.monotonic(), status == 200
                return
            await asyncio.sleep(0.1)

    async def _sleep_until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, at_s - time.monotonic()))
