"""`dropwave report` as an operator reads it, whatever is away."""

import asyncio
import csv
import io
import json
import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.cli.options import console
from engine.hotstore.store import HotStore
from engine.ledger.campaigns import apply_campaign
from engine.ledger.cursors import read_cursor
from engine.ledger.database import Ledger
from engine.ledger.settlement import settle
from engine.settings import Settings
from tests.ledger.samples import PAST, campaign, claim, entry_of_act, state_of, vouchers_of
from tests.support.command import Run, command_runner
from tests.support.drop import HOUR_MS, ask, wave
from tests.support.drop import campaign as small_campaign
from tests.support.stage import Stage

OPENED_MS = int(PAST.timestamp() * 1000)
AWAY = "redis://127.0.0.1:1"


@pytest.fixture
def run(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("DROPWAVE_REDIS_URL", AWAY)
    monkeypatch.setattr(console, "width", 200)  # no cell is wrapped
    return command_runner(database_url, tmp_path / "data", monkeypatch, capsys)


@pytest.fixture
def history(database_url: str, settings: Settings) -> None:
    """A wave of two offers: 30 claims in its first three seconds, a restock, the close."""

    async def happen() -> None:
        ledger = await Ledger.connect(database_url, settings)
        try:
            catalogue = (await apply_campaign(ledger, campaign(), "ann")).catalogue
            live = state_of(catalogue, 1)
            offers = live.offers | {"1": replace(live.offers["1"], total=30)}
            closed = replace(live, offers=offers, state="closed", closed_ms=OPENED_MS + HOUR_MS)
            given = [claim(n + 1, unit=n, claimed_at_ms=OPENED_MS + 100 * n - 100) for n in range(1, 31)]
            acts = [
                entry_of_act(1, "put_wave", wave_no=1, state=live, actor="steward", reason="revision 1"),
                entry_of_act(
                    32, "restock", wave_no=1, state=replace(live, offers=offers), actor="li", reason="too many"
                ),
                entry_of_act(33, "close", wave_no=1, state=closed, actor="steward", reason="closing time"),
            ]
            await settle(ledger, await read_cursor(ledger, 0), 33, given, vouchers_of(catalogue, given), acts)
        finally:
            await ledger.close()

    asyncio.run(happen())


@pytest.mark.usefixtures("history")
def test_what_a_person_reads(run: Run) -> None:
    said = run("report", "spring-past")
    assert said.status == 0
    lines = [" ".join(line.replace("│", " ").replace("┃", " ").split()) for line in said.lines]
    assert lines[:4] == [
        "spring-past of spring (Spring vouchers): closed",
        "open 2021-09-17 20:00 to 2021-09-18 00:00",
        "closed 2021-09-17 21:00:00.000",
        "claimed 30 by 30 accounts",
    ]
    assert lines[4] == "first 2021-09-17 20:00:00.000, last 2021-09-17 20:00:02.900"
    assert re.fullmatch(r"as of 20\d\d-\S+ \S+, complete: settled up to 1-33", lines[5])
    assert lines[6].startswith("hot store away: these are the ledger's figures alone (Redis is not reachable")
    assert "mall-50 30 (100 put, -70 restocked) 30 0 150,000 2.900 s" in lines
    assert "food-20 200 0 200 0" in lines
    assert "all 230 (300 put, -70 restocked) 30 200 150,000" in lines
    assert "Claims in the first 60 seconds: 30 ███" in lines
    assert "Peak: 10 in second 1 (2021-09-17 20:00:00.000)" in lines
    assert "32 2021-09-17 20:00:00.005 restock li too many" in lines


@pytest.mark.usefixtures("history")
def test_as_json_and_as_csv(run: Run) -> None:
    made = json.loads(run("report", "spring-past", "--json").out)
    assert (made["state"], made["complete"], made["settled"]) == (
        "closed",
        True,
        {"epoch": 1, "number": 33, "behind": None},
    )
    assert made["schedule"]["opens_at"] == "2021-09-17T20:00:00.000+08:00"
    assert made["offers"][0]["terms"][0]["claims"] == 30
    assert made["pace"]["by_second"][:4] == [10, 10, 10, 0]
    said = run("report", "spring-past", "--csv")
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert [(row["offer"], row["total"], row["claimed"], row["left"], row["value_given"]) for row in rows] == [
        ("mall-50", "30", "30", "0", "150000"),
        ("food-20", "200", "0", "200", "0"),
    ]
    assert {row["complete"] for row in rows} == {"true"}
    assert sum(int(row["claimed"]) for row in rows) == made["total"]["claimed"]
    assert run("report", "spring-past", "--csv", "--json").status == 2


@pytest.mark.usefixtures("history")
def test_a_wave_to_come(run: Run) -> None:
    said = run("report", "spring-next")
    assert "spring-next of spring (Spring vouchers): scheduled" in said.out
    assert "NOT COMPLETE" in said.out
    assert "Nothing is claimed yet." in said.out
    assert "No acts." in said.out


def test_how_it_ends(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = run("report", "nowhere")
    assert (unknown.status, unknown.err) == (2, "dropwave: no wave nowhere is applied\n")
    monkeypatch.setenv("DROPWAVE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    away = run("report", "nowhere")
    assert away.status == 3
    assert "Postgres is not reachable" in away.err
    monkeypatch.delenv("DROPWAVE_DATABASE_URL")
    assert run("report", "nowhere").status == 3


def test_beside_the_hot_store(
    run: Run, redis_url: str, database_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def happen() -> int:
        ledger, store = await Ledger.connect(database_url, settings), await HotStore.connect(redis_url, settings)
        try:
            now_ms = await store.time_ms()
            stage = Stage(store, ledger, settings)
            await stage.begin(small_campaign([wave("now", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": 5})]))
            await stage.drop.granted(ask("ann"))
            await stage.settle()
            await stage.drop.granted(ask("bob"))
            return stage.drop.epoch
        finally:
            await store.close()
            await ledger.close()

    epoch = asyncio.run(happen())
    monkeypatch.setenv("DROPWAVE_REDIS_URL", redis_url)
    said = run("report", "now")
    assert f"NOT COMPLETE: settled up to {epoch}-3, decisions of the campaign that are on their way: 1" in said.out
    assert "hot store 2 claimed, which agrees with the ledger" in said.out
    monkeypatch.setenv("DROPWAVE_REDIS_URL", "")
    assert "away: these are the ledger's figures alone (no redis_url" in run("report", "now").out
