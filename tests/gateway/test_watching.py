"""What the gateway tells of a request: the access log, and the id that brings answer, line and failure together."""

import json
import re
from typing import Any

import pytest
import structlog
from msgspec.structs import replace

from engine.gateway import steps
from engine.gateway.access_log import AccessLog
from engine.gateway.answer import PRIVATE, Answer, Heading
from engine.gateway.status_pages import StatusPages
from engine.settings import Settings
from engine.telemetry import ACCESS_LINES_LEFT_OUT, CLAIM_STEP_SECONDS, REQUEST_ID
from tests.gateway.drop import Drop
from tests.gateway.raw import connected_to

HEADING = Heading(request_id="mine-1", method="POST", route="/v1/waves/{wave}/claims", address="192.0.2.1")
GRANTED = Answer(201, "claimed", PRIVATE, b"{}" * 50)
BUSY = Answer(503, "busy", PRIVATE, b"{}")


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def lines_of(settings: Settings, *answers: Answer, heading: Heading = HEADING) -> list[dict[str, Any]]:
    log = AccessLog(settings, Clock())
    with structlog.testing.capture_logs() as lines:
        for answer in answers:
            log.note("claim", heading, answer)
    return list(lines)


def test_a_line(settings: Settings) -> None:
    (line,) = lines_of(replace(settings, access_log="all"), GRANTED)
    assert line == {
        "event": "answered",
        "log_level": "info",
        "request_id": "mine-1",
        "method": "POST",
        "route": "/v1/waves/{wave}/claims",
        "endpoint": "claim",
        "status": 201,
        "outcome": "claimed",
        "duration_ms": 0.0,
        "bytes": 100,
    }
    with_address = replace(settings, access_log="all", access_log_addresses=True)
    assert lines_of(with_address, GRANTED)[0]["address"] == "192.0.2.1"
    odd = replace_heading(method="7ZZS5N2CNT5750W5")
    assert lines_of(with_address, GRANTED, heading=odd)[0]["method"] == "_OTHER"


def replace_heading(**changes: Any) -> Heading:
    return replace(HEADING, **changes)


def test_off_errors_all(settings: Settings) -> None:
    assert AccessLog.of(settings) is None
    assert len(lines_of(replace(settings, access_log="errors"), GRANTED, BUSY)) == 1
    assert len(lines_of(replace(settings, access_log="all"), GRANTED, BUSY)) == 2


def test_a_crowd_does_not_fill_the_disk(settings: Settings) -> None:
    clock, before = Clock(), ACCESS_LINES_LEFT_OUT._value.get()
    log = AccessLog(replace(settings, access_log="all", access_log_lines_per_second_max=10), clock)
    with structlog.testing.capture_logs() as lines:
        for _ in range(1_000):
            log.note("claim", HEADING, GRANTED)
        clock.now_s += 1
        log.note("claim", HEADING, GRANTED)
        clock.now_s += 1
        log.note("claim", HEADING, GRANTED)
    events = [(line["event"], line.get("lines")) for line in lines]
    assert events == [("answered", None)] * 10 + [("answers without a line", 990)] + [("answered", None)] * 2
    assert ACCESS_LINES_LEFT_OUT._value.get() - before == 990


class TestOverHttp:
    @pytest.fixture
    def drop_settings(self, settings: Settings, redis_url: str, database_url: str) -> Settings:
        return replace(settings, redis_url=redis_url, database_url=database_url, access_log="all")

    async def test_every_answer_has_its_line(self, drop: Drop) -> None:
        code = "7ZZS5N2CNT5750W5"
        with structlog.testing.capture_logs() as lines:
            await drop.claim("one-open", {"offer": "a"}, **{"X-Request-Id": "c-1"})
            await drop.call("GET", f"/v1/waves/{code}", headers={"X-Request-Id": "c-2"})
            await drop.call("GET", f"/{code}?token={code}", headers={"X-Request-Id": "c-3"})
            await drop.call("DELETE", "/v1/waves", headers={"X-Request-Id": "c-4"})
            async with connected_to(drop.port) as connection:
                connection.send(b"BREW /pot HTCPCP/1.0\r\n\r\n")
                nameless = (await connection.response()).headers["x-request-id"]
        told = {
            line["request_id"]: (line["method"], line["route"], line["status"], line["outcome"])
            for line in lines
            if line["event"] == "answered"
        }
        assert told["c-1"] == ("POST", "/v1/waves/{wave}/claims", 201, "claimed")
        assert told["c-2"] == ("GET", "/v1/waves/{wave}", 404, "unknown_wave")
        assert told["c-3"] == ("GET", "", 404, "not_found")
        assert told["c-4"] == ("DELETE", "", 405, "method_not_allowed")
        assert told[nameless][1:] == ("", 400, "invalid_request")
        assert code not in str(lines)
        assert all(line["duration_ms"] > 0 for line in lines if line.get("request_id") in ("c-1", "c-2"))

    async def test_a_failure_is_found_by_the_id_of_its_answer(
        self, drop: Drop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> Answer:
            raise RuntimeError("not thought of")

        monkeypatch.setattr(StatusPages, "waves", fail)
        with structlog.testing.capture_logs() as lines:
            mine = await drop.call("GET", "/v1/waves?x=7ZZS5N2CNT5750W5", headers={"X-Request-Id": "mine-1"})
            made = await drop.call("GET", "/v1/waves")
        assert (mine.status, mine["code"], mine["id"]) == (500, "internal", "mine-1")
        assert made["id"] == made.headers["X-Request-Id"]
        failures = [line for line in lines if line["event"] == "request failed"]
        assert [line["request_id"] for line in failures] == ["mine-1", made["id"]]
        assert all((line["method"], line["route"]) == ("GET", "/v1/waves") for line in failures)
        assert "7ZZS5N2CNT5750W5" not in str(lines)
        assert "RuntimeError" not in json.dumps(mine.body)

    async def test_a_claim_without_an_answer_is_found_by_its_id(
        self, drop: Drop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> str:
            raise RuntimeError("not thought of")

        monkeypatch.setattr("engine.gateway.printing.rfc3339", fail)
        with structlog.testing.capture_logs() as lines:
            reply = await drop.claim("one-open", {"offer": "a"}, **{"X-Request-Id": "mine-2"})
        assert (reply["code"], reply["id"]) == ("outcome_unknown", "mine-2")
        (line,) = (line for line in lines if line["event"] == "claim has no answer")
        assert (line["request_id"], line["wave"]) == ("mine-2", "one-open")


async def test_the_steps_of_a_claim_are_measured(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "_ONE_IN", 16)

    def counts() -> dict[str, float]:
        return {
            sample.labels["step"]: sample.value
            for sample in next(iter(CLAIM_STEP_SECONDS.collect())).samples
            if sample.name.endswith("_count")
        }

    before = counts()
    for no in range(17):
        assert (await drop.claim("one-open", {"offer": "a"}, drop.token(f"u{no}"))).status == 201
    rise = {step: count - before.get(step, 0) for step, count in counts().items()}
    for step in ("receive", "authenticate", "read", "decide", "render", "whole"):
        assert rise[step] == 2, step  # the first one, and the seventeenth
    for step in ("queue", "script"):
        assert rise[step] == 17, step


async def test_the_id_is_that_of_the_request_which_is_handled(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a connection that is kept, the second request does not go by the name of the first."""
    seen: list[tuple[str, str]] = []
    waves = StatusPages.waves

    def look(pages: StatusPages, heading: Heading) -> Answer:
        seen.append((heading.request_id, REQUEST_ID.get()))
        return waves(pages, heading)

    monkeypatch.setattr(StatusPages, "waves", look)
    async with connected_to(drop.port) as connection:
        for head in (b"X-Request-Id: first\r\n", b"", b"X-Request-Id: third\r\n"):
            connection.send(b"GET /v1/waves HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n")
            await connection.response()
    assert [name for name, _ in seen] == [name for _, name in seen]
    assert (seen[0][0], seen[2][0]) == ("first", "third")
    assert re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]+", seen[1][0])
