"""`scripts/bench`, once and short: it starts everything, measures, holds it against the stores, ends everything."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.bench.__main__ import main

ROOT = Path(__file__).parents[2]


@pytest.mark.debian
def test_a_second_of_claims_is_told_and_verified(tmp_path: Path) -> None:
    arguments = (
        "--scenario", "sustained", "--seconds", "1", "--rounds", "1", "--warm-up", "0", "--connections", "32",
        "--side", "engine", "--side", "nginx", "--data", str(tmp_path), "--out", str(tmp_path / "out"),
        "--lock", str(tmp_path / "lock"),
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-P", "-m", "loadtests.bench", *arguments],
        capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))["results"][0]
    figures = {sample["side"]: sample["figures"] for sample in result["samples"]}
    assert "engine" in figures  # nginx is not asked for by scripts/debian-packages: it would start a service
    assert all(each["claims_per_second"] > 0 and each["redis_cpu_us_per_claim"] > 0 for each in figures.values())
    assert any("P1 held" in note and "P7 held" in note for note in result["notes"])
    assert "# Benchmarks" in (tmp_path / "out" / "results.md").read_text("utf-8")
    assert {each.name for each in tmp_path.iterdir()} == {"out", "lock"}


def test_what_is_missing_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["--scenario", "sustained"]) == 3
    assert capsys.readouterr().out == "bench: wrk is not installed: apt-get install --no-install-recommends wrk\n"


def test_a_setting_without_a_value_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--set", "claim_batch_max"])
    assert ended.value.code == 2
    assert "write NAME=VALUE" in capsys.readouterr().err
