"""locust itself, as a program, against real servers: the smoke shape, and runs in which a promise breaks."""

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from aiohttp import web
from msgspec.structs import replace

from engine.settings import Settings
from engine.wiring import connected, running, steward_services, writer_services
from tests.gateway.drop import Drop, running_gateway
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
ENDED_S = 90.0


@pytest.fixture
async def shop(settings: Settings, redis_url: str, database_url: str) -> AsyncIterator[Drop]:
    """A gateway, a steward and a writer, without campaigns."""
    settings = replace(settings, redis_url=redis_url, database_url=database_url)
    async with connected(settings) as stores:
        services = [*steward_services(stores, settings), *writer_services(stores, settings)]
        async with running(services), running_gateway(settings, stores) as drop:
            yield drop


Started = list[asyncio.subprocess.Process]


@pytest.fixture
def started() -> Iterator[Started]:
    """Whatever a test starts, and a failed one leaves."""
    processes: Started = []
    yield processes
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


class Run:
    """`locust` with a shape, headless; its verdict, and what it said."""

    def __init__(self, shop: Drop, folder: Path, started: Started, host: str = "") -> None:
        self._host = host or shop.url
        self._started = started
        self._file = folder / "verdict.json"
        folder.mkdir(exist_ok=True)
        self._log = folder / "said"
        self._environment = os.environ | {"DROPWAVE_SECRET": shop.settings.secret, "PYTHONPATH": str(ROOT)}
        self.process: asyncio.subprocess.Process

    @property
    def said(self) -> str:
        return self._log.read_text()

    async def start(self, shape: str, *options: str) -> "Run":
        files = f"{ROOT}/loadtests/locustfile.py,{ROOT}/loadtests/shapes/{shape}.py"
        with self._log.open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "locust", "-f", files, "--headless", "--only-summary", "--host", self._host),
                *("--verdict-file", str(self._file)),
                *options,
                env=self._environment,
                cwd=self._file.parent,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._started.append(self.process)
        return self

    async def end(self) -> dict[str, Any]:
        """The verdict it wrote; empty where it wrote none."""
        await asyncio.wait_for(self.process.wait(), ENDED_S)
        return json.loads(self._file.read_text()) if self._file.exists() else {}


async def claimants(shop: Drop, campaign: str = "%") -> list[str]:
    """Who has a claim in the ledger."""
    connection = await asyncpg.connect(shop.settings.database_url)
    try:
        of_campaign = "select claimant from claims join campaigns using (campaign_no) where id like $1"
        return [row["claimant"] for row in await connection.fetch(of_campaign, campaign)]
    finally:
        await connection.close()


def free_port() -> int:
    """Below those that the kernel gives to whoever asks for any: locust binds it a second later."""
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            port = random.SystemRandom().randrange(20_000, 32_000)
            probe.bind(("127.0.0.1", port))
            return port


def two_workers() -> list[str]:
    """Options of a master and two worker processes."""
    port = str(free_port())
    return ["--processes", "2", "--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port]


class Crooked:
    """Stands before a gateway: tells the second user the first one's code, and loses a claim before it is audited."""

    def __init__(self, shop: Drop, session: aiohttp.ClientSession) -> None:
        self._shop = shop
        self._session = session
        self._codes: dict[str, str] = {}
        """By id of the claim."""

    async def forward(self, request: web.Request) -> web.Response:
        if request.path.endswith("/audit"):
            await self._lose_a_claim(request.match_info["path"].split("/")[3])
        async with self._session.request(
            request.method,
            self._shop.url + request.path_qs,
            headers={name: value for name, value in request.headers.items() if name != "Host"},
            data=await request.read(),
        ) as answer:
            body, kind = await answer.read(), answer.headers.get("Content-Type", "")
            if request.method == "POST" and request.path.endswith("/claims") and answer.ok:
                body = self._mix_up(body)
            return web.Response(status=answer.status, body=body, headers={"Content-Type": kind})

    def _mix_up(self, body: bytes) -> bytes:
        told = json.loads(body)
        voucher = told["claim"]["vouchers"][0]
        self._codes.setdefault(told["claim"]["id"], voucher["code"])
        first, *others = self._codes
        if others and told["claim"]["id"] == others[0]:
            voucher["code"] = self._codes[first]
        return json.dumps(told).encode()

    async def _lose_a_claim(self, campaign: str) -> None:
        async def all_settled() -> bool:
            return len(await claimants(self._shop, campaign)) == len(self._codes)

        await wait_until(all_settled, what="the writer has settled every claim")
        connection = await asyncpg.connect(self._shop.settings.database_url)
        try:
            of_campaign = "campaign_no = (select campaign_no from campaigns where id = $1)"
            await connection.execute(f"delete from claims where {of_campaign} and nth = 1 and unit = 1", campaign)
        finally:
            await connection.close()


@asynccontextmanager
async def crooked_gateway(shop: Drop) -> AsyncIterator[str]:
    async with aiohttp.ClientSession() as session:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", Crooked(shop, session).forward)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


async def test_how_short_runs_end(shop: Drop, tmp_path: Path, started: Started) -> None:
    """With two workers and every promise kept; with promises broken on purpose; one that cannot begin; and one that
    goes on into shops.

    Together, because most of a run is waiting.
    """
    async with crooked_gateway(shop) as url:
        kept = await Run(shop, tmp_path / "kept", started).start(
            "smoke", *two_workers(), "-u", "12", "-r", "100", "--stock", "6"
        )
        broken = await Run(shop, tmp_path / "broken", started, url).start(
            "smoke", "-u", "6", "-r", "100", "--stock", "4"
        )
        refused = await Run(shop, tmp_path / "refused", started).start("smoke", "--wave", "nowhere")
        shopped = await Run(shop, tmp_path / "shopped", started).start(
            "shop", *two_workers(), "-u", "12", "-r", "100", "--stock", "10", "--opens-in", "1"
        )
        ended = await asyncio.gather(kept.end(), broken.end(), refused.end(), shopped.end())
    await was_kept(shop, kept, ended[0])
    was_broken(broken, ended[1])
    await was_honoured(shop, shopped, ended[3])
    assert (refused.process.returncode, ended[2]) == (3, {})
    assert f"cannot run: GET {shop.url}/v1/ops/waves/nowhere: unknown_wave" in refused.said
    assert "Traceback" not in refused.said


async def was_kept(shop: Drop, run: Run, verdict: dict[str, Any]) -> None:
    """No user was of both workers, and what was told is what the ledger has."""
    assert run.process.returncode == 0, run.said
    assert (verdict["verdict"], verdict["broken"], verdict["not_known"]) == ("KEPT", [], []), run.said
    assert verdict["answers"]["sold_out"] >= 6
    assert "users: 12 visits ended, 0 of them without knowing; 6 claims told" in verdict["looked_at"]
    assert sum("audit: P" in line and ": kept: " in line for line in verdict["looked_at"]) == 7
    accounts = await claimants(shop, verdict["wave"])
    assert len(set(accounts)) == len(accounts) == 6
    assert {account.split("-")[2] for account in accounts} <= {"0", "1"}
    assert "claims told, by worker: 0: " in run.said
    assert shop.settings.secret not in run.said


async def was_honoured(shop: Drop, run: Run, verdict: dict[str, Any]) -> None:
    """Every winner's voucher was used, at tills that no other worker has, under terms that have become worse.

    Not all ten units need a winner: users draw which of the two offers they want.
    """
    assert run.process.returncode == 0, run.said
    assert (verdict["verdict"], verdict["broken"], verdict["not_known"]) == ("KEPT", [], []), run.said
    assert "the terms are worse from now on" in run.said
    (shops,) = [line for line in verdict["looked_at"] if line.startswith("shops: ")]
    winners = await claimants(shop, verdict["wave"])
    assert len(winners) > 6, "so that both workers have some"
    assert shops.startswith(f"shops: {len(winners)} vouchers taken there, ")
    assert any(line.startswith("P8 what was claimed is honoured in shops: kept") for line in verdict["looked_at"])
    connection = await asyncpg.connect(shop.settings.database_url)
    try:
        steps = await connection.fetch(
            "select kind, code, request_no, store from voucher_steps join campaigns using (campaign_no) where id = $1",
            verdict["wave"],
        )
    finally:
        await connection.close()
    redeemed = [step for step in steps if step["kind"] == "redeem"]
    assert f" {len(redeemed):,} redemptions for " in shops
    assert len({step["code"] for step in redeemed}) == len(winners)
    assert sum(count for what, count in verdict["tills"].items() if what == "redeem done") == len(redeemed)
    assert {step["request_no"].split("-")[2] for step in redeemed} == {"0", "1"}


def was_broken(run: Run, verdict: dict[str, Any]) -> None:
    """Each of the two, in words that are true; and nothing else."""
    assert run.process.returncode == 1, run.said
    assert verdict["verdict"] == "BROKEN"
    found = {line.partition(":")[0] for line in verdict["broken"]}
    assert {line for line in found if line != "audit"} == {
        "P1 1 codes that two users were given",
        "P3 1 acknowledged claims that the user's own claims show otherwise",
    }
    assert any(line.startswith("audit: P3 acknowledged claims are kept: BROKEN: ") for line in verdict["broken"])
    assert all(f"BROKEN: {line}" in run.said for line in verdict["broken"])
    assert "audit: P6 only between opening and close: kept" in run.said


@pytest.mark.long
async def test_a_run_that_is_broken_off_is_judged_all_the_same(shop: Drop, tmp_path: Path, started: Started) -> None:
    """Ctrl-C, in the middle of a soak that would go on."""
    run = await Run(shop, tmp_path, started).start("soak", "-u", "4", "-r", "100", "--pause", "0.1")

    async def some_claims() -> bool:
        return len(await claimants(shop)) > 8

    await wait_until(some_claims, ENDED_S, "users who become others")
    run.process.send_signal(signal.SIGINT)
    verdict = await run.end()
    assert (run.process.returncode, verdict["verdict"]) == (0, "KEPT"), run.said
    assert verdict["answers"]["claimed"] > 8


@pytest.mark.long
async def test_workers_that_are_lost_and_come_back(shop: Drop, tmp_path: Path, started: Started) -> None:
    """One is stopped until its master has given it up, and goes on; one is killed, and another takes its place.

    No two of them ever have the same user, and a book that is gone is said to be.
    """
    port = str(free_port())
    master = await Run(shop, tmp_path, started).start(
        *("soak", "--master", "--expect-workers", "2", "--master-bind-host", "127.0.0.1", "--master-bind-port", port),
        *("-u", "8", "-r", "100", "--pause", "0.2", "-t", "20s"),
    )
    workers = []
    for name in ("a", "b", "c"):
        worker = Run(shop, tmp_path / name, started)
        if name != "c":
            await worker.start("soak", "--worker", "--master-port", port)
        workers.append(worker)
    first, second, third = workers

    async def indexes() -> set[str]:
        return {account.split("-")[2] for account in await claimants(shop)}

    async def both() -> bool:
        return await indexes() == {"0", "1"}

    await wait_until(both, ENDED_S, "users of both workers")
    first.process.send_signal(signal.SIGSTOP)
    second.process.kill()
    await third.start("soak", "--worker", "--master-port", port)

    async def the_third() -> bool:
        return "2" in await indexes()

    await wait_until(the_third, ENDED_S, "users of the third worker")
    given_up = "failed to send heartbeat, setting state to missing"
    await wait_until(lambda: master.said.count(given_up) == 2, ENDED_S, "a master that has given up two workers")
    first.process.send_signal(signal.SIGCONT)
    verdict = await master.end()
    for worker in (first, third):
        await worker.end()
    assert master.process.returncode == 3, master.said
    assert "self-healed with heartbeat" in master.said
    assert verdict["broken"] == [], master.said
    gone = [line for line in verdict["not_known"] if "gone" in line]
    # Which of the first two was counted first is theirs to find out; the third is neither of them.
    assert len(gone) == 1
    assert gone[0] in {f"worker {index} is gone, and with it what its users were told" for index in (0, 1)}
    accounts = await claimants(shop)
    assert len(set(accounts)) == len(accounts)
