"""Spans and metrics for OpenTelemetry, sent as OTLP over HTTP. Imported only where that is wanted: the extra `otel`.

What is sent, and where, is said by the standard variables `OTEL_*`, which the SDK reads itself.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from urllib.parse import unquote

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from orchestrator_core.config.redaction import REDACTOR
from orchestrator_core.provider_api import Secret
from orchestrator_core.telemetry.metrics import CANCELLED
from orchestrator_core.telemetry.otel_meters import Meters
from orchestrator_core.telemetry.traces import CurrentSpan, Kind, Span, Value

CLOSE_TIMEOUT = 5.0
"""Seconds that the end of a process waits for its last spans and metrics to be taken."""

_SCOPE = "orchestrator"
_KINDS: Mapping[Kind, SpanKind] = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "internal": SpanKind.INTERNAL,
}
_TRACE_CONTEXT = TraceContextTextMapPropagator()


class OtelSpan(CurrentSpan):
    """A span of OpenTelemetry's SDK."""

    __slots__ = ("span",)

    def __init__(self, span: trace.Span) -> None:
        """Wrap a span."""
        context = span.get_span_context()
        super().__init__(recorded=span.is_recording(), trace_id=f"{context.trace_id:032x}")
        self.span = span

    def set(self, name: str, value: Value | None) -> None:
        """See `Span.set`."""
        if value is not None:
            self.span.set_attribute(name, value)

    def end(self, error: str | None = None, *, failed: bool = True) -> None:
        """See `Span.end`."""
        if error is not None:
            self.span.set_attribute("error.type", error)
            if failed and error != CANCELLED:
                self.span.set_status(Status(StatusCode.ERROR))
        self.span.end()


class Exporter:
    """Records spans and metrics with OpenTelemetry's SDK; it implements `traces.Recorder`.

    Attributes:
        keeps_content: Whether what is said in conversations is recorded.
        meters: What takes metrics; None where none are exported.
    """

    def __init__(
        self,
        *,
        keeps_content: bool = False,
        tells_providers: bool = False,
        processors: Sequence[SpanProcessor] | None = None,
        readers: Sequence[MetricReader] | None = None,
    ) -> None:
        """Begin to export.

        Args:
            keeps_content: Whether what is said in conversations is recorded.
            tells_providers: Whether providers are told of the traces.
            processors: What takes the spans; by default they are sent to where the environment says.
            readers: What takes the metrics; the same.
        """
        self.keeps_content = keeps_content
        self._tells_providers = tells_providers
        _hide_headers()
        resource = _resource()
        if processors is None:
            processors = [BatchSpanProcessor(OTLPSpanExporter())] if _wanted("OTEL_TRACES_EXPORTER") else []
        if readers is None:
            readers = [PeriodicExportingMetricReader(OTLPMetricExporter())] if _wanted("OTEL_METRICS_EXPORTER") else []
        self._tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        for processor in processors:
            self._tracers.add_span_processor(processor)
        self._tracer = self._tracers.get_tracer(_SCOPE, version("orchestrator-core"))
        self._metering = MeterProvider(readers, resource=resource, shutdown_on_exit=False)
        self.meters = Meters(self._metering.get_meter(_SCOPE, version("orchestrator-core"))) if readers else None

    def begin(
        self, name: str, kind: Kind, parent: Span, *, headers: Mapping[str, str] | None = None, seconds: float = 0.0
    ) -> Span:
        """See `Recorder.begin`."""
        context: Context | None
        if isinstance(parent, OtelSpan):
            context = trace.set_span_in_context(parent.span)
        else:
            context = _TRACE_CONTEXT.extract(headers) if headers is not None else None
        began = time.time_ns() - int(seconds * 1e9) if seconds else None
        span = OtelSpan(self._tracer.start_span(name, context, _KINDS[kind], start_time=began))
        span.conversation = parent.conversation
        return span

    def leaving(self, span: Span) -> Mapping[str, str]:
        """See `Recorder.leaving`."""
        headers: dict[str, str] = {}
        if self._tells_providers and isinstance(span, OtelSpan):
            _TRACE_CONTEXT.inject(headers, trace.set_span_in_context(span.span))
        return headers

    def close(self) -> None:
        """Send what is left, within `CLOSE_TIMEOUT`; what is not taken by then is lost."""
        threads = [
            threading.Thread(target=provider.shutdown, name="otel shutdown", daemon=True)
            for provider in (self._tracers, self._metering)
        ]
        ends = time.monotonic() + CLOSE_TIMEOUT
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, ends - time.monotonic()))


def _resource() -> Resource:
    """Say who sends: each process is an instance of its own, whose counts begin at zero."""
    ours = {
        "service.name": "orchestrator",
        "service.version": version("orchestrator-core"),
        "service.instance.id": str(uuid.uuid4()),
    }
    return Resource.create({**ours, **OTELResourceDetector().detect().attributes})


def _wanted(variable: str) -> bool:
    return os.environ.get(variable, "otlp").strip().lower() != "none"


def _hide_headers() -> None:
    """Keep what the operator's collector is told, keys among it, out of the log."""
    for kind in ("", "TRACES_", "METRICS_"):
        for pair in os.environ.get(f"OTEL_EXPORTER_OTLP_{kind}HEADERS", "").split(","):
            value = unquote(pair.partition("=")[2].strip())
            for secret in (value, value.rpartition(" ")[2]):  # `Bearer` is none
                if secret:
                    REDACTOR.add(Secret(secret))
