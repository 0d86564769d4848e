"""A small campaign to try things out with, and its shard in the hot store, put there without a ledger."""

import itertools
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from types import MappingProxyType

from msgspec.structs import replace

from engine.domain.campaign import (
    Campaign,
    Cap,
    Catalogue,
    ClaimantKind,
    Limit,
    Offer,
    Store,
    Validity,
    Wave,
)
from engine.domain.codes import campaign_prefix, new_code
from engine.domain.decisions import ActKind, ActLine, LogEntry, WaveState
from engine.domain.outcome import Ask, Claimed, Outcome
from engine.hotstore import keys, load
from engine.hotstore.decide import Batch, Late, act, decide
from engine.hotstore.log import read_log
from engine.hotstore.store import HotStore
from engine.hotstore.view import ShardView, read_shard

HOUR_MS = 3_600_000
OFFER_VALUES = MappingProxyType({"o1": 500, "o2": 2_000, "o3": 1_000})
"""Offers of the campaign in the order of their numbers, and what each is worth."""
NO_CAP = Cap()
LAG_MAX = 1_000_000
EVERYTHING = 100_000
"""Log entries that a test could ever write."""


def wave(
    id: str, opens_ms: int, closes_ms: int, stock: Mapping[str, int], round: str = "r1", day: str = "2026-11-11"
) -> Wave:
    """One wave of a campaign file."""
    opens, closes = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (opens_ms, closes_ms))
    return Wave(id=id, opens_at=opens, closes_at=closes, day=date.fromisoformat(day), stock=dict(stock), round=round)


def campaign(
    waves: Sequence[Wave],
    *,
    id: str = "spring",
    limits: Sequence[Limit] = (Limit(1, "campaign"),),
    cap: Cap = NO_CAP,
    by: ClaimantKind = "account",
) -> Campaign:
    """A campaign as a file states it."""
    return Campaign(
        id=id,
        title="Spring",
        timezone="Asia/Shanghai",
        currency="CNY",
        validity=Validity(natural_days=7),
        offers=tuple(
            Offer(id=offer, title=offer, kind="instant", stores=("s1",), face=value)
            for offer, value in OFFER_VALUES.items()
        ),
        waves=tuple(waves),
        stores={"s1": Store("Shop", "Merchant", "Wuhan")},
        limits=tuple(limits),
        cap=cap,
        by=by,
    )


def catalogue_of(campaign: Campaign, campaign_no: int = 7, revision: int = 1) -> Catalogue:
    """The campaign as the ledger would number it: offers and waves from 1."""
    return Catalogue.first_of(
        campaign, campaign_no=campaign_no, revision=revision, code_prefix=campaign_prefix(campaign_no)
    )


def ask(account: str, *offers: int, wave: int = 1, request_no: int = 1, person: str = "", broken_rule: str = "") -> Ask:
    """A claim as it is asked for; offer 1 where none is named. Limits count the `person`, or else the account."""
    return Ask(wave, request_no, offers or (1,), person or account, account, broken_rule)


class Drop:
    """One campaign in the hot store. Loads it as recovery would, and calls the scripts as desk and steward do."""

    def __init__(self, store: HotStore, catalogue: Catalogue, seed: int = 0) -> None:
        self.store = store
        self.catalogue = catalogue
        self.campaign = catalogue.id
        self.epoch = 0
        self.term = 1
        self._random = random.Random(seed)
        self._acts = itertools.count(1)

    async def load(self, waves: Mapping[int, WaveState] | None = None, epoch: int | None = None) -> None:
        """Bring it in without a claim: all waves of the catalogue, or these."""
        if waves is None:
            waves = {wave.no: WaveState.of(self.catalogue, wave) for wave in self.catalogue.waves}
        left = {(no, int(offer)): o.total for no, state in waves.items() for offer, o in state.offers.items()}
        contents = load.Contents(self.catalogue, waves, left, act=0, claims=0, value=0, newest_ms={})
        seen = await load.unbind(self.store, self.campaign, self.term)
        epoch = seen.epoch + 1 if epoch is None else epoch
        await load.begin_epoch(self.store, self.campaign, epoch, self.term)
        await load.load_contents(self.store, self.campaign, epoch, self.term, contents)
        await load.bind(self.store, self.campaign, epoch, self.term, seen.incarnation, claimants=0)
        self.epoch = epoch

    def code(self) -> str:
        """A fresh voucher code."""
        return new_code(self.catalogue.code_prefix, self._random.getrandbits)

    async def batch(
        self,
        *asks: Ask,
        codes: Sequence[str] = (),
        not_after_ms: int | None = None,
        lag_max: int = LAG_MAX,
        epoch: int | None = None,
    ) -> Batch:
        """One call of the script."""
        codes = codes or [self.code() for _ in asks]
        not_after_ms = await self.now_ms() + HOUR_MS if not_after_ms is None else not_after_ms
        pairs = list(zip(asks, codes, strict=True))
        epoch = self.epoch if epoch is None else epoch
        return await decide(self.store, self.campaign, epoch, pairs, not_after_ms, lag_max)

    async def claim(self, ask: Ask, **how: object) -> Outcome | Late:
        """The answer to a single claim."""
        return (await self.batch(ask, **how)).answers[0]  # type: ignore[arg-type]  # the options of batch

    async def granted(self, ask: Ask) -> Claimed:
        """A claim that has to be granted."""
        answer = await self.claim(ask)
        assert isinstance(answer, Claimed), answer
        return answer

    async def put(self, wave_no: int, state: WaveState, kind: ActKind = "put_wave", number: int | None = None) -> bool:
        """An act that puts this state, whatever was there."""
        view = await self.view()
        number = view.act + 1 if number is None else number
        line = ActLine(number, f"act-{next(self._acts)}", kind, "tester", "why", wave_no, state=state)
        return await act(self.store, self.campaign, self.epoch, line)

    async def change(self, wave_no: int = 1, **fields: object) -> WaveState:
        """Put a wave with these fields changed; the state that came of it."""
        state = replace((await self.view()).waves[wave_no], **fields)
        await self.put(wave_no, state)
        return state

    async def view(self) -> ShardView:
        """The shard as it stands."""
        view = await read_shard(self.store, self.campaign)
        assert view is not None, f"{self.campaign} is not in the hot store"
        return view

    async def log(self) -> list[LogEntry]:
        """Everything in the log."""
        return await read_log(self.store, self.campaign, (0, 0), EVERYTHING)

    async def now_ms(self) -> int:
        """The store's clock."""
        return await self.store.time_ms()

    @property
    def keys(self) -> keys.Shard:
        """Names of the keys that are live."""
        return keys.shard(self.campaign, self.epoch)
