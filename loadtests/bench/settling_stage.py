"""One version of the engine under `loadtests.bench.settling`: its own Redis and Postgres, a log, and its real writer.

Started as a program with that version's tree on PYTHONPATH, so of the engine it uses only what old versions have too.
Obeys lines of JSON on standard input, {"do": "drain" | "paced", …}, and answers each with a line of figures:

    drain   the log lies there whole; how fast a writer that is started now gets through it
    paced   entries come at a fixed rate, as gateways under that load would write them; what that costs
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import redis.asyncio as redis

from engine.domain.campaign import Campaign, Limit, Offer, Store, Validity, Wave
from engine.domain.codes import campaign_prefix, new_code
from engine.embedded.postgres import EmbeddedPostgres
from engine.embedded.redis import EmbeddedRedis
from engine.hotstore import keys
from engine.ledger.campaigns import apply_campaign
from engine.ledger.database import Ledger
from engine.ledger.migrate import migrate
from engine.settings import Settings

CAMPAIGN, OFFERS = "bench", 3
LOOK_S = 0.02
"""Pause between two looks at the cursor: a hundredth of a drain's seconds at most is not known."""
TICK_S = 0.002
STALLED_S = 20.0
"""A writer that settles nothing for so long has failed."""
_TICKS = os.sysconf("SC_CLK_TCK")
_SEED = 8


def campaign() -> Campaign:
    """One wave, open, with stock for any log; one claim each."""
    now = datetime.now(UTC).replace(microsecond=0)
    opens, closes = now - timedelta(hours=1), now + timedelta(hours=8)
    offers = [f"offer-{number}" for number in range(1, OFFERS + 1)]
    stock = dict.fromkeys(offers, 10_000_000)
    return Campaign(
        id=CAMPAIGN,
        title="Bench",
        timezone="Asia/Shanghai",
        currency="CNY",
        validity=Validity(natural_days=7),
        offers=tuple(Offer(id=each, title=each, kind="instant", stores=("s1",), face=100) for each in offers),
        waves=(Wave(id="bench-1", opens_at=opens, closes_at=closes, day=now.date(), stock=stock, round="r1"),),
        stores={"s1": Store("Shop", "Merchant", "Wuhan")},
        limits=(Limit(1, "campaign"),),
    )


def log_entries(claims: int, entry_claims: int, prefix: str) -> Iterator[tuple[int, bytes]]:
    """(number of the last claim, `claims` field) of each entry, in format 1 (engine/hotstore/records.py).

    Users come in no order, and the offers are asked for evenly.
    """
    draw = random.Random(_SEED)
    users = list(range(claims))
    draw.shuffle(users)
    units = [itertools.count(1) for _ in range(OFFERS)]
    for first in range(0, claims, entry_claims):
        lines = []
        for user in users[first : first + entry_claims]:
            offer = user % OFFERS
            code = new_code(prefix, draw.getrandbits)
            lines.append(f"1\t1\t{offer + 1}\t{next(units[offer])}\t1\t1\t0\t{code}\tu{user}\t")
        yield first + len(lines), "\n".join(lines).encode()


class Usage:
    """Processor time used so far, in seconds, of the writer and of both servers."""

    def __init__(self, writer: int, postmaster: int, server: int, without: int) -> None:
        self.writer = _seconds(writer)
        # what children that have ended used is booked with the postmaster; the backend that looks is not counted
        self.postgres = _seconds(postmaster, ended_too=True)
        self.postgres += sum(_seconds(pid) for pid in _children(postmaster) if pid != without)
        self.redis = _seconds(server)


def _seconds(pid: int, *, ended_too: bool = False) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11 : 15 if ended_too else 13])) / _TICKS


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Stage:
    """The servers of one version."""

    def __init__(self, folder: Path, claims: int, entry_claims: int, settings: dict[str, str]) -> None:
        self._redis, self._postgres = EmbeddedRedis(folder / "redis"), EmbeddedPostgres(folder / "postgres")
        self._folder, self._claims, self._entry_claims = folder, claims, entry_claims
        self._settings = settings
        self._runs = itertools.count(1)
        self._entries: list[tuple[int, bytes]] = []

    async def start(self) -> None:
        """Servers, a ledger with the campaign, and the entries."""
        await self._redis.start()
        await self._postgres.start()
        self._client = redis.Redis.from_url(self._redis.url)
        self._admin = await asyncpg.connect(self._postgres.url)
        await self._admin.execute("create database ledger")
        url = self._address("ledger")
        settings = Settings(database_url=url)
        await migrate(url, settings)
        ledger = await Ledger.connect(url, settings)
        catalogue = (await apply_campaign(ledger, campaign(), "bench")).catalogue
        await ledger.close()
        assert catalogue.code_prefix == campaign_prefix(catalogue.campaign_no)
        connection = await asyncpg.connect(url)
        await connection.execute("update cursors set epoch = 1, last = 0")
        await connection.close()
        self._entries = list(log_entries(self._claims, self._entry_claims, catalogue.code_prefix))

    async def stop(self) -> None:
        """Stop the servers."""
        await self._admin.close()
        await self._client.aclose()
        await self._redis.stop()
        await self._postgres.stop()

    async def drain(self) -> dict[str, float]:
        """All entries are there; then the writer starts."""
        await self._empty_log()
        for at in range(0, len(self._entries), 500):
            async with self._client.pipeline(transaction=False) as pipe:
                for command in self._commands(at, at + 500):
                    pipe.execute_command(*command)
                await pipe.execute()
        async with self._measured() as run:
            await run.until(1)
            return await run.figures(self._claims)

    async def paced(self, rate: int, seconds: float) -> dict[str, float]:
        """Entries at a fixed rate, to a writer that is waiting for them."""
        await self._empty_log()
        async with self._measured() as run:
            feeding = asyncio.create_task(self._feed(rate, seconds, run.sent))
            figures = await run.figures(min(self._claims, int(rate * seconds)), warm_s=1.0)
            await feeding
            return figures

    async def _feed(self, rate: int, seconds: float, sent: list[tuple[float, int]]) -> None:
        connection = await self._client.connection_pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py leaves it bare
        began_s, place, written = time.monotonic(), 0, 0
        while place < len(self._entries) and time.monotonic() - began_s < seconds + 1:
            due = (time.monotonic() - began_s) * rate
            end = place
            while end < len(self._entries) and self._entries[end][0] <= due:
                end += 1
            if end > place:
                await connection.send_packed_command(connection.pack_commands(self._commands(place, end)))
                for _ in range(place, end):
                    await connection.read_response()
                place, written = end, self._entries[end - 1][0]
                sent.append((time.monotonic(), written))
            await asyncio.sleep(TICK_S)
        await self._client.connection_pool.release(connection)

    def _commands(self, start: int, end: int) -> Iterator[Sequence[str | bytes | int]]:
        now_ms = time.time_ns() // 1_000_000
        for place in range(start, min(end, len(self._entries))):
            last, lines = self._entries[place]
            first = self._entries[place - 1][0] + 1 if place else 1
            fields = ("v", "1", "first", first, "at", now_ms, "claims", lines)
            yield ("XADD", keys.log(CAMPAIGN), f"1-{last}", *fields)

    async def _empty_log(self) -> None:
        """A new life of the log; only a benchmark may delete one."""
        await self._client.flushall()
        await self._client.sadd(keys.CAMPAIGNS, CAMPAIGN)
        await self._client.hset(keys.head(CAMPAIGN), mapping={"epoch": 1, "settled": 0})

    @asynccontextmanager
    async def _measured(self) -> AsyncIterator["Run"]:
        name = f"run_{next(self._runs)}"
        await self._admin.execute(f"create database {name} template ledger strategy file_copy")
        url = self._address(name)
        looking = await asyncpg.connect(url)
        await looking.execute("checkpoint")
        with tempfile.TemporaryFile() as said:
            writer = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs meanwhile
                [sys.executable, "-m", "engine", "writer"], env=self._environment(url), stderr=said
            )
            sys.stderr.write(f"writer {writer.pid}\n")  # for whoever wants to look into it
            try:
                run = Run(looking, writer, self._postgres.child.pid, self._redis.child.pid)
                await run.begin()
                yield run
            except Stalled:
                said.seek(0)
                sys.stderr.write(said.read().decode()[-2_000:])
                raise
            finally:
                writer.send_signal(signal.SIGTERM)
                writer.wait(20)
                await looking.close()
                await self._admin.execute(f"drop database {name} with (force)")

    def _environment(self, url: str) -> dict[str, str]:
        own = {
            "DROPWAVE_REDIS_URL": self._redis.url,
            "DROPWAVE_DATABASE_URL": url,
            "DROPWAVE_DATA": str(self._folder / "data"),
        }
        return {**os.environ, **own, **self._settings}

    def _address(self, database: str) -> str:
        return urlunsplit(urlsplit(self._postgres.url)._replace(path="/" + database))


class Stalled(Exception):
    """The writer settles nothing any more."""


class Run:
    """One run of the writer, seen from outside."""

    def __init__(self, looking: Any, writer: subprocess.Popen[bytes], postmaster: int, server: int) -> None:
        self._looking = looking
        self._writer, self._postmaster, self._server = writer.pid, postmaster, server
        self.sent: list[tuple[float, int]] = []
        """When which number was acknowledged by Redis."""

    async def begin(self) -> None:
        """Wait until the writer has the lease."""
        self._looker: int = await self._looking.fetchval("select pg_backend_pid()")
        end_s = time.monotonic() + STALLED_S
        while not await self._looking.fetchval("select count(*) from leases where role = 'writer'"):
            await asyncio.sleep(LOOK_S)
            if time.monotonic() > end_s:
                raise Stalled

    async def until(self, number: int) -> int:
        """Wait until the cursor is there or past it; where it is."""
        last, moved_s = -1, time.monotonic()
        while True:
            now: int = await self._looking.fetchval("select last from cursors")
            if now >= number:
                return now
            if now > last:
                last, moved_s = now, time.monotonic()
            elif time.monotonic() - moved_s > STALLED_S:
                raise Stalled
            await asyncio.sleep(LOOK_S)

    def _usage(self) -> Usage:
        return Usage(self._writer, self._postmaster, self._server, self._looker)

    async def figures(self, end: int, warm_s: float = 0.0) -> dict[str, float]:
        """What it took to settle from here (after so many seconds) to number `end`."""
        await asyncio.sleep(warm_s)
        first: int = await self._looking.fetchval("select last from cursors")
        wal = "select pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
        began, began_s, wal_before = self._usage(), time.monotonic(), await self._looking.fetchval(wal)
        seen = [(began_s, first)]
        while (now := await self.until(seen[-1][1] + 1)) < end:
            seen.append((time.monotonic(), now))
        after, after_s = self._usage(), time.monotonic()
        claims, seconds = now - first, after_s - began_s
        query = "select count(distinct xmin::text) from claims where sequence > $1"
        commits: int = await self._looking.fetchval(query, first)
        microseconds = 1e6 / claims
        return {
            "claims_per_s": claims / seconds,
            "writer_us": (after.writer - began.writer) * microseconds,
            "postgres_us": (after.postgres - began.postgres) * microseconds,
            "redis_us": (after.redis - began.redis) * microseconds,
            "writer_cores": (after.writer - began.writer) / seconds,
            "postgres_cores": (after.postgres - began.postgres) / seconds,
            "wal_bytes": float(await self._looking.fetchval(wal) - wal_before) / claims,
            "claims_per_commit": claims / commits,
            **self._lag(seen),
        }

    def _lag(self, seen: list[tuple[float, int]]) -> dict[str, float]:
        """Time from Redis's answer until the cursor was seen past it, for each of what was sent."""
        if not self.sent:
            return {}
        lags, looks = [], iter(seen)
        look = next(looks)
        for sent_s, number in self.sent:
            if number <= seen[0][1]:
                continue
            while look[1] < number:
                look = next(looks, (0.0, 1 << 62))
            if look[0]:
                lags.append((look[0] - sent_s) * 1000)
        lags.sort()
        return {"lag_p50_ms": statistics.median(lags), "lag_p99_ms": lags[len(lags) * 99 // 100]} if lags else {}


async def _serve(options: argparse.Namespace, answers: TextIO) -> None:
    settings = dict(pair.split("=", 1) for pair in options.set)
    with tempfile.TemporaryDirectory(prefix="dropwave-bench-", dir=options.folder, ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o755)  # noqa: ASYNC240 - the same
        stage = Stage(Path(made), options.claims, options.entry_claims, settings)
        try:
            await stage.start()
            print("{}", file=answers, flush=True)
            while line := await asyncio.to_thread(sys.stdin.readline):
                order = json.loads(line)
                work = stage.drain() if order["do"] == "drain" else stage.paced(order["rate"], order["seconds"])
                print(json.dumps(await work), file=answers, flush=True)
        finally:
            await stage.stop()


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--claims", type=int, required=True)
    parser.add_argument("--entry-claims", type=int, required=True)
    parser.add_argument("--folder", default=None)
    parser.add_argument("--set", action="append", default=[], help="DROPWAVE_…=value, for the writer")
    options = parser.parse_args()
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # the engine logs to standard output, which is for figures here
        asyncio.run(_serve(options, answers))


if __name__ == "__main__":
    main()
