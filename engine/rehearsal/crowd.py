"""What users do: one short story for each kind, told in requests.

An answer that says "ask again" (`retry_after_ms`) is followed, a bounded number of times; an answer that never
came is asked for again the same way, which is safe.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

from engine.rehearsal.client import Pool
from engine.rehearsal.credentials import Credentials
from engine.rehearsal.record import Answer, Purpose, Record
from engine.rehearsal.requests import Requests
from engine.rehearsal.store_time import StoreTime
from engine.rehearsal.users import Kind, User

ASK_AGAIN = frozenset(
    {"not_open", "busy", "recovering", "outcome_unknown", "paused", "stopped", "too_many_requests", "timeout"}
)
"""Refusals that are not final: nothing, or nothing known, was decided."""
TRIES_MAX = 20
NO_ANSWER_PAUSE_MS = 300
RETRY_AFTER_MAX_MS = 60_000
"""No honest answer asks for more patience: the wave opens sooner."""
HANG_UP_MAX_S = 0.02
"""VANISHING users close within this time after sending: before the answer, or just as it comes."""
ACTIVE_MAX = 5_000
"""Users under way at once; who arrives then comes in as another one leaves. A task takes a few kilobytes."""


class Crowd:
    """Sends everybody through their story and writes down what they are told."""

    def __init__(
        self,
        pool: Pool,
        requests: Requests,
        credentials: Credentials,
        record: Record,
        clock: StoreTime,
        opens_ms: int,
        claims_max: int,
        seed: int,
    ) -> None:
        self._pool = pool
        self._requests = requests
        self._credentials = credentials
        self._record = record
        self._clock = clock
        self._opens_ms = opens_ms
        self._claims_max = claims_max
        self._seed = seed
        self._authorizations: dict[int, str] = {}
        self.arrived = 0
        self.finished = 0

    def equip(self, users: Sequence[User]) -> None:
        """Make everybody's tickets before the opening: the crowd has logged in long ago."""
        for user in users:
            self._authorizations[user.number] = self._credentials.of(user)

    async def run(self, users: Sequence[User]) -> None:
        """Let everybody in at their time; returns when the last one is done."""
        free = asyncio.Semaphore(ACTIVE_MAX)
        async with asyncio.TaskGroup() as under_way:
            for user in users:
                await self._until(user.arrives_ms)
                await free.acquire()
                self.arrived += 1
                under_way.create_task(self._visit(user)).add_done_callback(lambda _: free.release())

    async def ask(self, user: User, offers: tuple[str, ...] | None = None, request_no: int = 1) -> Answer:
        """One claim of that user, sent once."""
        offers = offers or user.offers
        request = self._requests.claim(self._authorizations[user.number], offers, request_no)
        return await self._send(user, "claim", request, offers, request_no)

    async def look(self, user: User) -> Answer:
        """What that user is told to have."""
        return await self._repeat(lambda: self._look_once(user))

    async def _look_once(self, user: User) -> Answer:
        return await self._send(user, "look", self._requests.look(self._authorizations[user.number]))

    async def _visit(self, user: User) -> None:
        await _STORIES.get(user.kind, Crowd._ask_until_decided_once)(self, user)
        self.finished += 1

    def _whims(self, user: User) -> random.Random:
        """What this user draws from, the same in every run with this seed."""
        return random.Random(f"{self._seed} {user.number}")  # noqa: S311 - has to be repeatable

    async def _until(self, arrives_ms: int) -> None:
        wait_ms = self._opens_ms + arrives_ms - self._clock.now_ms()
        if wait_ms > 0:
            await asyncio.sleep(wait_ms / 1000)

    async def _send(
        self, user: User, purpose: Purpose, request: bytes, offers: tuple[str, ...] = (), request_no: int = 1
    ) -> Answer:
        reply = await self._pool.exchange(request)
        received_ms = self._clock.now_ms()
        sent_ms = self._clock.at_ms(reply.asked_s) if reply.asked_s else received_ms
        return self._record.add(user.number, purpose, offers, request_no, (sent_ms, received_ms), reply)

    async def _ask_until_decided(
        self, user: User, offers: tuple[str, ...] | None = None, request_no: int = 1
    ) -> Answer:
        return await self._repeat(lambda: self.ask(user, offers, request_no))

    async def _repeat(self, once: Callable[[], Awaitable[Answer]]) -> Answer:
        """Send it until there is an answer that does not say "ask again", within bounds."""
        for _ in range(TRIES_MAX):
            answer = await once()
            if answer.status and answer.outcome not in ASK_AGAIN:
                break
            pause_ms = answer.told.retry_after_ms or NO_ANSWER_PAUSE_MS
            await asyncio.sleep(min(pause_ms, RETRY_AFTER_MAX_MS) / 1000)
        return answer

    # Stories --------------------------------------------------------------------------------------------

    async def _ask_until_decided_once(self, user: User) -> None:
        await self._ask_until_decided(user)

    async def _ask_in_parallel(self, user: User) -> None:
        await asyncio.gather(*(self.ask(user) for _ in range(user.times)))
        await self._ask_until_decided(user)

    async def _ask_again_later(self, user: User) -> None:
        await self._ask_until_decided(user)
        for pause_ms in user.again_ms:
            await asyncio.sleep(pause_ms / 1000)
            await self.ask(user)

    async def _want_another_offer(self, user: User) -> None:
        await self._ask_until_decided(user)
        await self._ask_until_decided(user, (user.other_offer,))

    async def _ask_for_more(self, user: User) -> None:
        for request_no in range(1, self._claims_max + 1):
            await self._ask_until_decided(user, request_no=request_no)
        if user.other_offer:
            await self._ask_until_decided(user, (user.other_offer,), request_no=self._claims_max)

    async def _get_a_ticket(self, user: User) -> None:
        request = self._requests.ticket(self._authorizations[user.number])
        answer = await self._repeat(lambda: self._send(user, "ticket", request))
        if answer.told.ticket:
            self._authorizations[user.number] = "Ticket " + answer.told.ticket
        await self._until(self._whims(user).randint(0, 500))
        await self._ask_until_decided(user)

    async def _hang_up(self, user: User) -> None:
        request = self._requests.claim(self._authorizations[user.number], user.offers)
        self._record.vanished += 1
        await self._pool.hang_up(request, self._whims(user).uniform(0, HANG_UP_MAX_S))
        for pause_ms in user.again_ms:
            await asyncio.sleep(pause_ms / 1000)
            await self.look(user)

    async def _send_nonsense(self, user: User) -> None:
        authorization, whims = self._authorizations[user.number], self._whims(user)
        body, wave = {
            Kind.NOT_JSON: (whims.choice([b"", b"{", b"[]", b"offer=1", b'{"offer": 7}', b"\xff\xfe"]), ""),
            Kind.NOT_AN_OFFER: (b'{"offer": "no-such-offer"}', ""),
            Kind.NOT_A_NUMBER: (
                b'{"offer": "%s", "request_no": %s}'
                % (user.offers[0].encode(), whims.choice([b"0", b"-1", b"33", b"1.5", b'"1"'])),
                "",
            ),
            Kind.NOT_A_WAVE: (b'{"offer": "%s"}' % user.offers[0].encode(), "no-such-wave"),
        }[user.kind]
        request = self._requests.claim_with_body(authorization, body, wave)
        await self._repeat(lambda: self._send(user, "claim", request, user.offers))


_STORIES: dict[Kind, Callable[[Crowd, User], Awaitable[None]]] = {
    Kind.PARALLEL: Crowd._ask_in_parallel,
    Kind.REPEATING: Crowd._ask_again_later,
    Kind.GREEDY: Crowd._want_another_offer,
    Kind.MORE: Crowd._ask_for_more,
    Kind.TICKETED: Crowd._get_a_ticket,
    Kind.VANISHING: Crowd._hang_up,
    Kind.NOT_JSON: Crowd._send_nonsense,
    Kind.NOT_AN_OFFER: Crowd._send_nonsense,
    Kind.NOT_A_NUMBER: Crowd._send_nonsense,
    Kind.NOT_A_WAVE: Crowd._send_nonsense,
}
