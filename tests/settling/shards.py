"""A campaign with an open wave, applied, loaded and put: what the writer finds when it starts."""

import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import msgspec
import redis.asyncio as redis

from engine.domain.campaign import Campaign, Catalogue, Limit
from engine.domain.codes import new_code
from engine.domain.decisions import LogEntry, WaveState
from engine.domain.outcome import Ask, Claim, Claimed
from engine.errors import ReplyLost
from engine.hotstore import keys
from engine.hotstore.decide import decide
from engine.hotstore.log import read_log
from engine.hotstore.store import HotStore
from engine.hotstore.view import ShardView, bound_epoch, read_shard
from engine.ledger.campaigns import apply_campaign
from engine.ledger.cursors import Cursor, read_cursor
from engine.ledger.database import Ledger
from engine.scheduling import acts
from engine.scheduling.acts import Actor
from engine.settings import Settings
from engine.settling.recovery import Recovery
from engine.settling.settler import Settler
from tests.ledger.samples import OFFERS, campaign, wave
from tests.support.waiting import wait_until

TERM = 1
WAVE = 1
UNITS = 100_000


def open_campaign(campaign_id: str) -> Campaign:
    """One wave that has been open for an hour, with more stock than any test asks for; one claim each."""
    now = datetime.now(UTC).replace(microsecond=0)
    opened = wave(
        f"{campaign_id}-now",
        now - timedelta(hours=1),
        closes_at=now + timedelta(hours=8),
        stock={offer.id: UNITS for offer in OFFERS},
    )
    return campaign(campaign_id, waves=(opened,), limits=(Limit(1, "campaign"),))


class Shard:
    """The engine around one shard, without gateways and steward. Claims go straight to the script."""

    def __init__(self, ledger: Ledger, store: HotStore, settings: Settings, seed: int) -> None:
        self.ledger = ledger
        self.store = store
        self.recovery = Recovery(store, ledger, Settler(ledger), settings)
        self._random = random.Random(seed)
        self._users = itertools.count(1)
        self.claims: list[Claim] = []
        self.catalogue: Catalogue

    async def start(self, campaign_id: str = "spring", **changes: Any) -> "Shard":
        """Apply (with changes of the campaign), load and put: after that claims are granted."""
        changed = msgspec.structs.replace(open_campaign(campaign_id), **changes)
        self.catalogue = (await apply_campaign(self.ledger, changed, "ann")).catalogue
        await self.recover()
        steward = Actor("steward", "put", TERM)
        state = WaveState.of(self.catalogue, self.catalogue.waves[0])
        await acts.put_wave(self.store, self.campaign, WAVE, state, steward)
        await acts.put_campaign(self.store, self.catalogue, steward)
        return self

    @property
    def campaign(self) -> str:
        return self.catalogue.id

    async def recover(self) -> None:
        await self.recovery.recover(self.catalogue, TERM)

    async def claim(self, count: int, batch: int = 50) -> None:
        """So many new users claim, in batches as desks send them. A lost reply is asked for again, same codes."""
        for asked in range(0, count, batch):
            names = [f"{self.campaign}-u{next(self._users)}" for _ in range(min(batch, count - asked))]
            asks = [
                (Ask(WAVE, 1, (1,), name, name), new_code(self.catalogue.code_prefix, self._random.getrandbits))
                for name in names
            ]
            epoch = await bound_epoch(self.store, self.campaign)
            assert epoch is not None
            not_after_ms = await self.store.time_ms() + 60_000
            while True:
                try:
                    answers = (await decide(self.store, self.campaign, epoch, asks, not_after_ms, 10_000_000)).answers
                except ReplyLost:
                    continue
                break
            granted = [answer.claim for answer in answers if isinstance(answer, Claimed)]
            assert len(granted) == len(asks), answers
            self.claims += granted

    async def view(self) -> ShardView:
        shard = await read_shard(self.store, self.campaign)
        assert shard is not None
        return shard

    async def cursor(self) -> Cursor:
        return await read_cursor(self.ledger, self.catalogue.campaign_no)

    async def wait_settled(self, deadline_s: float = 20.0) -> None:
        """Until the ledger is where the shard is."""
        last = (await self.view()).last

        async def there() -> bool:
            return (await self.cursor()).last >= last

        await wait_until(there, deadline_s, f"{self.campaign} settled up to {last}")

    async def settled_claims(self) -> list[tuple[int, int, str]]:
        """(epoch, sequence, code) of what the ledger has, after a look that every claim has its voucher."""
        no = self.catalogue.campaign_no
        claims = "select epoch, sequence, code from claims where campaign_no = $1 order by epoch, sequence"
        vouchers = "select epoch, sequence, code from vouchers where campaign_no = $1 order by epoch, sequence"
        rows = [tuple(row) for row in await self.ledger.fetch(claims, no)]
        assert rows == [tuple(row) for row in await self.ledger.fetch(vouchers, no)]
        return rows

    async def check(self) -> None:
        """Each claim that was granted is settled, once, and nothing else is."""
        granted = sorted((each.epoch, each.sequence, each.code) for each in self.claims)
        assert await self.settled_claims() == granted

    async def write_log_anew(self, *versions: str) -> None:
        """The log as if its first entries of claims had been written by earlier versions, one of each in this order."""
        entries = await read_log(self.store, self.campaign, (0, 0), 10_000)
        earlier = dict(zip([entry.last for entry in entries if entry.claims], versions, strict=False))
        async with client_of(self.store_url) as client:
            kept = dict(await client.xrange(keys.log(self.campaign)))
            await client.delete(keys.log(self.campaign))
            for entry in entries:
                entry_id = f"{entry.epoch}-{entry.last}".encode()
                fields = kept[entry_id]
                version = earlier.get(entry.last)
                if version:
                    fields |= {b"v": version.encode(), b"claims": "\n".join(_EARLIER_LINES[version](entry)).encode()}
                await client.xadd(keys.log(self.campaign), fields, id=entry_id)

    async def spoil_log(self, **fields: str) -> bytes:
        """Add an entry that no script would write; its id."""
        view = await self.view()
        async with client_of(self.store_url) as client:
            entry_id: bytes = await client.xadd(
                keys.log(self.campaign), {"v": "1", "at": "1", **fields}, id=f"{view.epoch}-{view.last + 1_000}"
            )
            return entry_id

    store_url = ""


def _lines_1(entry: LogEntry) -> list[str]:
    """Claims as format 1 of the log has them (`hotstore/records.py`)."""
    return [
        "\t".join(
            map(
                str,
                (
                    *(each.wave_no, each.request_no, each.offer_no, each.unit, each.nth, each.terms_version),
                    *(each.claimed_at_ms - entry.at_ms, each.code, each.claimant, ""),
                ),
            )
        )
        for each in entry.claims
    ]


def _lines_2(entry: LogEntry) -> list[str]:
    """And as format 2 has them."""
    lines = []
    for each in entry.claims:
        shared = (each.wave_no, each.request_no, each.offer_no, each.nth, each.terms_version)
        lines.append("+" + "\t".join(map(str, (*shared, each.claimed_at_ms - entry.at_ms))))
        lines.append(f"{each.unit}\t{each.code}\t{each.claimant}")
    return lines


_EARLIER_LINES = {"1": _lines_1, "2": _lines_2}


@asynccontextmanager
async def client_of(redis_url: str) -> AsyncIterator["redis.Redis"]:
    """A client of its own, past the engine."""
    client = redis.Redis.from_url(redis_url)
    try:
        yield client
    finally:
        await client.aclose()


async def end_sessions(database_url: str) -> None:
    """Postgres ends every other session of this database."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = $1",
            urlsplit(database_url).path[1:],
        )
    finally:
        await connection.close()
