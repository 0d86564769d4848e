"""A rehearsal in a running installation: a sandbox is put up before it, and closed afterwards whatever happens.

1  the copy is applied through the ops API as a campaign that must not be there yet
2  its wave is waited for
3  the drop, as on servers of one's own
4  the wave is closed: also where the drop failed, was given up, or nobody knows whether it was applied
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from engine.domain.campaign import Campaign, Catalogue, Wave
from engine.domain.outcome import Claim
from engine.domain.verdict import Verdict
from engine.errors import CannotRun
from engine.rehearsal.backstage import HeldClaim, Sight
from engine.rehearsal.case import instant_ms
from engine.rehearsal.client import Address, Pool
from engine.rehearsal.credentials import MintTicket, MintToken
from engine.rehearsal.drop import Scene, rehearse
from engine.rehearsal.installation import Installation, Refused, as_failure
from engine.rehearsal.kept import Kept
from engine.rehearsal.picture import Screen, Shelf
from engine.rehearsal.plan import Plan
from engine.rehearsal.sandbox import SandboxIds, file_of, sandbox_of

log = structlog.get_logger(__name__)

OPERATOR_CONNECTIONS_MAX = 4
OPERATOR_ANSWER_MAX_S = 120.0
"""An audit of a million claims takes most of it."""
WAVE_PUT_S = 15.0
"""The steward looks several times a second; after a failover the next one takes over within some seconds."""
LOOK_S = 0.1
CLOCK_OFF_BY_MS = 50.0
"""A gateway's estimate of the hot store's clock is late by the way of one reply, which is rarely a tenth of this."""
AGAIN = frozenset({"", "busy", "recovering", "act_incomplete", "unknown_wave", "internal"})
"""Refusals of an act after which it is worth to ask again; "": no answer came."""


@dataclass(frozen=True)
class Visit:
    """What is to be rehearsed, where, and what the guest was lent. `plan` is for the ids of the sandbox."""

    address: Address
    campaign: Campaign
    wave: Wave
    ids: SandboxIds
    plan: Plan
    opens_in_s: int
    operator_token: str
    mint_ticket: MintTicket
    mint_token: MintToken
    documented: Mapping[str, int]


async def rehearse_at(visit: Visit, screen: Screen) -> Verdict:
    """The verdict. CannotRun or UsageError where the installation does not let it come to one."""
    async with Pool(visit.address, OPERATOR_CONNECTIONS_MAX, OPERATOR_ANSWER_MAX_S) as pool:
        installation = Installation(pool, visit.address.authority, visit.operator_token)
        try:
            opens_at = _whole_second(await installation.time_ms()) + timedelta(seconds=visit.opens_in_s)
            copy = sandbox_of(visit.campaign, visit.wave, visit.ids, opens_at)
            async with _put_up(installation, copy, visit.ids):
                return await rehearse(visit.plan, await _scene(visit, installation, copy), screen)
        except Refused as refused:
            raise as_failure(refused) from refused


def _whole_second(now_ms: int) -> datetime:
    """The next one: a campaign file has no fractions."""
    return datetime.fromtimestamp(-(-now_ms // 1000), UTC)


@asynccontextmanager
async def _put_up(installation: Installation, copy: Campaign, ids: SandboxIds) -> AsyncIterator[None]:
    """The copy applied and its wave in the hot store; closed at the end."""
    try:
        await installation.put_new(ids.campaign, file_of(copy))
    except Refused as refused:
        if not refused.code:  # nobody knows whether it is there
            await _close(installation, ids.wave)
        raise
    except asyncio.CancelledError:
        await _close(installation, ids.wave)
        raise
    try:
        await _until_put(installation, ids.wave)
        yield
    finally:
        await _close(installation, ids.wave)


async def _until_put(installation: Installation, wave: str) -> None:
    """Operators see a wave that the hot store holds with its epoch."""
    deadline_s = time.monotonic() + WAVE_PUT_S
    while True:
        try:
            if (await installation.wave(wave)).epoch is not None:
                return
        except Refused as refused:
            if refused.code not in AGAIN:
                raise
        if time.monotonic() >= deadline_s:
            raise CannotRun(f"the steward has not put wave {wave} within {WAVE_PUT_S:.0f} s")
        await asyncio.sleep(LOOK_S)


async def _insist(installation: Installation, act: str, wave: str) -> None:
    """Do it, asking again for a bounded time: twice is safe, and a wave that is not put yet is waited for."""
    deadline_s = time.monotonic() + WAVE_PUT_S
    while True:
        try:
            return await installation.act(act, wave)
        except Refused as refused:
            if refused.code not in AGAIN or time.monotonic() >= deadline_s:
                raise
        await asyncio.sleep(LOOK_S)


async def _close(installation: Installation, wave: str) -> None:
    """Close the wave. A failure is told and not raised: what ended the rehearsal is what its user asks about."""
    try:
        await _insist(installation, "close", wave)
    except Refused as refused:
        log.warning("sandbox wave not closed", wave=wave, why=str(refused), remedy=f"dropwave wave close {wave}")


async def _scene(visit: Visit, installation: Installation, copy: Campaign) -> Scene:
    catalogue, wave = Catalogue.first_of(copy), visit.ids.wave
    epoch = (await installation.wave(wave)).epoch

    def act(name: str) -> Callable[[], Awaitable[None]]:
        return lambda: _insist(installation, name, wave)

    return Scene(
        address=visit.address,
        backstage=OperatorsView(installation, wave, epoch, {offer.id: offer.no for offer in catalogue.offers}),
        catalogue=catalogue,
        wave=catalogue.waves[0],
        mint_ticket=visit.mint_ticket,
        mint_token=visit.mint_token,
        pause=act("pause"),
        resume=act("resume"),
        close=act("close"),
        audit=lambda: installation.audit(wave),
        documented=visit.documented,
    )


class OperatorsView:
    """Backstage of an installation whose stores are out of reach: pages of the wave, and what users are shown."""

    clock_off_by_ms = CLOCK_OFF_BY_MS

    def __init__(self, installation: Installation, wave: str, epoch: int | None, offers: Mapping[str, int]) -> None:
        """`epoch` before the drop; `offers` are numbers by id."""
        self._installation = installation
        self._wave = wave
        self._epoch = epoch
        self._offers = offers

    async def time_ms(self) -> int:
        """The hot store's clock as a gateway estimates it."""
        return await self._installation.time_ms()

    async def sight(self) -> Sight | None:
        """The wave's page, which everybody may see and gateways keep at hand."""
        try:
            page = await self._installation.page(self._wave)
        except Refused:
            return None
        return Sight(
            tuple(Shelf(each.id, each.left, each.stock) for each in page.offers if each.left is not None), None
        )

    async def settled(self) -> None:
        """Nothing: no page tells. The audit waits for it by itself."""

    async def kept(self, ask: Callable[[], Awaitable[Sequence[HeldClaim]]]) -> Kept:
        """What users are shown, and what the installation counts."""
        held = await ask()
        seen = await self._installation.wave(self._wave)
        return Kept(
            claims={each.claim.code: self._claim(each) for each in held},
            held=None,
            log={},
            log_from=None,
            places="the user's own list",
            counted={each.id: each.claimed for each in seen.offers if each.claimed is not None},
            is_recovered=seen.epoch is None or seen.epoch != self._epoch,
        )

    def _claim(self, held: HeldClaim) -> Claim:
        """As the stores would have it, so far as users are told; terms, unit and epoch they are not."""
        told = held.claim
        return Claim(
            wave_no=1,
            offer_no=self._offers.get(told.offer, 0),
            terms_version=0,
            epoch=0,
            sequence=told.sequence,
            unit=0,
            request_no=held.request_no,
            nth=0,
            claimed_at_ms=instant_ms(told.claimed_at),
            code=told.code,
            claimant=held.account,
            account=held.account,
        )
