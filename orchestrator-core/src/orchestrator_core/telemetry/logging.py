"""Logs: structlog and the standard library through one handler, redacted, in upper-case levels.

Lines are written to standard error directly until a gateway serves: from then on by a thread, see `log_queue`.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, Protocol, TextIO

import structlog
from pydantic_core import to_json
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from orchestrator_core.config import Settings
from orchestrator_core.telemetry.log_queue import LogQueue
from orchestrator_core.telemetry.redaction import REDACTOR, redact_value
from orchestrator_core.telemetry.request_record import current_record
from orchestrator_core.telemetry.traces import current_span

_worker: int | None = None

_handler: SafeHandler | None = None

_encode = json.JSONEncoder(default=str, separators=(",", ":")).encode

_PLAIN = frozenset({str, int, float, bool, type(None)})
"""Types of which every writer of JSON makes the same."""

_CONTROL = {code: repr(chr(code))[1:-1] for code in (*range(32), 127)}


class Writable(Protocol):
    """Takes lines."""

    def write(self, text: str, /) -> int:
        """Take text."""
        ...

    def flush(self) -> None:
        """Hand on what was taken."""
        ...


@contextlib.contextmanager
def written_aside() -> Iterator[LogQueue | None]:
    """Have lines written by a thread as long as this lasts, so that a reader who does not read holds nothing up.

    The queue that this gives counts the lines that were dropped; None where lines go elsewhere than to a file.
    """
    handler = _handler
    if handler is None or not isinstance(handler.stream, io.TextIOWrapper):
        yield None
        return
    direct = handler.stream
    queue = LogQueue(direct.fileno())
    handler.setStream(queue)
    try:
        yield queue
    finally:
        if queue.close():
            handler.setStream(direct)


class SafeHandler(logging.StreamHandler[Writable]):
    """Writes lines, and says of one that cannot be written where it comes from, but not what it holds."""

    def write(self, line: str) -> None:
        """Write a finished line."""
        stream = self.stream
        if isinstance(stream, LogQueue):  # it locks by itself
            stream.write(line + self.terminator)
            return
        with self.lock or contextlib.nullcontext(), contextlib.suppress(OSError):
            self.stream.write(line + self.terminator)
            self.stream.flush()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the standard library's name
        """Report a line that could not be written. The standard library would print its arguments unredacted."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            return  # whoever read the lines has left; there is nowhere to say so
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(
                f"ERROR logging: a line of {record.name} at {record.filename}:{record.lineno} was lost, "
                f"since it could not be formatted ({type(error).__name__})\n"
            )
            self.stream.flush()


class LineLogger:
    """The end of structlog's processors: their finished line goes to the handler as it is.

    Through the standard library's loggers and formatters a line costs twice as much, and there is one for each request.

    Attributes:
        name: Who logs.
    """

    def __init__(self, handler: SafeHandler, name: str = "root") -> None:
        self.name = name
        self.debug = self.info = self.warning = self.error = self.critical = handler.write


class RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    """The formatter of every line: what comes out of it has been redacted as a whole, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the finished line."""
        return REDACTOR.redact(super().format(record))


def configure(settings: Settings, stream: TextIO | None = None, *, worker: int | None = None) -> None:
    """Set up logging for the process; a second call replaces the first.

    Args:
        settings: The level and the form.
        stream: Where lines go; standard error by default.
        worker: Which of several processes this is, to be put into every line.
    """
    global _handler, _worker  # noqa: PLW0603 - as the root logger's handlers, they are the process's
    _worker = worker
    target = stream or sys.stderr
    handler = _handler = SafeHandler(target)
    last = _last(settings, target)
    handler.setFormatter(
        RedactingFormatter(
            foreign_pre_chain=[_add_origin, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(settings.log_level)
    logging.captureWarnings(True)
    structlog.configure(
        processors=[_add_origin, *last],
        logger_factory=cache(partial(LineLogger, handler)),
        wrapper_class=structlog.make_filtering_bound_logger(root.level),
        cache_logger_on_first_use=False,
    )
    assembled.cache_clear()


@cache
def assembled(name: str) -> FilteringBoundLogger:
    """Return a logger that is put together once for all its lines, for what logs with each request.

    It holds until logging is set up anew, and so is asked for again for each line.

    Args:
        name: Who logs.
    """
    logger: FilteringBoundLogger = structlog.get_logger(name).bind()
    return logger


def _last(settings: Settings, stream: TextIO) -> list[Processor]:
    """Return what makes a line of an event."""
    as_console = settings.log_format == "console" or (
        settings.log_format == "auto" and settings.environment == "development"
    )
    if as_console:
        plain = structlog.dev.plain_traceback  # the other one shows local variables
        render = structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)
        return [_redact, _one_line, render, _redact_line]
    return [_json]


def _add_origin(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Add who logs, at which level and when, and the ids of the request in the course of which it is, and of its trace.

    All in one processor, since calls are most of what a line costs.
    """
    foreign = event.get("_record")
    if foreign is None:
        event["logger"], event["level"] = logger.name, method.upper()
    else:
        event["logger"], event["level"] = foreign.name, foreign.levelname
    record = current_record()
    if record is not None:
        event.setdefault("request_id", record.request_id)
    trace_id = current_span().trace_id
    if trace_id is not None:
        event.setdefault("trace_id", trace_id)
    if _worker is not None:
        event.setdefault("worker", _worker)
    event["timestamp"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return event


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: value if key == "exc_info" else redact_value(value) for key, value in event.items()}


def _redact_line(_logger: WrappedLogger, _method: str, line: Any) -> str:
    """Redact what came out as a whole."""
    return REDACTOR.redact(line)


def _json(logger: WrappedLogger, method: str, event: EventDict) -> str:
    """Write an entry as JSON in ASCII, masked as a whole: that costs a tenth of masking each of its values."""
    if "exc_info" in event:
        event = structlog.processors.format_exc_info(logger, method, event)
    if not _PLAIN.issuperset(map(type, event.values())):
        # Each writer of JSON has its own way with other types, so that one writes them all.
        line = _encode({name: redact_value(value) for name, value in event.items()})
        return REDACTOR.redact_json(line)
    try:
        data = to_json(event, inf_nan_mode="constants")
        line = data.decode() if data.isascii() else _encode(event)
    except ValueError:  # it holds what cannot be written as UTF-8
        line = _encode(event)
    return REDACTOR.redact_json(line)


def _one_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape control characters, so that what a client sent cannot pass for a line of the log."""
    event["event"] = str(event.get("event", "")).translate(_CONTROL)
    return event
