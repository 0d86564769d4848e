"""Traces: spans of a few requests, batches and transactions, sent to an OpenTelemetry collector (OTLP over HTTP).

Off unless an endpoint is set, and then nothing of OpenTelemetry is even imported. Which requests are traced is decided
when they begin: those whose caller asks for it (`traceparent` with its sampled flag), and a small share of the others;
both together never more than so many a second, so that neither a crowd nor a hostile header makes tracing a load.
Spans lie in a bounded queue and are sent by a thread of their own: a collector that is slow or dead costs spans, which
are counted, and never a claim. Attributes name routes, outcomes and counts; nothing in them tells of a person.
"""

import asyncio
import os
import random
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from engine.errors import CannotRun
from engine.telemetry.metrics import SPANS
from engine.telemetry.redaction import hide_secrets

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.trace import Link, Span, SpanContext, Tracer

Attributes = Mapping[str, str | int]

QUEUE_SPANS_MAX: Final = 2_048
"""Spans that wait for the collector: a hundred seconds of the default rate. What comes on top is dropped."""
BATCH_SPANS_MAX: Final = 512
SEND_EVERY_MS: Final = 1_000
SEND_TIMEOUT_S: Final = 5.0
STOP_WITHIN_S: Final = 1.0
"""At the end the queue is sent for at most this long; then it is given up."""
_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(?:-.*)?")
"""W3C Trace Context, 3.2: version, trace, parent, flags."""

TRACE: Final["ContextVar[Trace | None]"] = ContextVar("trace", default=None)
"""The traced request that is being handled in this context. Only set while tracing is on."""


class Trace:
    """One request that is traced. Times are those of `time.perf_counter`."""

    __slots__ = ("_clock_ns", "_context", "_decided_in", "_span", "_tracer")

    def __init__(self, tracer: "Tracer", context: "Context | None", began_s: float) -> None:
        from opentelemetry.trace import SpanKind, set_span_in_context

        self._tracer = tracer
        self._clock_ns = time.time_ns() - time.perf_counter_ns()
        self._span = tracer.start_span("request", context, SpanKind.SERVER, start_time=self._ns(began_s))
        self._context = set_span_in_context(self._span)
        self._decided_in: SpanContext | None = None

    def step(self, name: str, began_s: float, ended_s: float) -> None:
        """A step of it that has ended."""
        from opentelemetry.trace import Link

        links = [Link(self._decided_in)] if self._decided_in and name == "decide" else None
        span = self._tracer.start_span(name, self._context, links=links, start_time=self._ns(began_s))
        span.end(self._ns(ended_s))

    def end(self, name: str, attributes: Attributes, *, failed: bool) -> None:
        """Its answer is on its way."""
        from opentelemetry.trace import StatusCode

        self._span.update_name(name)
        self._span.set_attributes(_clean(attributes))
        if failed:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()

    def decided_in(self, batch: "SpanContext") -> None:
        """The batch that its claim went with."""
        self._decided_in = batch

    @property
    def context(self) -> "SpanContext":
        """What a span that serves several requests links to."""
        return self._span.get_span_context()

    def _ns(self, moment_s: float) -> int:
        return self._clock_ns + int(moment_s * 1_000_000_000)


class _Sampling:
    """Decides which requests are traced."""

    def __init__(self, tracer: "Tracer", ratio: float, per_second_max: int) -> None:
        self.tracer = tracer
        self._ratio = ratio
        self._per_second_max = per_second_max
        self._second = 0
        self._taken = 0

    def request(self, traceparent: str, began_s: float) -> Trace | None:
        """A trace for a request, or None. A caller that says it does not trace is not traced."""
        found = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
        by_chance = random.random() < self._ratio  # noqa: S311 - picks a sample, keeps no secret
        wanted = by_chance if found is None else bool(int(found[1], 16) & 1)
        if not wanted or not self.has_room():
            return None
        return Trace(self.tracer, None if found is None else _parent_of(traceparent), began_s)

    def has_room(self) -> bool:
        """Whether one more may be traced in this second."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._taken = second, 0
        self._taken += 1
        return self._taken <= self._per_second_max


_sampling: _Sampling | None = None


def trace_request(traceparent: str, began_s: float) -> Trace | None:
    """The trace of a request that began then, in this context; None for those that are not traced, mostly all."""
    if _sampling is None:
        return None
    trace = _sampling.request(traceparent, began_s)
    TRACE.set(trace)
    return trace


def traced_here() -> Trace | None:
    """The traced request that this code runs for, if any."""
    return None if _sampling is None else TRACE.get()


@contextmanager
def shared_span(name: str, traces: Sequence[Trace], **attributes: str | int) -> Iterator[None]:
    """A span of work that is done for several requests at once, linked to those of them that are traced, if any."""
    if _sampling is None or not traces:
        yield
        return
    from opentelemetry.trace import Link

    with _around(_sampling.tracer, name, attributes, [Link(trace.context) for trace in traces]) as span:
        for trace in traces:
            trace.decided_in(span.get_span_context())
        yield


@contextmanager
def span(name: str, **attributes: str | int) -> Iterator[None]:
    """A span of work that no request waits for; as many a second as requests are traced."""
    if _sampling is None or not _sampling.has_room():
        yield
        return
    with _around(_sampling.tracer, name, attributes):
        yield


@contextmanager
def _around(tracer: "Tracer", name: str, attributes: Attributes, links: "Sequence[Link]" = ()) -> "Iterator[Span]":
    """The span of a block. What the block raises is told as an error and not quoted: a message can hold anything."""
    from opentelemetry.trace import StatusCode

    span = tracer.start_span(name, links=links, attributes=_clean(attributes))
    try:
        yield span
    except BaseException:
        span.set_status(StatusCode.ERROR)
        raise
    finally:
        span.end()


class Tracing:
    """The sending of traces. A service: the first to start, the last to stop."""

    def __init__(self, role: str, endpoint: str, ratio: float, per_second_max: int) -> None:
        """`endpoint` is the collector's base address; empty: as OTEL_EXPORTER_OTLP_ENDPOINT and its kin say."""
        self._role = role
        self._endpoint = endpoint
        self._ratio = ratio
        self._per_second_max = per_second_max
        self._provider: TracerProvider | None = None
        self._exporter: SpanExporter | None = None

    async def start(self) -> None:
        """Begin to trace. Raises CannotRun where the libraries are not installed."""
        global _sampling  # one for a process: found without being handed through every call
        if self._provider is None:
            try:
                self._exporter = _exporter(self._endpoint)
                self._provider = _provider(self._role, self._exporter)
            except ImportError as error:
                raise CannotRun(
                    f"traces need the extra `tracing` ({error.name} is missing): pip install 'dropwave[tracing]',"
                    " or unset otel_endpoint and OTEL_EXPORTER_OTLP_ENDPOINT"
                ) from error
            _sampling = _Sampling(self._provider.get_tracer("dropwave"), self._ratio, self._per_second_max)

    async def stop(self) -> None:
        """Send what waits, for at most STOP_WITHIN_S."""
        global _sampling
        provider, self._provider = self._provider, None
        exporter, self._exporter = self._exporter, None
        if provider is None or exporter is None:
            return
        _sampling = None
        loop, sent = asyncio.get_running_loop(), asyncio.Event()

        def send() -> None:
            provider.shutdown()
            if not loop.is_closed():
                loop.call_soon_threadsafe(sent.set)

        # No thread of the loop's own: that would be waited for at the end, for as long as the collector is silent.
        threading.Thread(target=send, name="last spans", daemon=True).start()
        try:
            await asyncio.wait_for(sent.wait(), STOP_WITHIN_S)
        except TimeoutError:
            exporter.shutdown()  # ends its retries, and with them the threads that wait for them


def wants_traces(endpoint: str) -> bool:
    """Whether an endpoint is set, here or by OpenTelemetry's own variables."""
    names = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return bool(endpoint or any(os.environ.get(name) for name in names))


def _exporter(endpoint: str) -> "SpanExporter":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    address = None
    if endpoint:
        address = endpoint if endpoint.endswith("/v1/traces") else f"{endpoint.rstrip('/')}/v1/traces"
    return _counted(OTLPSpanExporter(address, timeout=SEND_TIMEOUT_S))


def _provider(role: str, exporter: "SpanExporter") -> "TracerProvider":
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON

    name = os.environ.get("OTEL_SERVICE_NAME") or f"dropwave-{role}"
    provider = TracerProvider(  # what is traced is decided before a span is made
        sampler=ALWAYS_ON, resource=Resource.create({"service.name": name}), shutdown_on_exit=False
    )
    provider.add_span_processor(
        BatchSpanProcessor(
            exporter,
            max_queue_size=QUEUE_SPANS_MAX,
            schedule_delay_millis=SEND_EVERY_MS,
            max_export_batch_size=BATCH_SPANS_MAX,
        )
    )
    return provider


def _counted(exporter: "SpanExporter") -> "SpanExporter":
    """The exporter, with a count of what it has sent and what it could not send."""
    from opentelemetry.sdk.trace.export import SpanExportResult

    send = exporter.export

    def export(spans: "Sequence[ReadableSpan]") -> "SpanExportResult":
        result = send(spans)
        SPANS.labels("sent" if result is SpanExportResult.SUCCESS else "lost").inc(len(spans))
        return result

    exporter.export = export  # type: ignore[method-assign]  # a subclass would have to be made where it is imported
    return exporter


def _parent_of(traceparent: str) -> "Context":
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": traceparent})


def _clean(attributes: Attributes) -> dict[str, str | int]:
    return {name: hide_secrets(value) if isinstance(value, str) else value for name, value in attributes.items()}
