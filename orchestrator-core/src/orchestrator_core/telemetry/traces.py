"""Spans, as the rest of the gateway sees them; nothing of OpenTelemetry is imported, or done, until somebody records.

A span that nobody records is `NO_SPAN`, on which everything does nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar, Token
from types import MappingProxyType, TracebackType
from typing import Literal, Protocol, TypeAlias
from urllib.parse import urlsplit

Kind = Literal["server", "client", "internal"]
Value: TypeAlias = str | bool | int | float | Sequence[str]


class Span:
    """Something that takes time; this one is not recorded.

    Attributes:
        recorded: Whether what is told of it is kept.
        trace_id: The id of the trace it belongs to, as 32 hexadecimal digits; None where there is none.
        conversation: The session that it is about.
    """

    __slots__ = ("_tokens", "conversation", "recorded", "trace_id")

    def __init__(self, *, recorded: bool = False, trace_id: str | None = None) -> None:
        self.recorded = recorded
        self.trace_id = trace_id
        self.conversation: str | None = None
        self._tokens: list[Token[Span]] = []

    def __enter__(self) -> None:
        """Make it the parent of every span that begins meanwhile, in tasks that are started too."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Make its own parent that again."""

    def set(self, name: str, value: Value | None) -> None:
        """Say something about it; None says nothing."""

    def end(self, error: str | None = None, *, failed: bool = True) -> None:
        """End it, once.

        Args:
            error: The code of the error that ended it.
            failed: Whether it counts as failed then: a request that the client got wrong is none to its server. What
                was cancelled never does.
        """


class CurrentSpan(Span):
    """A span that is recorded, and can be the parent of others."""

    __slots__ = ()

    def __enter__(self) -> None:
        """See `Span.__enter__`."""
        self._tokens.append(_current.set(self))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """See `Span.__exit__`."""
        _current.reset(self._tokens.pop())


NO_SPAN = Span()

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})

_current: ContextVar[Span] = ContextVar("span", default=NO_SPAN)


class Recorder(Protocol):
    """Records spans."""

    @property
    def keeps_content(self) -> bool:
        """Whether what is said in conversations is recorded."""
        ...

    def begin(
        self, name: str, kind: Kind, parent: Span, *, headers: Mapping[str, str] | None = None, seconds: float = 0.0
    ) -> Span:
        """Begin a span.

        Args:
            name: What happens.
            kind: Who it is between.
            parent: The span that it is a part of.
            headers: Those of a request, which may name a trace of the client's.
            seconds: How long ago it began.
        """
        ...

    def leaving(self, span: Span) -> Mapping[str, str]:
        """Return the headers that tell another server of a span; none where it is not to know."""
        ...


_recorder: Recorder | None = None


def record_with(recorder: Recorder | None) -> None:
    """Have all spans of this process recorded from now on, or none."""
    global _recorder  # noqa: PLW0603 - as the log, it is the process's
    _recorder = recorder


def recording() -> Recorder | None:
    """Return what records; None where nothing does."""
    return _recorder


def current_span() -> Span:
    """Return the span that is under way here."""
    return _current.get()


def begin(name: str, kind: Kind = "internal", headers: Mapping[str, str] | None = None) -> Span:
    """Begin a span as a part of the current one.

    Args:
        name: What happens.
        kind: Who it is between.
        headers: Those of a request, which may name a trace of the client's.
    """
    return NO_SPAN if _recorder is None else _recorder.begin(name, kind, _current.get(), headers=headers)


def exemplar() -> dict[str, str] | None:
    """Return what leads from a metric to the current trace; None where it is not recorded."""
    span = _current.get()
    return {"trace_id": span.trace_id} if span.recorded and span.trace_id else None


def leaving_for(url: str) -> Mapping[str, str]:
    """Note on the current span which server is called; return the headers that tell it of the trace, if any."""
    if _recorder is None:
        return _NO_HEADERS
    span = _current.get()
    if span.recorded:
        parts = urlsplit(url)
        span.set("server.address", parts.hostname)
        span.set("server.port", parts.port or (443 if parts.scheme == "https" else 80))
    return _recorder.leaving(span)


def note_store(kind: str, seconds: float, error_code: str | None) -> None:
    """Record a transaction of the store that has ended, where it was a part of something that is recorded."""
    if _recorder is not None and (span := _current.get()).recorded:
        done = _recorder.begin(f"store {kind}", "internal", span, seconds=seconds)
        done.end(error_code)
