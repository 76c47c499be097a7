"""Security events are logged and counted."""

from __future__ import annotations

import io
import json
from typing import get_args

from orchestrator_core.config import Settings
from orchestrator_core.security.events import MEANINGS, SecurityEvent, SecurityEvents
from orchestrator_core.telemetry.logging import configure
from orchestrator_core.telemetry.metrics import Metrics


def test_an_event_is_one_line_and_one_count() -> None:
    output, metrics = io.StringIO(), Metrics()
    configure(Settings(log_format="json"), output)
    SecurityEvents(metrics).report("authentication_failed", remote="127.0.0.1", path="/api/sessions")
    line = json.loads(output.getvalue())
    assert (line["security_event"], line["level"], line["remote"]) == ("authentication_failed", "WARNING", "127.0.0.1")
    assert b'orchestrator_security_events_total{event="authentication_failed"} 1.0' in metrics.render()[0]


def test_every_event_says_what_it_means() -> None:
    assert set(MEANINGS) == set(get_args(SecurityEvent))
