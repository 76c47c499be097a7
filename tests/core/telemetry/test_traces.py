"""Spans that nobody records cost nothing, and those that are recorded know their parents."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from orchestrator_core.config import Settings
from orchestrator_core.telemetry import traces
from orchestrator_core.telemetry.export import export_wanted
from orchestrator_core.telemetry.traces import NO_SPAN, CurrentSpan, begin, current_span, exemplar, leaving_for


def test_without_a_recorder_nothing_is_recorded_or_imported() -> None:
    assert begin("anything") is NO_SPAN
    with NO_SPAN:
        assert current_span() is NO_SPAN
    assert exemplar() is None
    assert leaving_for("https://provider.example/v1") == {}
    code = "import sys, orchestrator_core.server.run; sys.exit('opentelemetry' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_a_span_is_the_parent_of_what_is_done_meanwhile() -> None:
    outer, inner = CurrentSpan(recorded=True, trace_id="a" * 32), CurrentSpan()

    async def look() -> object:
        return current_span()

    with outer:
        assert exemplar() == {"trace_id": "a" * 32}
        with inner:
            assert await asyncio.create_task(look()) is inner
            assert exemplar() is None
        assert current_span() is outer
    assert current_span() is NO_SPAN


@pytest.mark.parametrize(
    ("otel", "environ", "wanted"),
    [
        (None, {}, False),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        (None, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        (None, {"OTEL_SERVICE_NAME": "x"}, False),
        (False, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, False),
        (True, {}, True),
        (True, {"OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_when_it_is_exported(otel: bool | None, environ: dict[str, str], wanted: bool) -> None:
    assert export_wanted(Settings(otel=otel), environ) == wanted


def test_an_endpoint_without_the_extra_is_no_reason_not_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator_core.telemetry.export.NEEDED", "no_such_package.part")
    assert not export_wanted(Settings(), {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})
    assert traces.recording() is None
