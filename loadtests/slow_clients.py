"""What honest users notice of slow clients: `python loadtests/slow_clients.py`, for two minutes.

Starts `dropwave up` on a data folder and a port of its own, with a campaign that is open. Honest users claim at a fixed
rate, each once and with a ticket; in every second phase 500 slow clients hang on meanwhile (slow_crowd.py tells how).
Phases alternate, A without and B with them, three times, because a machine is not the same from one minute to the next.
A claim's time runs from when it was due, not from when it could be sent: what waits behind a slow one is counted.

Exit status 0 when every honest claim was granted, 1 when one was not, 3 when the installation did not start.
"""

import argparse
import asyncio
import contextlib
import json
import re
import statistics
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_DROPWAVE = (sys.executable, "-P", "-m", "engine")
_READY_S = 60.0
_ANSWER_S = 30.0
_SETTLE_S = 3.0
"""A phase begins this long after its slow clients have come, and after they have gone."""
_WARM_S = 2.0
_CONNECTIONS_MAX = 400
"""Honest users do not wait for each other's connections: one is opened where none is free."""
_CAMPAIGN = """\
campaign: slow
title: Slow clients
timezone: Asia/Shanghai
currency: CNY
limits: [{max: 1, per: campaign}]
validity: {days_after_claim: 7}
stores: {shop-001: {title: A shop, merchant: m-01, city: 武汉}}
offers:
  - {id: shop-10, title: 10 yuan, category: supermarket, kind: threshold, face: 1000, min_spend: 3000, stores: all}
waves:
  - {id: slow, opens_at: "2026-01-01 00:00", closes_at: "2036-01-01 00:00", stock: {shop-10: 1000000}}
"""
_CUT = re.compile(r'^dropwave_connections_(?:cut|refused)_total\{reason="(\w+)"\} (\S+)$', re.MULTILINE)


class Phase:
    """The honest users of one phase: the seconds that each claim took, and what went wrong."""

    def __init__(self) -> None:
        self.took_s: list[float] = []
        self.wrong: Counter[str] = Counter()

    def line(self) -> str:
        """Latencies in milliseconds."""
        if len(self.took_s) < 2:
            return "no claim was granted"
        cuts = statistics.quantiles(self.took_s, n=100, method="inclusive")
        shown = " ".join(
            f"{name} {1000 * cuts[at - 1]:7.1f}" for name, at in (("median", 50), ("p95", 95), ("p99", 99))
        )
        wrong = "".join(f"  {count} x {what}" for what, count in sorted(self.wrong.items()))
        return f"{len(self.took_s):5} claims   {shown}   longest {1000 * max(self.took_s):7.1f} ms{wrong}"


async def _claim_on(port: int, due: "asyncio.Queue[tuple[float, str] | None]", phase: Phase) -> None:
    """One connection of honest users, opened again where it ends."""
    body = b'{"offer": "shop-10"}'
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    while (claim := await due.get()) is not None:
        due_s, ticket = claim
        head = f"POST /v1/waves/slow/claims HTTP/1.1\r\nHost: honest\r\nAuthorization: Ticket {ticket}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        try:
            async with asyncio.timeout(_ANSWER_S):
                if connection is None:
                    connection = await asyncio.open_connection("127.0.0.1", port)
                reader, writer = connection
                writer.write(head.encode() + body)
                answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = re.search(r"(?i)^content-length: (\d+)", answer, re.MULTILINE)
                await reader.readexactly(int(length[1]) if length else 0)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            phase.wrong[type(error).__name__] += 1
            connection = None
            continue
        status = answer.split(" ", 2)[1]
        if status == "201":
            phase.took_s.append(time.monotonic() - due_s)
        else:
            phase.wrong[status] += 1
        if "connection: close" in answer.lower():
            writer.close()
            connection = None
    if connection is not None:
        connection[1].close()


async def _honest_users(port: int, rate: float, seconds: float, tickets: Iterator[str]) -> Phase:
    phase, due = Phase(), asyncio.Queue[tuple[float, str] | None]()
    connections = [asyncio.create_task(_claim_on(port, due, phase)) for _ in range(_CONNECTIONS_MAX)]
    began_s = time.monotonic()
    for nth in range(int(rate * seconds)):
        due_s = began_s + nth / rate
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        due.put_nowait((due_s, next(tickets)))
    for _ in connections:
        due.put_nowait(None)
    await asyncio.gather(*connections)
    return phase


@contextlib.asynccontextmanager
async def _slow_clients(port: int, count: int, fates: Counter[str]) -> AsyncIterator[None]:
    script = Path(__file__).with_name("slow_crowd.py")
    crowd = await asyncio.create_subprocess_exec(
        sys.executable, script, "127.0.0.1", str(port), str(count),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield
    finally:
        told, _ = await crowd.communicate(b"")  # the end of its input is the end of the crowd
        fates.update(json.loads(told))


async def _dropwave(*arguments: str, data: str) -> str:
    command = await asyncio.create_subprocess_exec(
        *_DROPWAVE, *arguments, "--data", data, cwd=_ROOT, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await command.communicate()
    if command.returncode:
        raise SystemExit(3)
    return told.decode()


@contextlib.asynccontextmanager
async def _installation(data: str, workers: int) -> AsyncIterator[int]:
    """The port of an `up` with the campaign applied."""
    campaign = Path(data) / "slow.yaml"
    campaign.write_text(_CAMPAIGN, "utf-8")
    up = await asyncio.create_subprocess_exec(
        *_DROPWAVE, "up", "--port", "0", "--workers", str(workers), "--data", data, cwd=_ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert up.stdout is not None
    try:
        async with asyncio.timeout(_READY_S):
            while (line := (await up.stdout.readline()).decode()) and "is ready at" not in line:
                continue
            if not line:
                sys.stderr.write("`dropwave up` did not start: see `scripts/demo`, which says what is missing\n")
                raise SystemExit(3)
            await _dropwave("campaign", "apply", str(campaign), data=data)
            port = int(line.split("is ready at ")[1].split()[0].rpartition(":")[2])
            while not _page(port, "/v1/waves/slow"):  # noqa: ASYNC110 (another process puts the wave)
                await asyncio.sleep(0.1)
        yield port
    finally:
        with contextlib.suppress(ProcessLookupError):
            up.terminate()
        await up.wait()


def _page(port: int, path: str) -> str:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as page:
        return str(page.read().decode())
    return ""


async def _measure(options: argparse.Namespace, data: str) -> int:
    fates: Counter[str] = Counter()
    wrong = 0
    async with _installation(data, options.workers) as port:
        users = round(options.rate * (_WARM_S + 2 * options.rounds * options.seconds))
        tickets = iter((await _dropwave("tickets", "slow", "--users", str(users), data=data)).split())
        await _honest_users(port, options.rate, _WARM_S, tickets)
        for nth in range(options.rounds):
            for name, slow in (("A without", 0), ("B with   ", options.slow)):
                async with contextlib.AsyncExitStack() as stack:
                    if slow:
                        await stack.enter_async_context(_slow_clients(port, slow, fates))
                    await asyncio.sleep(_SETTLE_S)
                    phase = await _honest_users(port, options.rate, options.seconds, tickets)
                wrong += sum(phase.wrong.values())
                sys.stdout.write(f"{nth + 1} {name} {slow:4} slow clients: {phase.line()}\n")
                sys.stdout.flush()
        cut = {reason: round(float(count)) for reason, count in _CUT.findall(_page(port, "/metrics"))}
    sys.stdout.write("slow clients, by how each of their connections ended (status of the answer, if any):\n")
    for what, count in sorted(fates.items()):
        sys.stdout.write(f"  {what:28} {count:6}\n")
    sys.stdout.write(f"connections cut or refused, as the gateway counts them: {cut}\n")
    return 1 if wrong else 0


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--slow", type=int, default=500, help="slow clients (default: 500)")
    parser.add_argument("--rate", type=float, default=200, help="honest claims a second (default: 200)")
    parser.add_argument("--seconds", type=float, default=12, help="of each phase (default: 12: above every limit)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1, help="gateway processes (default: 1)")
    with tempfile.TemporaryDirectory(prefix="dropwave-slow-") as data:
        return asyncio.run(_measure(parser.parse_args(), data))


if __name__ == "__main__":
    sys.exit(main())
