"""What the engine tells of itself: logs and metrics. Every room takes its metrics from here.

Logs go to stderr, as JSON or for people, and never hold a secret, token, ticket, code or person:
`redact` stands last before the line is written, for our own events and for those of libraries.

Metrics are in base units (seconds, bytes, counts). Several processes share them through the folder
that PROMETHEUS_MULTIPROC_DIR names: it has to be set before this module is first imported, and any
of the processes can then show the figures of all (prometheus_client's multiprocess mode).
"""

import logging
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

METRICS_FOLDER: Final = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
if METRICS_FOLDER:  # the first metric opens a file in it
    Path(METRICS_FOLDER).mkdir(parents=True, exist_ok=True)
else:  # set but empty, the library would take it for the current folder
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest  # noqa: E402 (folder first)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead  # noqa: E402 (folder first)

# --- metrics ---------------------------------------------------------------------------------------

_STEP_SECONDS: Final = (0.000_01, 0.000_03, 0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""From a MAC check (4 µs) to the longest wait that a claim may have (`claim_deadline_ms`)."""

ANSWERS: Final = Counter(
    "dropwave_answers",
    "Answers of the gateway, by endpoint and outcome (what was granted, or the code of the refusal).",
    ["endpoint", "outcome"],
)
CLAIM_STEP_SECONDS: Final = Histogram(
    "dropwave_claim_step_seconds",
    "Time in each step of a claim: authenticate, read, decide (queue, script and ack as the request sees them), render"
    " of one claim in 16; queue (of its oldest claim) and script of every batch.",
    ["step"],
    buckets=_STEP_SECONDS,
)
CLAIM_QUEUE_LENGTH: Final = Histogram(
    "dropwave_claim_queue_claims",
    "Claims found waiting each time a desk gathers a batch.",
    buckets=(0, 1, 4, 16, 64, 256, 512, 1_024, 4_096, 16_384),
)
CLAIM_BATCH_SIZE: Final = Histogram(
    "dropwave_claim_batch_claims", "Claims in one script call.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
)
CLAIM_REPLIES_LOST: Final = Counter("dropwave_claim_replies_lost", "Script calls that had no answer and were repeated.")
CONNECTIONS: Final = Gauge(
    "dropwave_connections", "Open connections of clients, over all gateways.", multiprocess_mode="livesum"
)
BOARD_AGE: Final = Gauge(
    "dropwave_board_age_seconds",
    "Age of the oldest picture of the waves that a gateway shows.",
    multiprocess_mode="livemax",
)
LOG_LAG: Final = Gauge(
    "dropwave_log_lag_decisions",
    "Decisions in the log that the ledger has not.",
    ["campaign"],
    multiprocess_mode="livemostrecent",
)
SETTLED_CLAIMS: Final = Counter("dropwave_settled_claims", "Claims committed to the ledger.", ["campaign"])
SETTLE_SECONDS: Final = Histogram("dropwave_settle_seconds", "One settling transaction.", buckets=_STEP_SECONDS)
CURSORS_MOVED: Final = Counter(
    "dropwave_cursors_moved", "Settling transactions that found the cursor moved by somebody else.", ["campaign"]
)
SHARD_ALARMS: Final = Counter(
    "dropwave_shard_alarms", "Times a shard was stopped because its log contradicted the ledger.", ["campaign"]
)


def metrics_text() -> bytes:
    """All metrics in Prometheus' text format: of every process that shares the folder, else of this one.

    Reads files where there are several processes; call it off the event loop.
    """
    if not METRICS_FOLDER:
        return generate_latest(REGISTRY)
    shared = CollectorRegistry()
    MultiProcessCollector(shared)  # type: ignore[no-untyped-call]  # the library leaves it untyped
    return generate_latest(shared)


METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def forget_process(pid: int) -> None:
    """Take the gauges of a process out of the sums: called by itself as its last act, or by its parent afterwards."""
    if METRICS_FOLDER:
        mark_process_dead(pid)  # type: ignore[no-untyped-call]  # the library leaves it untyped


# --- logs ------------------------------------------------------------------------------------------

_HIDDEN: Final = "[hidden]"
_HIDDEN_KEYS: Final = frozenset(
    {"authorization", "body", "cookie", "set_cookie", "password", "secret", "secret_previous", "jwt_secret", "secrets"}
    | {"token", "tokens", "ticket", "tickets", "code", "codes", "voucher", "vouchers", "claimant", "person", "tags"}
)
_SECRETS_IN_TEXT: Final = re.compile(
    r"(?P<scheme>\b(?:Bearer|Ticket|Basic)\s+)\S+"  # a header's value
    r"|\beyJ[\w-]+\.[\w-]*\.[\w-]*"  # a JWT
    r"|\b1[\w-]{4}[\w-]{24,}"  # a ticket
    r"|\b[0-9A-HJKMNP-TV-Z]{16}\b"  # a voucher code
    r"|(?P<url>\w+://[^\s/:@]*:)[^\s/@]+(?=@)"  # a password in a URL
)
_DEPTH_MAX: Final = 4  # events are flat; deeper values are shown as text


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The last processor but the renderer: hides values by their key, and secrets inside any text."""
    return {key: _HIDDEN if key.lower() in _HIDDEN_KEYS else _clean(value, _DEPTH_MAX) for key, value in event.items()}


def _clean(value: Any, depth: int) -> Any:
    if isinstance(value, bool | int | float) or value is None:
        return value
    if depth and isinstance(value, Mapping):
        return {
            str(key): _HIDDEN if str(key).lower() in _HIDDEN_KEYS else _clean(inner, depth - 1)
            for key, inner in value.items()
        }
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [_clean(inner, depth - 1) for inner in value]
    return _SECRETS_IN_TEXT.sub(_hide, str(value))


def _hide(found: re.Match[str]) -> str:
    return (found["scheme"] or found["url"] or "") + _HIDDEN


def configure_logging(log_format: Literal["json", "text"], level: str, role: str = "") -> None:
    """Set up structlog and the standard library's logging for this process; `role` is bound to every line."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, redact, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    if role:
        structlog.contextvars.bind_contextvars(role=role)
    _route_standard_logging([*shared, redact], renderer, max(number, logging.WARNING))


def _route_standard_logging(processors: list[Processor], renderer: Processor, level: int) -> None:
    """Libraries' own lines take the same way; below a warning they are of no use to whoever runs this."""
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[processor for processor in processors if processor is not redact],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact, renderer],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
