"""kill -9 of the command line and of the steward, behind every step of every act; then the act again: applied once.

Each process runs the program's own `main`, sees the servers through proxies that count its steps, and is killed behind
one of them, before it hears the answer. The next one dies one step later, until one comes through untouched.

TEST_OPERATORS=full goes through every step; otherwise it is every third one of an act, and every fourth of the steward,
shifted by the seed.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from msgspec.structs import replace

from engine.domain.campaign import Campaign, Limit
from engine.domain.decisions import ActLine
from engine.embedded.up import environment_of
from engine.scheduling import acts
from engine.settings import Settings
from tests.operators.forker import Forker
from tests.operators.house import FULL, OPS, House, obeyed
from tests.operators.steps import Steps
from tests.support.drop import HOUR_MS, Drop, ask, campaign, wave
from tests.support.waiting import wait_until

STEPS_MAX = 500
"""Far more than any act takes: an act that never comes to its end fails."""
WAVES = 40
MOVED_TO = "2099-01-01T00:00:00Z"
VOID_BEFORE = "2001-09-09T01:46:40Z"


@pytest.fixture(scope="module")
def forker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forker]:
    started = Forker(tmp_path_factory.mktemp("forker"))
    yield started
    started.close()


@pytest.fixture
async def steps() -> AsyncIterator[Steps]:
    counting = Steps()
    yield counting
    await counting.close()


class Program:
    """Starts `dropwave …` on the test's servers, to die at a step or not at all."""

    def __init__(self, forker: Forker, steps: Steps, settings: Settings) -> None:
        self._forker = forker
        self._steps = steps
        self._environment = environment_of(settings)

    @classmethod
    async def on(cls, forker: Forker, steps: Steps, settings: Settings, redis_url: str, database_url: str) -> "Program":
        addresses = {"redis_url": await steps.through(redis_url), "database_url": await steps.through(database_url)}
        return cls(forker, steps, replace(settings, **addresses))

    async def run(self, *arguments: str, fatal: int = 0) -> bool:
        """Run it to its end, or to its death; whether it died."""
        self._steps.begin(fatal, self._forker.kill)
        self._forker.start(arguments, self._environment)
        status = await asyncio.get_running_loop().run_in_executor(None, self._forker.end)
        assert self._steps.killed == (status < 0), (status, self.said)
        assert self._steps.killed or status == 0, self.said
        return self._steps.killed

    async def run_until(self, condition: Callable[[], Awaitable[bool]], *arguments: str, fatal: int = 0) -> bool:
        """The same for a role, which is killed at the latest when the condition holds; whether it died before."""
        self._steps.begin(fatal, self._forker.kill)
        self._forker.start(arguments, self._environment)

        async def dead_or_done() -> bool:
            return self._steps.killed or await condition()

        await wait_until(dead_or_done, 20, f"{arguments}: {self.said}")
        died = self._steps.killed
        if not died:
            self._steps.killed = True  # nobody kills it a second time
            self._forker.kill()
        await asyncio.get_running_loop().run_in_executor(None, self._forker.end)
        return died

    @property
    def said(self) -> str:
        return self._forker.output.read_text() if self._forker.output.exists() else ""


@pytest.fixture
async def program(forker: Forker, steps: Steps, settings: Settings, redis_url: str, database_url: str) -> Program:
    return await Program.on(forker, steps, settings, redis_url, database_url)


# The command line

ACTS: dict[str, list[str]] = {
    "pause": ["wave", "pause", "WAVE"],
    "resume": ["wave", "resume", "WAVE"],
    "close": ["wave", "close", "WAVE"],
    "cancel": ["wave", "cancel", "WAVE"],
    "restock": ["wave", "restock", "WAVE", "o1=109"],
    "move": ["wave", "move", "WAVE", "--opens-at", MOVED_TO],
    "void_tickets": ["wave", "void-tickets", "WAVE", "--before", VOID_BEFORE],
    "stop": ["stop-all"],
    "start": ["start-all"],
}
RIGHT: dict[str, Callable[[ActLine], bool]] = {
    "pause": lambda line: line.state is not None and line.state.state == "paused",
    "resume": lambda line: line.state is not None and line.state.state == "live",
    "close": lambda line: line.state is not None and line.state.state == "closed",
    "cancel": lambda line: line.state is not None and (line.state.state, line.state.reason) == ("cancelled", "why"),
    "restock": lambda line: line.state is not None and line.state.offers["1"].total == 109,
    "move": lambda line: line.state is not None and line.state.day == "2099-01-01",
    "void_tickets": lambda line: line.state is not None and line.state.void_before_ms == 1_000_000_000_000,
    "stop": lambda line: line.rules is not None and line.rules.stopped == "why",
    "start": lambda line: line.rules is not None and line.rules.stopped == "",
}


@pytest.mark.parametrize("kind", ACTS)
async def test_the_command_line_killed_behind_every_step(house: House, program: Program, kind: str, seed: int) -> None:
    now_ms = await house.store.time_ms()
    opens_ms = now_ms + HOUR_MS if kind == "move" else now_ms - HOUR_MS
    waves = [wave(f"w{no}", opens_ms, now_ms + 2 * HOUR_MS, {"o1": 9}) for no in range(1, WAVES + 1)]
    await house.begin(campaign(waves, limits=[Limit(1, "wave")]))
    whole_campaign = kind in ("stop", "start")
    stride = 1 if FULL else 3
    for fatal in range(1 + seed % stride, WAVES + 1, stride):  # a wave for each death
        wave_no = 0 if whole_campaign else fatal
        if kind == "resume":
            await acts.pause(house.store, "spring", wave_no, OPS)
        if kind == "start":
            await acts.stop(house.store, "spring", OPS)
        before = (await house.view()).act
        command = [f"w{wave_no}" if word == "WAVE" else word for word in ACTS[kind]]
        died = await program.run(*command, "--reason", "why", "--as", "ann", fatal=fatal)
        await program.run(*command, "--reason", "why", "--as", "ann")
        lines = [line for line in await house.acts() if line.number > before]
        assert [(line.kind, line.wave_no, line.number) for line in lines] == [(kind, wave_no, before + 1)]
        assert RIGHT[kind](lines[0])
        view = await house.view()
        if kind == "restock":
            assert view.left[wave_no, 1] == 109
        assert whole_campaign or view.waves[wave_no] == lines[0].state
        if kind == "stop":
            await acts.start(house.store, "spring", OPS)
        if not died:
            assert fatal > 5, "no act takes less"
            break
    else:
        raise AssertionError("it never came through")
    obeyed(await house.log())
    await house.settle()
    await house.audit()


# The steward


async def a_life(house: House, id: str) -> Campaign:
    """A wave whose closing is past, the one that gets its unsold stock, and one to come."""
    now_ms = await house.store.time_ms()
    waves = [
        wave(f"{id}-first", now_ms - 2 * HOUR_MS, now_ms - HOUR_MS, {"o1": 9, "o2": 4}),
        wave(f"{id}-second", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": 3, "o2": 0}),
        wave(f"{id}-third", now_ms + HOUR_MS, now_ms + 2 * HOUR_MS, {"o1": 5}),
    ]
    waves[0] = replace(waves[0], rollover=waves[1].id)
    return campaign(waves, id=id, limits=[Limit(1, "wave")])


async def test_the_steward_killed_behind_every_step(house: House, program: Program, seed: int) -> None:
    """From an applied campaign to the rollover, whatever step was its last: it ends as if none had died."""
    stride = 1 if FULL else 4
    fatal = 1 + seed % stride
    while fatal < STEPS_MAX:
        await forget(house)
        await house.apply(await a_life(house, f"life-{fatal}"))
        died = await program.run_until(lambda: rolled_over(house), "steward", fatal=fatal)
        # Its lease ran out: the next one takes over under a later term
        await house.ledger.fetch("update leases set expires_at = clock_timestamp()")
        house.steward = house.new_steward()
        await house.steward._lead()
        await house.look_until_quiet()
        await check_life(house)
        if not died:
            assert fatal > 50, "no life takes less"
            return
        fatal += stride
    raise AssertionError("it never came through")


async def forget(house: House) -> None:
    """The hot store is empty again, and to the ledger every campaign ended long ago: the steward leaves it alone."""
    await house.store.call("FLUSHALL")
    async with house.ledger.transaction() as connection:
        await connection.execute("update waves set opens_at = '2001-01-01', closes_at = '2001-01-02'")
        await connection.execute("update leases set expires_at = clock_timestamp()")


async def rolled_over(house: House) -> bool:
    """Whether the steward has done all of it; what it does is settled on the way, as by a writer."""
    await house.settle()
    acts_done = await house.acts()
    return "roll_in" in {line.kind for line in acts_done}


async def check_life(house: House) -> None:
    view = await house.view()
    done = await house.acts()
    kinds = sorted(line.kind for line in done)
    assert kinds == ["close", "put_campaign", "put_wave", "put_wave", "put_wave", "roll_in", "roll_out"]
    assert [line.number for line in done] == list(range(1, 8))
    assert view.left == {(1, 1): 0, (1, 2): 0, (2, 1): 12, (2, 2): 4, (3, 1): 5}
    assert view.waves[1].state == "closed"
    assert view.catalogue == house.catalogue
    drop = Drop(house.store, house.catalogue)
    drop.epoch = view.epoch
    assert (await drop.granted(ask("ann", 2, wave=2))).claim.unit == 1
    obeyed(await house.log())
    await house.settle()
    await house.audit()
