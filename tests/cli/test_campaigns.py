"""`dropwave campaign` as an operator uses it: plan, apply, and two of them at once. Needs the ledger alone."""

import json
from pathlib import Path

import pytest

from tests.support.command import Run, command_runner

FILE = """
campaign: small
title: 小券
timezone: Asia/Shanghai
currency: CNY
validity: {natural_days: 7}
stores: {s1: {title: 店, merchant: m1, city: 武汉}}
offers:
  - {id: a, title: Ten off, category: mall, kind: instant, face: 1000, stores: all}
  - {id: b, title: Twenty off, category: mall, kind: instant, face: 2000, stores: all}
waves:
  - {id: small-0, opens_at: "2026-01-01 20:00", closes_at: "2026-01-01 23:00", stock: {a: 100, b: 50}}
  - {id: small-1, opens_at: "2090-05-01 20:00", lasts: 4h, stock: {a: 100, b: 50}, repeat: {every: day, times: 12}}
"""


@pytest.fixture
def run(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return command_runner(database_url, tmp_path / "data", monkeypatch, capsys)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path)


def written(folder: Path, *changes: tuple[str, str]) -> Path:
    """The file with these changes."""
    text = FILE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "small.yaml"
    path.write_text(text, "utf-8")
    return path


def test_a_plan_for_a_new_campaign(run: Run, file: Path) -> None:
    said = run("campaign", "plan", file)
    assert said.status == 0
    assert said.lines[:6] == [
        "small: not applied yet; an apply makes revision 1",
        "Changes:",
        "  new campaign 小券: 2 offers, 13 waves; 1 claim per campaign by account, cap none",
        "  offer a: new, Ten off (instant), face 1000, 1 store; terms version 1",
        "  offer b: new, Twenty off (instant), face 2000, 1 store; terms version 1",
        "  wave small-0: new, opens 2026-01-01 20:00+08:00, closes 2026-01-01 23:00+08:00, stock a 100, b 50",
    ]
    assert said.lines[-1] == "Stays: nothing"
    assert "No campaign is applied." in run("campaign", "list").out


def test_a_plan_says_what_changes_and_what_stays(run: Run, file: Path, tmp_path: Path) -> None:
    assert run("campaign", "apply", file, "--as", "ann").status == 0
    again = run("campaign", "plan", file)
    assert (again.status, again.out) == (0, "small: nothing changes, revision 1\n")
    changed = written(
        tmp_path, ("stock: {a: 100, b: 50}, repeat", "stock: {a: 120, b: 50}, repeat"), ("face: 2000", "face: 2500")
    )
    said = run("campaign", "plan", changed)
    assert (said.status, said.lines) == (
        0,
        [
            "small: revision 1; an apply makes revision 2",
            "Changes:",
            "  offer b: terms version 1 → 2 (face 2000 → 2500); for claims from then on, earlier ones keep theirs",
            "  wave small-1-b001, small-1-b002, small-1-b003, small-1-b004, small-1-b005, small-1-b006, small-1-b007, "
            "small-1-b008 and 4 more: stock of a 100 → 120",
            "Stays: terms of a; waves small-0",
        ],
    )


def test_a_plan_that_would_be_refused(run: Run, file: Path, tmp_path: Path) -> None:
    run("campaign", "apply", file)
    changed = written(tmp_path, ("2026-01-01 23:00", "2026-01-01 22:00"), ("title: 小券", "title: 大券\nby: person"))
    said = run("campaign", "plan", changed)
    assert said.status == 2
    assert said.lines == [
        "small: revision 1; an apply makes revision 2",
        "Changes:",
        "  title: 小券 → 大券",
        "  by: account → person",
        "  wave small-0: closes 2026-01-01 23:00+08:00 → 2026-01-01 22:00+08:00",
        "Stays: terms of a, b; waves small-1-b001, small-1-b002, small-1-b003, small-1-b004, small-1-b005, "
        "small-1-b006, small-1-b007, small-1-b008 and 4 more",
        "Refused, so nothing would change at all:",
        "  by cannot change once a wave has opened (account stays): claims before and after would be counted for "
        "different claimants",
        "  wave small-0 is closed: closes_at cannot change any more",
    ]
    refused = run("campaign", "apply", changed)
    assert refused.status == 2
    assert refused.err.splitlines() == ["dropwave: campaign small was refused:", *said.lines[-2:]]


def test_a_plan_as_json(run: Run, file: Path, tmp_path: Path) -> None:
    run("campaign", "apply", file)
    said = run("campaign", "plan", written(tmp_path, ("title: 小券", "title: 大券")), "--json")
    plan = json.loads(said.out)
    assert (plan["campaign"], plan["revision"], plan["refusals"]) == ("small", 1, [])
    assert plan["changes"] == [
        {
            "part": "campaign",
            "id": "small",
            "field": "title",
            "before": "小券",
            "after": "大券",
            "text": "title: 小券 → 大券",
        }
    ]


def test_the_second_of_two_operators_is_told(run: Run, file: Path, tmp_path: Path) -> None:
    assert run("campaign", "apply", file, "--as", "ann", "--expect", 0).out.startswith("small: revision 1. ")
    assert "(small), revision 1: 1 claim per campaign by account, cap none" in run("campaign", "show", "small").out
    bobs = written(tmp_path, ("title: 小券", "title: 大券"))
    assert run("campaign", "apply", bobs, "--as", "bob", "--expect", 1).status == 0
    anns = written(tmp_path, ("title: 小券", "title: 中券"))
    told = run("campaign", "apply", anns, "--as", "ann", "--expect", 1)
    assert told.status == 2
    assert told.err.startswith("dropwave: campaign small is at revision 2, applied by bob at ")
    assert told.err.endswith(": look at the plan again\n")


def test_lists_can_leave_sandboxes_out(run: Run, file: Path, tmp_path: Path) -> None:
    run("campaign", "apply", written(tmp_path, ("campaign: small", "campaign: small\nsandbox: true")))
    (listed,) = json.loads(run("campaign", "list", "--json").out)
    assert (listed["campaign"], listed["sandbox"]) == ("small", True)
    assert json.loads(run("campaign", "list", "--no-sandboxes", "--json").out) == []
    assert ", revision 1, sandbox: " in run("campaign", "show", "small").out


def test_an_actor_is_one_line(run: Run, file: Path) -> None:
    said = run("campaign", "apply", file, "--as", "ann\nbob")
    assert (said.status, said.err) == (
        2,
        "dropwave: the actor's name must be one line of 1 to 500 characters, without tabs\n",
    )
