"""A collector of traces: takes what OpenTelemetry's exporter sends (OTLP, protobuf over HTTP), for tests to look at."""

import asyncio
import gzip
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from engine.telemetry.tracing import Tracing
from tests.support.waiting import wait_until


class Collector:
    """Spans that came, with the names of the services that sent them. `silent`: it takes requests and never answers."""

    def __init__(self) -> None:
        self.port = 0
        self.silent = False
        self.requests = 0
        self.spans: list[Span] = []
        self.services: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def children_of(self, parent: Span) -> list[Span]:
        """In the order in which they began."""
        found = [span for span in self.spans if span.parent_span_id == parent.span_id]
        return sorted(found, key=lambda span: span.start_time_unix_nano)

    async def take(self, request: web.Request) -> web.Response:
        self.requests += 1
        if self.silent:
            await asyncio.sleep(3_600)
        data = await request.read()
        sent = ExportTraceServiceRequest.FromString(
            gzip.decompress(data) if request.headers.get("Content-Encoding") == "gzip" else data
        )
        for resource in sent.resource_spans:
            attributes = attributes_of(resource.resource)
            self.services.add(str(attributes["service.name"]))
            for scope in resource.scope_spans:
                self.spans += scope.spans
        body = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=body, content_type="application/x-protobuf")


def attributes_of(thing: object) -> dict[str, object]:
    """Attributes of a span or a resource."""
    return {
        pair.key: getattr(pair.value, str(pair.value.WhichOneof("value")))
        for pair in thing.attributes  # type: ignore[attr-defined]  # of both kinds of message
    }


def _sending() -> bool:
    """Whether threads of an exporter are still at work."""
    return any(thread.name == "last spans" or thread.name.startswith("OtelBatch") for thread in threading.enumerate())


@asynccontextmanager
async def running_collector() -> AsyncIterator[Collector]:
    """A collector on a port of its own. At the end nothing of this process tries to send spans any more.

    The exporter draws its pauses from `random`, which would disturb what other tests draw by their seeds.
    """
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    collector.port = runner.addresses[0][1]
    try:
        yield collector
    finally:
        await runner.cleanup()
        await wait_until(lambda: not _sending(), 30, "the threads that send spans have ended")


@asynccontextmanager
async def traced(
    endpoint: str, ratio: float = 0.0, per_second_max: int = 1_000, role: str = "gateway"
) -> AsyncIterator[None]:
    """This process traces within; at the end everything has been sent."""
    tracing = Tracing(role, endpoint, ratio, per_second_max)
    await tracing.start()
    try:
        yield
    finally:
        await tracing.stop()
