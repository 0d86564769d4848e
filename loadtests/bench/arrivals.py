"""A round with the open loop: a new wave, so many users at a fixed rate, and everything that they were told."""

import asyncio
import time
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from engine.errors import CannotRun
from loadtests.bench import wrk
from loadtests.bench.bench import Bench
from loadtests.bench.measuring import Figures, read, spent
from loadtests.bench.modules import run_module
from loadtests.bench.samples import Sample
from loadtests.bench.sides import Side, WaveAt
from loadtests.open_loop.answers import Latency, Summary

PATIENCE_S: Final = 15
_LOOK_S: Final = 0.02
_LATE_MAX_MS: Final = 50.0
"""A generator that is later than this at its 99th percentile did not offer what it should."""


class Arrivals(Struct, frozen=True):
    """What a round is like."""

    users: int
    rate: float
    stock: int
    opens_in_s: float = -3_600.0
    connections: int = 1_000
    greets: bool = True
    """Every connection gets the status page before its first claim."""
    may_be_busy: bool = False
    """More may come than a side can take; it may say so."""


async def arrivals_round(
    bench: Bench, side: Side, number: int, wish: Arrivals, wave: WaveAt | None = None
) -> Sample:  # fmt: skip
    """One round of one side, in a new wave where none is named."""
    file = bench.users_file()
    if bench.options.warm_up_s:  # at the same rate: a pool of connections is as large as the crowd has made it
        warm = await side.open_wave(wish.users, -3_600.0)
        wrk.write_users(file, side.users(warm, "w", int(wish.rate * bench.options.warm_up_s)))
        await _offer(side, warm, file, Arrivals(0, wish.rate, 0, connections=wish.connections), 0.0)
    wave = wave or await side.open_wave(wish.stock, wish.opens_in_s)
    began_wall_s = time.time() + max(0.0, wish.opens_in_s)
    wrk.write_users(file, side.users(wave, f"r{number}u", wish.users))
    before = await read(side, wave)
    settling = asyncio.create_task(_settled_at(side, wave, before.given + min(wish.stock, wish.users)))
    try:
        summary = await _offer(side, wave, file, wish, began_wall_s)
        after = await read(side, wave)
        await asyncio.wait({settling}, timeout=PATIENCE_S)
    finally:
        settling.cancel()
    file.unlink()
    figures = {**_figures(summary), **spent(before, after)}
    figures["cpu_generator_cores"] = summary.cpu_s / (after.at_s - before.at_s)
    if side.has_ledger and settling.done() and not settling.cancelled():
        figures["settled_ms"] = (settling.result() - began_wall_s) * 1000
    given = after.given - before.given
    return Sample(side.name, number, figures, tuple(contradictions(summary, given, wish)))


async def _settled_at(side: Side, wave: WaveAt, claims: int) -> float:
    """Unix time at which that many claims were given and all of them were where they are to stay."""
    while await side.given(wave) < claims:  # noqa: ASYNC110 - another process gives them
        await asyncio.sleep(_LOOK_S)
    await side.settled(wave)
    return time.time()


async def _offer(side: Side, wave: WaveAt, file: Path, wish: Arrivals, begin_at_s: float) -> Summary:
    arguments = [
        "--port", side.port, "--users", file, "--path", wave.claims, "--body", side.body.decode(), "--rate", wish.rate,
        "--connections", wish.connections, "--begin-at", begin_at_s, "--patience", PATIENCE_S,
        *(["--page", wave.page] if wish.greets else []),
    ]  # fmt: skip
    _, said = await run_module("loadtests.open_loop", *arguments)
    try:
        return msgspec.json.decode(said, type=Summary)
    except msgspec.DecodeError as error:
        raise CannotRun(f"the open loop failed: {said.decode('utf-8', 'replace')[-500:]}") from error


def _figures(summary: Summary) -> Figures:
    winners, losers = summary.by_status.get("201"), summary.by_status.get("409")
    others = sum(each.count for status, each in summary.by_status.items() if status not in ("201", "409"))
    figures = {
        "offered_per_second": summary.offered_per_second,
        "answered_per_second": summary.answered_per_second,
        "other_answers": float(others),
        "generator_late_p99_ms": summary.sent_late_p99_ms,
        **_latencies("", summary.all),
        **_latencies("winners_", winners),
        **_latencies("losers_", losers),
    }
    if winners:
        figures["sold_out_ms"] = winners.last_at_ms
    return figures


def _latencies(of: str, latency: Latency | None) -> Figures:
    if latency is None:
        return {}
    return {
        f"{of}p50_ms": latency.p50_ms,
        f"{of}p99_ms": latency.p99_ms,
        f"{of}p999_ms": latency.p999_ms,
        f"{of}longest_ms": latency.longest_ms,
    }


def contradictions(summary: Summary, given: int, wish: Arrivals) -> list[str]:
    """Everybody waits for an answer here, so that the sums have to be exact."""
    wrong = []
    counts = {status: each.count for status, each in summary.by_status.items()}
    winners, unknown = counts.get("201", 0), counts.get("0", 0) + counts.get("503", 0)
    if winners > given or given > winners + unknown:
        wrong.append(f"{given} claims were given, {winners} users were told so")
    expected = min(wish.stock, wish.users)
    if winners != expected and not wish.may_be_busy:
        wrong.append(f"{winners} of {expected} that were to be given; answers by status: {counts}")
    if given > wish.stock:
        wrong.append(f"{given} claims of a stock of {wish.stock}")
    if summary.sent_late_p99_ms > _LATE_MAX_MS:
        wrong.append(f"the generator was {summary.sent_late_p99_ms:.0f} ms late: it did not offer what it should")
    return wrong
