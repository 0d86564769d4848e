"""`dropwave wave …`, `stop-all` and `start-all`, on a hot store alone: no gateway, no steward, no Postgres."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from engine.cli import dropwave
from engine.domain.outcome import RefusalCode, Refused
from engine.errors import ActRefused, CannotRun, HotStoreUnavailable, UnknownWave, UsageError
from engine.hotstore import keys, load
from engine.hotstore.store import HotStore
from tests.support.drop import HOUR_MS, Drop, ask, campaign, catalogue_of, wave

WHY = ("--reason", "the bank is down", "--as", "li")

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
async def drop(store: HotStore) -> Drop:
    now_ms = await store.time_ms()
    drop = Drop(
        store,
        catalogue_of(
            campaign(
                [
                    wave("open", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": 5, "o2": 5}),
                    wave("later", now_ms + 2 * HOUR_MS, now_ms + 3 * HOUR_MS, {"o1": 5}),
                ]
            )
        ),
    )
    await drop.load()
    return drop


@pytest.fixture
def environment(redis_url: str, tmp_path: Path) -> dict[str, str]:
    return {
        "DROPWAVE_DATA": str(tmp_path / "data"),
        "DROPWAVE_REDIS_URL": redis_url,
        "DROPWAVE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
    }


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """Runs a command beside the loop of the test, as it has a loop of its own."""

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, dropwave, list(arguments), env=environment)

    return run


def said(result: Result) -> str:
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def refused(result: Result) -> BaseException:
    assert result.exception is not None, result.output
    return result.exception


async def test_each_act_says_what_changed_and_the_second_time_that_nothing_did(drop: Drop, run: Run) -> None:
    for arguments, words in (
        (["pause", "open"], "open: pause done\n  state: open → paused\n  reason: - → the bank is down\n"),
        (["resume", "open"], "open: resume done\n  state: paused → open\n  reason: the bank is down → -\n"),
        (["pause", "later"], "later: pause done\n  flag: live → paused\n  reason: - → the bank is down\n"),
        (["restock", "open", "o1=50", "o2=5"], "open: restock done\n  stock of o1: 5 → 50, left 50\n"),
        (["cancel", "later"], "later: cancel done\n  state: scheduled → cancelled\n"),
        (["close", "open"], "open: close done\n  state: open → closed\n"),
    ):
        assert said(await run("wave", *arguments, *WHY)) == words, arguments
        assert said(await run("wave", *arguments, *WHY)) == f"{arguments[1]}: it was so already, nothing done\n"
    lines = [entry.act for entry in await drop.log() if entry.act]
    assert [line.kind for line in lines] == ["pause", "resume", "pause", "restock", "cancel", "close"]
    assert {(line.actor, line.reason) for line in lines} == {("li", "the bank is down")}


async def test_a_shard_that_is_being_recovered_is_shown_so(drop: Drop, run: Run) -> None:
    await load.unbind(drop.store, drop.campaign, drop.term)
    assert "state: open, recovering  " in said(await run("wave", "show", "open"))
    assert "│ open, recovering " in said(await run("wave", "list"))
    assert json.loads(said(await run("wave", "list", "--json")))[0]["state"] == "open"


async def test_moving_a_wave(drop: Drop, run: Run) -> None:
    assert "later: move done\n  opens_at: " in said(
        await run("wave", "move", "later", "--opens-at", "2098-01-02 20:00", *WHY)
    )
    state = (await drop.view()).waves[2]
    assert datetime.fromtimestamp(state.opens_ms / 1000, UTC).isoformat() == "2098-01-02T12:00:00+00:00"
    assert (state.closes_ms - state.opens_ms, state.day) == (HOUR_MS, "2098-01-02")
    times = ("--opens-at", "2098-01-03T20:00:00Z", "--closes-at", "2098-01-04 24:00")
    done = json.loads(said(await run("wave", "move", "later", *times, "--json", *WHY)))
    assert (done["act"], done["done"], done["after"]["closes_at"]) == ("move", True, "2098-01-05T00:00:00.000+08:00")
    assert done["before"]["opens_at"] == "2098-01-02T20:00:00.000+08:00"
    late = await run("wave", "move", "open", "--opens-at", "2098-01-02 20:00", *WHY)
    assert isinstance(refused(late), ActRefused)
    assert "it cannot move any more" in str(late.exception)


async def test_voiding_tickets(drop: Drop, run: Run) -> None:
    """Without --before those that are out at that moment, by the store's clock; a later one goes further."""
    earliest_ms = await drop.store.time_ms()
    done = json.loads(said(await run("wave", "void-tickets", "open", "--json", *WHY)))
    voided_ms = datetime.fromisoformat(done["after"]["tickets_void_before"]).timestamp() * 1000
    assert done["before"]["tickets_void_before"] is None
    assert earliest_ms <= voided_ms == (await drop.view()).waves[1].void_before_ms <= await drop.store.time_ms()
    assert (await drop.view()).waves[2].void_before_ms == 0, "of this wave alone"
    text = said(await run("wave", "void-tickets", "open", *WHY))
    assert text.startswith("open: void-tickets done\n  tickets_void_before: 20")
    assert (await drop.view()).waves[1].void_before_ms > voided_ms
    again = await run("wave", "void-tickets", "open", "--before", "2026-01-01 00:00", *WHY)
    assert said(again) == "open: it was so already, nothing done\n"


async def test_what_is_asked_wrongly(drop: Drop, run: Run) -> None:
    for arguments, kind, words in (
        (["pause", "nowhere", *WHY], UnknownWave, "no wave nowhere is in the hot store"),
        (["pause", "open", "--reason", " \n"], UsageError, "the reason must be one line"),
        (["restock", "open", "o1", *WHY], UsageError, "'o1' is not OFFER=TOTAL: write for example mall-50=1500"),
        (["restock", "open", "o1=-5", *WHY], UsageError, "'o1=-5' is not OFFER=TOTAL"),
        (["restock", "open", "o1=1", "o1=2", *WHY], UsageError, "o1 is named twice"),
        (["restock", "open", "o1=99999999", *WHY], UsageError, "from 0 to 10,000,000"),
        (["move", "later", "--opens-at", "soon", *WHY], UsageError, "'soon' is not a time"),
    ):
        result = await run("wave", *arguments)
        assert isinstance(refused(result), kind), (arguments, result.output, result.exception)
        assert words in str(result.exception).replace('"', "'")
    assert (await run("wave", "pause", "open")).exit_code == 2, "a reason is required"
    assert not [entry for entry in await drop.log() if entry.act]


async def test_seeing_waves(drop: Drop, run: Run) -> None:
    await drop.granted(ask("ann"))
    rows = json.loads(said(await run("wave", "list", "--json")))
    assert [(row["wave"], row["state"], row["left"], row["stock"]) for row in rows] == [
        ("open", "open", 9, 10),
        ("later", "scheduled", 5, 5),
    ]
    assert "later" in said(await run("wave", "list"))
    shown = json.loads(said(await run("wave", "show", "open", "--json")))
    assert [(offer["id"], offer["left"], offer["claimed"]) for offer in shown["offers"]] == [("o1", 4, 1), ("o2", 5, 0)]
    assert "campaign: spring" in said(await run("wave", "show", "open"))


async def test_stop_all_and_start_all(drop: Drop, run: Run) -> None:
    assert "stopped" in said(await run("stop-all", *WHY))
    assert await drop.claim(ask("ann")) == Refused(RefusalCode.STOPPED, reason="the bank is down")
    assert json.loads(said(await run("stop-all", "--json", *WHY))) == {
        "act": "stop-all",
        "campaigns": [{"campaign": "spring", "done": False}],
    }
    assert json.loads(said(await run("wave", "list", "--json")))[0]["state"] == "paused"
    assert "goes on" in said(await run("start-all", *WHY))
    await drop.granted(ask("ann"))


async def test_stop_all_says_what_it_could_not_stop(drop: Drop, run: Run) -> None:
    other = Drop(drop.store, catalogue_of(campaign([wave("w", 1, 2, {"o1": 1})], id="other")))
    await other.load()
    await drop.store.call("DEL", keys.shard("other", other.epoch).left)
    result = await run("stop-all", "--json", *WHY)
    assert result.exit_code == 3
    assert json.loads(result.stdout)["campaigns"] == [
        {"campaign": "other", "done": None, "error": "other is not in the hot store"},
        {"campaign": "spring", "done": True},
    ]
    assert "not every campaign could be reached: do it again" in result.stderr


async def test_a_redis_that_cannot_keep_ack_can_still_be_stopped(drop: Drop, run: Run) -> None:
    await drop.store.call("CONFIG", "SET", "appendfsync", "everysec")
    try:
        assert "stopped" in said(await run("stop-all", *WHY))
    finally:
        await drop.store.call("CONFIG", "SET", "appendfsync", "always")


async def test_no_hot_store(run: Run, environment: dict[str, str]) -> None:
    environment["DROPWAVE_REDIS_URL"] = ""
    assert isinstance(refused(await run("stop-all", *WHY)), CannotRun)
    environment["DROPWAVE_REDIS_URL"] = "redis://127.0.0.1:1"
    assert isinstance(refused(await run("stop-all", *WHY)), HotStoreUnavailable)


async def test_a_refused_act_is_one_line_and_status_2(drop: Drop, environment: dict[str, str]) -> None:
    """As a program of its own, as a person runs it."""
    command = [sys.executable, "-m", "engine", "wave", "restock", "open", "o9=1", *WHY]

    def run() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)

    done: Any = await asyncio.to_thread(run)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "dropwave: wave open has no offer o9; it has o1, o2\n"
