"""A round with wrk: a new wave, users of its own, a warm-up, the run, and what was answered held against the store."""

import asyncio
import resource
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from loadtests.bench import wrk
from loadtests.bench.bench import Bench
from loadtests.bench.engine_side import EngineSide
from loadtests.bench.measuring import each_us, read, spent
from loadtests.bench.samples import Sample
from loadtests.bench.sides import Side, WaveAt

_REST_S = 0.3
_STOCK_FOR_ALL = 10_000_000


class Wish(Struct, frozen=True):
    """What a round is like."""

    expects: Literal["granted", "refused", "tickets"] = "granted"
    """What each new user is told: a claim, a refusal, or a ticket."""
    stock: int = _STOCK_FOR_ALL
    opens_in_s: float = -3_600.0
    repeats: int = 1
    """How often each user asks, at once."""
    polls: int = 0
    """Looks at the status page before each claim, on the same connections."""
    warms_up: bool = True
    connections: int = 0
    """0: as the options say."""

    @property
    def kind(self) -> str:
        """Rounds of one kind are about as fast."""
        return f"{self.expects}, {self.repeats} times, {self.polls} polls"


async def pulled_round(
    bench: Bench,
    side: Side,
    number: int,
    wish: Wish,
    wave: WaveAt | None = None,
    begin: asyncio.Barrier | None = None,
) -> Sample:
    """One round of one side, in a new wave where none is named. At `begin` it waits for others that run at once."""
    wave = wave or await side.open_wave(wish.stock, wish.opens_in_s)
    seconds = bench.options.seconds
    count = bench.users_for(side, wish.kind, seconds) // wish.repeats
    file = bench.users_file()
    if bench.options.warm_up_s and wish.warms_up:
        warm_count = bench.users_for(side, wish.kind, bench.options.warm_up_s)
        wrk.write_users(file, _users(side, wave, f"w{number}u", warm_count, wish))
        await wrk.pull(side.port, file, _pull(bench, side, wave, wish, bench.options.warm_up_s))
        await _at_rest(side, wave)
    wrk.write_users(file, _users(side, wave, f"r{number}u", count, wish))
    if begin:
        await begin.wait()
    async with side.measured(wave):
        before = await read(side, wave)
        wrk_before_s = _children_cpu_s()
        pulled = await wrk.pull(side.port, file, _pull(bench, side, wave, wish, seconds))
        after, wrk_s = await read(side, wave), _children_cpu_s() - wrk_before_s
    settled_s = await side.settled(wave)
    file.unlink()
    bench.has_shown(side, wish.kind, pulled.per_second / (1 + wish.polls))
    connections = wish.connections or bench.options.connections
    figures = {
        "answers": float(pulled.requests),
        "answers_per_second": pulled.per_second,
        "claims_per_second": (after.given - before.given) / pulled.duration_us * 1e6,
        "p50_ms": pulled.p50_us / 1000,
        "p99_ms": pulled.p99_us / 1000,
        "p999_ms": pulled.p999_us / 1000,
        "longest_ms": pulled.longest_us / 1000,
        "settled_after_s": settled_s,
        "cpu_wrk_cores": wrk_s / (after.at_s - before.at_s),
        **each_us(before, after, max(1, pulled.requests), "answer"),
        **spent(before, after),
    }
    given = after.given - before.given
    return Sample(side.name, number, figures, tuple(contradictions(pulled, given, count, connections, wish)))


async def _at_rest(side: Side, wave: WaveAt) -> None:
    """What the warm-up left under way at its end has come to its own."""
    seen = -1
    while (given := await side.given(wave)) != seen:
        seen = given
        await asyncio.sleep(_REST_S)


def _children_cpu_s() -> float:
    """Of children that have ended: wrk, as servers live on."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _users(side: Side, wave: WaveAt, prefix: str, count: int, wish: Wish) -> Iterator[str]:
    if wish.expects == "tickets":
        assert isinstance(side, EngineSide), "baselines have no tickets"
        return side.bearers(prefix, count)
    return side.users(wave, prefix, count)


def _pull(bench: Bench, side: Side, wave: WaveAt, wish: Wish, seconds: int) -> wrk.Pull:
    tickets = wish.expects == "tickets"
    return wrk.Pull(
        path=wave.tickets if tickets else wave.claims,
        body=b"" if tickets else side.body,
        seconds=seconds,
        connections=wish.connections or bench.options.connections,
        repeats=wish.repeats,
        page=wave.page,
        polls=wish.polls,
    )


def contradictions(pulled: wrk.Pulled, given: int, users: int, under_way: int, wish: Wish) -> list[str]:
    """What cannot be, if every answer was right. At wrk's end up to `under_way` claims were given and not counted."""
    wrong = []
    if pulled.broken:
        wrong.append(f"{pulled.broken} connections failed or answers took longer than 2 s")
    if wish.expects != "refused" and pulled.claims_sent > users * wish.repeats:
        wrong.append(f"{users} users were too few for {pulled.claims_sent} claims: some were sent twice")
    if wish.expects == "refused":
        if pulled.other_status != pulled.requests:
            wrong.append(f"{pulled.requests - pulled.other_status} of {pulled.requests} were not refused")
        if given:
            wrong.append(f"{given} claims were given where none should be")
        return wrong
    if pulled.other_status:
        wrong.append(f"{pulled.other_status} of {pulled.requests} answers were not 2xx")
    if wish.expects == "granted" and not wish.polls:
        answered = pulled.requests // wish.repeats
        if not answered - under_way <= given <= answered + under_way:
            wrong.append(f"{given} claims were given, {answered} users were answered")
    if wish.polls and not pulled.claims_sent - 2 * under_way <= given <= pulled.claims_sent:
        wrong.append(f"{given} claims were given, {pulled.claims_sent} were asked for")
    return wrong
