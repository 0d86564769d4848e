"""Logs: lines to stderr, as JSON or for people, each with its role and, where there is one, the request's id."""

import logging
import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from engine.telemetry.metrics import LOG_LINES_LOST
from engine.telemetry.redaction import redact

REQUEST_ID: Final[ContextVar[str]] = ContextVar("request_id", default="")
"""The request that is being handled in this context; read when a line is written, and only then."""


def configure_logging(log_format: Literal["json", "text"], level: str, role: str = "") -> None:
    """Set up structlog and the standard library's logging for this process; `role` is bound to every line."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _name_request,
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
        logger_factory=_lines_to(sys.stderr),
        cache_logger_on_first_use=False,
    )
    if role:
        structlog.contextvars.bind_contextvars(role=role)
    _route_standard_logging([*shared, redact], renderer, max(number, logging.WARNING))


class _Lines(structlog.PrintLogger):
    """Prints lines; one that cannot be written, because the disk is full or nobody reads the pipe any more, is counted.

    Whatever is at work when it has something to tell goes on: no claim waits for the space that its line would take.
    """

    def msg(self, message: str) -> None:
        """A line."""
        try:
            super().msg(message)
        except OSError:
            LOG_LINES_LOST.inc()

    log = debug = info = warn = warning = fatal = failure = err = error = critical = exception = msg


def _lines_to(stream: TextIO) -> Callable[..., WrappedLogger]:
    return lambda *_: _Lines(stream)


def _name_request(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    request_id = REQUEST_ID.get()
    if request_id:
        event.setdefault("request_id", request_id)
    return event


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
