"""What is counted, and how it is shown."""

from __future__ import annotations

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_prometheus

from orchestrator_core.provider_api import Usage
from orchestrator_core.telemetry.metrics import MAX_MODELS, Metrics


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def samples(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(label for _, label in sorted(sample.labels.items())): sample.value
        for family in parse_prometheus(metrics.render()[0].decode())
        for sample in family.samples
        if sample.name == name
    }


def test_nothing_has_happened_yet() -> None:
    metrics = Metrics()
    figures = metrics.figures()
    assert (figures.requests_total, figures.errors_rate, figures.providers) == (0, 0.0, {})


def test_calls_are_counted_with_their_tokens_and_cost() -> None:
    metrics = Metrics()
    metrics.observe_call("openai", "m", "chat", 1.0, None, Usage(1, 2, 3, 4, 5), 0.25)
    metrics.observe_call("openai", "m", "chat", 3.0, "provider_timeout")
    metrics.observe_call("openai", "m", "chat", 2.0, None, Usage(1), None)
    assert metrics.figures().providers == {"openai": {"requests": 3, "avg_latency": 2.0, "success_rate": 0.6667}}
    tokens = {labels[0]: value for labels, value in samples(metrics, "orchestrator_tokens_total").items()}
    assert tokens == {"input": 2, "cached_input": 2, "cache_write": 3, "output": 4, "reasoning": 5}
    assert list(samples(metrics, "orchestrator_cost_usd_total").values()) == [0.25]
    codes = {labels[0]: value for labels, value in samples(metrics, "orchestrator_provider_calls_total").items()}
    assert codes == {"ok": 2, "provider_timeout": 1}


def test_requests_are_counted_by_surface_and_status() -> None:
    metrics = Metrics()
    for status in (200, 201, 404, 500):
        metrics.observe_request("api", status, 0.1)
    assert (metrics.figures().requests_total, metrics.figures().errors_rate) == (4, 0.25)
    counted = samples(metrics, "orchestrator_http_requests_total")
    assert {frozenset(labels): value for labels, value in counted.items()}[frozenset({"api", "500"})] == 1


def test_models_that_callers_invent_do_not_fill_the_memory() -> None:
    metrics = Metrics()
    for number in range(MAX_MODELS + 50):
        metrics.observe_call("openai", f"model-{number}", "chat", 1.0, "provider_refused")
    counted = samples(metrics, "orchestrator_provider_calls_total")
    assert len(counted) == MAX_MODELS + 1
    assert max(counted.values()) == 50
    metrics.observe_call("openai", "model-0", "chat", 1.0)
    assert metrics.figures().providers["openai"]["requests"] == MAX_MODELS + 51


def test_uptime_is_told_by_the_monotonic_clock() -> None:
    clock = Clock()
    metrics = Metrics(clock)
    clock.now += 60
    assert metrics.figures().uptime == 60
    assert list(samples(metrics, "orchestrator_uptime_seconds").values()) == [60]


@pytest.mark.parametrize(("healthy", "value"), [(True, 1), (False, 0)])
def test_health_is_shown(healthy: bool, value: int) -> None:
    metrics = Metrics()
    metrics.observe_health("openai", healthy)
    assert samples(metrics, "orchestrator_provider_healthy") == {("openai",): value}


def test_both_formats_can_be_parsed() -> None:
    metrics = Metrics()
    metrics.observe_call("openai", 'm"\\\n', "chat", 1.0, None, Usage(1))
    metrics.observe_security_event("rate_limited")
    text, kind = metrics.render()
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    assert list(parse_prometheus(text.decode()))
    text, kind = metrics.render("application/openmetrics-text")
    assert kind.startswith("application/openmetrics-text; version=")
    # prometheus-client leaves the function untyped.
    assert list(parse_openmetrics(text.decode()))  # type: ignore[no-untyped-call]


def test_two_gateways_in_one_process_do_not_share_counts() -> None:
    first, second = Metrics(), Metrics()
    first.observe_request("api", 200, 0.1)
    assert second.figures().requests_total == 0


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("*/*", "text/plain; version=0.0.4"),
        ("text/plain;version=0.0.4", "text/plain; version=0.0.4"),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", "text/plain; version=1.0.0"),
        ("application/openmetrics-text", "application/openmetrics-text; version=1.0.0"),
        ("application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1", "application/openmetrics-text; version=1.0.0"),
        ("application/openmetrics-text;version=0.0.1", "text/plain; version=0.0.4"),
    ],
)
def test_the_version_that_is_asked_for(accept: str, content_type: str) -> None:
    assert Metrics().render(accept)[1].startswith(f"{content_type}; charset=utf-8")
