"""One version of the engine under `loadtests.bench.script`: its own Redis, a loaded campaign, and its own `decide`.

Started as a program with that version's tree on PYTHONPATH, so of the engine it uses only what old versions have too.
Obeys lines of JSON on standard input, {"case": …, "batch": …, "claims": …}, and answers each with a line of figures:

    script_us    of Redis inside the script, a claim (INFO commandstats)
    redis_us     of Redis' main thread in all, a claim: reading, the script, the append-only file, answering
    gateway_us   of this process, a claim: what `decide` costs a gateway
    aof_bytes    written to the append-only file, a claim
    and for {"case": "memory"} bytes of Redis: holder_bytes, log_bytes, a claim
"""

import argparse
import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
import uvloop

from engine.domain.campaign import Campaign, Catalogue, Limit, Offer, Store, Validity, Wave
from engine.domain.codes import new_code
from engine.domain.decisions import WaveState
from engine.domain.outcome import Ask
from engine.errors import HotStoreUnavailable
from engine.hotstore import keys, load
from engine.hotstore.decide import decide
from engine.hotstore.store import HotStore
from engine.settings import Settings

OPEN, SOLD_OUT, EARLY = 1, 2, 3
"""Numbers of the waves."""
OFFERS = (1, 2, 3)
UNITS = 10_000_000
LAG_MAX = 1_000_000_000
LIVE_S = 10.0
"""A Redis that does not answer by then has failed."""
_SEED = 8
_NAMES = {"short": "u{:07d}", "uuid": "{:08x}-1f2e-4d3c-8b4a-5968778695a4"}
"""Accounts as a load test has them, and as many login services do."""

Asks = Sequence[tuple[Ask, str]]


def campaign() -> Catalogue:
    """Three waves: open with stock for any run, open without any, to come."""
    now = datetime.now(UTC).replace(microsecond=0)
    hour = timedelta(hours=1)
    offers = [f"offer-{no}" for no in OFFERS]
    waves = {"open": (-hour, UNITS), "sold-out": (-hour, 0), "early": (hour, UNITS)}
    written = Campaign(
        id="bench",
        title="Bench",
        timezone="Asia/Shanghai",
        currency="CNY",
        validity=Validity(natural_days=7),
        offers=tuple(Offer(id=each, title=each, kind="instant", stores=("s1",), face=100) for each in offers),
        waves=tuple(
            Wave(
                id=f"bench-{id}",
                opens_at=now + opens,
                closes_at=now + 8 * hour,
                day=now.date(),
                stock=dict.fromkeys(offers, units),
                round="r1",
            )
            for id, (opens, units) in waves.items()
        ),
        stores={"s1": Store("Shop", "Merchant", "Wuhan")},
        limits=(Limit(1, "campaign"),),
    )
    return Catalogue.first_of(written, campaign_no=7, code_prefix="HB7")


@contextmanager
def running_redis(program: str, aof: str, folder: str) -> Iterator[str]:
    """The address of a Redis of this run's own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    append = ["--appendonly", "no" if aof == "off" else "yes"] + ([] if aof == "off" else ["--appendfsync", aof])
    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", *append]
    server = subprocess.Popen(
        [program, *arguments, "--maxmemory-policy", "noeviction"], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait()


class Stage:
    """A campaign in the hot store, and a gateway's side of the calls."""

    def __init__(self, store: HotStore, client: "redis.Redis", names: str) -> None:
        self._store = store
        self._client = client
        self._name = _NAMES[names]
        self._catalogue = campaign()
        self._users = 0
        self._draw = random.Random(_SEED)
        self._epoch = 0
        self._term = 0

    async def load(self) -> None:
        """An empty Redis, the campaign in it without a claim."""
        self._client.flushall()
        self._epoch = max(self._epoch + 1, int(time.time() * 1000))  # an instant, as recovery has it
        self._term += 1
        self._users = 0
        waves = {wave.no: WaveState.of(self._catalogue, wave) for wave in self._catalogue.waves}
        left = {(no, int(offer)): each.total for no, state in waves.items() for offer, each in state.offers.items()}
        contents = load.Contents(self._catalogue, waves, left, act=0, claims=0, value=0, newest_ms={})
        seen = await load.unbind(self._store, "bench", self._term)
        await load.begin_epoch(self._store, "bench", self._epoch, self._term)
        await load.load_contents(self._store, "bench", self._epoch, self._term, contents)
        await load.bind(self._store, "bench", self._epoch, self._term, seen.incarnation, claimants=0)

    def asks(self, count: int, wave: int = OPEN, choices: Sequence[tuple[int, ...]] = ((1,),)) -> Asks:
        """Asks of that many users who have not asked before, in no order."""
        users = list(range(self._users, self._users + count))
        self._users += count
        self._draw.shuffle(users)
        names = [self._name.format(user) for user in users]
        return [(Ask(wave, 1, self._draw.choice(choices), name, name), self._code()) for name in names]

    def again(self, asks: Asks) -> Asks:
        """The same asks, each with another code, as a gateway draws one for every request."""
        return [(ask, self._code()) for ask, _ in asks]

    def _code(self) -> str:
        return new_code(self._catalogue.code_prefix, self._draw.getrandbits)

    async def decide(self, asks: Asks, batch: int) -> None:
        """Let the script decide them, that many at once."""
        not_after_ms = int(time.time() * 1000) + 3_600_000
        for start in range(0, len(asks), batch):
            await decide(self._store, "bench", self._epoch, asks[start : start + batch], not_after_ms, LAG_MAX)

    async def measured(self, asks: Asks, batch: int) -> dict[str, float]:
        """What these asks cost."""
        await self.decide(asks[:0] or self.asks(1), 1)  # the script is known to the server, its memory is warm
        before, began_s = self._figures(), time.process_time()
        await self.decide(asks, batch)
        gateway_s, after = time.process_time() - began_s, self._figures()
        spent = {name: (after[name] - before[name]) / len(asks) for name in after}
        return {**spent, "gateway_us": gateway_s * 1e6 / len(asks)}

    def _figures(self) -> dict[str, float]:
        cpu: Mapping[str, Any] = self._client.info("cpu")
        calls: Mapping[str, Any] = self._client.info("commandstats")
        aof: Mapping[str, Any] = self._client.info("persistence")
        return {
            "script_us": calls.get("cmdstat_evalsha", {}).get("usec", 0),
            "redis_us": 1e6 * (cpu["used_cpu_user_main_thread"] + cpu["used_cpu_sys_main_thread"]),
            "aof_bytes": aof.get("aof_current_size", 0),
        }

    async def run(self, case: str, batch: int, claims: int) -> dict[str, float]:
        """One case. The campaign has 100,000 holders when it begins, but for `memory`."""
        await self.load()
        if case == "memory":
            return await self._memory(batch, claims)
        await self.decide(self.asks(100_000), 512)
        match case:
            case "new":
                asks = self.asks(claims)
            case "choices":  # everybody has a first and a second choice
                asks = self.asks(claims, choices=((1, 2), (2, 3), (3, 1), (2, 1)))
            case "replay":
                first = self.asks(claims)
                await self.decide(first, 512)
                asks = self.again(first)
            case "thrice":  # everybody asks three times, within a moment
                asks = [each for ask in self.asks(claims // 3) for each in (ask, *self.again([ask, ask]))]
            case "held":  # a second claim where the limit is one
                first = self.asks(claims)
                await self.decide(first, 512)
                asks = [(Ask(OPEN, 1, (2,), ask.claimant, ask.account), code) for ask, code in self.again(first)]
            case "sold_out":
                asks = self.asks(claims, SOLD_OUT)
            case "early":
                asks = self.asks(claims, EARLY)
            case _:
                raise ValueError(case)
        return await self.measured(asks, batch)

    async def _memory(self, batch: int, claims: int) -> dict[str, float]:
        names = keys.shard("bench", self._epoch)
        await self.decide(self.asks(1), 1)
        before = {key: self._bytes(key) for key in (names.holders, names.log)}
        used_before = self._client.info("memory")["used_memory"]
        await self.decide(self.asks(claims), batch)
        used = (self._client.info("memory")["used_memory"] - used_before) / claims
        grown = {key: (self._bytes(key) - before[key]) / claims for key in before}
        return {"holder_bytes": grown[names.holders], "log_bytes": grown[names.log], "used_bytes": used}

    def _bytes(self, key: str) -> int:
        return int(self._client.memory_usage(key, samples=0) or 0)


async def main() -> None:
    """Obey until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--redis", required=True)
    parser.add_argument("--aof", choices=["off", "everysec", "always"], default="off")
    parser.add_argument("--names", choices=[*_NAMES], default="short")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="dropwave-bench-") as folder,
        running_redis(options.redis, options.aof, folder) as url,
        redis.Redis.from_url(url) as client,
    ):
        store = await _connected(url)
        stage = Stage(store, client, options.names)
        for order in iter(sys.stdin.readline, ""):
            print(json.dumps(await stage.run(**json.loads(order))), flush=True)  # noqa: T201  # read by the bench
        await store.close()


async def _connected(url: str) -> HotStore:
    deadline_s = time.monotonic() + LIVE_S
    while True:
        try:
            return await HotStore.connect(url, Settings(ack="memory"))
        except HotStoreUnavailable:
            if time.monotonic() > deadline_s:
                raise
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    os.environ.pop("DROPWAVE_ACK", None)
    uvloop.run(main())
