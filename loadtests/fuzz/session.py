"""A run from the first look at an installation to the last."""

import time
from collections.abc import Callable
from typing import Final

from engine.gateway.problems import KINDS as DOCUMENTED
from loadtests.fuzz.judge import Judge
from loadtests.fuzz.report import Memory, Outcome
from loadtests.fuzz.run import Run
from loadtests.fuzz.stage import Stage, gateways_below, resident_bytes

TELL_EACH: Final = 50_000
WARM_PART: Final = 100
"""What is measured as "warm" is the memory after a hundredth of the requests, a thousand at least."""


async def fuzz(
    stage: Stage,
    seed: int,
    requests: int,
    connections: int,
    seconds: float,
    up_pid: int,
    say: Callable[[str], None],
) -> Outcome:
    """Send the cases of that seed and look at what has become of the installation. `up_pid` 0: it is not ours."""
    judge = Judge({code: kind.status for code, kind in DOCUMENTED.items()})
    pids = gateways_below(up_pid) if up_pid else []
    before = await stage.standing()
    start, warm = {pid: resident_bytes(pid) for pid in pids}, dict[int, int]()
    warm_at = max(1_000, requests // WARM_PART // 1_000 * 1_000)
    began_s = time.monotonic()

    def tell(made: int) -> None:
        if made == warm_at:
            warm.update({pid: resident_bytes(pid) for pid in pids})
        if made % TELL_EACH == 0:
            wrong = sum(judge.wrong.values())
            say(f"{made:>12,} requests, {time.monotonic() - began_s:.0f} s, {wrong} wrong")

    run = Run(stage.kit, judge, seed, requests, seconds)
    await run.go(stage.host, stage.port, connections, tell)
    took_s = time.monotonic() - began_s
    memory = [Memory(start[pid], warm.get(pid, start[pid]), resident_bytes(pid)) for pid in pids]
    after, verdict = await stage.standing(), await stage.audit()
    troubles = [f"the gateway could not be reached any more: {run.unreachable}"] if run.unreachable else []
    if up_pid and gateways_below(up_pid) != pids:
        troubles.append("a gateway has ended during the run")
    return Outcome(seed, requests, run.made, took_s, run.connections, judge, before, after, verdict, memory, troubles)
