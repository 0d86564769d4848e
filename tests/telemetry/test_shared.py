"""Metrics of several processes are one: what ends with a process, and what does not."""

import os
import subprocess
import sys
from pathlib import Path

from engine.telemetry import shared


def run(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )


COUNTING = """
import os
from engine.telemetry import ANSWERS, CLAIM_BATCH_SIZE, CONNECTIONS, forget_process, metrics_text
ANSWERS.labels("claim", "claimed").inc(3)
CLAIM_BATCH_SIZE.observe(7)
CONNECTIONS.inc(5)
print(metrics_text().decode())
forget_process(os.getpid())
"""


def test_metrics_of_several_processes_are_added_up(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    for times in (1, 2):
        text = run(COUNTING, PROMETHEUS_MULTIPROC_DIR=str(folder)).stdout
        assert f'dropwave_answers_total{{endpoint="claim",outcome="claimed"}} {3.0 * times}' in text
        assert f'dropwave_claim_batch_claims_bucket{{le="8.0"}} {1.0 * times}' in text
        assert "dropwave_connections 5.0" in text  # the first process is gone, and its connections with it
    assert "dropwave_connections 5.0" in run(COUNTING, PROMETHEUS_MULTIPROC_DIR="").stdout


KILLED = """
import os, signal
from engine.telemetry import ANSWERS, CONNECTIONS, LEADS
ANSWERS.labels("claim", "claimed").inc(3)
CONNECTIONS.inc(5)
LEADS.labels("writer").set(1)
os.kill(os.getpid(), signal.SIGKILL)
"""
LOOKING = """
from engine.telemetry import metrics_text
print(metrics_text().decode())
"""


def test_what_a_killed_process_held_is_nobodys(tmp_path: Path) -> None:
    folder = str(tmp_path / "metrics")
    subprocess.run([sys.executable, "-c", KILLED], env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": folder}, timeout=60)
    assert list(Path(folder).glob("gauge_live*"))
    text = run(LOOKING, PROMETHEUS_MULTIPROC_DIR=folder).stdout
    assert 'dropwave_answers_total{endpoint="claim",outcome="claimed"} 3.0' in text
    assert "dropwave_connections 5.0" not in text
    assert 'dropwave_leads{role="writer"} 1.0' not in text


def test_a_process_that_runs_is_known() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert shared._runs(os.getpid())
    assert not shared._runs(ended.pid)
