"""Drops while something breaks, in short: `scripts/chaos` does it for as long as one likes."""

import random
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from loadtests.chaos.faults import FAULTS
from loadtests.chaos.faults.registry import ACKS
from loadtests.chaos.run import Run, stage
from loadtests.chaos.schedule import Due, schedule
from loadtests.chaos.servers import knows_ack
from loadtests.chaos.workload import make_plan
from tests.support.servers import servers_folder

USERS = 60
BRIEF = (
    "commit's answer lost",
    "gateway killed",
    "lines cut",
    "load interrupted",
    "postgres killed",
    "postgres set back",
    "postgres stopped",
    "redis memory full",
    "redis from an older snapshot",
    "steward killed",
    "writer killed behind the commit",
)
"""Faults that are over within two or three seconds: the seed takes two of them."""
FAULTS_OF_A_LEVEL = 4
FAULTS_OF_A_DROP = 2
"""What a drop costs is its own four seconds, the wait for its opening and an audit, hardly what breaks in it."""


@pytest.fixture
def folder() -> Iterator[Path]:
    made = servers_folder()
    yield made
    shutil.rmtree(made, ignore_errors=True)


async def test_every_promise_holds_while_things_break(folder: Path, seed: int) -> None:
    """Redis is killed with claims in flight and a reply is lost behind the script; and what the seed says, all in one
    drop."""
    told: list[str] = []
    run = Run(seed, USERS, told.append)
    first, second = random.Random(seed).sample(BRIEF, 2)
    due = [Due("reply lost behind the script", 0.1), Due(first, 0.2), Due("redis killed", 0.4), Due(second, 0.7)]
    async with stage(folder, "logged") as (servers, gateways):
        drop = await run.drop(servers, gateways, 1, due)
    assert not run.broken, "\n".join(told)
    assert drop.judgement.acknowledged > 0
    assert {struck.fault for struck in drop.struck} == {each.fault for each in due}


@pytest.mark.long
@pytest.mark.parametrize("ack", [ack for ack in ACKS if knows_ack(ack)])
async def test_some_faults_under_every_ack(folder: Path, seed: int, ack: str) -> None:
    """Of those that the level survives, and that need neither a package nor a right, some that the seed picks.

    scripts/chaos does every one, and counts what a level may lose.
    """
    told: list[str] = []
    run = Run(seed, USERS, told.append)
    survived = ACKS[: ACKS.index(ack) + 1]
    names = [name for name, fault in FAULTS.items() if not fault.needs and fault.survives in survived]
    async with stage(folder, ack) as (servers, gateways):
        picked = random.Random(f"{seed} {ack}").sample(names, FAULTS_OF_A_LEVEL)
        for number in range(1, FAULTS_OF_A_LEVEL // FAULTS_OF_A_DROP + 1):
            due = [Due(picked.pop(), share) for share in (0.2, 0.5)]
            await run.drop(servers, gateways, number, due)
    assert not run.broken, "\n".join(told)


def test_a_seed_replays_users_and_faults(seed: int) -> None:
    """The same users with the same requests in the same order, the same acts, the same faults at the same points."""
    assert make_plan(seed, 3, USERS) == make_plan(seed, 3, USERS)
    assert make_plan(seed, 3, USERS) != make_plan(seed + 1, 3, USERS)
    assert list(islice(schedule(seed, BRIEF), 20)) == list(islice(schedule(seed, BRIEF), 20))


def test_every_fault_comes_in_turn(seed: int) -> None:
    """None is forgotten, whatever the seed."""
    drops = list(islice(schedule(seed, BRIEF), len(BRIEF)))
    assert {due.fault for drop in drops for due in drop} == set(BRIEF)


def test_each_fault_says_which_ack_survives_it() -> None:
    """One of the four levels; what needs a package or a right says which."""
    assert {fault.survives for fault in FAULTS.values()} == set(ACKS)
    assert {fault.needs for fault in FAULTS.values()} <= {"", "faketime", "mounts"}
