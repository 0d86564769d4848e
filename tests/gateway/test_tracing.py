"""Traces as a collector gets them: over its real protocol, from a gateway that decides real claims."""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import pytest

from engine.telemetry import SPANS
from engine.telemetry.tracing import trace_request, wants_traces
from tests.gateway.drop import Drop
from tests.support.collector import Collector, attributes_of, running_collector, traced
from tests.support.waiting import wait_until

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with running_collector() as running:
        yield running


async def test_a_claim_whose_caller_traces(drop: Drop, collector: Collector) -> None:
    async with traced(collector.url):
        reply = await drop.claim("one-open", {"offer": "a"}, traceparent=PARENT, **{"X-Request-Id": "mine-1"})
        assert reply.status == 201
        untraced = await drop.claim("one-open", {"offer": "a"})
        assert untraced.status == 200
    (request,) = collector.named("POST /v1/waves/{wave}/claims")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (PARENT[3:35], PARENT[36:52])
    assert attributes_of(request) == {
        "http.request.method": "POST",
        "http.route": "/v1/waves/{wave}/claims",
        "http.response.status_code": 201,
        "dropwave.endpoint": "claim",
        "dropwave.outcome": "claimed",
        "dropwave.request_id": "mine-1",
    }
    steps = collector.children_of(request)
    assert [step.name for step in steps] == ["receive", "authenticate", "read", "decide", "render"]
    assert all(step.trace_id == request.trace_id for step in steps)
    assert all(request.start_time_unix_nano <= step.start_time_unix_nano <= step.end_time_unix_nano for step in steps)
    assert abs(request.end_time_unix_nano / 1e9 - time.time()) < 60
    (batch,) = collector.named("claim.batch")
    assert [(link.trace_id, link.span_id) for link in batch.links] == [(request.trace_id, request.span_id)]
    assert attributes_of(batch) == {"campaign": "one", "claims": 1}
    (decided_in,) = steps[3].links
    assert decided_in.span_id == batch.span_id
    assert collector.services == {"dropwave-gateway"}


async def test_one_batch_of_several_traced_claims(drop: Drop, collector: Collector) -> None:
    async with traced(collector.url):
        replies = await asyncio.gather(
            *(
                drop.claim("one-open", {"offer": "a"}, drop.token(f"u{no}"), traceparent=traceparent)
                for no, traceparent in enumerate([f"00-{no:032x}-{no:016x}-01" for no in range(1, 9)])
            )
        )
        assert {reply.status for reply in replies} == {201}
    linked = [link.trace_id.hex() for batch in collector.named("claim.batch") for link in batch.links]
    assert sorted(linked) == [f"{no:032x}" for no in range(1, 9)]


async def test_nothing_of_a_person_is_in_a_trace(drop: Drop, collector: Collector) -> None:
    secrets = [drop.token("somebody", person="person-hash"), "person-hash", "somebody"]
    async with traced(collector.url, ratio=1.0):
        ticket = (await drop.call("POST", "/v1/waves/people-open/tickets", secrets[0]))["ticket"]
        claim = (await drop.claim("people-open", {"offer": "x"}, f"Ticket {ticket}"))["claim"]
        code = claim["vouchers"][0]["code"]
        await drop.call("GET", f"/v1/waves/{code}?token={ticket}", secrets[0])
        await drop.call("GET", f"/{code}", secrets[0], headers={"X-Request-Id": code})
        await drop.claim("people-open", {"offer": code}, f"Bearer {ticket}")
    assert len(collector.spans) > 10
    sent = "".join(map(str, collector.spans))
    for secret in (*secrets, ticket, code, code.lower()):
        assert secret not in sent, secret
    assert any("dropwave.request_id" in str(span) and "[hidden]" in str(span) for span in collector.spans)


@pytest.mark.parametrize(
    ("traceparent", "ratio", "is_traced"),
    [
        (PARENT, 0.0, True),
        (PARENT[:-1] + "0", 1.0, False),
        (PARENT[:-2] + "03", 0.0, True),
        ("", 0.0, False),
        ("", 1.0, True),
        ("cc" + PARENT[2:] + "-more", 0.0, True),
        ("ff" + PARENT[2:], 0.0, False),
        ("ff" + PARENT[2:], 1.0, True),
        (PARENT.upper(), 0.0, False),
        ("00-" + "0" * 32 + PARENT[35:], 0.0, False),
        (PARENT + "\n", 0.0, False),
        ("x" * 9_000, 0.0, False),
    ],
)
async def test_who_is_traced(collector: Collector, traceparent: str, ratio: float, is_traced: bool) -> None:
    async with traced(collector.url, ratio):
        trace = trace_request(traceparent, time.perf_counter())
        assert (trace is not None) == is_traced
        if trace is not None:
            trace.end("x", {}, failed=False)
    assert trace_request(PARENT, 0.0) is None  # it is off again


async def test_nobody_makes_tracing_a_load(collector: Collector) -> None:
    async with traced(collector.url, ratio=1.0, per_second_max=5):
        taken = sum(trace_request(random.choice(["", PARENT]), 0.0) is not None for _ in range(1_000))
    assert 5 <= taken <= 20  # five in each second that it took


def spans(fate: str) -> float:
    return float(SPANS.labels(fate)._value.get())


async def test_a_collector_that_is_gone_or_silent_costs_no_claim(drop: Drop, collector: Collector) -> None:
    for endpoint, silent in (("http://127.0.0.1:1", False), (collector.url, True)):
        collector.silent = silent
        async with traced(endpoint, ratio=1.0, per_second_max=100_000):
            for _ in range(3_000):  # more than the queue holds
                trace = trace_request("", time.perf_counter())
                assert trace is not None
                trace.end("x", {}, failed=False)
            began_s = time.monotonic()
            assert (await drop.claim("one-open", {"offer": "a"})).status in (200, 201)
            assert time.monotonic() - began_s < 2
            stopping_s = time.monotonic()
        assert time.monotonic() - stopping_s < 3, "the stop waits no longer than its bound"


async def test_spans_are_counted(collector: Collector) -> None:
    sent = spans("sent")
    async with traced(collector.url, ratio=1.0):
        trace = trace_request("", time.perf_counter())
        assert trace is not None
        trace.end("x", {}, failed=True)
        await wait_until(lambda: collector.spans)
    assert spans("sent") == sent + 1
    assert collector.spans[0].status.code == 2


WITHOUT = """
import asyncio, sys
if sys.argv[1] == "missing":
    sys.modules["opentelemetry"] = None
    sys.modules["opentelemetry.sdk"] = None
    sys.modules["opentelemetry.exporter.otlp.proto.http.trace_exporter"] = None
import redis.asyncio  # which looks for OpenTelemetry's metrics by itself
before = set(sys.modules)
import engine.cli.roles, engine.gateway_wiring, engine.wiring
from engine.settings import load_settings
from engine.telemetry.tracing import trace_request
services = engine.wiring.watching_services("writer", load_settings())
async def main():
    for service in services:
        await service.start()
    trace_request("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", 0.0)
asyncio.run(main())
print([name for name in {*sys.modules} - before if name.startswith(("opentelemetry", "google.protobuf", "requests"))])
"""


def run_without(case: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DROPWAVE_", "OTEL_"))}
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, case], env=inherited | environment, capture_output=True, text=True, timeout=60
    )


def test_off_it_is_not_even_imported() -> None:
    assert run_without("off").stdout == "[]\n"


def test_the_missing_extra_is_named() -> None:
    ended = run_without("missing", DROPWAVE_OTEL_ENDPOINT="http://127.0.0.1:4318")
    assert "CannotRun: traces need the extra `tracing`" in ended.stderr
    assert "pip install 'dropwave[tracing]'" in ended.stderr


def test_an_endpoint_of_either_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    assert not wants_traces("")
    assert wants_traces("http://127.0.0.1:4318")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    assert wants_traces("")
