"""The settings of telemetry that leaves the gateway."""

from __future__ import annotations

from pydantic import Field

from orchestrator_core.config.settings.base import SettingsGroup


class ExportSettings(SettingsGroup):
    """Traces and metrics for OpenTelemetry."""

    otel: bool | None = Field(
        default=None,
        description="Whether traces and metrics are sent to OpenTelemetry; without it, where "
        "`OTEL_EXPORTER_OTLP_ENDPOINT` names an endpoint. How is said by the standard `OTEL_*` variables. Needs the "
        "extra `otel`.",
    )
    otel_capture_content: bool = Field(
        default=False, description="Whether traces hold what is said in conversations, redacted and cut at 64 KiB."
    )
    otel_propagate: bool = Field(
        default=False, description="Whether providers are told of traces, by the header `traceparent`."
    )
