"""Logs: structlog and the standard library through one handler, redacted, in upper-case levels.

Lines are written to standard error directly. A queue in between would lose the last lines of a crash, and would have to
drop lines when full; what the lines say is small, and a pipe that nobody reads is the operator's fault.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from orchestrator_core.config import Settings
from orchestrator_core.telemetry.redaction import REDACTOR, redact_value

_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

_worker: int | None = None

_CONTROL = {code: repr(chr(code))[1:-1] for code in (*range(32), 127)}


@contextlib.contextmanager
def request_context(request_id: str) -> Iterator[None]:
    """Put the id of a request into every line that is logged in its course, tasks that it starts among them."""
    token = _request_id.set(request_id)
    try:
        yield
    finally:
        _request_id.reset(token)


class SafeHandler(logging.StreamHandler[TextIO]):
    """Writes lines, and says of one that cannot be written where it comes from, but not what it holds."""

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
    global _worker  # noqa: PLW0603 - as the handlers, it is the process's
    _worker = worker
    target = stream or sys.stderr
    handler = SafeHandler(target)
    handler.setFormatter(_formatter(settings, target))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(settings.log_level)
    logging.captureWarnings(True)
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(root.level),
        cache_logger_on_first_use=False,
    )


def _formatter(settings: Settings, stream: TextIO) -> logging.Formatter:
    as_console = settings.log_format == "console" or (
        settings.log_format == "auto" and settings.environment == "development"
    )
    last: list[Processor]
    if as_console:
        plain = structlog.dev.plain_traceback  # the other one shows local variables
        last = [_redact, _one_line, structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)]
    else:
        # Tracebacks become text first, so that they are redacted before JSON escapes them.
        last = [structlog.processors.format_exc_info, _redact, structlog.processors.JSONRenderer(default=str)]
    return RedactingFormatter(
        foreign_pre_chain=[*_shared(), structlog.stdlib.ExtraAdder()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )


def _shared() -> list[Processor]:
    return [
        structlog.stdlib.add_logger_name,
        _add_level,
        _add_place,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _add_level(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    record = event.get("_record")
    event["level"] = record.levelname if record is not None else _method.upper()
    return event


def _add_place(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    request_id = _request_id.get()
    if request_id is not None:
        event.setdefault("request_id", request_id)
    if _worker is not None:
        event.setdefault("worker", _worker)
    return event


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: value if key == "exc_info" else redact_value(value) for key, value in event.items()}


def _one_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape control characters, so that what a client sent cannot pass for a line of the log."""
    event["event"] = str(event.get("event", "")).translate(_CONTROL)
    return event
