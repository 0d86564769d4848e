"""As many requests as go through: wrk keeps its connections busy, every request is another user."""

from collections.abc import Sequence

from loadtests.bench.bench import Bench
from loadtests.bench.line_up import ENGINE, NGINX, engine, line_up, nginx_with
from loadtests.bench.pulling import Wish, pulled_round
from loadtests.bench.samples import Result, Sample
from loadtests.bench.sides import Side

_CLAIMS = (
    "claims_per_second", "p50_ms", "p99_ms", "p999_ms", "gateway_us_per_claim", "redis_cpu_us_per_claim",
    "redis_memory_bytes_per_claim",
)  # fmt: skip
_ANSWERS = ("answers_per_second", "p50_ms", "p99_ms", "p999_ms", "gateway_us_per_answer")
_FEW = 100
"""Stock that is gone within the warm-up."""
_STATUS_POLLS = 4
"""A client that counts down to the opening looks at the page every few seconds, and claims once."""


async def sustained(bench: Bench) -> Result:
    """Claims, with stock for everybody."""
    how = (
        "Every request is another user's claim, with a ticket at the engine and without any login at the baselines;"
        " there is stock for everybody. The engine's writer settles meanwhile."
    )
    return await _pull(bench, Result("sustained", "Sustained claims", how, _CLAIMS, ()), line_up(bench), Wish())


async def alone(bench: Bench) -> Result:
    """Claims while nothing settles: what the baselines leave out, the engine leaves for later."""
    how = (
        "Sustained claims once more. Beside the engine as it runs stands one whose writer is stopped while it is"
        " measured (before that its ledger has everything, afterwards it settles): so it does what the baselines do,"
        " and login and rules on top. No deployment runs like that."
    )
    sides = line_up(bench)
    if bench.wants(ENGINE):
        sides.insert(1, engine(bench, name=f"{ENGINE}, writer held back", settles=False))
    return await _pull(bench, Result("claims-alone", "Claims alone", how, _CLAIMS, ()), sides, Wish())


async def sold_out(bench: Bench) -> Result:
    """Losers only."""
    how = f"Every request is another user's claim in a wave whose {_FEW} units were gone before: all are refused."
    wish = Wish(expects="refused", stock=_FEW)
    return await _pull(bench, Result("sold-out", "Sold-out storm", how, _ANSWERS, ()), line_up(bench), wish)


async def early(bench: Bench) -> Result:
    """Claims before the opening."""
    how = "Every request is another user's claim in a wave that opens in an hour: all are refused."
    wish = Wish(expects="refused", opens_in_s=3_600.0)
    return await _pull(bench, Result("early", "Early storm", how, _ANSWERS, ()), line_up(bench), wish)


async def retry(bench: Bench) -> Result:
    """Everybody three times."""
    how = "Every user sends the same claim three times at once, on three connections: one 201, two replays of it."
    wish = Wish(repeats=3)
    return await _pull(bench, Result("retry", "Retry storm", how, _ANSWERS, ()), line_up(bench), wish)


async def mixed(bench: Bench) -> Result:
    """Claims between looks at the status page."""
    how = (
        f"{_STATUS_POLLS} looks at the wave's status page for each claim, on the same connections: every claim comes on"
        " one that has polled before."
    )
    shown = ("answers_per_second", "claims_per_second", "p50_ms", "p99_ms", "p999_ms")
    wish = Wish(polls=_STATUS_POLLS)
    return await _pull(bench, Result("mixed", "Polls and claims", how, shown, ()), line_up(bench), wish)


async def tickets(bench: Bench) -> Result:
    """Tickets for tokens."""
    how = "Every request is another user's token (HS256, never seen before), answered with a ticket. Engine alone."
    sides: list[Side] = [engine(bench)]
    wish = Wish(expects="tickets")
    return await _pull(bench, Result("tickets", "Tickets", how, _ANSWERS, (), reference=None), sides, wish)


async def workers(bench: Bench) -> Result:
    """One and two gateways."""
    how = "Sustained claims, with one gateway process and with two, on the same two cores that all of it shares."
    counts = (1, 2)
    sides: list[Side] = [engine(bench, name=f"{ENGINE}, {count} workers", workers=count) for count in counts]
    sides += nginx_with(bench, workers=2)
    sides += nginx_with(bench, name=f"{NGINX}, 1 worker", workers=1)
    return await _pull(bench, Result("workers", "One and two workers", how, _CLAIMS, ()), sides, Wish())


async def acks(bench: Bench) -> Result:
    """What an acknowledgement costs."""
    how = (
        "Sustained claims under each `ack`, each with the Redis settings that it asks for: no file for `memory`,"
        " `appendonly yes appendfsync always` otherwise, and one replica on this machine for `replicated`."
    )
    levels = ("memory", "logged", "replicated", "settled")
    sides: list[Side] = [engine(bench, name=f"{ENGINE}, {ack}", ack=ack) for ack in levels]
    sides += nginx_with(bench, workers=2)
    sides += nginx_with(bench, name=f"{NGINX}, no file", workers=2, redis="memory")
    return await _pull(bench, Result("acks", "Levels of acknowledgement", how, _CLAIMS, ()), sides, Wish())


async def _pull(bench: Bench, result: Result, sides: Sequence[Side], wish: Wish) -> Result:
    async def act(side: Side, number: int) -> Sample:
        return await pulled_round(bench, side, number, wish)

    return await bench.in_turns(result, sides, act)
