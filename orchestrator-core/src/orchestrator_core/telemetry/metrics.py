"""Metrics of a gateway, for Prometheus and for the gateway's own summary."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from orchestrator_core.config.redaction import REDACTOR
from orchestrator_core.provider_api import Usage

SECONDS: Final = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Upper bounds of the histograms' buckets, in seconds."""

MAX_MODELS: Final = 200
"""Model names that become labels. Callers choose them, so that without a bound they could fill the memory."""

OTHER: Final = "other"

_ANSWERED: Final = "ok"


@dataclass(frozen=True, slots=True)
class Figures:
    """The gateway's own summary, since its start.

    Attributes:
        uptime: Seconds.
        requests_total: Requests served.
        errors_rate: The share of them that was answered with 500 or above, from 0 to 1.
        providers: Of every provider called: requests, average latency in seconds, success rate from 0 to 1.
    """

    uptime: float
    requests_total: int
    errors_rate: float
    providers: Mapping[str, Mapping[str, float]]


class Metrics(Collector):
    """The metrics of one gateway, in a registry of its own. Counted on the event loop, shown in any thread."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, began: float | None = None, shared: Path | None = None
    ) -> None:
        """Make metrics that start at zero.

        Args:
            clock: Monotonic seconds.
            began: When the gateway began, by the clock; now where None.
            shared: The folder in which the processes of this gateway keep their values (`telemetry.shared_values`);
                what is shown is the sum of all. None is a gateway of one process.
        """
        self.registry = CollectorRegistry()
        self._clock = clock
        self._began = clock() if began is None else began
        self._models: set[str] = set()
        self._shown = self.registry
        if shared is not None:
            self._shown = CollectorRegistry()
            MultiProcessCollector(self._shown, str(shared))  # type: ignore[no-untyped-call]  # prometheus-client leaves it untyped
        self._shown.register(self)
        call = ("provider", "model", "operation")
        self._calls = Counter(
            "orchestrator_provider_calls",
            "Calls to providers; code is the error's, or ok.",
            (*call, "code"),
            registry=self.registry,
        )
        self._call_seconds = Histogram(
            "orchestrator_provider_call_seconds", "Time of calls.", call, buckets=SECONDS, registry=self.registry
        )
        self._tokens = Counter(
            "orchestrator_tokens", "Tokens, in disjoint kinds.", ("provider", "model", "kind"), registry=self.registry
        )
        self._cost = Counter(
            "orchestrator_cost_usd",
            "US dollars, of calls with a known price.",
            ("provider", "model"),
            registry=self.registry,
        )
        self._http = Counter(
            "orchestrator_http_requests", "Requests served.", ("surface", "status"), registry=self.registry
        )
        self._http_seconds = Histogram(
            "orchestrator_http_request_seconds",
            "Time of requests.",
            ("surface",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._healthy = Gauge(
            "orchestrator_provider_healthy",
            "1 where the last look found a provider healthy.",
            ("provider",),
            registry=self.registry,
            multiprocess_mode="mostrecent",
        )
        self._security = Counter(
            "orchestrator_security_events", "Security events, by name.", ("event",), registry=self.registry
        )

    def observe_call(
        self,
        provider: str,
        model: str,
        operation: str,
        seconds: float,
        error_code: str | None = None,
        usage: Usage | None = None,
        cost: float | None = None,
    ) -> None:
        """Count one call to a provider.

        Args:
            provider: Who was called.
            model: The model that was called.
            operation: `chat`, `embed` or `summarize`.
            seconds: What it took.
            error_code: The code of the error that ended it; None where it answered.
            usage: Its tokens, where they are known.
            cost: US dollars, where they are known.
        """
        model = self._label(model)
        self._calls.labels(provider, model, operation, error_code or _ANSWERED).inc()
        self._call_seconds.labels(provider, model, operation).observe(seconds)
        if usage is not None:
            self._count_tokens(provider, model, usage)
        if cost is not None and cost > 0:
            self._cost.labels(provider, model).inc(cost)

    def observe_request(self, surface: str, status: int, seconds: float) -> None:
        """Count one request that was served, by its surface and HTTP status."""
        self._http.labels(surface, str(status)).inc()
        self._http_seconds.labels(surface).observe(seconds)

    def observe_health(self, provider: str, healthy: bool) -> None:
        """Note what the last look at a provider found."""
        self._healthy.labels(provider).set(1 if healthy else 0)

    def observe_security_event(self, event: str) -> None:
        """Count a security event."""
        self._security.labels(event).inc()

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the metrics as text, and its content type.

        Args:
            accept: The header `Accept`: OpenMetrics or Prometheus' own format, and the version of it. Without a
                known one it is the oldest, Prometheus' 0.0.4, which everybody reads.
        """
        encode, content_type = choose_encoder(accept)
        return encode(self._shown), content_type

    def collect(self) -> Iterator[Metric]:
        """Give what no process counts, to prometheus-client."""
        yield GaugeMetricFamily("orchestrator_uptime_seconds", "Time since the start.", self._clock() - self._began)

    def figures(self) -> Figures:
        """Return the summary."""
        requests = errors = 0.0
        calls: dict[str, list[float]] = {}  # by provider: all, those that answered, seconds
        for sample in (sample for family in self._shown.collect() for sample in family.samples):
            labels, value = sample.labels, sample.value
            if sample.name == "orchestrator_http_requests_total":
                requests += value
                errors += value if int(labels["status"]) >= 500 else 0
            elif sample.name == "orchestrator_provider_calls_total":
                found = calls.setdefault(labels["provider"], [0.0, 0.0, 0.0])
                found[0] += value
                found[1] += value if labels["code"] == _ANSWERED else 0
            elif sample.name == "orchestrator_provider_call_seconds_sum":
                calls.setdefault(labels["provider"], [0.0, 0.0, 0.0])[2] += value
        return Figures(
            uptime=self._clock() - self._began,
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

    def _count_tokens(self, provider: str, model: str, usage: Usage) -> None:
        for kind, count in (
            ("input", usage.input_tokens),
            ("cached_input", usage.cached_input_tokens),
            ("cache_write", usage.cache_write_tokens),
            ("output", usage.output_tokens),
            ("reasoning", usage.reasoning_tokens),
        ):
            if count > 0:
                self._tokens.labels(provider, model, kind).inc(count)

    def _label(self, model: str) -> str:
        if model not in self._models:
            model = REDACTOR.redact(model)  # a caller may put a key where a model's name belongs
            if len(self._models) >= MAX_MODELS:
                return OTHER
            self._models.add(model)
        return model
