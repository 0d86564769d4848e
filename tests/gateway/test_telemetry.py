"""Logs hold no secrets; metrics of several processes are one."""

import json
import os
import subprocess
import sys
from pathlib import Path

from engine.domain.tickets import Ticket, TicketBook
from engine.gateway.identity.minting import mint_token
from engine.telemetry import redact

TOKEN = mint_token(b"k" * 32, "u1", ttl_s=60)
TICKET = TicketBook([b"k" * 32]).mint(Ticket("c", "w", "u1", "u1", "account", "", 0))
CODE = "7ZZS5N2CNT5750W5"


def test_no_secret_gets_through() -> None:
    event = {
        "event": f"claim {CODE} by Bearer {TOKEN} or Ticket {TICKET}",
        "authorization": "anything",
        "Token": "anything",
        "person": "p1",
        "nested": {"ticket": "anything", "deep": [f"a {TICKET}", {"code": CODE}]},
        "url": "redis://user:hunter2@host:6379/0",
        "error": ValueError(f"bad header {TOKEN}"),
        "exception": f"Traceback …\n  token={TOKEN!r}",
        "wave": "hubei-2021-r1-b1",
        "account": "u1",
        "claims": 17,
        "share": 0.5,
        "final": True,
        "none": None,
    }
    clean = redact(None, "info", event)
    for secret in (TOKEN, TICKET, CODE, "hunter2", "p1", "anything", TOKEN.split(".")[2]):
        assert secret not in str(clean), secret
    kept = {name: clean[name] for name in ("wave", "account", "claims", "share", "final", "none")}
    assert kept == {
        "wave": "hubei-2021-r1-b1",
        "account": "u1",
        "claims": 17,
        "share": 0.5,
        "final": True,
        "none": None,
    }
    assert "user:[hidden]@host:6379" in clean["url"]


LOGGING = """
import logging, sys, structlog
from engine.telemetry import configure_logging
configure_logging(sys.argv[1], "info", role="gateway")
structlog.get_logger("x").info("told", token="secret-1", wave="w")
structlog.get_logger("x").debug("not told")
logging.getLogger("aiohttp.server").warning("from a library: Bearer %s", "secret-2")
logging.getLogger("aiohttp.server").info("not told")
try:
    raise RuntimeError("Ticket secret-3")
except RuntimeError:
    structlog.get_logger("x").exception("failed")
"""


def run(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )


def test_lines_as_json_and_for_people() -> None:
    lines = [json.loads(line) for line in run(LOGGING, "json").stderr.splitlines()]
    assert [line["event"] for line in lines] == ["told", "from a library: Bearer [hidden]", "failed"]
    assert all(line["role"] == "gateway" and line["level"] and line["timestamp"] for line in lines)
    assert "RuntimeError" in lines[2]["exception"]
    for log_format in ("json", "text"):
        told = run(LOGGING, log_format)
        assert told.stdout == ""
        assert "secret-" not in told.stderr
        assert "not told" not in told.stderr


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
