"""Whether telemetry is exported to OpenTelemetry, and for how long."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import structlog

from orchestrator_core.config import Settings
from orchestrator_core.config.extras import missing_extra
from orchestrator_core.telemetry import traces
from orchestrator_core.telemetry.metrics import Metrics

NEEDED = "opentelemetry.exporter.otlp.proto.http"
"""The module that tells whether the extra is installed."""

_logger = structlog.get_logger(__name__)

_ASKING = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)


def export_wanted(settings: Settings, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether anything is to be exported: `ORCHESTRATOR_OTEL` says so, or an endpoint is named."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if settings.otel is not None:
        return settings.otel
    asking = next((name for name in _ASKING if environ.get(name)), None)
    if asking is None:
        return False
    if problem := missing_extra(asking, NEEDED, "otel"):
        # Many clusters give the variable to every container: that is no reason not to start.
        _logger.warning(problem)
        return False
    return True


@asynccontextmanager
async def exported(settings: Settings, metrics: Metrics) -> AsyncGenerator[None, None]:
    """Export spans and metrics as long as this lasts, where that is wanted."""
    if not export_wanted(settings):
        yield
        return
    from orchestrator_core.telemetry.otel import Exporter  # noqa: PLC0415 - it need not be installed

    exporter = await asyncio.to_thread(
        Exporter, keeps_content=settings.otel_capture_content, tells_providers=settings.otel_propagate
    )
    traces.record_with(exporter)
    metrics.export_to(exporter.meters)
    try:
        yield
    finally:
        traces.record_with(None)
        metrics.export_to(None)
        await asyncio.to_thread(exporter.close)
