"""What is learnt about one request in its course: for its line in the log, its metrics and its headers.

It travels in a context variable, so that neither the orchestration nor the client for providers has to know of
requests.
"""

from __future__ import annotations

import time
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from types import TracebackType

from orchestrator_core.provider_api import Usage


class Stopwatch:
    """Adds up the time of what it stands around. What overlaps counts once: several calls may run at a time."""

    __slots__ = ("_depth", "_done", "_since")

    def __init__(self) -> None:
        self._done = 0.0
        self._depth = 0
        self._since = 0.0

    def __enter__(self) -> None:
        if self._depth == 0:
            self._since = time.monotonic()
        self._depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._done += time.monotonic() - self._since

    @property
    def total(self) -> float:
        """Seconds, with what is still under way: of two calls beside each other one may not have answered yet."""
        return self._done if self._depth == 0 else self._done + time.monotonic() - self._since


@dataclass(slots=True)
class RequestRecord:
    """What is known of a request.

    Attributes:
        begun: When it came, in monotonic seconds.
        request_id: Its id, which is in every line of the log in its course.
        waited: Time spent on waiting for others: providers, and the client's body.
        operation: What was asked of a provider: `chat` or `embeddings`; None where nothing was.
        provider: Who answered, or was asked last.
        gen_ai_provider: The name of that provider in OpenTelemetry's conventions.
        model: The model that was asked.
        attempts: Tries at providers.
        usage: The tokens of all tries, as far as they are known.
        cost: USD of all tries, as far as it is known.
        cache: `hit` or `miss` where an answer that is kept might have been given; None where none might.
        called: Whether a provider was waited for.
        head_after: Seconds until the head of the answer was sent.
        overhead: Of these, those in the gateway.

    As a context it is the record of everything that is done meanwhile, tasks that are started among it.
    """

    begun: float
    request_id: str
    waited: Stopwatch = field(default_factory=Stopwatch)
    operation: str | None = None
    provider: str | None = None
    gen_ai_provider: str = ""
    model: str = ""
    attempts: int = 0
    usage: Usage | None = None
    cost: float | None = None
    cache: str | None = None
    called: bool = False
    head_after: float | None = None
    overhead: float | None = None
    _token: Token[RequestRecord | None] | None = None

    def __enter__(self) -> None:
        self._token = _record.set(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            _record.reset(self._token)

    def add_call(
        self, operation: str, provider: str, gen_ai_provider: str, model: str, usage: Usage | None, cost: float | None
    ) -> None:
        """Note a try at a provider that has ended."""
        self.operation, self.provider = operation, provider
        self.gen_ai_provider, self.model = gen_ai_provider, model
        self.attempts += 1
        if usage is not None:
            self.usage = usage if self.usage is None else self.usage + usage
        if cost is not None:
            self.cost = cost + (self.cost or 0.0)

    def fields(self) -> dict[str, str | int | float]:
        """Return what the line of the log says of the calls that were made, or of the answer that was kept."""
        fields: dict[str, str | int | float] = {}
        if self.cache is not None:
            fields["cache"] = self.cache
        if self.provider is None:
            return fields
        fields["provider"], fields["model"], fields["attempts"] = self.provider, self.model, self.attempts
        if self.usage is not None:
            fields["input_tokens"], fields["output_tokens"] = self.usage.total_input, self.usage.total_output
        if self.cost is not None:
            fields["cost"] = self.cost
        if self.overhead is not None:
            fields["overhead_ms"] = round(self.overhead * 1000, 3)
        return fields

    def sends_head(self) -> float:
        """Note that the head of the answer is sent, once; return the seconds spent in the gateway until then."""
        if self.overhead is None:
            self.head_after = time.monotonic() - self.begun
            self.overhead = max(0.0, self.head_after - self.waited.total)
        return self.overhead


_record: ContextVar[RequestRecord | None] = ContextVar("request_record", default=None)
_NOBODY = Stopwatch()


def current_record() -> RequestRecord | None:
    """Return the record of the request that is served; None in the background."""
    return _record.get()


def waiting_for_provider() -> Stopwatch:
    """Return what to stand around waiting for a provider."""
    record = _record.get()
    if record is None:
        return _NOBODY
    record.called = True
    return record.waited
