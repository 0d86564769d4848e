"""Lines as JSON and for people, our own and those of libraries; what is hidden in them, whose request they name."""

import json
import os
import subprocess
import sys

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


NAMING = """
import asyncio, contextvars, logging, structlog
from engine.telemetry import REQUEST_ID, configure_logging
configure_logging("json", "info", role="gateway")
log = structlog.get_logger("x")
def handle(request_id):
    REQUEST_ID.set(request_id)
    log.info("ours")
    log.info("told by itself", request_id="explicit")
    logging.getLogger("asyncio").warning("a library's")
    try:
        raise RuntimeError("x")
    except RuntimeError:
        log.exception("failed")
log.info("before")
contextvars.copy_context().run(handle, "mine-1")
log.info("after")
async def main():
    async def request(name):
        REQUEST_ID.set(name)
        await asyncio.sleep(0)
        await asyncio.to_thread(log.info, name)
    await asyncio.gather(*(asyncio.create_task(request(f"r{no}")) for no in range(3)))
asyncio.run(main())
"""


def test_lines_name_the_request_they_are_written_for() -> None:
    lines = [json.loads(line) for line in run(NAMING).stderr.splitlines()]
    named = [(line["event"], line.get("request_id")) for line in lines]
    assert named[:6] == [
        ("before", None),
        ("ours", "mine-1"),
        ("told by itself", "explicit"),
        ("a library's", "mine-1"),
        ("failed", "mine-1"),
        ("after", None),
    ]
    assert sorted(named[6:]) == [("r0", "r0"), ("r1", "r1"), ("r2", "r2")]
