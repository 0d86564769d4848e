"""The protocol as a model: no promise breaks in any state that can be reached, and each guard is needed for that."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.model.checker import FOLDER, check, runs

pytestmark = pytest.mark.debian


@pytest.mark.parametrize("run", [run for run in runs("whole") if not run.get("long")], ids=lambda run: str(run["name"]))
def test_no_promise_breaks(run: dict[str, Any], tmp_path: Path) -> None:
    found = check(tmp_path, run["set"])
    assert found.violated == ""
    assert found.states > 10_000, "hardly anything happened"


@pytest.mark.parametrize("run", runs("guard"), ids=lambda run: str(run["guard"]))
def test_without_a_guard_one_does(run: dict[str, Any], tmp_path: Path) -> None:
    assert check(tmp_path, run["set"], without=run["guard"]).violated


def test_every_guard_of_the_model_is_taken_out_once() -> None:
    """But one that another guard stands behind: see docs/model/README.md."""
    text = (FOLDER / "shard.pml").read_text("utf-8")
    guards = set(re.findall(r"^#ifn?def WITHOUT_(\w+)", text, re.MULTILINE))
    assert guards - {run["guard"] for run in runs("guard")} == {"EPOCH_AT_BIND"}
