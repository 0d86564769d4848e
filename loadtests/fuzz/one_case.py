"""One case alone, with everything that is sent and heard."""

from collections.abc import Callable

from engine.gateway.problems import KINDS as DOCUMENTED
from loadtests.fuzz.judge import Judge
from loadtests.fuzz.kinds import make_case
from loadtests.fuzz.stage import Stage
from loadtests.fuzz.talks import Caller

_SHOWN_MAX = 4_000


async def show_case(stage: Stage, seed: int, number: int, say: Callable[[str], None]) -> int:
    """Send it and show the bytes, what was due, and what came; 1 where that is wrong."""
    case = make_case(seed, number, stage.kit)
    judge, caller = (
        Judge({code: kind.status for code, kind in DOCUMENTED.items()}),
        Caller(stage.host, stage.port, seed),
    )
    say(f"case {number}: {case.kind}\n{_shown(case.data)}\n\nthen: {case.end.value}")
    for want in case.wants:
        say(f"due: {want}")
    talk = await caller.talk([case])
    caller.close()
    for answer in talk.answers:
        say(f"came: {answer.status} {answer.code} {answer.headers} {_shown(answer.body)}")
    say(f"the connection {'has ended' if talk.has_ended else 'is open'} after {talk.took_s:.3f} s {talk.flaw}")
    judge.hear(talk)
    for finding in judge.findings:
        say(f"WRONG: {finding.what}")
    return 1 if judge.findings else 0


def _shown(data: bytes) -> str:
    text = repr(data[:_SHOWN_MAX])[2:-1].replace("\\r\\n", "\\r\\n\n")
    return text + (f"… ({len(data):,} bytes)" if len(data) > _SHOWN_MAX else "")
