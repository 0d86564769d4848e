"""The engine as a side: `dropwave up` in a folder of its own, with a Redis that can be set and asked."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec.structs import replace

from engine.audit.audit import audit
from engine.cli.tokens import mint_tickets
from engine.domain.campaign import Catalogue, CatalogueWave
from engine.domain.eligibility import Identity
from engine.domain.tickets import TicketBook
from engine.embedded.child import Child, Insistence
from engine.embedded.files import private_folder
from engine.embedded.ports import LOOPBACK
from engine.embedded.role import PROGRAM
from engine.embedded.running import Running, find_running
from engine.embedded.up import environment_of
from engine.errors import CannotRun
from engine.gateway.identity.minting import marks_of, mint_token
from engine.gateway.keyring import Keyring
from engine.hotstore.promises import MAX_LAG_S
from engine.hotstore.view import read_shard
from engine.ledger.campaigns import apply_campaign
from engine.ledger.cursors import read_cursor
from engine.scheduling.files import parse_campaign
from engine.settings import load_settings
from engine.wiring import Stores, connected
from loadtests.baselines.redis import BenchRedis
from loadtests.bench.processes import processes
from loadtests.bench.sides import OFFER, WaveAt, account

_SECRET: Final = "be4c4be4c4be4c4be4c4be4c4be4c4be4c4be4c4be4c4be4c4be4c4be4c4be4c"  # noqa: S105 - of a trial on loopback
_UP_READY_S: Final = 60.0
_WAVE_PUT_S: Final = 15.0
_SETTLED_S: Final = 600.0
"""Ten million claims are filled in faster than they settle."""
_LOOK_S: Final = 0.02
_TOKEN_S: Final = 6 * 3_600
_CAMPAIGN: Final = """\
campaign: {id}
title: A campaign of a benchmark
timezone: Asia/Shanghai
currency: CNY
limits: [{{max: 1, per: campaign}}]
validity: {{days_after_claim: 7}}
stores: {{shop-001: {{title: A shop, merchant: m-01, city: 武汉}}}}
offers:
  - {{id: {offer}, title: 50 yuan, category: mall, kind: threshold, face: 5000, min_spend: 15000, stores: all}}
waves:
  - {{id: {id}, opens_at: "{opens_at}", closes_at: "2036-01-01 00:00", stock: {{{offer}: {stock}}}}}
"""
_ROLES: Final = ("gateway", "writer", "steward")
_DOES: Final = (
    "checks a ticket; limits, stock and opening by the full script, in batches; code, title, terms and life of the"
    " voucher in the answer"
)
_SETTLES: Final = MappingProxyType(
    {
        True: "settles to Postgres on the same cores meanwhile",
        False: "its writer is held back while it is measured (the log is written), and settles afterwards",
    }
)
_HELD: Final = MappingProxyType({True: "held", False: "BROKE", None: "not judged"})
_ZONE: Final = timedelta(hours=8)


class EngineSide:
    """All roles, as `dropwave up` runs them. Each wave is a campaign of its own: a shard that was never used."""

    body = b'{"offer":"%s"}' % OFFER.encode()
    has_ledger = True

    def __init__(
        self, folder: Path, *, name: str = "engine", ack: str = "logged", redis: str = "logged", workers: int = 1,
        settles: bool = True, **settings: Any,
    ) -> None:  # fmt: skip
        """`redis` is one of loadtests.baselines.redis.SETTINGS, the rest are settings of the engine.

        Without `settles` its writer is stopped while it is measured, and settles afterwards.
        """
        self.name = name
        self.does = f"{_DOES}; {_SETTLES[settles]}"
        self._settles = settles
        self.redis = BenchRedis(folder / "redis")
        self._replica = BenchRedis(folder / "replica") if ack == "replicated" else None
        self.port = 0
        self._redis_settings = redis
        self._folder = folder
        self._settings = load_settings(
            {}, data=str(folder), ack=ack, workers=workers, port=0, secret=_SECRET, **settings
        )
        self._up = Child("up", folder / "up.log", [Insistence(signal.SIGTERM, 30.0)], at_parents_death=signal.SIGTERM)
        self._stack = AsyncExitStack()
        self._stores: Stores
        self._database_url = ""
        self._numbers = count(1)
        self._waves: dict[str, tuple[Catalogue, CatalogueWave, int]] = {}

    async def start(self) -> None:
        """Redis, then the rest by `up`."""
        private_folder(self._folder)
        await self.redis.start_with(self._redis_settings)
        if self._replica:
            await self._replicate(self._replica)
        settings = replace(self._settings, redis_url=self.redis.url)
        self._up.start([*PROGRAM, "up"], environment=environment_of(settings), folder=Path.cwd())
        running = await self._running()
        self.port = urlsplit(running.url).port or 0
        self._database_url = running.database_url
        # Looking on asks for no `ack`.
        here = replace(settings, ack="memory", redis_url=running.redis_url, database_url=running.database_url)
        self._stores = await self._stack.enter_async_context(connected(here))

    async def stop(self) -> None:
        """`up` first: its writer settles what is left."""
        await self._stack.aclose()
        if self._up.runs:
            self.wake()
        await self._up.stop()
        if self._replica:
            await self._replica.stop()
        await self.redis.stop()

    def rest(self) -> None:
        """Stop the roles: idle they use some six hundredths of a core, which would be taken from the other sides."""
        self._signal_roles(signal.SIGSTOP)

    def wake(self) -> None:
        """Go on. Leases have run out meanwhile; whoever opens a wave waits until a steward has put it."""
        self._signal_roles(signal.SIGCONT)

    async def _replicate(self, replica: BenchRedis) -> None:
        """A replica that syncs each write as well, and a master that sells only with it."""
        await replica.start_with(self._redis_settings)
        await replica.command("CONFIG", "SET", "masterauth", self.redis.password)
        await replica.command("REPLICAOF", LOOPBACK, self.redis.port)

        async def follows() -> bool:
            info: dict[str, Any] = await replica.command("INFO", "replication")
            return info.get("master_link_status") == "up"

        await self._until(follows, _WAVE_PUT_S, "the replica does not follow")
        for name, value in {"min-replicas-to-write": 1, "min-replicas-max-lag": MAX_LAG_S}.items():
            await self.redis.command("CONFIG", "SET", name, value)

    def _signal_roles(self, number: signal.Signals, roles: Collection[str] = _ROLES) -> None:
        for pid, name in self.names().items():
            if name in roles:
                os.kill(pid, number)

    @asynccontextmanager
    async def measured(self, wave: WaveAt) -> AsyncIterator[None]:
        """Without `settles` the ledger has everything before it begins, and nothing comes on top until it ends."""
        if self._settles:
            yield
            return
        await self.settled(wave)
        with self.writer_held():
            yield

    @contextmanager
    def writer_held(self) -> Iterator[None]:
        """The log grows meanwhile, and nothing else happens with what is claimed."""
        self._signal_roles(signal.SIGSTOP, ("writer",))
        try:
            yield
        finally:
            self._signal_roles(signal.SIGCONT, ("writer",))

    async def open_wave(self, stock: int, opens_in_s: float) -> WaveAt:
        """As an operator does it: a campaign file, applied; the steward puts its wave."""
        id = f"bench-{next(self._numbers)}"
        opens_at = datetime.now(UTC) + _ZONE + timedelta(seconds=opens_in_s)
        text = _CAMPAIGN.format(id=id, offer=OFFER, stock=stock, opens_at=f"{opens_at:%Y-%m-%d %H:%M:%S}")
        applied = await apply_campaign(self._stores.ledger, parse_campaign(text, "bench"), "bench")
        wave = applied.catalogue.waves[0]
        self._waves[id] = applied.catalogue, wave, await self._stores.hot_store.time_ms()
        await self._until(lambda: self._is_put(applied.catalogue.id, wave.no), _WAVE_PUT_S, "the wave was not put")
        return WaveAt(id, stock)

    def users(self, wave: WaveAt, prefix: str, count: int) -> Iterator[str]:
        """Tickets, as `dropwave tickets` prints them."""
        catalogue, catalogue_wave, now_ms = self._waves[wave.id]
        book = TicketBook(Keyring.of(self._settings).ticket_keys)
        identities = (Identity(account(prefix, number)) for number in range(count))
        for ticket in mint_tickets(book, catalogue, catalogue_wave, identities, now_ms):
            yield f"Authorization: Ticket {ticket}"

    def bearers(self, prefix: str, count: int) -> Iterator[str]:
        """Tokens (HS256), as a login service would make them."""
        key, marks = Keyring.of(self._settings).signing_key, marks_of(self._settings)
        for number in range(count):
            token = mint_token(key, account(prefix, number), ttl_s=_TOKEN_S, marks=marks)
            yield f"Authorization: Bearer {token}"

    async def given(self, wave: WaveAt) -> int:
        """What the shard counts."""
        view = await read_shard(self._stores.hot_store, wave.id)
        return view.claims if view else 0

    async def settled(self, wave: WaveAt) -> float:
        """Wait until the ledger has everything; seconds that it took."""
        began_s = time.monotonic()
        await self._until(lambda: self._is_settled(wave), _SETTLED_S, "the ledger has not caught up")
        return time.monotonic() - began_s

    async def verdict(self) -> tuple[bool, str]:
        """`dropwave audit` of the campaign of its last wave."""
        if not self._waves:
            return True, ""
        found = await audit(self._stores.ledger, self._stores.hot_store, list(self._waves)[-1])
        judged = ", ".join(f"{each.promise} {_HELD[each.held]}" for each in found.findings)
        return not found.broken, f"audit of its last wave: {judged}"

    def names(self) -> dict[int, str]:
        """Each role, and both servers."""
        found = {self._up.pid: "up", self.redis.child.pid: "redis"}
        if self._replica:
            found[self._replica.child.pid] = "replica"
        for process in processes().values():
            if process.parent == self._up.pid:
                role = process.command[-1] if process.command else ""
                found[process.pid] = role if role in _ROLES else "postgres"
        return found

    def gateways(self) -> list[int]:
        """Numbers of its gateway processes."""
        return [pid for pid, name in self.names().items() if name == "gateway"]

    async def _is_put(self, campaign: str, wave_no: int) -> bool:
        view = await read_shard(self._stores.hot_store, campaign)
        return view is not None and view.bound and wave_no in view.waves

    async def _is_settled(self, wave: WaveAt) -> bool:
        view = await read_shard(self._stores.hot_store, wave.id)
        cursor = await read_cursor(self._stores.ledger, self._waves[wave.id][0].campaign_no)
        return view is not None and cursor.place >= (view.epoch, view.last)

    async def _until(self, holds: Any, within_s: float, otherwise: str) -> None:
        deadline_s = time.monotonic() + within_s
        while not await holds():
            if time.monotonic() > deadline_s:
                raise CannotRun(f"{self.name}: {otherwise} within {within_s:.0f} s\n{self._up.tail(3)}")
            await asyncio.sleep(_LOOK_S)

    async def _running(self) -> Running:
        deadline_s = time.monotonic() + _UP_READY_S
        while self._up.runs and time.monotonic() < deadline_s:
            running = find_running(self._folder)
            if running is not None:
                return running
            await asyncio.sleep(_LOOK_S)
        raise CannotRun(f"`dropwave up` did not start: {self._up.tail(5)}")
