"""`dropwave rehearse` as a person runs it."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.cli import dropwave
from engine.embedded.running import Running, find_running
from engine.errors import CampaignFileError, UsageError
from tests.support.processes import processes_in
from tests.support.waiting import wait_until_sync

CAMPAIGN = """
campaign: small
title: small
timezone: Asia/Shanghai
currency: CNY
validity: {natural_days: 7}
stores: {s1: {title: 店, merchant: m1, city: 武汉}}
offers:
  - {id: a, title: a, category: mall, kind: instant, face: 100, stores: all}
  - {id: b, title: b, category: mall, kind: instant, face: 100, stores: all}
waves:
  - {id: small-1, opens_at: "2021-09-17 20:00", lasts: 4h, stock: {a: 100, b: 50}}
  - {id: small-2, opens_at: "2021-09-20 20:00", lasts: 4h, stock: {a: 100, b: 50}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(CAMPAIGN, "utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where temporary folders are made."""
    path = tmp_path / "temporary"
    path.mkdir()
    return path


def start(file: Path, folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    environment: Mapping[str, str] = {**os.environ, "TMPDIR": str(folder)}
    command = [sys.executable, "-m", "engine", "rehearse", str(file), *arguments]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )


def until_countdown(running: "subprocess.Popen[str]") -> None:
    assert running.stdout is not None
    too_late = threading.Timer(60, running.kill)
    too_late.start()
    while "opens in" not in (line := running.stdout.readline()):
        assert line, "it ended before the countdown"
    too_late.cancel()


def test_a_rehearsal_with_servers_of_its_own(file: Path, folder: Path, seed: int) -> None:
    running = start(file, folder, "--wave", "small-2", "--users", "400", "--opens-in", "3s", f"--seed={seed}", "--json")
    told, complaints = running.communicate(timeout=120)
    assert running.returncode == 0, told + complaints
    (verdict,) = json.loads(told)
    assert verdict["subject"] == "small-2"
    assert {finding["promise"]: finding["held"] for finding in verdict["findings"]} == dict.fromkeys(
        ["P1", "P2", "P3", "P4", "P5", "P6", "P7", "P9"], True
    )
    assert f"seed {seed}" in verdict["notes"]
    assert list(folder.iterdir()) == []


def test_ctrl_c_leaves_nothing_behind(file: Path, folder: Path) -> None:
    running = start(file, folder, "--users", "400", "--opens-in", "30s")
    until_countdown(running)
    (data,) = folder.iterdir()
    assert len(processes_in(data)) > 4
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == 130
    wait_until_sync(lambda: not processes_in(data), what="nothing runs any more")
    assert list(folder.iterdir()) == []


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Running]:
    """An `up` that runs on the folder `house`."""
    data = tmp_path / "house"
    command = [sys.executable, "-m", "engine", "up", "--data", str(data), "--port", "0"]
    with (tmp_path / "up.log").open("w") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
        try:
            yield wait_until_sync(lambda: find_running(data), 60, "`up` is ready")
        finally:
            process.terminate()
            process.wait(30)


def dropwave_of(data: Path, *arguments: str) -> Any:
    command = [sys.executable, "-m", "engine", *arguments, "--data", str(data), "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)


@pytest.mark.long  # test_visit.py does the same in one process
def test_a_rehearsal_in_a_running_installation(
    file: Path, folder: Path, tmp_path: Path, installation: Running, seed: int
) -> None:
    data = tmp_path / "house"
    where = ("--url", installation.url, "--data", str(data), "--users", "400")
    complete = start(file, folder, *where, "--opens-in", "3s", f"--seed={seed}", "--json")
    told, complaints = complete.communicate(timeout=120)
    assert complete.returncode == 0, told + complaints
    (verdict,) = json.loads(told)
    assert verdict["subject"].startswith("sandbox-small-1-")
    assert [finding["held"] for finding in verdict["findings"]] == [True] * 8

    given_up = start(file, folder, *where, "--opens-in", "30s")
    until_countdown(given_up)
    given_up.send_signal(signal.SIGINT)
    given_up.communicate(timeout=60)
    assert given_up.returncode == 130

    campaigns = dropwave_of(data, "campaign", "list")
    assert [campaign["sandbox"] for campaign in campaigns] == [True, True]
    assert [wave["state"] for wave in dropwave_of(data, "wave", "list")] == ["closed", "closed"]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--users", "100"], "it takes --users 324 or more"),
        (["--wave", "small-9", "--users", "400"], "no wave small-9; its waves are small-1, small-2"),
        (["--opens-in", "1s", "--users", "400"], "too soon"),
        (["--data", "here"], "--data goes with --url"),
        (["--url", "http://h", "--workers", "3"], "--workers is for servers of the rehearsal's own"),
        (["--url", "http://h", "--redeem"], "--redeem is for servers of the rehearsal's own"),
        (["--url", "http://h", "--users", "400", "--data", "nowhere"], "set DROPWAVE_SECRET, or with --data name"),
    ],
)
def test_wrong_usage(file: Path, folder: Path, arguments: list[str], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        dropwave.main(["rehearse", str(file), *arguments], standalone_mode=False)


def test_a_refused_file(file: Path) -> None:
    file.write_text(CAMPAIGN.replace("face: 100", "face: -1"), "utf-8")
    with pytest.raises(CampaignFileError):
        dropwave.main(["rehearse", str(file)], standalone_mode=False)
