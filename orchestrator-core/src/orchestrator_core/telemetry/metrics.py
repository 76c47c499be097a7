"""Metrics of a gateway, for Prometheus and for the gateway's own summary."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.samples import Sample

from orchestrator_core.provider_api import Usage
from orchestrator_core.telemetry import instruments as names
from orchestrator_core.telemetry.budget_series import BudgetSeries
from orchestrator_core.telemetry.model_names import OTHER, ModelNames
from orchestrator_core.telemetry.process_figures import ProcessFigures
from orchestrator_core.telemetry.request_record import RequestRecord
from orchestrator_core.telemetry.series import Instruments
from orchestrator_core.telemetry.traces import exemplar

if TYPE_CHECKING:
    from orchestrator_core.telemetry.otel_meters import Meters

MAX_CODES: Final = 100
"""Codes of errors that become labels. Core's are a closed list; a plugin may have more of its own."""

OPERATIONS: Final = {"summarize": "chat"}
"""OpenTelemetry's names of operations, where they are others than ours."""

CANCELLED: Final = "cancelled"
"""The code of a try that was given up because its caller left."""

_ANSWERED: Final = "ok"
_CIRCUITS: Final = {"closed": 0, "half_open": 1, "open": 2}


@dataclass(frozen=True, slots=True)
class Figures:
    """The gateway's own summary, since its start.

    Attributes:
        uptime: Seconds.
        requests_total: Requests served.
        errors_rate: The share of them that was answered with 500 or above, from 0 to 1.
        providers: Of every provider called: requests, average latency in seconds, success rate from 0 to 1. Calls that
            the client gave up say nothing of the provider, and do not count.
    """

    uptime: float
    requests_total: int
    errors_rate: float
    providers: Mapping[str, Mapping[str, float]]


class Metrics:
    """The metrics of one gateway, in a registry of its own. Counted on the event loop, shown in any thread.

    Attributes:
        models: What models are called.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        began: float | None = None,
        shared: Path | None = None,
        wanted: Callable[[], int] | None = None,
    ) -> None:
        """Make metrics that start at zero.

        Args:
            clock: Monotonic seconds.
            began: When the gateway began, by the clock; now where None.
            shared: The folder in which the processes of this gateway keep their values (`telemetry.shared_values`);
                what is shown is the sum of all. None is a gateway of one process.
            wanted: Tells how many processes there are to be, where there are several.
        """
        self.registry = CollectorRegistry()
        self._clock = clock
        self._began = clock() if began is None else began
        self.models = ModelNames()
        self._codes: set[str] = set()
        self._gen_ai_providers: Mapping[str, str] = {}
        self._meters: Meters | None = None
        self._shown = self.registry
        if shared is not None:
            self._shown = CollectorRegistry()
            MultiProcessCollector(self._shown, str(shared))  # type: ignore[no-untyped-call]  # prometheus-client leaves it untyped
        self._shown.register(ProcessFigures(self._uptime, wanted))
        made = Instruments(self.registry, shared=shared is not None)
        self._call_seconds = made.histograms(names.CALL_SECONDS)
        self._call_tokens = made.histograms(names.CALL_TOKENS)
        self._first_chunk = made.histograms(names.FIRST_CHUNK_SECONDS)
        self._served = made.histograms(names.SERVED_SECONDS)
        self._first_token = made.histograms(names.FIRST_TOKEN_SECONDS)
        self._per_token = made.histograms(names.OUTPUT_TOKEN_SECONDS)
        self._requests = made.numbers(names.REQUESTS)
        self._request_seconds = made.histograms(names.REQUEST_SECONDS)
        self._overhead = made.histograms(names.OVERHEAD)
        self._errors = made.numbers(names.ERRORS)
        self._attempts = made.numbers(names.ATTEMPTS)
        self._retries, self._fallbacks = made.numbers(names.RETRIES), made.numbers(names.FALLBACKS)
        self._passed_over = made.numbers(names.PASSED_OVER)
        self._circuits = made.numbers(names.CIRCUITS)
        self._hedges = made.numbers(names.HEDGES)
        self._calls_in_flight = made.numbers(names.CALLS_IN_FLIGHT)
        self._calls_waiting = made.numbers(names.CALLS_WAITING)
        self._calls_refused = made.numbers(names.CALLS_REFUSED)
        self._cache_lookups = made.numbers(names.CACHE_LOOKUPS)
        self.cache_bytes = made.number(names.CACHE_BYTES)
        self._tokens = made.numbers(names.KINDS_OF_TOKENS)
        self._cost = made.numbers(names.COST)
        self._budgets = BudgetSeries(made.numbers(names.BUDGET_USED), kept=shared is not None)
        self._healthy = made.numbers(names.HEALTHY)
        self._turns = made.numbers(names.TURNS)
        self._summaries = made.histograms(names.SUMMARIES)
        self._store_seconds = made.histograms(names.STORE_SECONDS)
        self._store_errors = made.numbers(names.STORE_ERRORS)
        self._security = made.numbers(names.SECURITY_EVENTS)
        self._alerts = made.numbers(names.ALERTS)
        self.serving, self.requests_in_flight = made.number(names.PROCESSES), made.number(names.REQUESTS_IN_FLIGHT)
        self.streams_in_flight = made.number(names.STREAMS_IN_FLIGHT)
        self.sessions_created = made.number(names.SESSIONS)
        self._store_ready = made.number(names.STORE_READY)
        self.loop_lag = made.histogram(names.LOOP_LAG)
        self.lines_dropped = made.number(names.LINES_DROPPED)

    def export_to(self, meters: Meters | None) -> None:
        """Have what is counted told to OpenTelemetry too, or no more."""
        self._meters = meters

    def name_providers(self, gen_ai_names: Mapping[str, str]) -> None:
        """Learn OpenTelemetry's names of the providers, by their ids; others are called by the id."""
        self._gen_ai_providers = gen_ai_names

    def gen_ai_provider(self, provider: str) -> str:
        """Return the name of a provider in OpenTelemetry's conventions."""
        return self._gen_ai_providers.get(provider, provider)

    def observe_call(
        self,
        provider: str,
        model: str,
        operation: str,
        seconds: float,
        error_code: str | None = None,
        usage: Usage | None = None,
        cost: float | None = None,
        first_chunk: float | None = None,
    ) -> None:
        """Count one try at a provider.

        Args:
            provider: Who was called.
            model: The model that was called.
            operation: `chat`, `embeddings` or `summarize`.
            seconds: What it took.
            error_code: The code of the error that ended it; None where it answered.
            usage: Its tokens, where they are known.
            cost: US dollars, where they are known.
            first_chunk: The seconds until its first content, where it was asked for a stream.
        """
        begun = first_chunk is not None  # however it ended
        model = self.models.of_call(provider, model, None if begun else error_code)
        error_code = self._code_label(error_code)
        self._attempts[provider, operation, error_code or _ANSWERED].inc()
        call = (OPERATIONS.get(operation, operation), self.gen_ai_provider(provider), model, provider)
        self._call_seconds[*call, error_code or ""].observe(seconds, exemplar())
        if self._meters is not None:
            self._meters.observe_call(call, seconds, error_code, usage, cost, first_chunk)
        if first_chunk is not None:
            self._first_chunk[call].observe(first_chunk)
        if usage is not None:
            self._call_tokens[*call, "input"].observe(usage.total_input)
            if usage.total_output:
                self._call_tokens[*call, "output"].observe(usage.total_output)
            self._count_tokens(provider, model, usage)
        if cost is not None and cost > 0:
            self._cost[provider, model].inc(cost)

    def count_call_in_flight(self, provider: str, change: int) -> None:
        """Count a call that begins (1) or ends (-1)."""
        self._calls_in_flight[provider,].inc(change)

    def observe_hedge(self, provider: str, to: str, outcome: str) -> None:
        """Count a call that was made of two targets at a time: `won` by the second, `lost`, or `failed`."""
        self._hedges[provider, to, outcome].inc()

    def count_call_waiting(self, provider: str, change: int) -> None:
        """Count a call that begins to wait for a place (1) or ends to (-1)."""
        self._calls_waiting[provider,].inc(change)

    def observe_refused_call(self, provider: str, reason: str) -> None:
        """Count a call that got no place: `full`, `waited` or `gave_way`."""
        self._calls_refused[provider, reason].inc()

    def observe_cache(self, operation: str, result: str) -> None:
        """Count a call that might be answered from the cache: `hit` or `miss`."""
        self._cache_lookups[operation, result].inc()

    def observe_next_try(self, failed: str, provider: str, *, other: bool) -> None:
        """Count a try after one that failed.

        Args:
            failed: Whose was the one that failed.
            provider: Whose is the next one.
            other: Whether it has another target than the one before.
        """
        if other:
            self._fallbacks[failed, provider].inc()
        else:
            self._retries[provider,].inc()

    def observe_request(
        self,
        surface: str,
        status: int,
        seconds: float,
        record: RequestRecord | None = None,
        error_code: str | None = None,
        *,
        streamed: bool = False,
        method: str = "",
        route: str | None = None,
    ) -> None:
        """Count one request that was served.

        Args:
            surface: Whose convention it had.
            status: Its HTTP status.
            seconds: What it took, a stream to its end.
            record: What is known of it.
            error_code: The code of the error that it was answered with, in a stream too.
            streamed: Whether the answer was a stream.
            method: Its method.
            route: The route that served it; None where there was none.
        """
        error_code = self._code_label(error_code)
        if self._meters is not None:
            overhead = record.overhead if record is not None and record.called else None
            self._meters.observe_request(method, route, status, seconds, error_code, overhead)
        self._requests[surface, str(status)].inc()
        self._request_seconds[surface,].observe(seconds, exemplar())
        if error_code is not None:
            self._errors[surface, error_code].inc()
        if record is None:
            return
        if record.overhead is not None and record.called:
            self._overhead[surface,].observe(record.overhead)
        if record.operation is not None:
            model = self.models.of_call(record.provider or "", record.model, error_code)
            served = (record.operation, record.gen_ai_provider, model)
            self._served[*served, error_code or ""].observe(seconds)
            if streamed and record.head_after is not None:
                self._first_token[served].observe(record.head_after)
                tokens = record.usage.total_output if record.usage else 0
                if tokens > 1:
                    self._per_token[served].observe((seconds - record.head_after) / (tokens - 1))

    def observe_budget(self, client: str, used: float | None) -> None:
        """Note the share of its budget that a client has used, from 0; None where that is not known any more."""
        self._budgets.show(client, used)

    def observe_health(self, provider: str, healthy: bool | None) -> None:
        """Note what the last look at a provider found; None where nobody looks at it any more."""
        self._healthy[provider,].set(math.nan if healthy is None else healthy)

    def observe_turn(self, state: str) -> None:
        """Count a turn of a session that ended."""
        self._turns[state,].inc()

    def observe_summary(self, outcome: str, seconds: float) -> None:
        """Count a summary: `made` or `failed`."""
        self._summaries[outcome,].observe(seconds)

    def observe_store(self, kind: str, seconds: float, error_code: str | None) -> None:
        """Count a transaction of the store: `read` or `write`, and the code of the error that it ended with."""
        self._store_seconds[kind,].observe(seconds)
        self._store_ready.set(0 if error_code else 1)
        if error_code is not None:
            self._store_errors[error_code,].inc()

    def observe_circuit(self, provider: str, model: str, state: str) -> None:
        """Note that a circuit changed: to `closed`, `half_open` or `open`."""
        self._circuits[provider, self.models.of_circuit(provider, model, state)].set(_CIRCUITS[state])

    def observe_passed_over(self, provider: str, code: str) -> None:
        """Count a target that was not asked, by the code of the reason."""
        self._passed_over[provider, code].inc()

    def begin_security_events(self, events: Iterable[str]) -> None:
        """Show events that never happened too: Prometheus sees no increase where a count begins with its first."""
        for event in events:
            self._security[event,].inc(0)

    def observe_security_event(self, event: str) -> None:
        """Count a security event."""
        self._security[event,].inc()

    def observe_alerts(self, outcome: str, count: int) -> None:
        """Count security events that were posted to the webhook: `sent`, or `dropped`."""
        self._alerts[outcome,].inc(count)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the metrics as text, and its content type.

        Args:
            accept: The header `Accept`: OpenMetrics or Prometheus' own format, and the version of it. Without a
                known one it is the oldest, Prometheus' 0.0.4, which everybody reads.
        """
        encode, content_type = choose_encoder(accept)
        return encode(self._shown), content_type

    def samples(self, *wanted: str) -> Iterator[Sample]:
        """Yield what is shown, of all processes together.

        Args:
            wanted: The names of the samples; all where there are none. Of one process no others are made.
        """
        alone = self._shown is self.registry
        shown = self._shown.restricted_registry(wanted) if wanted and alone else self._shown
        for family in shown.collect():
            yield from (sample for sample in family.samples if not wanted or sample.name in wanted)

    def figures(self) -> Figures:
        """Return the summary."""
        requests = errors = 0.0
        calls: dict[str, list[float]] = {}  # by provider: all, those that answered, seconds
        for sample in self.samples():
            labels, value = sample.labels, sample.value
            if sample.name == f"{names.REQUESTS.name}_total":
                requests += value
                errors += value if int(labels["status"]) >= 500 else 0
            elif sample.name == f"{names.ATTEMPTS.name}_total" and labels["outcome"] != CANCELLED:
                found = calls.setdefault(labels["provider"], [0.0, 0.0, 0.0])
                found[0] += value
                found[1] += value if labels["outcome"] == _ANSWERED else 0
            elif sample.name == f"{names.CALL_SECONDS.name}_sum" and labels["error_type"] != CANCELLED:
                calls.setdefault(labels["provider"], [0.0, 0.0, 0.0])[2] += value
        return Figures(
            uptime=self._uptime(),
            requests_total=int(requests),
            errors_rate=round(errors / requests, 4) if requests else 0.0,
            providers={
                provider: {
                    "requests": int(count),
                    "avg_latency": round(seconds / count, 3),
                    "success_rate": round(answered / count, 4),
                }
                for provider, (count, answered, seconds) in calls.items()
                if count
            },
        )

    def _code_label(self, code: str | None) -> str | None:
        """Return what the code of an error is called in labels."""
        if code is not None and code not in self._codes:
            if len(self._codes) >= MAX_CODES:
                return OTHER
            self._codes.add(code)
        return code

    def _uptime(self) -> float:
        return self._clock() - self._began

    def _count_tokens(self, provider: str, model: str, usage: Usage) -> None:
        for kind, count in (
            ("input", usage.input_tokens),
            ("cached_input", usage.cached_input_tokens),
            ("cache_write", usage.cache_write_tokens),
            ("output", usage.output_tokens),
            ("reasoning", usage.reasoning_tokens),
        ):
            if count > 0:
                self._tokens[provider, model, kind].inc(count)
