"""`dropwave trail` as an operator reads it: who, when, why, and from what to what."""

import asyncio
import json
import re
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from engine.domain.campaign import Campaign, Limit
from engine.domain.decisions import Rules
from engine.ledger.campaigns import apply_campaign
from engine.ledger.cursors import read_cursor
from engine.ledger.database import Ledger
from engine.ledger.differences import Difference, differences
from engine.ledger.settlement import settle
from engine.settings import Settings
from tests.ledger.samples import FUTURE, campaign, entry_of_act, rows_of, state_of, wave
from tests.support.command import Run, command_runner


@pytest.fixture
def run(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return command_runner(database_url, tmp_path / "data", monkeypatch, capsys)


@pytest.fixture
def history(database_url: str, settings: Settings) -> None:
    """Two applies, and between them a wave that is put, paused, restocked and given units, and a stop."""

    async def happen() -> None:
        ledger = await Ledger.connect(database_url, settings)
        try:
            catalogue = (await apply_campaign(ledger, campaign(), "ann", reason="the season begins")).catalogue
            live = state_of(catalogue, 2)
            paused = replace(live, state="paused", reason="a fault")
            offers = {no: replace(offer, total=offer.total + 50) for no, offer in live.offers.items()}
            acts = [
                entry_of_act(1, "put_wave", wave_no=2, state=live, actor="steward", reason="revision 1"),
                entry_of_act(2, "pause", wave_no=2, state=paused, actor="bob", reason="a fault"),
                entry_of_act(3, "restock", wave_no=2, state=replace(paused, offers=offers), actor="bob", reason="more"),
                entry_of_act(
                    4,
                    "roll_in",
                    wave_no=2,
                    state=replace(paused, offers=offers, rolled_in={"1": {"2": 7}}),
                    actor="steward",
                    reason="unsold",
                ),
                entry_of_act(5, "put_campaign", rules=Rules((Limit(1, "campaign"),))),
                entry_of_act(6, "stop", rules=Rules((Limit(1, "campaign"),), stopped="a flood"), reason="a flood"),
                entry_of_act(
                    7,
                    "move",
                    wave_no=2,
                    state=replace(paused, offers=offers, opens_ms=paused.opens_ms + 60_000),
                    reason="late",
                ),
            ]
            await settle(ledger, await read_cursor(ledger, 0), 7, [], [], acts)
            await apply_campaign(ledger, later(), "eve", reason="summer.yaml")
        finally:
            await ledger.close()

    asyncio.run(happen())


def later() -> Campaign:
    past, following, _ = campaign().waves
    return campaign(
        title="Summer", waves=(past, replace(following, closes_at=FUTURE + timedelta(hours=5)), wave("more"))
    )


def query(database_url: str, statement: str) -> list[Any]:
    asked: Coroutine[Any, Any, list[Any]] = rows_of(database_url, statement)
    return asyncio.run(asked)


@pytest.mark.usefixtures("history")
def test_what_a_person_reads(run: Run) -> None:
    said = run("trail", "show", "spring")
    assert said.status == 0
    times = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\+08:00"
    assert [re.sub(times, "TIME", line) for line in said.lines] == [
        "spring:",
        "  1  TIME  ann: apply spring",
        "      why: the season begins",
        "      for the first time",
        "  2  TIME  steward: put wave spring-next",
        "      why: revision 1",
        "      for the first time",
        "  3  TIME  bob: pause spring-next",
        "      why: a fault",
        "      state: live → paused",
        "      reason: none → a fault",
        "  4  TIME  bob: restock spring-next",
        "      why: more",
        "      offers.mall-50.total: 100 → 150",
        "      offers.food-20.total: 200 → 250",
        "  5  TIME  steward: roll in spring-next",
        "      why: unsold",
        "      rolled_in.spring-past: new (food-20 7)",
        "  6  TIME  ann: put campaign spring",
        "      why: asked",
        "      for the first time",
        "  7  TIME  ann: stop spring",
        "      why: a flood",
        "      stopped: none → a flood",
        "  8  TIME  ann: move spring-next",
        "      why: late",
        "      opens_ms: 2090-05-01T20:00:00.000+08:00 → 2090-05-01T20:01:00.000+08:00",
        "      rolled_in.spring-past: gone",
        "  9  TIME  eve: apply spring",
        "      why: summer.yaml",
        "      title: Spring vouchers → Summer",
        "      waves.spring-next.closes_at: 2090-05-02T00:00:00+08:00 → 2090-05-02T01:00:00+08:00",
        "      waves.more: new (id more, day 2090-05-01, round first, stock (food-20 200, mall-50 100), "
        "opens_at 2090-05-01T20:00:00+08:00, closes_at 2090-05-02T00:00:00+08:00)",
        "      waves.spring-last: gone",
    ]


@pytest.mark.usefixtures("history")
def test_one_wave_and_the_newest(run: Run) -> None:
    assert [line[:3].strip() for line in run("trail", "show", "spring-last").lines if line[2].isdigit()] == [
        "1",
        "7",
        "9",
    ]
    shown = json.loads(run("trail", "show", "spring", "--last", 2, "--json").out)
    assert [(each["position"], each["kind"], each["subject"]) for each in shown] == [
        (8, "move", "spring-next"),
        (9, "apply", "spring"),
    ]
    assert shown[0]["changed"][0]["path"] == "opens_ms"
    assert shown[1]["previous_hash"] == shown[0]["hash"]


def test_nothing_to_show(run: Run) -> None:
    assert run("trail", "show").err == "dropwave: no campaign is applied: there is no trail\n"
    said = run("trail", "verify", "nothing")
    assert (said.status, said.err) == (2, "dropwave: nothing is neither a campaign nor a wave that was ever applied\n")


@pytest.mark.usefixtures("history")
def test_a_whole_trail(run: Run, database_url: str) -> None:
    (end,) = query(database_url, "select trail_hash from cursors")
    said = run("trail", "verify")
    assert (said.status, said.out) == (0, f"spring: whole, 9 entries, the last hash is {end[0]}\n")


@pytest.mark.usefixtures("history")
def test_a_broken_trail_names_the_first_broken_entry(run: Run, database_url: str) -> None:
    query(database_url, "alter table trail disable trigger trail_is_only_added_to")
    query(database_url, "update trail set reason = 'harmless' where position = 3")
    query(database_url, "delete from trail where position = 5")
    said = run("trail", "verify", "spring")
    assert said.status == 1
    assert said.lines == [
        "spring: BROKEN at entry 3: was changed: its hash does not fit what it says",
        "  entry 3: act 2 was entered here, and the entry tells something else",
        "  entry 5: act 4 was entered here, and the entry is missing",
        "  entry 6: entry 5 before it is missing",
    ]
    shown = run("trail", "verify", "--json")
    assert shown.status == 1
    assert json.loads(shown.out)[0]["broken"][0]["position"] == 3


def test_differences_of_any_two_values() -> None:
    before = {"a": 1, "b": {"c": [1]}, "w": [{"id": "x", "n": 1}, {"id": "y", "n": 2}], "gone": 5}
    after = {"a": 1, "b": {"c": [2]}, "w": [{"id": "y", "n": 3}, {"id": "z", "n": 4}]}
    assert list(differences(before, after)) == [
        Difference("b.c", [1], [2]),
        Difference("w.y.n", 2, 3),
        Difference("w.z", None, {"id": "z", "n": 4}),
        Difference("w.x", {"id": "x", "n": 1}, None),
        Difference("gone", 5, None),
    ]
    turned = [{"id": "y"}, {"id": "x"}]
    assert list(differences({"w": turned[::-1]}, {"w": turned})) == [Difference("w (order)", ["x", "y"], ["y", "x"])]
    assert not list(differences(before, before))
