"""One rehearsal, from the countdown to the verdict."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from msgspec.structs import replace

from engine.domain.campaign import Catalogue, CatalogueWave
from engine.domain.verdict import Verdict, joined
from engine.domain.voucher import period
from engine.errors import CannotRun
from engine.rehearsal.backstage import Backstage, HeldClaim
from engine.rehearsal.case import Case, Moments, instant_ms
from engine.rehearsal.client import Address, Pool
from engine.rehearsal.credentials import Credentials, MintTicket, MintToken
from engine.rehearsal.crowd import Crowd
from engine.rehearsal.errands import Holding, draw_errands
from engine.rehearsal.honour import honoured
from engine.rehearsal.judge import UNDECIDED, judge
from engine.rehearsal.kept import Kept
from engine.rehearsal.observer import Observer
from engine.rehearsal.picture import Screen
from engine.rehearsal.plan import Plan
from engine.rehearsal.record import Answer, Record
from engine.rehearsal.requests import Requests
from engine.rehearsal.store_time import StoreTime
from engine.rehearsal.tills import Merchants, Shopping, Tills
from engine.rehearsal.users import Kind, User

CONNECTIONS_MAX = 300
"""A crowd has more, but each costs both sides of one machine; requests wait for a free one, not for the gateway."""
DROP_MAX_S = 120.0
DROP_MAX_S_PER_USER = 0.01
"""A drop that is not over by then hangs: even a slow machine answers hundreds of requests a second."""
SAMPLE = 25
"""Winners, and as many losers, who ask again during the pause and after the close."""
SHOPPERS_MAX = 2_000
"""Vouchers that are used: a few seconds of work for two cores."""


@dataclass(frozen=True)
class Scene:
    """Where the drop takes place, and what the rehearsal is lent by rooms that it does not know."""

    address: Address
    backstage: Backstage
    catalogue: Catalogue
    wave: CatalogueWave
    mint_ticket: MintTicket
    mint_token: MintToken
    pause: Callable[[], Awaitable[object]]
    resume: Callable[[], Awaitable[object]]
    close: Callable[[], Awaitable[object]]
    audit: Callable[[], Awaitable[Verdict]]
    documented: Mapping[str, int]
    """Status by code of every refusal that the service may give."""
    merchants: Merchants | None = None
    """None: the rehearsal ends with the drop."""


class Rehearsal:
    """Runs once."""

    def __init__(self, plan: Plan, scene: Scene, screen: Screen, pool: Pool) -> None:
        self._plan = plan
        self._scene = scene
        self._draw = random.Random(plan.seed)  # noqa: S311 - the same sample in every run with this seed
        self._clock = StoreTime(scene.backstage.time_ms, scene.backstage.clock_off_by_ms)
        self._record = Record()
        self._moments = Moments(scene.wave.opens_at_ms, scene.wave.closes_at_ms)
        self._users = {user.number: user for user in plan.users}
        self._pool = pool
        self._credentials = Credentials(
            scene.catalogue, scene.wave, scene.mint_ticket, scene.mint_token, int(time.time() * 1000), plan.seed
        )
        self._crowd = Crowd(
            pool,
            Requests(scene.address.authority, scene.wave.id),
            self._credentials,
            self._record,
            self._clock,
            scene.wave.opens_at_ms,
            plan.claims_max,
            plan.seed,
        )
        self._observer = Observer(
            scene.backstage,
            scene.wave.opens_at_ms,
            self._crowd,
            self._record,
            self._clock,
            screen,
            len(plan.users),
        )

    async def run(self) -> Verdict:
        """Everything in order."""
        await self._clock.look()
        await self._observer.start()
        try:
            self._crowd.equip(self._plan.users)
            await self._drop()
            await self._settled()
            await self._during_a_pause()
            await self._after_the_close()
            await self._settled()
            return await self._verdict(await self._in_shops())
        finally:
            await self._observer.stop()

    async def _drop(self) -> None:
        opening = asyncio.create_task(self._note_the_opening())
        bound_s = DROP_MAX_S + DROP_MAX_S_PER_USER * len(self._plan.users) + max(0.0, self._to_opening_s())
        try:
            async with asyncio.timeout(bound_s):
                await self._crowd.run(self._plan.users)
        except TimeoutError as error:
            done = f"{self._crowd.finished:,} of {len(self._plan.users):,} users"
            raise CannotRun(f"the drop was not over after {bound_s:.0f} s: {done} had their answers") from error
        finally:
            opening.cancel()

    async def _note_the_opening(self) -> None:
        await asyncio.sleep(max(0.0, self._to_opening_s()))
        self._observer.phase = "drop"

    def _to_opening_s(self) -> float:
        return (self._moments.opens_ms - self._clock.now_ms()) / 1000

    async def _settled(self) -> None:
        self._observer.phase = "settling"
        await self._scene.backstage.settled()

    async def _during_a_pause(self) -> None:
        """Winners get their claim while nobody can claim."""
        self._observer.phase = "pause"
        self._moments.pause_begun_ms = self._clock.now_ms()
        await self._scene.pause()
        await self._sample_asks_again()
        await self._scene.resume()
        self._moments.resume_done_ms = self._clock.now_ms()

    async def _after_the_close(self) -> None:
        """And after it as well."""
        self._observer.phase = "after the close"
        self._moments.close_begun_ms = self._clock.now_ms()
        await self._scene.close()
        self._moments.close_done_ms = self._clock.now_ms()
        await self._sample_asks_again()

    async def _sample_asks_again(self) -> None:
        winners = [answer for answer in self._record.answers if answer.status == 201 and answer.granted]
        losers = [answer for answer in self._record.answers if answer.outcome == "sold_out"]
        for answers in (winners, losers):
            for answer in self._draw.sample(answers, min(SAMPLE, len(answers))):
                await self._crowd.ask(self._users[answer.user], answer.offers, answer.request_no)
        for answer in self._draw.sample(winners, min(SAMPLE, len(winners))):
            await self._crowd.look(self._users[answer.user])

    async def _in_shops(self) -> Shopping | None:
        """Some of the vouchers are used, under terms that were changed after the claim."""
        scene = self._scene
        if scene.merchants is None:
            return None
        self._observer.phase = "in shops"
        holdings = list(self._holdings())
        shoppers = self._draw.sample(holdings, min(SHOPPERS_MAX, len(holdings)))
        now_ms = int(self._clock.now_ms())
        errands = draw_errands(shoppers, scene.merchants.stores, now_ms, self._plan.seed)
        tokens = {each.user: self._credentials.token(self._users[each.user]) for each in shoppers}
        tills = Tills(self._pool, scene.address.authority, scene.merchants, tokens.__getitem__, self._plan.seed)
        return await tills.visit(errands)

    def _holdings(self) -> Iterator[Holding]:
        """What was granted, each voucher once; nothing was applied before the drop, so the terms are the first ones."""
        offers = {offer.id: offer for offer in self._scene.catalogue.offers}
        granted = {
            answer.granted.code: (answer.user, answer.granted) for answer in self._record.answers if answer.granted
        }
        for code, (user, claim) in granted.items():
            offer = offers[claim.offer]
            terms = offer.current
            claimed_at_ms = instant_ms(claim.claimed_at)
            life = period(terms.promise, self._scene.wave.day, claimed_at_ms)
            yield Holding(user, code, claim.id, claimed_at_ms, offer.no, terms.version, terms.promise, life)

    async def _verdict(self, shopping: Shopping | None) -> Verdict:
        self._observer.phase = "judging"
        await self._observer.look()  # the last picture is of the end, however short the drop was
        scene = self._scene
        kept = await scene.backstage.kept(self._ask_who_may_hold)
        await self._ask_for_what_nobody_told(kept)
        await self._clock.look()
        self._moments.tolerance_ms = self._clock.off_by_ms
        case = Case(scene.catalogue, scene.wave, self._plan, self._record, kept, self._moments, scene.documented)
        verdicts = [await scene.audit(), judge(case)]
        if shopping is not None:
            verdicts.append(Verdict(scene.wave.id, (honoured(shopping),)))
        verdict = joined(scene.wave.id, verdicts)
        return replace(verdict, notes=(*verdict.notes, *self._notes()))

    async def _ask_who_may_hold(self) -> list[HeldClaim]:
        """What users hold by their own word: who was told of a claim, hung up, or was left without a decision."""
        users = [
            user
            for user in self._plan.users
            if user.entitled
            and (user.kind is Kind.VANISHING or any(map(_may_hold, self._record.of_user.get(user.number, ()))))
        ]
        answers = await asyncio.gather(*(self._crowd.look(user) for user in users))
        silent = sum(answer.status != 200 for answer in answers)
        if silent:
            raise CannotRun(f"{silent:,} of {len(users):,} users could not be shown what they hold: no verdict")
        request_nos = {answer.granted.code: answer.request_no for answer in self._record.answers if answer.granted}
        return [
            HeldClaim(user.account, claim, request_nos.get(claim.code, 1))
            for user, answer in zip(users, answers, strict=True)
            for claim in answer.told.claims
        ]

    async def _ask_for_what_nobody_told(self, kept: Kept) -> None:
        """Whoever was not told of a claim, having hung up or lost the answer, can ask for it."""
        told = {claim.code for answer in self._record.answers for claim in answer.told.claims}
        told |= {answer.told.claim.code for answer in self._record.answers if answer.told.claim}
        users: dict[str, User] = {user.account: user for user in self._plan.users}
        silent = [
            users[claim.account] for code, claim in kept.claims.items() if code not in told and claim.account in users
        ]
        await asyncio.gather(*(self._crowd.look(user) for user in silent))

    def _notes(self) -> list[str]:
        waits_ms, outcomes = self._record.waits_ms(), self._record.outcomes
        share = {name: waits_ms[int(len(waits_ms) * part)] for name, part in _PERCENTILES.items()} if waits_ms else {}
        counted = ", ".join(f"{count:,} {outcome}" for outcome, count in outcomes.most_common())
        return [
            f"{len(self._plan.users):,} users sent {len(self._record.answers):,} requests, and "
            f"{self._record.vanished:,} more without waiting for the answer",
            f"answers: {counted}",
            "a claim was answered within "
            + ", ".join(f"{wait_ms:,.0f} ms ({name})" for name, wait_ms in share.items()),
            f"seed {self._plan.seed}",
        ]


def _may_hold(answer: Answer) -> bool:
    """Whether whoever got this answer may hold a claim."""
    return answer.purpose == "claim" and (bool(answer.told.claim) or answer.outcome in UNDECIDED)


_PERCENTILES = {"half of them": 0.5, "95 %": 0.95, "99 %": 0.99, "99.9 %": 0.999}


async def rehearse(plan: Plan, scene: Scene, screen: Screen) -> Verdict:
    """A drop of that plan in that scene; the audit's findings and the users' in one verdict.

    Raises CannotRun where the drop does not come to an end, or a store's error.
    """
    async with _pool(scene) as pool:
        return await Rehearsal(plan, scene, screen, pool).run()


@asynccontextmanager
async def _pool(scene: Scene) -> AsyncIterator[Pool]:
    async with Pool(scene.address, CONNECTIONS_MAX) as pool:
        yield pool
